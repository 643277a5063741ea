"""Training: recipes of any family on data of any kind, in a loop one can read.

`bench.train.loop.train` is the loop; `bench.train.run` puts data, learner and checkpoints around it
as `bench train` does.
"""
