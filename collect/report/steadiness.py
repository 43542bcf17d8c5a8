"""Was the host steady? What the detective found, in sentences, and as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from collect.detective import Bucket, Confidence, Kind, Signs  # noqa: TC001 - the schema looks them up
from collect.detective.hours import OrderPair, TimeOfDay, local_time
from collect.lang import N_, _, sentences
from collect.report import text
from collect.stats import Interval  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collect.detective import Estimate, Finding, Hours, Steadiness

TITLE = N_("Was the host steady?")
KINDS: dict[Kind, str] = {
    "host_slow": N_("slow host"),
    "credit": N_("credit used up"),
    "burst": N_("burst"),
    "decay": N_("decay"),
    "loadgen": N_("load generator"),
}
_NAMED = 3
"""More pairs than this make no sentence."""
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FindingData:
    """One thing that happened."""

    kind: Kind
    said: str
    """What was found and what to do, in sentences."""
    starts_at: str
    ends_at: str
    confidence: Confidence
    trials: int
    ratio: Interval | None
    """Speed meanwhile over the usual one; a decaying server's at the end over the begin."""
    variants: tuple[str, ...]
    """Who it befell; empty: all."""
    sessions: int
    per_hour: float | None
    memory_ratio: float | None
    signs: Signs
    bucket: Bucket | None


@dataclass(frozen=True, slots=True)
class HoursData:
    """Times of day, compared."""

    said: str
    zone: str
    windows: tuple[TimeOfDay, ...]
    fastest: str
    slowest: str
    ratio: Interval | None
    told_apart: bool
    reversed: tuple[OrderPair, ...]
    pairs_same: int
    pairs_undecided: int


@dataclass(frozen=True, slots=True)
class SteadinessData:
    """What is known of the host's speed along the run."""

    said: tuple[str, ...]
    findings: tuple[FindingData, ...]
    hours: HoursData | None
    seen_fall: float | None
    seen_decay: float | None
    wandering: float | None


def steadiness_data(steady: Steadiness) -> SteadinessData:
    """Return it as data."""
    return SteadinessData(
        said=said(steady),
        findings=tuple(
            FindingData(
                kind=finding.kind,
                said=_finding(finding, steady),
                starts_at=_iso(finding.starts_s),
                ends_at=_iso(finding.ends_s),
                confidence=finding.confidence,
                trials=finding.trials,
                ratio=finding.ratio,
                variants=finding.variants,
                sessions=finding.sessions,
                per_hour=finding.per_hour,
                memory_ratio=finding.memory_ratio,
                signs=finding.signs,
                bucket=finding.bucket,
            )
            for finding in steady.findings
        ),
        hours=None
        if steady.hours is None
        else HoursData(
            said=_hours(steady.hours),
            zone=steady.hours.zone,
            windows=steady.hours.windows,
            fastest=steady.hours.fastest,
            slowest=steady.hours.slowest,
            ratio=steady.hours.ratio,
            told_apart=steady.hours.is_told,
            reversed=steady.hours.reversed,
            pairs_same=steady.hours.same,
            pairs_undecided=steady.hours.undecided,
        ),
        seen_fall=steady.seen_fall,
        seen_decay=steady.seen_decay,
        wandering=steady.wandering,
    )


def said(steady: Steadiness) -> tuple[str, ...]:
    """Say what was found, a paragraph each; one line where nothing was."""
    found = [_finding(finding, steady) for finding in steady.findings]
    if not found:
        found.append(_nothing(steady))
    elif any(finding.kind != "loadgen" for finding in steady.findings):
        found.append(_("Times are {zone}.").format(zone=steady.zone))
    if steady.hours is not None:
        found.append(_hours(steady.hours))
    return tuple(found)


def headline(steady: Steadiness) -> str:
    """Say in a sentence what a reader must know before the ranking; empty where nothing."""
    parts = []
    if steady.matters:
        gravest = min(steady.matters, key=lambda finding: _GRAVITY.index(finding.kind))
        parts.append(_short(gravest, steady))
        more = len(steady.findings) - 1
        if more:
            parts.append(_("“Was the host steady?” tells of {count} more.").format(count=more))
    hours = steady.hours
    if hours is not None and (hours.is_told or hours.reversed):
        parts.append(_speeds(hours))
        if hours.reversed:
            parts.append(_reversed(hours.reversed))
    return sentences(*parts)


_GRAVITY: tuple[Kind, ...] = ("loadgen", "decay", "credit", "host_slow", "burst")
"""What spoils a ranking most comes first: what does not fall on all alike."""


def _nothing(steady: Steadiness) -> str:
    if steady.blind == "clock":
        return _(
            "Nobody can say: by their times trials ran into each other, so somebody set the "
            "host's clock."
        )
    if steady.blind == "order":
        return _(
            "Nobody can say: one variant ran after the other, so a slow hour of the host looks "
            "like a slow server. bench_order: interleaved can tell."
        )
    if steady.seen_fall is None:
        return _(
            "Nobody can say: that takes six trials in two blocks, and {trials} in {blocks} are "
            "here."
        ).format(
            trials=text.number(steady.trials, "trial"), blocks=text.number(steady.blocks, "block")
        )
    if steady.seen_decay is None:
        return _(
            "No sign that the host was throttled. With {blocks} a fall of {fall} for a third of "
            "the run would have been seen."
        ).format(blocks=text.number(steady.blocks, "block"), fall=_share(steady.seen_fall))
    return _(
        "No sign that the host was throttled, or that a server got slower by itself. With {blocks} "
        "a fall of {fall} for a third of the run would have been seen, and a server that loses "
        "{decay} along it."
    ).format(
        blocks=text.number(steady.blocks, "block"),
        fall=_share(steady.seen_fall),
        decay=_share(steady.seen_decay),
    )


def _share(value: float) -> str:
    return f"{round(value * 100)} %"


def _finding(finding: Finding, steady: Steadiness) -> str:
    if finding.kind == "loadgen":
        return sentences(
            _short(finding, steady),
            _(
                "Their figures are its own limit: take an endpoint that does more work, more wrk "
                "threads, or a host with more cores."
            ),
        )
    rest = {
        "host_slow": _slow_rest,
        "burst": _burst_rest,
        "credit": _credit_rest,
        "decay": _decay_rest,
    }[finding.kind]
    return sentences(_short(finding, steady), *rest(finding))


def _short(finding: Finding, steady: Steadiness) -> str:
    """Say what happened, in one sentence."""
    ratio = text.interval(finding.ratio)
    begin, end = _span(finding, steady)
    lasts = text.seconds(finding.ends_s - finding.starts_s)
    names = text.both([text.one_line(name) for name in finding.variants])
    if finding.kind == "loadgen":
        return _("wrk, not the server, was the limit in {trials} of {variants}.").format(
            trials=text.number(finding.trials, "trial"), variants=names
        )
    if finding.kind == "decay":
        return _(
            "{variant} alone got slower along the run: at its end it had {ratio} of its first "
            "speed."
        ).format(variant=names, ratio=ratio)
    if finding.kind == "credit":
        if finding.sessions > 1:
            return _(
                "In {sessions} sessions the host was fast at first and then had {ratio} of that "
                "speed, and after a pause it was fast again: CPU credit that runs dry."
            ).format(sessions=finding.sessions, ratio=ratio)
        return _(
            "Until {begin} the host was fast, and from then to the end it had {ratio} of that "
            "speed: perhaps CPU credit that ran dry."
        ).format(begin=begin, ratio=ratio)
    if finding.kind == "burst":
        return _(
            "From {begin} to {end} ({lasts}) the host had {ratio} of its usual speed, and then all "
            "of it again: a burst of its neighbours'."
        ).format(begin=begin, end=end, lasts=lasts, ratio=ratio)
    return _("From {begin} to {end} ({lasts}) the host had {ratio} of its usual speed.").format(
        begin=begin, end=end, lasts=lasts, ratio=ratio
    )


def _slow_rest(finding: Finding) -> list[str]:
    return [
        _signs(finding.signs),
        _doubt(finding),
        _(
            "All servers fell together, so ratios inside a block hold; their req/s are too low "
            "there."
        ),
    ]


def _burst_rest(finding: Finding) -> list[str]:
    if finding.confidence == "maybe":
        said_ = _("All of it lies in one start of one server, which may have stumbled by itself.")
    else:
        said_ = _(
            "It fell on {trials}, and not on all variants alike: trust the other blocks more."
        ).format(trials=text.number(finding.trials, "trial"))
    return [_signs(finding.signs), said_]


def _credit_rest(finding: Finding) -> list[str]:
    parts = []
    if finding.bucket is not None:
        bucket = finding.bucket
        parts.append(
            _(
                "The bucket held about {size} core-seconds above its refill, which is {refill} of "
                "{cores}."
            ).format(
                size=_estimate(bucket.size_core_s),
                refill=_estimate(bucket.refill_cores, 1 / bucket.cores, " %"),
                cores=text.number(bucket.cores, "core"),
            )
        )
    parts.append(_signs(finding.signs))
    if finding.sessions == 1:
        parts.append(
            _(
                "A throttle that began then looks the same. Bench once more after a pause of an "
                "hour: credit is fast again, a throttle need not be."
            )
        )
    parts.append(
        _("A site that is busy for longer gets the slow speed: judge by the blocks after it fell.")
    )
    return parts


def _decay_rest(finding: Finding) -> list[str]:
    parts = []
    if finding.per_hour is not None:
        parts.append(
            _("That is a factor of {per_hour} an hour.").format(
                per_hour=text.figure(finding.per_hour)
            )
        )
    if finding.memory_ratio is not None:
        parts.append(
            _("Its peak memory grew to {ratio} times the first: look for a leak.").format(
                ratio=text.figure(finding.memory_ratio)
            )
        )
    else:
        parts.append(
            _("Its memory did not grow: look for a database or a log that does, or for its cache.")
        )
    parts.append(_doubt(finding))
    return parts


def _doubt(finding: Finding) -> str:
    return "" if finding.confidence == "sure" else _("That is likely, not certain.")


def _signs(signs: Signs) -> str:
    """Say whether the host's own counters show it."""
    if not signs.is_known:
        return ""
    shown = _seen(signs, only_what_shows=signs.shows)
    if signs.shows:
        return _("The host's own counters show it: {signs}.").format(signs=text.clauses(shown))
    return _(
        "The host's own counters do not show it ({signs}): what is taken away from outside, no "
        "guest can see."
    ).format(signs=text.clauses(shown))


def _seen(signs: Signs, *, only_what_shows: bool) -> list[str]:
    seen = []
    for name, inside, outside, shows in (
        (
            _("steal {inside} against {outside}"),
            signs.steal,
            signs.steal_else,
            signs.steal_shows,
        ),
        (
            _("CPU pressure {inside} against {outside}"),
            signs.pressure,
            signs.pressure_else,
            signs.pressure_shows,
        ),
    ):
        if None not in (inside, outside) and (shows or not only_what_shows):
            seen.append(name.format(inside=text.percent(inside), outside=text.percent(outside)))
    if signs.canary is not None and (signs.canary_shows or not only_what_shows):
        seen.append(_("canary {ratio}x as long").format(ratio=text.figure(signs.canary)))
    return seen


def _hours(hours: Hours) -> str:
    """Say which time of day was faster, and what to do about it."""
    parts = [_speeds(hours)]
    if hours.reversed:
        parts += [
            _reversed(hours.reversed),
            _("Rank for the hours in which your site is busy."),
        ]
    elif hours.is_told:
        fast = next(window for window in hours.windows if window.name == hours.fastest)
        parts.append(
            _("Bench between {begin} and {end}, or rank by ratios: {order}.").format(
                begin=local_time(fast.starts_min), end=local_time(fast.ends_min), order=_kept(hours)
            )
        )
    elif hours.same or hours.undecided:
        parts.append(_("Rank by ratios: {order}.").format(order=_kept(hours)))
    return sentences(*parts)


def _speeds(hours: Hours) -> str:
    """Compare the fastest window with the slowest, in one sentence."""
    by_name = {window.name: window for window in hours.windows}
    fast, slow = by_name[hours.fastest], by_name[hours.slowest]
    steal = ""
    if fast.steal is not None and slow.steal is not None:
        steal = _("; steal {slow} against {fast}").format(
            slow=text.percent(slow.steal), fast=text.percent(fast.steal)
        )
    if hours.ratio is None:
        said_ = _(
            "{fastest} ({zone}) looked faster than {slowest}{steal}, but a host wanders from hour "
            "to hour: one day of each is no comparison."
        )
    elif hours.is_told:
        said_ = _("{fastest} ({zone}) was {ratio} as fast as {slowest}{steal}.")
    else:
        said_ = _(
            "No time of day is told apart: {fastest} ({zone}) was {ratio} as fast as {slowest}"
            "{steal}."
        )
    return said_.format(
        fastest=hours.fastest,
        slowest=hours.slowest,
        ratio="" if hours.ratio is None else text.interval(hours.ratio),
        zone=hours.zone,
        steal=steal,
    )


def _kept(hours: Hours) -> str:
    if not hours.undecided:
        return _("the order of the servers is the same in each of the {count} windows").format(
            count=len(hours.windows)
        )
    return _(
        "no pair changes places; {same} of {pairs} are told apart in every window, the same way "
        "round"
    ).format(same=hours.same, pairs=text.number(hours.same + hours.undecided, "pair"))


def _reversed(pairs: Sequence[OrderPair]) -> str:
    named = [
        _("on {endpoint} {first} is ahead of {second} at {ahead} and behind it at {behind}").format(
            endpoint=text.one_line(pair.endpoint),
            first=text.one_line(pair.first),
            second=text.one_line(pair.second),
            ahead=pair.ahead_at,
            behind=pair.behind_at,
        )
        for pair in pairs[:_NAMED]
    ]
    more = len(pairs) - _NAMED
    if more > 0:
        named.append(_("and {more_pairs}").format(more_pairs=text.number(more, "more pair")))
    return _("The order of the servers does not hold: {pairs}.").format(pairs=text.semicolon(named))


def _estimate(value: Estimate, factor: float = 1.0, unit: str = "") -> str:
    scale = factor * (100 if unit else 1)
    middle, low, high = (text.figure(x * scale) for x in (value.value, value.low, value.high))
    return f"{middle}{unit} [{low}, {high}]"


def _span(finding: Finding, steady: Steadiness) -> tuple[str, str]:
    """Write from when to when; with the day where the run lasts longer than one."""
    zone = timezone.utc if steady.zone == "UTC" else ZoneInfo(steady.zone)
    moments = steady.moments
    is_long = bool(moments) and moments[-1].ends_s - moments[0].starts_s > _DAY_S
    pattern = "%Y-%m-%d %H:%M" if is_long else "%H:%M:%S"
    begin, end = (
        datetime.fromtimestamp(moment_s, zone).strftime(pattern)
        for moment_s in (finding.starts_s, finding.ends_s)
    )
    return begin, end


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, timezone.utc).isoformat(timespec="seconds")
