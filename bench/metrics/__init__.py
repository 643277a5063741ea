"""Metrics: pure counting functions, and meters that measure images and add up."""
