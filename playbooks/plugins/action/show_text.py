"""Print a text, or what a local command says, as it is: without Ansible's quoting, to be read."""

from __future__ import annotations

import subprocess
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from collect.foreign import clean

display = Display()


class ActionModule(ActionBase):
    """`show_text: {argv: [...]}` prints what a command on this machine says, `{text: …}` a text."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `failed` with the command's message when it ends with anything but 0."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {"argv": {"type": "list", "elements": "str"}, "text": {"type": "str"}},
            required_one_of=[["argv", "text"]],
            mutually_exclusive=[["argv", "text"]],
        )
        if arguments["text"]:
            display.display(clean(arguments["text"]).rstrip("\n"))
            return result
        done = subprocess.run(arguments["argv"], capture_output=True, text=True, check=False)
        if done.stdout:
            display.display(done.stdout.rstrip("\n"))
        if done.returncode:
            return result | {"failed": True, "msg": done.stderr.strip()}
        return result
