"""Settings of the whole test run."""

from hypothesis import settings

# A loaded machine is not a failing test: timings are measured in tests/benchmarks.
settings.register_profile("bench", deadline=None)
settings.load_profile("bench")
