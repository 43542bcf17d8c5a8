"""The terminal that words and tables go to: its width, its colours."""

from __future__ import annotations

import os
import shutil
import sys

from rich.console import Console

MIN_WIDTH = 60
LOG_WIDTH = 80
"""Where nobody says how wide it is: a file, a pipe, the log of a CI job."""


def is_terminal() -> bool:
    """Tell whether somebody looks at standard output."""
    return sys.stdout.isatty()


def new_console() -> Console:
    """Return a console for our own words: markup and emoji in foreign text stay what they are."""
    looked_at = is_terminal()
    width = shutil.get_terminal_size().columns if looked_at else LOG_WIDTH
    colour = looked_at and not os.environ.get("NO_COLOR")
    return Console(
        width=max(width, MIN_WIDTH),
        force_terminal=looked_at,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def print_to_text(*parts: object) -> str:
    """Render parts for standard output, as text without padding at the ends of lines."""
    console = new_console()
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
