"""Is a host fit for a run: what was found there, judged. Pure.

What a run demands is judged by the preflight role itself, in whose words it is shown here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from collect.checks.thresholds import STEAL_RATIO_SUSPECT
from collect.model import Plan  # noqa: TC001 - `decode` looks the type up
from collect.plan import estimate_disk_bytes

CLOCK_DIFFERENCE_WARN_S = 2.0
"""Results bear the host's time; a difference of seconds puts them out of order with other logs."""
CORES_WANTED = 2
"""With one, wrk and the server take turns, and the figures say more of that than of the server."""
_STEAL = 8
"""Place in the line `cpu` of /proc/stat, its name counted (proc(5))."""
_MIB = 2**20
_TICKS = re.compile(r"[0-9]{1,19}")
"""A whole number of /proc/stat, which has 64 bits."""
_PORT = re.compile(r"port_[0-9]{1,5}")
_CORES = re.compile(r"[0-9]{1,6}")
# What Ansible puts before its reason.
_IN_THE_WAY = ("proxy", "database")
"""Demands that are worth a line only where something of somebody's would be replaced."""
_TASK_FAILED = re.compile(r"^Task failed: ")

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a run demands of a host, as roles/preflight has it."""

    name: str
    holds: bool
    otherwise: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports the kit listens on."""

    app: int
    proxy: int
    candidate: int


@dataclass(frozen=True, slots=True)
class Found:
    """What playbooks/examine_hosts.yml wrote down of a host."""

    host: str
    why_unreachable: str
    said: tuple[str, ...]
    """What the host said, in lines of `name=value`."""
    why_no_root: str
    host_facts: dict[str, str]
    """`preflight_host`, as roles/preflight sets it."""
    demands: tuple[Demand, ...]
    plan: Plan
    ports: Ports


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about a host."""

    name: str
    level: Level
    said: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """A process that listens on a port."""

    pid: str
    process: str
    unit: str
    """Empty outside a unit."""


@dataclass(frozen=True, slots=True)
class _Answers:
    values: dict[str, str]
    ports: dict[int, list[_Holder]] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        try:
            number = float(self.values[name])
        except (KeyError, ValueError):
            return None
        return number if math.isfinite(number) else None


def examine(found: Found) -> tuple[Finding, ...]:
    """Judge what was found; an unreachable host is a single line."""
    if found.why_unreachable:
        return (
            Finding(
                "reachable",
                "fail",
                _TASK_FAILED.sub("", " ".join(found.why_unreachable.split())),
                f"See that ssh gets in to {found.host} as the inventory says (docs/real-hosts.md).",
            ),
        )
    answers = _read(found.said)
    demands = {demand.name: demand for demand in found.demands}
    return (
        Finding("reachable", "ok", f"answers as {answers.values.get('user', 'somebody')}"),
        _sudo(found, answers),
        _demanded(demands, "system", found.host_facts.get("name", "unknown")),
        _demanded(demands, "systemd", f"version {answers.values.get('systemd') or 'unknown'}"),
        _demanded(demands, "Python", found.host_facts.get("python", "")),
        _cores(found.host_facts.get("cores", "")),
        _demanded(demands, "memory", _memory(found, answers)),
        _disk(found, answers, demands),
        *(_demanded(demands, name, "") for name in _IN_THE_WAY if _is_refused(demands, name)),
        *_ports(found, answers),
        _clock(answers),
        _steal(answers),
        _wrk(answers),
        _run(found),
    )


def worst(findings: tuple[Finding, ...]) -> Level:
    """Return the gravest level among them."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"


def _read(said: tuple[str, ...]) -> _Answers:
    answers = _Answers({})
    for line in "\n".join(said).splitlines():
        name, sign, value = line.strip().partition("=")
        if not sign:
            continue
        if _PORT.fullmatch(name):
            pid, process, unit = [*value.split(), "", "", ""][:3]
            answers.ports.setdefault(int(name[5:]), []).append(_Holder(pid, process, unit))
        else:
            answers.values[name] = value.strip()
    return answers


def _sudo(found: Found, answers: _Answers) -> Finding:
    if answers.values.get("root") == "0":
        return Finding("sudo", "ok", "becomes root")
    why = " ".join(found.why_no_root.split()) or "does not become root"
    return Finding(
        "sudo",
        "fail",
        why,
        "Give the user sudo on the host, or add -K for a sudo that asks for a password.",
    )


def _is_refused(demands: dict[str, Demand], name: str) -> bool:
    return name in demands and not demands[name].holds


def _demanded(demands: dict[str, Demand], name: str, said: str) -> Finding:
    demand = demands.get(name)
    if demand is None:
        return Finding(name, "warn", said, "The host did not say; run with -v to see why.")
    if demand.holds:
        return Finding(name, "ok", said)
    # The preflight's sentences say what is wrong and, where that is known, what to do.
    return Finding(name, "fail", demand.otherwise.strip())


def _cores(cores: str) -> Finding:
    if _CORES.fullmatch(cores) and int(cores) >= CORES_WANTED:
        return Finding("cores", "ok", cores)
    return Finding(
        "cores",
        "warn",
        cores or "unknown",
        "With one core, wrk and the server take turns: figures hold between servers, and are low.",
    )


def _memory(found: Found, answers: _Answers) -> str:
    total = found.host_facts.get("memory_mb", "?")
    return f"{total} MB, {answers.values.get('available_mb') or '?'} MB available"


def _disk(found: Found, answers: _Answers, demands: dict[str, Demand]) -> Finding:
    base = _demanded(demands, "disk", f"{found.host_facts.get('free_mb', '?')} MB free under /opt")
    needed_mb = estimate_disk_bytes(found.plan) / _MIB
    free_mb = answers.number("results_free_mb")
    if base.level != "ok" or free_mb is None or free_mb > needed_mb:
        return base
    return Finding(
        "disk",
        "fail",
        f"{free_mb:.0f} MB free under /var/lib/serverbench, and the results take about "
        f"{needed_mb:.0f} MB",
        "Make room, or plan fewer blocks (bench_blocks).",
    )


def _ports(found: Found, answers: _Answers) -> list[Finding]:
    findings = []
    has_proxy = any(variant.proxy != "none" for variant in found.plan.variants)
    # deploy.yml alone tries a release on the candidate's port.
    for name, port, is_needed, use in (
        ("app port", found.ports.app, True, "a run needs it"),
        ("proxy port", found.ports.proxy, has_proxy, "a run with a proxy needs it"),
        ("candidate port", found.ports.candidate, False, "deploy.yml needs it"),
    ):
        holders = answers.ports.get(port, [])
        own = [holder.unit for holder in holders if holder.unit.startswith("serverbench-")]
        if answers.values.get("root") != "0":
            findings.append(
                Finding(name, "warn", f"{port}: not looked at", "It takes sudo to see.")
            )
        elif not holders:
            findings.append(Finding(name, "ok", f"{port} is free"))
        elif own:
            findings.append(Finding(name, "ok", f"{port}: {own[0]}, the kit's own"))
        else:
            holder = holders[0]
            level: Level = "fail" if is_needed else "warn"
            findings.append(
                Finding(
                    name,
                    level,
                    f"{port} is held by {holder.process}, process {holder.pid}",
                    f"End it; {use}. On the host, systemctl status {holder.pid} says what it is.",
                )
            )
    return findings


def _clock(answers: _Answers) -> Finding:
    here, there = answers.number("clock_here"), answers.number("clock_there")
    if here is None or there is None:
        return Finding("clock", "warn", "not read", "Look at it by hand: date; timedatectl.")
    ahead_s = there - here
    if abs(ahead_s) <= CLOCK_DIFFERENCE_WARN_S:
        return Finding("clock", "ok", f"within {CLOCK_DIFFERENCE_WARN_S:g} s of this machine's")
    way = "ahead of" if ahead_s > 0 else "behind"
    return Finding(
        "clock",
        "warn",
        f"{abs(ahead_s):,.0f} s {way} this machine's",
        "Set it on the host (timedatectl set-ntp true), and not while a run is under way.",
    )


def _steal(answers: _Answers) -> Finding:
    before, after = (
        [int(word) for word in answers.values.get(name, "").split()[1:9] if _TICKS.fullmatch(word)]
        for name in ("cpu_before", "cpu_after")
    )
    total = sum(after) - sum(before)
    if len(before) < _STEAL or len(after) < _STEAL or total <= 0:
        return Finding("steal", "warn", "not read", "Look at it by hand: vmstat 1.")
    share = (after[_STEAL - 1] - before[_STEAL - 1]) / total
    if share <= STEAL_RATIO_SUSPECT:
        return Finding("steal", "ok", f"{share * 100:.0f} % in the last second")
    return Finding(
        "steal",
        "warn",
        f"{share * 100:.0f} % in the last second: other guests take this one's processor time",
        "Run at another hour; trials under such steal are marked suspect.",
    )


def _wrk(answers: _Answers) -> Finding:
    path = answers.values.get("wrk")
    return Finding("wrk", "ok", path or "not there yet; a run installs it")


def _run(found: Found) -> Finding:
    running = found.host_facts.get("running")
    scheduled = found.host_facts.get("schedule")
    if not running and scheduled:
        return Finding("run", "ok", f"none under way; {scheduled} is scheduled")
    if not running:
        return Finding("run", "ok", "none under way")
    return Finding(
        "run",
        "warn",
        f"{running} is under way; another would be refused",
        f"serverbench follow {running} shows it.",
    )
