"""Make a release current and a variant the service of the host, or leave all as it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from collect.activation import Difference, Outcome, Service, dump, load_service
from collect.errors import ServerbenchError
from collect.runner.seams import iso
from collect.runner.trial_folder import write_atomically
from collect.runner.waiting import foreign_listener
from collect.service import files
from collect.service.candidate import (
    Refusal,
    prove,
    prove_some,
    remove_candidate,
    try_candidate,
)
from collect.service.files import Proof
from collect.service.host import CANDIDATE
from collect.service.install import Installer
from collect.service.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from collect.activation import Activation
    from collect.model import Variant
    from collect.service.host import Host

_QUICK_S = 5.0
"""How long a service that is as it should be may take to answer: it may be under load."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an activation has to change."""

    what: tuple[str, ...]
    files: dict[Path, str | None]
    """All that should be, by path; None for one that should not be there."""
    changed_files: tuple[Path, ...]
    needs_start: bool
    """The service's process has to be a new one, so a candidate is tried first."""
    is_asked: bool
    """The service has to answer, before the change or after it; not where somebody stopped it."""
    differences: tuple[Difference, ...]


class Activator:
    """Carries one activation out."""

    def __init__(self, wanted: Activation, host: Host) -> None:
        """Read what is there; nothing is changed."""
        self._wanted = wanted
        self._host = host
        self._places = host.places
        self._releases = Releases(host.places.root_dir)
        self._service = load_service(host.places.service_file)
        self._installer = wanted.install and Installer(wanted.install, host.archive)

    def look(self) -> Outcome:
        """Say what would be changed."""
        found = self._find()
        what = (*found.what, *self._opened_up(found))
        if self._installer:
            what = (*self._installer.foresee(), *what)
        if files.read_undo(self._places.undo_file):
            what = ("an activation that was cut off is put right", *what)
        return Outcome(bool(what), what, differences=found.differences)

    def run(self) -> Outcome:
        """Change what differs, or fail and leave the host as it was.

        Raises:
            ServerbenchError: it cannot be begun.
            OSError: a file cannot be written (disk full).
        """
        wanted, host = self._wanted, self._host
        what = self._put_right()
        installer = self._installer
        if installer:
            what += installer.bring()
        self._releases.check(wanted.release)
        self._stage()
        # Before the release is current, for a service must find what it needs: what a migration
        # changes has to suit the release that still serves.
        if installer:
            what += installer.prepare()
        found = self._find()
        if found.needs_start and (refusal := try_candidate(wanted, host)):
            return self._failed(refusal, f"nothing was changed: {self._still()}")
        if found.what:
            what += found.what
            undo = self._remember(found)
            if refusal := self._change(found, undo):
                problem = self._roll_back(undo)
                return self._failed(refusal, problem or f"all is as it was: {self._still()}")
            self._places.undo_file.unlink(missing_ok=True)
        elif wanted.service is not None and found.is_asked:
            self._keep_proof(wanted.service)
        what += self._opened_up(found)
        for path in self._kept(found):
            if path.exists():
                path.chmod(files.mode_of(path))
        needed = [wanted.release]
        if self._service is not None:
            needed += filter(None, (self._service.release, self._service.previous_release))
        if gone := self._releases.superfluous(wanted.releases_kept, needed):
            self._releases.remove(gone)
            what += tuple(f"{path} is removed" for path in gone)
        warnings = installer.warnings if installer else ()
        return Outcome(bool(what), what, differences=found.differences, warnings=warnings)

    def _stage(self) -> None:
        """Keep the files that came along, none before systemd has nothing against them."""
        arriving = {
            target: text
            for name, text in self._wanted.staged.items()
            if files.read(target := self._places.staged_dir / name) != text
        }
        for target, text in arriving.items():
            # Others name `current`, which may not be there yet; the candidate is the same unit.
            if target.name.startswith(CANDIDATE):
                self._verify(target, text)
        for target, text in arriving.items():
            files.write(target, text)

    def _verify(self, target: Path, text: str) -> None:
        offered = target.with_name(f"offered-{target.name}")
        try:
            files.write(offered, text)
            if problem := self._host.units.verify(offered, target.name):
                raise ServerbenchError(f"the unit {target.name} failed to validate: {problem}")
        finally:
            offered.unlink(missing_ok=True)

    def _find(self) -> Found:
        wanted, units = self._wanted, self._host.units
        what: list[str] = []
        current = self._releases.current()
        if current != wanted.release:
            what.append(f"release {wanted.release} instead of {current or 'none'}")
        expected = self._expected_files()
        changed = tuple(path for path, text in expected.items() if files.read(path) != text)
        what += [f"{path} changes" for path in changed]
        differences = tuple(
            Difference(str(path), files.read(path), expected[path])
            for path in changed
            if files.is_readable(path)
        )
        variant = wanted.service
        if variant is None:
            return Found(
                tuple(what),
                expected,
                changed,
                needs_start=False,
                is_asked=False,
                differences=differences,
            )
        if self._secrets_changed():
            what.append("the secrets have changed")
        mine, running = variant.units, units.serving()
        if wanted.takes_over:
            what += [f"{unit} starts" for unit in mine if unit not in running]
        needs_start = bool(what)
        if not what and variant.unit in running:
            # systemd counts since somebody started it: one restart a week ago is no wrong answer.
            restarts = units.state(variant.unit).restarts or 0
            if wrong := prove(
                self._host,
                variant.unit,
                self._proof(variant),
                _QUICK_S,
                former_restarts=restarts,
            ):
                what.append(f"{variant.unit} answers wrongly: {wrong.reason}")
                needs_start = True
        if wanted.takes_over:
            enabled = units.enabled()
            what += [f"{unit} stops" for unit in running if unit not in mine]
            what += [f"{unit} starts at boot" for unit in mine if unit not in enabled]
            what += [f"{unit} starts at boot no more" for unit in enabled if unit not in mine]
            if not what and (self._service is None or self._service.variant != variant):
                what.append(f"{self._places.service_file} changes")
        is_asked = wanted.takes_over or variant.unit in running
        return Found(tuple(what), expected, changed, needs_start, is_asked, differences)

    def _opened_up(self, found: Found) -> tuple[str, ...]:
        """Name the files whose mode somebody changed: that needs no new process."""
        return tuple(
            f"{path} gets its mode back"
            for path in self._kept(found)
            if path.exists() and path.stat().st_mode & 0o7777 != files.mode_of(path)
        )

    def _kept(self, found: Found) -> list[Path]:
        staged = (self._places.staged_dir / name for name in self._wanted.staged)
        return [*found.files, *staged]

    def _expected_files(self) -> dict[Path, str | None]:
        """Return what is staged; what is not stays as it is."""
        places, variant = self._places, self._wanted.service
        targets = [places.settings_dir / "app.env"]
        if variant is not None:
            targets += [places.unit_dir / unit for unit in variant.units]
            if variant.proxy_unit is not None:
                targets.append(places.proxy_config(variant))
        expected: dict[Path, str | None] = {}
        for target in targets:
            text = self._wanted.staged.get(target.name) or files.read(
                places.staged_dir / target.name
            )
            if text is not None:
                expected[target] = text
        if variant is not None and variant.socket_unit is None:
            # It took its socket from systemd once, and would find its port taken.
            former = (places.unit_dir / variant.unit).with_suffix(".socket")
            if former.exists():
                expected[former] = None
        return expected

    def _proof(self, variant: Variant) -> Proof:
        wanted = self._wanted
        return Proof(wanted.address, variant.port or wanted.port, wanted.endpoints)

    def _keep_proof(self, variant: Variant) -> None:
        """Keep what the service was asked: the next release may have to answer more than it can."""
        text = files.dump_proof(self._proof(variant))
        if files.read(self._places.proof_file) != text:
            files.write(self._places.proof_file, text)

    def _secrets(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self._places.settings_dir.glob("*.env")):
            if path.name != "app.env":
                data = path.read_bytes()
                digest.update(f"{path.name} {len(data)}\n".encode() + data)
        return digest.hexdigest() + "\n"

    def _secrets_changed(self) -> bool:
        if self._service is None:
            return False
        return files.read(self._places.environment_digest_file) != self._secrets()

    def _remember(self, found: Found) -> files.Undo:
        variant, units = self._wanted.service, self._host.units
        kept = (*found.files, self._places.proof_file)
        undo = files.Undo(
            release=self._releases.current(),
            files={str(path): files.read(path) for path in kept},
            active=units.serving(),
            enabled=units.enabled(),
            service=self._service,
            touched=variant.unit if variant is not None and found.needs_start else None,
        )
        files.write_undo(self._places.undo_file, undo)
        return undo

    def _change(self, found: Found, undo: files.Undo) -> Refusal | None:
        """Put all in place and prove that it serves; return why it does not."""
        variant, host = self._wanted.service, self._host
        try:
            gone = [path.name for path in found.changed_files if found.files[path] is None]
            if gone:
                host.units.disable(gone)
                host.units.stop(gone, self._wanted.stop_timeout_s)
            self._releases.make_current(self._wanted.release)
            for path in found.changed_files:
                files.write(path, found.files[path])
            if any(path.parent == self._places.unit_dir for path in found.changed_files):
                host.units.reload()
            if variant is None:
                return None
            if refusal := self._start(variant, found, undo):
                return refusal
            self._settle(variant, found, undo.release)
        except (ServerbenchError, OSError) as error:
            return Refusal(str(error), "")
        return None

    def _start(self, variant: Variant, found: Found, undo: files.Undo) -> Refusal | None:
        wanted, host, units = self._wanted, self._host, self._host.units
        mine = variant.units
        others = [u for u in undo.active if u not in mine] if wanted.takes_over else []
        runs = variant.unit in undo.active
        if not wanted.takes_over and not runs:
            return None  # Somebody stopped it: it will start with what is in place now.
        socket = variant.socket_unit
        new_socket = socket is not None and (
            socket not in undo.active or self._places.unit_dir / socket in found.changed_files
        )
        # A socket that stays takes the connections in while its service is away: none is lost. A
        # proxy that stays waits with them.
        stopping = [*others, *(mine if new_socket and runs else ())]
        if self._changes_proxy(variant, found.changed_files) and variant.proxy_unit in undo.active:
            stopping.append(variant.proxy_unit)
        since_s = host.clock.time()
        if stopping and (problem := units.stop(stopping, wanted.stop_timeout_s)):
            return Refusal(problem, "")
        if not found.needs_start:
            return None
        staying = [unit for unit in mine if unit in undo.active and unit not in stopping]
        if refusal := self._look_for_a_stranger(variant, staying):
            return refusal
        problem = None
        if runs and variant.unit not in stopping:
            limit_s = wanted.stop_timeout_s + wanted.ready_timeout_s
            problem = units.restart(variant.unit, limit_s)
        problem = problem or units.start(mine)
        if problem:
            return Refusal(problem, units.journal(variant.unit, since_s))
        return prove(host, variant.unit, self._proof(variant), wanted.ready_timeout_s)

    def _look_for_a_stranger(self, variant: Variant, staying: Collection[str]) -> Refusal | None:
        """Refuse where another program listens: it would answer in place of the service.

        Args:
            variant: what is to be started.
            staying: those of its units that still run; they may have their ports.
        """
        wanted, host = self._wanted, self._host
        ports: dict[int, str] = {}
        # A socket that stays has it: systemd listens there. On a unix socket a server has none.
        if variant.socket_unit not in staying and variant.knobs.get("upstream") != "unix":
            ports[wanted.port] = variant.unit
        if variant.proxy_unit is not None and variant.port is not None:
            ports[variant.port] = variant.proxy_unit
        for port, unit in ports.items():
            own = host.units.state(unit) if unit in staying else None
            if owner := foreign_listener(host.clock, host.asker(wanted.address, port), own):
                reason = f"port {port} is taken by {owner}, which is not part of this service"
                next_step = "end it (systemctl status with its pid says what it is), deploy again"
                return Refusal(f"{reason}: {next_step}", "")
        return None

    def _changes_proxy(self, variant: Variant, changed: Iterable[Path]) -> bool:
        if variant.proxy_unit is None:
            return False
        its_own = (self._places.unit_dir / variant.proxy_unit, self._places.proxy_config(variant))
        return any(path in its_own for path in changed)

    def _settle(self, variant: Variant, found: Found, former_release: str | None) -> None:
        """Make it last: across boots, and for whoever asks what serves."""
        wanted, units, places = self._wanted, self._host.units, self._places
        if wanted.takes_over:
            mine, enabled = variant.units, units.enabled()
            if missing := [unit for unit in mine if unit not in enabled]:
                units.enable(missing)
            if former := [unit for unit in enabled if unit not in mine]:
                units.disable(former)
            # What a run that was cut off wrote down is not what shall serve after it any more.
            for path in places.runs_dir.glob("*/restore.json"):
                path.unlink()
        before, previous = self._service, former_release
        if former_release == wanted.release:
            previous = None if before is None else before.previous_release
        service = Service(variant, wanted.release, iso(self._host.clock.time()), previous)
        if before is not None and replace(service, since=before.since) == before:
            service = before
        if found.is_asked:
            self._keep_proof(variant)
        else:
            places.proof_file.unlink(missing_ok=True)
        files.write(places.environment_digest_file, self._secrets())
        write_atomically(places.service_file, dump(service))
        self._service = service

    def _put_right(self) -> tuple[str, ...]:
        """Undo what an activation that was killed left half done."""
        remove_candidate(self._host, self._wanted.stop_timeout_s)
        undo = files.read_undo(self._places.undo_file)
        if undo is None:
            return ()
        if problem := self._roll_back(undo):
            self._host.log(problem)
        return ("an activation that was cut off is put right",)

    def _roll_back(self, undo: files.Undo) -> str | None:
        """Put all back as the record says; return what does not serve as it did, in words."""
        units, wanted = self._host.units, self._wanted
        try:
            then = {str(path): files.read(path) for path in map(Path, undo.files)}
            differ = [Path(p) for p, text in undo.files.items() if then[p] != text]
            anew = [path.name for path in differ if path.suffix == ".socket"]
            former = None if undo.service is None else undo.service.variant
            if former is not None and self._changes_proxy(former, differ):
                anew.append(str(former.proxy_unit))
            running = units.serving()
            stopping = [u for u in running if u not in undo.active or u in anew]
            if new := [unit for unit in units.enabled() if unit not in undo.enabled]:
                units.disable(new)
            if stopping:
                units.stop(stopping, wanted.stop_timeout_s)
            self._releases.make_current(undo.release)
            for path in differ:
                files.write(path, undo.files[str(path)])
            units.reload()
            if lost := [unit for unit in undo.enabled if unit not in units.enabled()]:
                units.enable(lost)
            if undo.service is None:
                self._places.service_file.unlink(missing_ok=True)
            else:
                write_atomically(self._places.service_file, dump(undo.service))
            self._service = undo.service
            problem = self._serve_again(undo)
        except (ServerbenchError, OSError) as error:
            problem = str(error)
        if problem:
            return f"and what ran before does not serve: {problem}"
        self._places.undo_file.unlink(missing_ok=True)
        return None

    def _serve_again(self, undo: files.Undo) -> str | None:
        host, wanted = self._host, self._wanted
        if undo.touched in undo.active and undo.touched is not None:
            limit_s = wanted.stop_timeout_s + wanted.ready_timeout_s
            if problem := host.units.restart(undo.touched, limit_s):
                return problem
        if undo.active and (problem := host.units.start(undo.active)):
            return problem
        if undo.service is None or undo.service.variant.unit not in undo.active:
            return None
        variant = undo.service.variant
        proof = files.parse_proof(undo.files.get(str(self._places.proof_file)))
        if proof is not None:
            refusal = prove(host, variant.unit, proof, wanted.ready_timeout_s)
        else:  # An earlier kit activated it, and kept none.
            refusal = prove_some(host, variant.unit, self._proof(variant), wanted.ready_timeout_s)
        return None if refusal is None else refusal.reason

    def _still(self) -> str:
        running = [unit for unit in self._host.units.serving() if unit.endswith(".service")]
        if not running:
            return f"nothing serves, and release {self._releases.current() or 'none'} is current"
        return f"{', '.join(running)} serves release {self._releases.current()}"

    def _failed(self, refusal: Refusal, state: str) -> Outcome:
        variant = self._wanted.service
        name = variant.id if variant is not None else "no service"
        message = f"release {self._wanted.release} under {name}: {refusal.reason}; {state}"
        return Outcome(
            changed=False, what=(), failed=True, message=message, journal=refusal.journal
        )
