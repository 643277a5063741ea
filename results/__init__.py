"""Published numbers and the reference records of this repository."""
