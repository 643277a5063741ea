"""The embedded world `shapes`: scenes drawn from a seed, with every kind of truth."""
