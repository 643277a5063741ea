"""Specs, laid out as the package `dataset_specs`."""
