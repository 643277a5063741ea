"""Settings of the whole test run."""

import pytest
from hypothesis import settings

# A loaded machine is not a failing test: timings are measured in tests/benchmarks.
settings.register_profile("bench", deadline=None)
settings.load_profile("bench")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Caches and weights of the test run are its own, not those of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("BENCH_WEIGHTS", raising=False)
        yield
