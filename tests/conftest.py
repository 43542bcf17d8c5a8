"""Options of the whole suite."""

import os

from hypothesis import settings

# Many small matrices: threads that share two cores only get into each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The same examples every time, so that no build fails by lot. HYPOTHESIS_PROFILE=explore looks
# for new ones.
# No deadline: it would be the machine that fails.
settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


def pytest_addoption(parser):
    parser.addoption(
        "--update-snapshots", action="store_true", help="write tests/data/ anew; then read the diff"
    )
