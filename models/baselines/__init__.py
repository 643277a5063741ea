"""Other systems to compare with, and baselines that need no weights."""
