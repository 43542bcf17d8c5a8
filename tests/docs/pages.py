"""Read Markdown pages: their fenced blocks, links and headings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*READMES, ROOT / "CHANGELOG.md", *DOCS]

_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\[\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def blocks(path: Path) -> list[tuple[str, str]]:
    """Return each fenced block, as (language, text)."""
    return [(found["kind"], found["text"]) for found in _FENCE.finditer(path.read_text("utf-8"))]


def commands(path: Path) -> list[str]:
    """Return the commands of the page's shell blocks, without comments, one a line."""
    lines = []
    for kind, text in blocks(path):
        if kind == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    lines.append(shlex.join(words).replace("'$EDITOR'", "$EDITOR"))
    return lines


def prose(path: Path) -> str:
    """Return the page without its blocks and without what stands in backticks."""
    return re.sub(r"`[^`\n]+`", "", _FENCE.sub("", path.read_text("utf-8")))


def links(path: Path) -> list[str]:
    return _LINK.findall(prose(path))


def anchors(path: Path) -> set[str]:
    """Return the names by which a page's headings are linked to."""
    headings = _HEADING.findall(_FENCE.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
