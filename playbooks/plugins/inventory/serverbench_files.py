"""Look at each file of an inventory before Ansible does; see `collect.documents`.

It comes first among the inventory plugins of ansible.cfg and takes no file for itself. A file that
must not be loaded ends the command: whatever else a plugin says, Ansible asks the next one.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from ansible.errors import ExitCode
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

from collect.documents import check_document
from collect.errors import DataError

DOCUMENTATION = """
    name: serverbench_files
    short_description: refuse inventory files that would explode, or are no UTF-8
    description: Takes no file for itself.
    options: {}
"""
_SUFFIXES = {".yml", ".yaml", ".json", ".ini", ""}
_VARIABLES = ("group_vars", "host_vars")


class InventoryModule(BaseInventoryPlugin):
    """Says of no file that it can read it."""

    NAME = "serverbench_files"

    def verify_file(self, path: str) -> bool:
        """End the command for a file that must not be loaded."""
        source = Path(path)
        beside = chain.from_iterable((source.parent / name).rglob("*") for name in _VARIABLES)
        try:
            for file in (source, *sorted(beside)):
                # An executable file is a script, whose output Ansible reads.
                is_script = file == source and source.stat().st_mode & 0o111
                # Ansible passes over a link to nowhere, and over all that it was meant to set; at a
                # named pipe it waits. What -i names may be one: the shell makes it of <(...).
                is_looked_at = file.is_file() or (file != source and not file.is_dir())
                if is_looked_at and file.suffix in _SUFFIXES and not is_script:
                    check_document(file)
        except DataError as error:
            Display().error(str(error), wrap_text=False)
            raise SystemExit(int(ExitCode.GENERIC_ERROR)) from None
        except OSError:
            return False
        return False
