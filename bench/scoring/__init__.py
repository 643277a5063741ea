"""Scoring files that any other system wrote: one module a task, one function `score` in each."""
