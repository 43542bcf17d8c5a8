"""The runner's command line: `serverbench-runner.pyz --run-dir DIR --wrk-script FILE`."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from collect import __version__
from collect.errors import ServerbenchError
from collect.model import load_plan
from collect.runner import host
from collect.runner.answers import HttpAsker
from collect.runner.lock import LOCK_FILE, HostBusyError, HostLock
from collect.runner.loop import Loop, restore_of
from collect.runner.paced import Paced
from collect.runner.preflight import check_plan, check_tools
from collect.runner.progress import ProgressFile
from collect.runner.seams import StopRequested, SystemClock, iso
from collect.runner.starts import all_units
from collect.runner.systemd import Systemd
from collect.runner.trial_folder import TrialFolders
from collect.runner.waiting import Bench
from collect.runner.watch import HostWatch, usable_cores
from collect.runner.windows import note_missed, obstacle, open_window, outlook
from collect.runner.wrk import Wrk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.model import Plan

EXIT_FAILED = 1
EXIT_BUSY = 3
EXIT_STOPPED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan in `--run-dir`; return the exit status."""
    options = _parse(arguments)
    # Results are read over SSH by an unprivileged user, whatever umask the runner was given.
    os.umask(0o022)
    if options.put_back:
        return _put_back(options)
    try:
        plan = load_plan(options.run_dir / "plan.json")
        check_plan(plan)
        holder = f"run {plan.run_id}"
        lock = HostLock(options.lock_file, holder, iso(time.time()))
    except HostBusyError as error:
        _log(str(error))
        # Not where this very run is at work: its progress is not ours to write.
        if error.holder != holder:
            _give_way(options.run_dir, plan, str(error))
        return EXIT_BUSY
    except (ServerbenchError, OSError) as error:
        _log(str(error))
        return EXIT_FAILED
    try:
        return _run(plan, options)
    finally:
        lock.release()


def _run(plan: Plan, options: argparse.Namespace) -> int:
    clock = SystemClock()
    progress = ProgressFile(options.run_dir / "progress.json", plan, clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    services = Systemd()
    try:
        check_tools(options.wrk, options.wrk_script)
        facts = host.collect_facts(
            options.venv, options.wrk, options.memory_limit_bytes, all_units(plan)
        )
        window = open_window(plan, clock.time())
        if plan.windows and window is None:
            later = outlook(plan, clock.time()) or "the last one is over"
            _log(f"no window is open now; {later}")
            progress.stay("waiting", later)
            return 0
        if window and (why := obstacle(options.run_dir, facts)):
            _log(why)
            note_missed(options.run_dir, window, clock.time(), why)
            progress.stay("waiting", why)
            return EXIT_FAILED
        host.write_facts(options.run_dir, facts, _log)
        if window and options.unit:
            # It is the timer that starts it: after a boot it goes on if the window is still open.
            services.enable([options.unit])
        bench = Bench(
            clock=clock,
            services=services,
            asker=HttpAsker(plan.address, plan.port),
            watch=HostWatch(options.venv),
            load=Wrk(options.wrk, options.wrk_script, plan.address, plan.port, plan.load),
            paced=Paced(plan.address, plan.port, plan.load),
            folders=TrialFolders(options.run_dir),
            cores=usable_cores(),
            log=_log,
        )
        warning = Loop(plan, bench, progress, options.run_dir, window=window).run()
        next_one = outlook(plan, clock.time())
        progress.end("done" if next_one is None else "waiting", warning or next_one)
    except StopRequested:
        _log("stopped; the same command goes on where it was")
        _end(progress, "running", "stopped")
        return EXIT_STOPPED
    except Exception as error:
        message = _words(error, options.run_dir)
        _log(message)
        _end(progress, "failed", message)
        if not isinstance(error, (ServerbenchError, OSError)):
            raise  # A fault of ours: the journal shall have the traceback.
        return EXIT_FAILED
    if warning:
        _log(warning)
    return 0


def _words(error: Exception, run_dir: Path) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, ServerbenchError):
        return text
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        # Of a write, the system does not say to which file.
        where = error.filename or run_dir
        return f"{where}: {error.strerror}; make room on that disk (df -h {run_dir})"
    return f"{type(error).__name__}: {text}"


def _give_way(run_dir: Path, plan: Plan, why: str) -> None:
    """Write down that another one has the host: whoever follows the run reads it there."""
    clock = SystemClock()
    try:
        if not plan.windows:
            ProgressFile(run_dir / "progress.json", plan, clock).stay("failed", why)
        elif window := open_window(plan, clock.time()):
            note_missed(run_dir, window, clock.time(), why)
    except OSError as error:
        _log(f"{run_dir} cannot be written: {error}")


def _put_back(options: argparse.Namespace) -> int:
    """Clear up after a runner that ended, in whatever way; return the exit status."""
    services = Systemd()
    try:
        # A host that goes down comes up again, and the run with it. Otherwise it ended for good.
        if options.unit and not services.is_shutting_down():
            services.disable([options.unit])
        plan = load_plan(options.run_dir / "plan.json")
        restore = restore_of(plan, services, SystemClock(), options.run_dir)
        if restore.is_needed():
            # Never beside another runner or a deployment: it would stop what they work with.
            lock = HostLock(options.lock_file, f"run {plan.run_id}", iso(time.time()))
            try:
                problem = restore.put_back()
            finally:
                lock.release()
        else:
            problem = None
    except HostBusyError as error:
        problem = f"what served before is not put back now: {error}"
    except (ServerbenchError, OSError) as error:
        problem = str(error)
    if problem:
        _log(problem)
        return EXIT_FAILED
    return 0


def _end(progress: ProgressFile, state: str, message: str) -> None:
    try:
        progress.end("failed" if state == "failed" else "running", message)
    except OSError as error:  # A full disk, most likely: the journal has the message.
        _log(f"progress.json cannot be written: {error}")


def _stop(_signal: int, _frame: object) -> NoReturn:
    # Once is enough: a second signal must not cut off the cleaning up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise StopRequested


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - systemd puts it into the journal


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="serverbench-runner",
        description="Run a benchmark plan on this host. Goes on where an earlier run was cut off.",
        epilog="Exit status: 0 done, 1 failed, 3 another runner is at work, 143 stopped.",
    )
    parser.add_argument(
        "--run-dir", type=Path, required=True, help="folder with plan.json; results go there"
    )
    parser.add_argument("--wrk-script", type=Path, help="report.lua; needed to run")
    parser.add_argument("--wrk", default="wrk", help="the wrk program (default: %(default)s)")
    parser.add_argument(
        "--memory-limit-bytes",
        type=int,
        help="memory limit that holds from outside, where a container cannot see it",
    )
    parser.add_argument("--venv", type=Path, help="the servers' virtual environment, for versions")
    parser.add_argument(
        "--lock-file", type=Path, default=LOCK_FILE, help="one per host (default: %(default)s)"
    )
    parser.add_argument(
        "--put-back",
        action="store_true",
        help="run nothing: start again what served before the run, if that is still to be done",
    )
    parser.add_argument(
        "--unit",
        help="the runner's own unit: started at boot while a window is open, and no longer after",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(arguments)
    if options.wrk_script is None and not options.put_back:
        parser.error("--wrk-script is needed to run")
    return options


if __name__ == "__main__":
    sys.exit(main())
