"""Models that bench can evaluate, one family a module. Importing this imports no torch."""
