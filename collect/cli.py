"""The command line: `serverbench plan | pull | unpack | report | compare | …`.

Exit status: 0 done; 1 something the user can mend, said on one line (`compare`: one a difference);
2 a wrong command line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import collect
from collect.archive import unpack
from collect.changes import compare_runs
from collect.errors import DataError, ServerbenchError
from collect.model import Order, Plan, dumps, load_plan
from collect.plan import estimate_s, plan_from_variables
from collect.report import (
    build_report,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    render_terminal,
)
from collect.report.changes import (
    render_changes_markdown,
    render_changes_terminal,
    render_refusal,
)
from collect.report.charts import write_charts
from collect.report.parsed import parse_sources, render_parsed_json, render_parsed_table
from collect.report.text import clean, load, seconds
from collect.simulate import Setup, render_table, simulate
from collect.store import PLAN, load_run
from collect.verify import verify_run

if TYPE_CHECKING:
    from collections.abc import Sequence

LATEST = "latest"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# For a terminal or a log that cannot show them.
_PLAIN_SIGNS = str.maketrans(
    {"≈": "~", "\N{EN DASH}": "-", "…": "...", "─": "-", "±": "+-", "“": '"', "”": '"'}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ServerbenchError as error:
        print(f"serverbench: {_one_line(str(error))}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    except OSError as error:
        # A folder that may not be read, a full disk: whatever no module had a better word for.
        named = f"{error.filename}: " if error.filename else ""
        print(f"serverbench: {_one_line(f'{named}{error.strerror}')}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serverbench",
        description="Plan, pull and report benchmarks of Django application servers.",
        epilog="Example: serverbench report latest",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {collect.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_plan(commands)
    _add_pull(commands)
    _add_unpack(commands)
    _add_report(commands)
    _add_compare(commands)
    _add_parse(commands)
    _add_simulate(commands)
    _add_verify(commands)
    return parser


def _add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "plan",
        help="show which trials would run, in which order, and how long they take",
        description="Show the plan for one host's variables; nothing is contacted.",
        epilog="Example: ansible-inventory -i inventory/lab --playbook-dir playbooks --host lab1 | "
        "serverbench plan - --host lab1 --cores 2",
    )
    command.add_argument("variables", metavar="VARIABLES.json", help="JSON file; - reads stdin")
    command.add_argument("--host", default="host", help="name of the host (default: %(default)s)")
    command.add_argument(
        "--cores", type=int, default=2, help="cores of the host (default: %(default)s)"
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write the plan as JSON, too")
    command.set_defaults(run=_plan)


def _add_pull(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "pull",
        help="fetch a run's results from its hosts",
        description="Fetch a run's results from its hosts to results/RUN_ID, by pull.yml.",
        epilog="Example: serverbench pull 20260131-0200 -i inventory/tencent",
    )
    command.add_argument("run_id", metavar="RUN_ID")
    command.add_argument("-i", "--inventory", required=True, metavar="INVENTORY")
    command.add_argument("--limit", metavar="HOSTS", help="only these hosts")
    command.set_defaults(run=_pull)


def _add_unpack(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "unpack",
        help="check an archive from a host and add it to the results",
        description="Check an archive from a host and add it to the results. What is there stays.",
        epilog="Example: serverbench unpack lab1.tar.gz results/20260131-0200/lab1",
    )
    command.add_argument("archive", type=Path, metavar="ARCHIVE")
    command.add_argument("destination", type=Path, metavar="DESTINATION")
    command.set_defaults(run=_unpack)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "report",
        help="rank the servers of a run, and show every trial",
        description="Rank the servers of a run by requests per second and by peak memory.",
        epilog="Example: serverbench report latest --format markdown --output report.md",
    )
    command.add_argument(
        "run_name", metavar="RUN", help=f"a run id under results/, a folder, or {LATEST}"
    )
    command.add_argument(
        "--format", choices=["terminal", "html", "markdown", "json", "csv"], default="terminal"
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write to a file instead; Markdown gets its charts beside it. html without it: "
        "report.html in the run's folder",
    )
    command.add_argument(
        "--raw", action="store_true", help="terminal: what wrk printed, not a row a trial"
    )
    command.set_defaults(run=_report)


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "compare",
        help="say what changed from one run to another",
        description="Say what changed from run A to run B, variant by variant, with intervals. "
        "Refuses runs whose hosts, versions, loads or settings differ, and names what does.",
        epilog="Example: serverbench compare 20260131-0200 latest",
    )
    for name in ("RUN_A", "RUN_B"):
        command.add_argument(
            name.lower(), metavar=name, help=f"a run id under results/, a folder, or {LATEST}"
        )
    command.add_argument("--format", choices=["terminal", "json", "markdown"], default="terminal")
    command.add_argument(
        "--allow-different", action="store_true", help="compare all the same, with a warning each"
    )
    command.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    a, b = (load_run(_find_run(name)) for name in (options.run_a, options.run_b))
    changes = compare_runs(a, b)
    if changes.differences and not options.allow_different:
        sys.stderr.write(f"serverbench: {render_refusal(changes)}")
        return 1
    render = {
        "terminal": render_changes_terminal,
        "json": dumps,
        "markdown": render_changes_markdown,
    }[options.format]
    _write(render(changes))
    return 0


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "verify",
        help="compare a run's files with their checksums, and its report with them",
        description="Compare every file of a run with its checksum, and the stored report.md with "
        "what the raw files give. Names each that differs, is missing or does not belong there.",
        epilog="Example: serverbench verify latest",
    )
    command.add_argument(
        "run_name", metavar="RUN", help=f"a run id under results/, a folder, or {LATEST}"
    )
    command.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    found = verify_run(_find_run(options.run_name))
    lines = [*found.problems, *(f"Note: {note}" for note in found.notes)]
    count = len(found.problems)
    end = "all as it was written" if not count else f"{count} problem{'s' if count > 1 else ''}"
    _write("".join(f"{_one_line(line)}\n" for line in [*lines, f"{found.run_id}: {end}"]))
    return 1 if count else 0


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "simulate",
        help="try the comparing on synthetic hosts whose truth is known",
        description="Plan, judge and compare synthetic runs, and count how often that is right.",
        epilog="Example: serverbench simulate --runs 400 --blocks 10 --gap 0.05",
    )
    for name, help_text in (
        ("runs", "synthetic hosts"),
        ("blocks", "blocks of each run, at most"),
        ("noise", "standard deviation of the host's log speed, with 10 minutes' correlation"),
        ("throttle", "speed while throttled; 1: never"),
        ("dwell-s", "mean seconds in either state of the throttle"),
        ("trial-s", "seconds from one trial to the next"),
        ("gap", "relative gap between neighbours, and the one that ends a run early"),
        ("seed", "the same seed gives the same figures"),
        ("drift", "change of the host's log speed in an hour"),
        ("min-blocks", "with --stopping: blocks before the first look"),
    ):
        default = getattr(Setup(), name.replace("-", "_"))
        command.add_argument(
            f"--{name}", type=type(default), default=default, help=f"{help_text} (%(default)s)"
        )
    command.add_argument("--order", choices=get_args(Order), default="interleaved")
    command.add_argument("--stopping", action="store_true", help="end once every pair is decided")
    command.add_argument("--format", choices=["table", "json"], default="table")
    command.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> int:
    names = [field.name for field in dataclasses.fields(Setup)]
    result = simulate(Setup(**{name: getattr(options, name) for name in names}))
    _write(dumps(result) if options.format == "json" else render_table(result))
    return 0


def _add_parse(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "parse",
        help="check what wrk printed, in any text: a log, notes, a blog post",
        description="Find every output of wrk in texts, and say which of them to believe.",
        epilog="Example: serverbench parse notes.md --format json",
    )
    command.add_argument("files", metavar="FILE", nargs="+", help="a text; - reads stdin")
    command.add_argument("--format", choices=["table", "json"], default="table")
    command.set_defaults(run=_parse)


def _plan(options: argparse.Namespace) -> int:
    plan = plan_from_variables(
        _read_json(options.variables),
        host=options.host,
        cores=options.cores,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    if options.output is not None:
        _write_file(options.output, dumps(plan))
    _write(_describe(plan))
    return 0


def _describe(plan: Plan) -> str:
    estimate = estimate_s(plan)
    lines = [
        (
            f"{plan.host}: {_blocks(plan)}, {plan.order}, seed {plan.seed}, "
            f"{load(plan.load)} after {plan.load.warmup_s:g} s warm-up"
        ),
        "",
        f"{len(plan.variants)} variants",
    ]
    for variant in plan.variants:
        knobs = ", ".join(
            f"{name}={'n/a' if name in variant.not_honoured else value}"
            for name, value in variant.knobs.items()
            if value is not None or name in variant.not_honoured
        )
        lines.append(f"  {variant.id}: {knobs}")
    lines += ["", f"{len(plan.trials)} trials, in this order"]
    lines += [f"  {trial.position:>4}  {trial.id}" for trial in plan.trials]
    lines += [
        "",
        (
            f"About {seconds(estimate.total_s)}: {seconds(estimate.load_s)} load, "
            f"{seconds(estimate.warmup_s)} warm-up, {seconds(estimate.switching_s)} switching"
        ),
    ]
    if _may_end_early(plan):
        least = estimate_s(plan, plan.stopping.min_blocks)
        lines.append(
            f"Less if it is decided before the last block: {seconds(least.total_s)} at least"
        )
    return "\n".join(lines) + "\n"


def _may_end_early(plan: Plan) -> bool:
    return plan.stopping.gap is not None and plan.stopping.min_blocks < plan.blocks


def _blocks(plan: Plan) -> str:
    least = f"{plan.stopping.min_blocks} to " if _may_end_early(plan) else ""
    return f"{least}{plan.blocks} blocks"


def _pull(options: argparse.Namespace) -> int:
    if not _RUN_ID.fullmatch(options.run_id):
        raise DataError(f"RUN_ID: got {options.run_id!r}; accepted: the name of a run")
    root = _project_root()
    command = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
    command = command or shutil.which("ansible-playbook")
    if command is None:
        raise ServerbenchError("ansible-playbook: not found; run this inside the kit's environment")
    inventory = Path(options.inventory)
    # Relative to where the user stands; a bare host list (`web1,`) is passed on as it is.
    source = str(inventory.resolve()) if inventory.exists() else options.inventory
    arguments = [command, "pull.yml", "-i", source, "-e", f"bench_run_id={options.run_id}"]
    if options.limit:
        arguments += ["--limit", options.limit]
    finished = subprocess.run(arguments, cwd=root, check=False)
    if finished.returncode != 0:
        raise ServerbenchError(
            f"pull.yml: ansible-playbook ended with status {finished.returncode}; "
            "its own message stands above"
        )
    return 0


def _unpack(options: argparse.Namespace) -> int:
    result = unpack(options.archive, options.destination)
    _write(
        f"{options.destination}: {len(result.added)} trials added, "
        f"{len(result.kept)} were here already\n"
    )
    return 0


def _report(options: argparse.Namespace) -> int:
    report = build_report(load_run(_find_run(options.run_name)))
    if options.format == "html":
        # A page of a megabyte helps nobody in a terminal.
        path = options.output or report.folder / "report.html"
        _write_file(path, render_html(report))
        _write(f"{path}: open it in a browser; it needs nothing else\n")
        return 0
    if options.format == "markdown" and options.output is not None:
        folder = options.output.with_name(f"{options.output.stem}-charts")
        write_charts(report, folder)
        page = render_markdown(report, folder.name)
    elif options.format != "terminal":
        render = {"markdown": render_markdown, "json": render_json, "csv": render_csv}
        page = render[options.format](report)
    elif options.output is not None:
        page = render_terminal(report, raw=options.raw)
    else:
        is_terminal = sys.stdout.isatty()
        page = render_terminal(
            report,
            width=shutil.get_terminal_size().columns if is_terminal else 80,
            colour=is_terminal and not os.environ.get("NO_COLOR"),
            raw=options.raw,
        )
    if options.output is None:
        _write(page)
    else:
        _write_file(options.output, page)
    return 0


def _parse(options: argparse.Namespace) -> int:
    outputs, problems = parse_sources(options.files)
    if outputs:
        render = render_parsed_json if options.format == "json" else render_parsed_table
        _write(render(outputs))
    if problems:
        raise DataError("; ".join(problems))
    return 0


def _find_run(name: str) -> Path:
    results = _results()
    if name == LATEST:
        return _latest(results)
    if _RUN_ID.fullmatch(name) and (results / name).is_dir():
        return results / name
    path = Path(name)
    if not path.is_dir():
        raise DataError(
            f"{name}: no such run; accepted: {LATEST}, a folder, or a name in {results}"
        )
    return path


def _latest(results: Path) -> Path:
    """Return the run whose plan was made last; the folders' own dates change when copied."""
    dated = []
    for path in results.glob(f"*/*/{PLAN}"):
        try:
            made = datetime.fromisoformat(load_plan(path).created_at)
        except ValueError as error:
            raise DataError(f"{path}: created_at is no ISO 8601 date ({error})") from error
        dated.append((made if made.tzinfo else made.astimezone(), path.parent.parent))
    if not dated:
        raise DataError(f"{results}: holds no run yet; ansible-playbook bench.yml makes one")
    return max(dated)[1]


def _results() -> Path:
    here = Path("results")
    return here if here.is_dir() else _project_root() / "results"


def _project_root() -> Path:
    """Return the folder with ansible.cfg: above where the user stands, or where the kit lies."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(collect.__file__).resolve().parent.parent):
        if (folder / "ansible.cfg").is_file() and (folder / "collect").is_dir():
            return folder
    raise ServerbenchError(f"{here}: not inside a serverbench checkout; change into yours")


def _read_json(name: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not JSON ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{name}: holds {type(data).__name__}; accepted: a mapping of variables")
    return data


def _write_file(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error


def _write(content: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        content.encode(encoding)
    except UnicodeEncodeError:
        content = content.translate(_PLAIN_SIGNS).encode(encoding, "replace").decode(encoding)
    sys.stdout.write(content)


def _one_line(message: str) -> str:
    return " ".join(clean(message).split())
