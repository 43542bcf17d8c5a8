"""The command line: `serverbench doctor | plan | run | follow | report | …`.

Exit status: 0 done; 1 something the user can mend, said on one line (`compare`: one a difference);
2 a wrong command line; 130 Ctrl-C. `run` and `follow` end as the playbook did.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING

# The matrices here are small. With a second thread a report took 1.6 times as long on two cores of
# which something else used one: the threads spin while they wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collect.beside import end_all
from collect.cli.language import language_of
from collect.cli.output import one_line
from collect.cli.registry import build_parser
from collect.errors import ServerbenchError
from collect.lang import speaking

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import NoReturn


def command() -> NoReturn:
    """Run the command line and end the process."""
    options = build_parser().parse_args()
    status = _run(options)
    for stream in (sys.stdout, sys.stderr):
        # Whoever closed it, or lets nothing more in, has heard enough.
        with contextlib.suppress(AttributeError, OSError):
            stream.flush()
    # Python would give back the figures of a long run one by one, which takes it a second, before
    # the system takes all there is at once. A profiler that writes at the end wants `main`.
    end_all()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return _run(build_parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    # A command ends soon, and makes hardly anything that only the collector could free: it would
    # look at the figures of a long run again and again, for a third of the time.
    gc.disable()
    try:
        with speaking(language_of(options)):
            status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ServerbenchError as error:
        print(f"serverbench: {one_line(str(error))}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    except OSError as error:
        # A folder that may not be read, a full disk: whatever no module had a better word for.
        named = f"{error.filename}: " if error.filename else ""
        print(f"serverbench: {one_line(f'{named}{error.strerror}')}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return status
