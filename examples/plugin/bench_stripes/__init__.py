"""A worked example of a package for bench: its own model, dataset and metric."""
