"""Check what is said of the project, and pack it as a release; see `collect.project`.

In Ansible's own process: to start another Python for it took half a second of every deployment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from collect.errors import ServerbenchError
from collect.foreign import clean
from collect.project import check_project, pack_project
from collect.variants import plain


class ActionModule(ActionBase):
    """`pack_project: {variables, build_dir, servers_dir}`, all on the control machine."""

    _requires_connection = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what `pack_project` does; `failed` with one line for what is wrong."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "variables": {"type": "dict", "required": True},
                "build_dir": {"type": "path", "required": True},
                "servers_dir": {"type": "path", "required": True},
            }
        )
        try:
            variables = plain(arguments["variables"])
            interfaces = sorted(variables.pop("interfaces"))
            packed = pack_project(
                check_project(variables, interfaces),
                interfaces,
                Path(arguments["build_dir"]),
                Path(arguments["servers_dir"]),
            )
        except ServerbenchError as error:
            # A line break may stand in the name of a file.
            return result | {"failed": True, "msg": " ".join(clean(str(error)).split())}
        except OSError as error:
            return result | {
                "failed": True,
                "msg": f"app_source: {error.filename}: {error.strerror}",
            }
        # An archive that is new here changes no host.
        return result | packed | {"changed": False}
