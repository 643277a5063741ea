"""Datasets: a reader for each on-disk format, and the embedded world `shapes`."""
