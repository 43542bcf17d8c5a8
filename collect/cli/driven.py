"""Playbooks that are watched: started through ansible-runner, shown as a view or as plain lines."""

from __future__ import annotations

import getpass
import os
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any

import ansible_runner
from rich.live import Live
from rich.text import Text

from collect.cli.output import write
from collect.cli.places import project_root
from collect.cli.playbooks import find_program
from collect.cli.terminal import is_terminal, new_console
from collect.cli.view import RunView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import RenderableType

    from collect.cli.playbooks import Aim

INTERRUPTED = 130
_PROMPTS = {"ask_become_pass": "BECOME password", "ask_vault_pass": "Vault password"}
# What is worth keeping above the view: what went wrong, the ranking, the last words.
_KEPT = (
    "runner_on_failed",
    "runner_item_on_failed",
    "runner_on_unreachable",
    "runner_on_async_failed",
    "verbose",
    "warning",
    "system_warning",
    "error",
    "playbook_on_stats",
    "playbook_on_no_hosts_matched",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a playbook ended: its exit status, or that somebody stopped watching."""

    status: int
    run_id: str
    is_started: bool
    """Whether a run was under way on a host by then."""
    is_interrupted: bool


def drive(playbook: str, aim: Aim, extra: Mapping[str, str], naming_task: str) -> Ended:
    """Run a playbook and show it until it ends, or until Ctrl-C.

    Args:
        playbook: from the kit's folder.
        aim: hosts and variables.
        extra: more variables.
        naming_task: the task after which the run's id is known.
    """
    passwords = {
        rf"{prompt}.*:\s*?$": getpass.getpass(f"{prompt}: ")
        for name, prompt in _PROMPTS.items()
        if getattr(aim, name)
    }
    arguments = [
        *aim.arguments(),
        *(word for name, value in extra.items() for word in ("-e", f"{name}={value}")),
    ]
    with TemporaryDirectory(prefix="serverbench-run-") as private:
        progress_dir = Path(private) / "progress"
        progress_dir.mkdir()
        view = RunView(progress_dir, naming_task)
        settings = {
            "private_data_dir": private,
            "project_dir": str(project_root()),
            "playbook": playbook,
            "cmdline": shlex.join(arguments),
            "passwords": passwords,
            "quiet": True,
            "suppress_env_files": True,
            # How soon Ctrl-C is noticed, in seconds.
            "settings": {"pexpect_timeout": 1, "suppress_output_file": True},
        }
        if is_terminal():
            return _show_live(settings, view)
        return _show_lines(settings, view)


def _show_live(settings: dict[str, Any], view: RunView) -> Ended:
    console = new_console()

    def see() -> RenderableType:
        return view.show(console.width, console.height)

    environment = _environment() | {"SERVERBENCH_PROGRESS_DIR": str(view.progress_dir)}
    with Live(console=console, get_renderable=see, refresh_per_second=4, transient=True) as live:

        def keep(event: Mapping[str, Any]) -> None:
            if event.get("event") in _KEPT and (said := str(event.get("stdout") or "").rstrip()):
                live.console.print(Text.from_ansi(said), soft_wrap=True)

        return _run(settings | {"envvars": environment}, view, keep)


def _show_lines(settings: dict[str, Any], view: RunView) -> Ended:
    def print_all(event: Mapping[str, Any]) -> None:
        if said := str(event.get("stdout") or "").rstrip("\r\n"):
            write(f"{said}\n".replace("\r\n", "\n"))
            sys.stdout.flush()

    environment = _environment() | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    return _run(settings | {"envvars": environment}, view, print_all)


def _run(
    settings: dict[str, Any], view: RunView, show: Callable[[Mapping[str, Any]], None]
) -> Ended:
    stop = Event()

    def take(event: Mapping[str, Any]) -> bool:
        view.take(event)
        show(event)
        return False  # Kept nowhere: an event may hold what a host would not show to everybody.

    # Ansible has a terminal of its own, so that Ctrl-C reaches us alone. SIGTERM, as CI sends it to
    # a job that is cancelled, is the same wish.
    former = {
        number: signal.signal(number, lambda _number, _frame: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        thread, runner = ansible_runner.run_async(
            event_handler=take, cancel_callback=stop.is_set, **settings
        )
        thread.join()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    is_interrupted = runner.status == "canceled"
    status = INTERRUPTED if is_interrupted else int(runner.rc)
    return Ended(status, view.run_id, view.is_started, is_interrupted)


def _environment() -> dict[str, str]:
    root = project_root()
    programs = Path(find_program()).parent
    return {
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        # ansible-runner puts a callback of its own around this one, and plugins of its own before
        # those of ansible.cfg.
        "ANSIBLE_STDOUT_CALLBACK": "serverbench",
        "ANSIBLE_CALLBACK_PLUGINS": str(root / "playbooks/plugins/callback"),
        # Its own default is False. What the user has set is judged by the kit as everywhere.
        "ANSIBLE_HOST_KEY_CHECKING": os.environ.get("ANSIBLE_HOST_KEY_CHECKING", "True"),
    }


def last_words(ended: Ended, inventory: str, limit: str | None) -> str:
    """Return the two lines that Ctrl-C leaves behind."""
    if not ended.is_started:
        return (
            "Stopped. This command has begun no run; one that was under way before goes on.\n"
            "The same command begins again.\n"
        )
    command = ["serverbench", "follow", ended.run_id, "-i", inventory]
    if limit:
        command += ["--limit", limit]
    return (
        f"Stopped watching. Run {ended.run_id} goes on on the hosts.\n"
        f"Follow it again: {shlex.join(command)}\n"
    )
