"""The paper's tables beside what is measured here.

`printed` has the tables as they are printed, `ablation` and `trial` train and evaluate the rows
that were never released, in miniature where there is no more, and `estimate` says how sure the
differences are.
"""
