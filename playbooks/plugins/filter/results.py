"""Look at the folder for results before a host works for it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ansible.errors import AnsibleFilterError


def serverbench_is_writable(folder: str) -> bool:
    """Make the folder where it is missing, and return True; fail with why it cannot be written."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError as error:
        raise AnsibleFilterError(
            f"bench_results_dir: {folder} cannot be written on this machine ({error.strerror}); "
            "mend it, or give another folder"
        ) from None


class FilterModule:
    """What Ansible asks a filter plugin for."""

    def filters(self) -> dict[str, Callable[..., bool]]:
        """Return the filters of this plugin."""
        return {"serverbench_is_writable": serverbench_is_writable}
