"""Options of the whole suite."""


def pytest_addoption(parser):
    parser.addoption(
        "--update-snapshots", action="store_true", help="write tests/data/ anew; then read the diff"
    )
