"""Bring what there is of a run from a host to this machine, check it, and add it to the results.

One task with four commands over the open connection: as five tasks it took three times as long, and
started Python on the host twice.
"""

from __future__ import annotations

import resource
import shlex
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from collect.archive import unpack
from collect.errors import DataError

# A run that goes on writes while tar reads: what was half there comes with the next pull. At the
# lowest priority, since load may be running. The connecting user reads the archive without sudo,
# which streams; a file that only root may read would be carried through memory in base64.
_PACK = """\
umask 022
cd {folder} 2>/dev/null || {{
  echo "no run {run_id} on this host; there are: $(ls -m {runs_dir})" >&2; exit 4; }}
nice -n 19 tar --create --file={archive} --use-compress-program='gzip -1' \\
  --exclude='.partial-*' --exclude='.broken-*' . || test $? -eq 1 || exit
size=$(stat --format=%s {archive})
test "$size" -le {limit_bytes} || {{
  rm {archive}
  echo "run {run_id} packs to $size bytes, and {limit_bytes} are taken; look at {folder}" >&2
  exit 5; }}
"""


class ActionModule(ActionBase):
    """`pull_results: {run_id, runs_dir, archive, destination, limit_bytes}`, as root there."""

    _requires_connection = True
    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return how many trials came; `failed`, with nothing added here, where that cannot be."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "run_id": {"type": "str", "required": True},
                "runs_dir": {"type": "str", "required": True},
                "archive": {"type": "str", "required": True},
                "destination": {"type": "path", "required": True},
                "limit_bytes": {"type": "int", "required": True},
            }
        )
        host = (task_vars or {}).get("inventory_hostname", "host")
        destination, archive = Path(arguments["destination"]), arguments["archive"]
        here = destination.with_name(f"{destination.name}.tar.gz")
        # By standard input: without a terminal in between, its words are where they belong.
        said = self._low_level_execute_command(
            "sh -s",
            in_data=_PACK.format(
                folder=shlex.quote(f"{arguments['runs_dir']}/{arguments['run_id']}"),
                run_id=arguments["run_id"],
                runs_dir=shlex.quote(arguments["runs_dir"]),
                archive=shlex.quote(archive),
                limit_bytes=arguments["limit_bytes"],
            ).encode(),
        )
        if said["rc"] != 0:
            why = (said["stderr"] or said["stdout"]).strip() or f"exit status {said['rc']}"
            return result | {"failed": True, "msg": f"{host}: {why}"}
        try:
            here.parent.mkdir(parents=True, exist_ok=True)
            if why := self._fetch(archive, here, arguments["limit_bytes"]):
                return result | {"failed": True, "msg": f"{host}: {archive} {why}"}
            came = unpack(here, destination, arguments["run_id"])
        except (DataError, OSError) as error:
            return result | {"failed": True, "msg": f"{host}: {error}"}
        finally:
            here.unlink(missing_ok=True)
            self._low_level_execute_command(f"rm -f {shlex.quote(archive)}")
        return result | {"changed": True, "added": len(came.added), "kept": len(came.kept)}

    def _fetch(self, archive: str, here: Path, limit_bytes: int) -> str | None:
        """Fetch no more than that, whatever the host sends; return what went wrong.

        `ansible.builtin.fetch` writes all of it: a host that sends without end would fill the disk
        of this machine. Here the kernel stops whoever writes, be it sftp or Ansible itself: each
        task has a process of its own, and what that starts inherits the limit.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
        try:
            self._connection.fetch_file(archive, str(here))
        except (AnsibleError, OSError) as error:
            if here.exists() and here.stat().st_size >= limit_bytes:
                return f"sends more than {limit_bytes:,} bytes"
            return f"cannot be fetched: {error}"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return None
