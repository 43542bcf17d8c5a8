"""Compare two runs, variant by variant: what changed from run A to run B, and is it real?

Inside a run the blocks make a comparison fair; between two runs nothing does. So hosts, versions
and settings must be the same in both (`differences`), and what moved all variants alike is shown
apart from what moved one (`figures`).
"""

from collect.changes.differences import Difference, find_differences
from collect.changes.figures import Change, Row, Table
from collect.changes.pairing import HostPair, pair_hosts
from collect.changes.runs import Changes, HostChanges, Used, compare_runs

__all__ = [
    "Change",
    "Changes",
    "Difference",
    "HostChanges",
    "HostPair",
    "Row",
    "Table",
    "Used",
    "compare_runs",
    "find_differences",
    "pair_hosts",
]
