"""`make perf`: how fast the kit itself is, on lab hosts of its own, as one table.

Every figure is a ratio, or stands beside its floor: machines differ. Nothing is asserted.
"""

from __future__ import annotations

import argparse

from lab import Lab
from measures import MEASURES, Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

LEAST_REPEATS = 5


def main() -> None:
    """Measure what was asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="make perf", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=[*MEASURES])
    parser.add_argument("--repeats", type=int, default=LEAST_REPEATS)
    options = parser.parse_args()
    lab = Lab()
    figures: list[Figure] = []
    try:
        for name in options.only:
            figures += MEASURES[name](lab, options.repeats)
            show(figures)
    finally:
        lab.remove()


def show(figures: list[Figure]) -> None:
    """Print the table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("what")
    for head in ("median", "lowest - highest", "floor", "asked"):
        table.add_column(head, justify="right", no_wrap=True)
    for figure in figures:
        low, high = min(figure.samples), max(figure.samples)
        table.add_row(
            figure.what,
            f"{figure.median:.3g} {figure.unit}",
            f"{low:.3g} - {high:.3g}",
            "" if figure.floor is None else f"{figure.floor:.3g}",
            figure.asked,
        )
    Console(width=80, highlight=False).print(table)


if __name__ == "__main__":
    main()
