"""Whether a checkpoint, or the code around it, still does what it did: references and gates.

    reference   what is kept of a run that others are held against: one file
    sketch      an array as a digest and a few sums, from which a distance can be told
    arrays      answers, predictions and statistics as arrays
    stages      what an examination shows between image and score, on a few fixed images
    rounding    how far rounding alone moves each stage of a model
    gate        the decision: scores by paired intervals, stages by their distances
    junit       the decision for a build server

`bench baseline` and `bench regress` are the commands, `bench.pytest_plugin` the same in a test run.
"""
