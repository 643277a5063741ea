"""Data about the world: datasets, suites, vocabularies, templates, protocol cards."""
