"""Tasks: what each asks of a model, and what it scores the answer with."""
