from __future__ import annotations

import gzip
import json
import shutil
import tarfile
import zlib
from dataclasses import replace

import factory
import pytest

from collect import archive as archive_module
from collect.archive import unpack
from collect.errors import DataError
from collect.model import Decision, Rates, dumps
from collect.report import build_report
from collect.store import load_run, verify_trial


@pytest.fixture
def plan():
    return factory.plan(blocks=1, variants=factory.variants(factory.PAIRS[:2]))


@pytest.fixture
def files(plan):
    return factory.host_files(plan, factory.healthy_trials(plan))


@pytest.fixture
def pack(tmp_path):
    def write(files, extra=None, name="lab1.tar.gz"):
        path = tmp_path / name
        path.write_bytes(factory.tar_bytes(files, extra))
        return path

    return write


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "results" / "20260131-0200" / "lab1"


def everything(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_refused(archive, destination, *words):
    before = everything(destination)
    with pytest.raises(DataError) as caught:
        unpack(archive, destination)
    for word in (str(archive), *words):
        assert word in str(caught.value)
    assert everything(destination) == before
    assert not list(destination.glob(".incoming-*"))


def test_a_run_comes_back_as_it_was_packed(pack, files, plan, destination):
    result = unpack(pack(files), destination)
    assert result.added == tuple(sorted(trial.id for trial in plan.trials))
    assert result.kept == ()
    assert everything(destination) == files
    (host,) = load_run(destination.parent).hosts
    assert [stored.trial.trial_id for stored in host.trials] == [t.id for t in plan.trials]
    assert host.missing == ()
    assert host.facts.kernel == "6.12.48"
    assert host.facts.memory_bytes == 2 * 2**30
    assert host.trials[0].wrk_text().startswith("Running 30s test")


def test_names_may_start_with_a_dot_slash(pack, files, destination):
    folders = [tarfile.TarInfo("./"), tarfile.TarInfo("./trials")]
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    unpack(pack({f"./{name}": content for name, content in files.items()}, folders), destination)
    assert everything(destination) == files


def test_what_is_being_written_on_the_host_is_passed_over(pack, files, destination):
    hidden = {"trials/.partial-b01/trial.json": b"{", ".progress.json.new": b"{"}
    unpack(pack({**files, **hidden}), destination)
    assert everything(destination) == files


def test_a_second_pull_adds_what_is_new_and_keeps_what_is_there(pack, plan, destination):
    trials = factory.healthy_trials(plan)
    unpack(pack(factory.host_files(plan, trials[:1])), destination)
    (host,) = load_run(destination.parent).hosts
    assert [trial.id for trial in host.missing] == [trial.id for trial in plan.trials[1:]]
    inode = (destination / "trials" / trials[0].trial_id / "trial.json").stat().st_ino
    result = unpack(pack({**factory.host_files(plan, trials), "progress.json": b"{}"}), destination)
    assert result.kept == (trials[0].trial_id,)
    assert len(result.added) == len(trials) - 1
    assert (destination / "trials" / trials[0].trial_id / "trial.json").stat().st_ino == inode
    assert (destination / "progress.json").read_bytes() == b"{}"


def test_a_trial_with_other_content_is_refused(pack, files, plan, destination):
    unpack(pack(files), destination)
    planned = plan.trials[0]
    other = factory.trial(planned, plan, ended_at="2026-01-31T03:00:00+00:00")
    changed = {
        **files,
        **{f"trials/{planned.id}/{n}": c for n, c in factory.trial_files(other).items()},
    }
    here = str(destination / "trials" / planned.id)
    assert_refused(pack(changed), destination, f"trials/{planned.id}", here)


def test_another_plan_is_refused(pack, files, plan, destination):
    unpack(pack(files), destination)
    other = factory.plan(blocks=1, seed=9, variants=plan.variants)
    changed = {**files, **factory.host_files(other, [])}
    assert_refused(pack(changed), destination, "plan.json", str(destination / "plan.json"))


def test_a_plan_made_again_is_the_same_plan(pack, files, plan, destination):
    unpack(pack(files), destination)
    again = factory.plan(blocks=1, variants=plan.variants, created_at="2026-02-01T00:00:00+00:00")
    changed = {**files, "plan.json": factory.host_files(again, [])["plan.json"]}
    assert unpack(pack(changed), destination).added == ()
    assert everything(destination) == files


def test_what_could_not_be_read_back_never_gets_in(pack, files, plan, destination):
    unpack(pack(factory.host_files(plan, [])), destination)
    planned = plan.trials[0]
    for change, words in (
        ({"host": "another"}, "host is 'another', but 'lab1' in plan.json"),
        ({"position": 7}, "position is 7, but 1 in plan.json"),
        ({"server": "daphne"}, "server is 'daphne', but"),
        ({"proxy": "caddy"}, "proxy is 'caddy', but 'none' in plan.json"),
        ({"trial_id": "b09-nobody"}, "not in plan.json"),
    ):
        stranger = factory.trial(planned, plan, **change)
        assert_refused(pack(factory.host_files(plan, [stranger])), destination, words)
    for name, content, words in (
        ("decision.json", b"{", "decision.json: not JSON"),
        ("decision.json", decision_of(replace(plan, run_id="z"), 1, "decided"), "run_id is 'z'"),
        ("trials", b"", "member 'trials': unexpected place"),
    ):
        assert_refused(pack({**factory.host_files(plan, []), name: content}), destination, words)
    assert unpack(pack(files), destination).kept == ()


def test_a_broken_host_json_never_gets_in(pack, files, destination):
    assert_refused(pack({**files, "host.json": b"{"}), destination, "host.json: not JSON")


def test_another_run_than_was_asked_for_is_refused(pack, files, plan, destination):
    archive = pack(files)
    with pytest.raises(DataError, match="run_id is '20260131-0200'; accepted: 'mine', as it was"):
        unpack(archive, destination, "mine")
    assert not everything(destination)
    unpack(archive, destination, plan.run_id)
    other = factory.plan(blocks=1, run_id="other", host="lab2", variants=plan.variants)
    beside = destination.with_name("lab2")
    own = pack(factory.host_files(other, []), name="lab2.tar.gz")
    assert_refused(own, beside, f"accepted: '{plan.run_id}', as of {destination}")


def test_another_host_is_refused(pack, files, destination):
    unpack(pack(files), destination)
    assert_refused(pack({**files, "host.json": b"{}"}), destination, "host.json differs")
    unpack(pack({**files, "host.2.json": b"{}"}), destination)
    assert load_run(destination.parent).hosts[0].changed_facts == ("host.2.json",)


def test_files_more_or_fewer_than_there_are_refused(pack, files, plan, destination):
    unpack(pack(files), destination)
    (destination / "trials" / plan.trials[0].id / "notes.txt").write_text("mine")
    assert_refused(pack(files), destination, plan.trials[0].id)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "trials/../../evil",
        "/etc/evil",
        "trials/b01/../../../evil",
        "trials/b01/..",
        "a/b",
        "trials/b01/deeper/file",
        "trials/b01\n/file",
        "trials/b 01/file",
        "trials/" + "b" * 201 + "/file",
    ],
)
def test_members_outside_their_place_are_refused(pack, files, destination, tmp_path, name):
    assert_refused(pack({**files, name: b"evil"}), destination, "refused")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_members_that_are_no_regular_files_are_refused(pack, files, destination, kind):
    member = tarfile.TarInfo("trials/b01/link")
    member.type = kind
    member.linkname = "plan.json"
    assert_refused(pack(files, [member]), destination, "trials/b01/link", "regular file")


def test_a_folder_outside_trials_is_refused(pack, files, destination):
    member = tarfile.TarInfo("elsewhere")
    member.type = tarfile.DIRTYPE
    assert_refused(pack(files, [member]), destination, "elsewhere")


def test_a_member_twice_is_refused(pack, files, destination):
    assert_refused(pack(files, [tarfile.TarInfo("plan.json")]), destination, "twice")


def test_a_bomb_is_refused(pack, files, destination, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_BYTES", 2**20)
    assert_refused(pack({**files, "zeros": bytes(2**21)}), destination, "1 MiB")
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 3)
    assert_refused(pack(files), destination, "3 members")


def test_an_archive_cut_off_anywhere_changes_nothing(pack, files, destination, tmp_path):
    whole = pack(files).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for length in [0, 1, 9, 20, *range(30, len(whole), 97), len(whole) - 9, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        assert_refused(cut, destination, "cut off or damaged")


def reads_the_same(one, other):
    try:
        return gzip.decompress(one) == gzip.decompress(other)
    except (OSError, EOFError, zlib.error):
        return False


def test_a_flipped_byte_anywhere_changes_nothing(pack, files, destination, tmp_path):
    whole, refused = pack(files).read_bytes(), 0
    flipped = tmp_path / "flipped.tar.gz"
    # Byte 4 to 9 of gzip's own header (date, flags of the system) may be anything.
    for position in [0, 1, *range(10, len(whole), 61), len(whole) - 6]:
        content = bytearray(whole)
        content[position] ^= 0x10
        if reads_the_same(bytes(content), whole):
            continue  # Bits that only fill up the last byte of deflate's.
        refused += 1
        flipped.write_bytes(content)
        assert_refused(flipped, destination)
    assert refused > 40


def test_no_archive_is_an_error_too(tmp_path, destination):
    assert_refused(tmp_path / "none.tar.gz", destination)


def test_a_byte_flipped_on_the_host_is_found_by_its_checksum(pack, files, plan, destination):
    name = f"trials/{plan.trials[0].id}/wrk.txt"
    changed = {**files, name: files[name].replace(b"Running", b"running")}
    assert_refused(pack(changed), destination, name, "checksum")
    # The one who reads it at night shall know what to do.
    with pytest.raises(DataError, match="this bench_run_id measures that trial anew"):
        unpack(pack(changed), destination)


def test_files_missing_from_a_trial_or_its_list_are_named(pack, files, plan, destination):
    folder = f"trials/{plan.trials[0].id}"
    without = {name: content for name, content in files.items() if name != f"{folder}/wrk.txt"}
    assert_refused(pack(without), destination, f"{folder}/wrk.txt", "missing")
    assert_refused(pack({**files, f"{folder}/more"[:]: b"x"}), destination, f"{folder}/more")
    unlisted = {name: content for name, content in files.items() if "SHA256SUMS" not in name}
    assert_refused(pack(unlisted), destination, "SHA256SUMS is missing")
    evil = {**files, f"{folder}/SHA256SUMS": b"0" * 64 + b"  ../plan.json\n"}
    assert_refused(pack(evil), destination, "accepted: <sha256>")


def test_an_archive_without_a_plan_is_refused(pack, files, destination):
    files.pop("plan.json")
    assert_refused(pack(files), destination, "holds no plan.json")


def test_verify_names_the_changed_file(tmp_path, plan):
    run = factory.write_host(tmp_path, plan)
    folder = run / "lab1" / "trials" / plan.trials[0].id
    verify_trial(folder)
    (folder / "wrk.txt").write_text("nicer figures")
    with pytest.raises(DataError, match=r"wrk\.txt: differs from its checksum"):
        verify_trial(folder)


def test_a_trial_in_the_wrong_folder_or_run_is_named(tmp_path, plan):
    run = factory.write_host(tmp_path, plan)
    trials = run / "lab1" / "trials"
    first, second = plan.trials[:2]
    shutil.rmtree(trials / second.id)
    shutil.copytree(trials / first.id, trials / second.id)
    with pytest.raises(DataError, match="unlike its folder"):
        load_run(run)
    shutil.rmtree(trials / second.id)
    other = factory.trial(second, plan, run_id="another")
    (trials / second.id).mkdir()
    for name, content in factory.trial_files(other).items():
        (trials / second.id / name).write_bytes(content)
    with pytest.raises(DataError, match="run_id is 'another'"):
        load_run(run)


def test_folders_being_written_are_passed_over(tmp_path, plan):
    run = factory.write_host(tmp_path, plan)
    (run / "lab1" / "trials" / ".partial-x").mkdir()
    (run / "lab1" / ".incoming-x").mkdir()
    assert len(load_run(run).hosts[0].trials) == len(plan.trials)


def with_rerun(plan, planned, **changes):
    """Return the trials of the plan, and a second attempt of one of them."""
    again = factory.trial(planned, plan, trial_id=f"{planned.id}--2", attempt=2, **changes)
    return [*factory.healthy_trials(plan), again]


def test_a_second_attempt_is_kept_beside_the_first(tmp_path, plan):
    first = plan.trials[0]
    (host,) = load_run(factory.write_host(tmp_path, plan, with_rerun(plan, first))).hosts
    assert [stored.trial.trial_id for stored in host.trials[:3]] == [
        first.id,
        f"{first.id}--2",
        plan.trials[1].id,
    ]
    assert [stored.trial.trial_id for stored in host.reruns] == [f"{first.id}--2"]
    assert host.missing == ()


@pytest.mark.parametrize(("valid", "counts"), [({1, 2}, 1), ({2}, 2), ({1}, 1), (set(), 2)])
def test_of_two_attempts_the_first_valid_one_counts(tmp_path, plan, valid, counts):
    first = plan.trials[0]
    (host,) = load_run(factory.write_host(tmp_path, plan, with_rerun(plan, first))).hosts
    counted = host.counted(lambda trial: trial.attempt in valid)
    assert len(counted) == len(plan.trials)
    assert counted[0].trial.attempt == counts


def test_a_second_attempt_comes_back_from_the_host(pack, plan, destination):
    trials = with_rerun(plan, plan.trials[0])
    result = unpack(pack(factory.host_files(plan, trials)), destination)
    assert f"{plan.trials[0].id}--2" in result.added
    assert len(load_run(destination.parent).hosts[0].reruns) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attempt": 1}, "attempt is 1, but 2"),
        ({"trial_id": "b09-nobody--2"}, "not in plan.json"),
        ({"block": 7}, "block is 7"),
    ],
)
def test_a_second_attempt_of_nobody_is_named(tmp_path, plan, changes, words):
    *trials, again = with_rerun(plan, plan.trials[0])
    run = factory.write_host(tmp_path, plan, [*trials, replace(again, **changes)])
    with pytest.raises(DataError, match=words):
        load_run(run)


def test_a_trial_under_another_load_is_not_of_its_plan(tmp_path, plan):
    first, *others = [factory.trial(planned, plan) for planned in plan.trials]
    other = replace(first, load=replace(plan.load, connections=1))
    run = factory.write_host(tmp_path, plan, [other, *others])
    with pytest.raises(DataError, match=r"trial\.json: load is .*connections=1,.*in plan\.json"):
        load_run(run)


def test_a_leg_over_other_connections_is_not_of_its_plan(tmp_path):
    plan = factory.plan(blocks=1, rates=Rates(of_capacity=(0.5,)))
    trials = factory.healthy_trials(plan)
    index = next(i for i, one in enumerate(trials) if one.leg == "share")
    load_run(factory.write_host(tmp_path / "a", plan, trials))
    trials[index] = replace(trials[index], load=replace(trials[index].load, connections=1))
    with pytest.raises(DataError, match=r"load is .*connections=1,"):
        load_run(factory.write_host(tmp_path / "b", plan, trials))


def decision_of(plan, blocks, reason):
    return dumps(Decision(2, plan.run_id, blocks, reason, ())).encode()


@pytest.mark.parametrize(
    ("reason", "blocks", "missing"),
    [("decided", 1, 0), ("time_budget", 1, 0), ("going_on", 3, 2), ("all_blocks", 1, 0)],
)
def test_blocks_that_a_run_did_without_are_not_missing(tmp_path, reason, blocks, missing):
    plan = factory.plan(blocks=3, variants=factory.variants(factory.PAIRS[:1]))
    done = [factory.trial(planned, plan) for planned in plan.trials if planned.block == 1]
    run = factory.write_host(tmp_path, plan, done)
    (run / plan.host / "decision.json").write_bytes(decision_of(plan, 1, reason))
    (host,) = load_run(run).hosts
    assert (host.decision.reason, host.blocks) == (reason, blocks)
    assert len(host.missing) == missing * len(plan.endpoints)


def test_a_newer_decision_replaces_the_one_that_is_here(pack, files, plan, destination):
    unpack(pack({**files, "decision.json": decision_of(plan, 1, "going_on")}), destination)
    unpack(pack({**files, "decision.json": decision_of(plan, 1, "all_blocks")}), destination)
    assert load_run(destination.parent).hosts[0].decision.reason == "all_blocks"


def test_a_list_of_checksums_that_no_longer_holds_goes(pack, files, destination):
    unpack(pack({**files, "SHA256SUMS": b"old"}), destination)
    assert (destination / "SHA256SUMS").read_bytes() == b"old"
    unpack(pack(files), destination)
    assert not (destination / "SHA256SUMS").exists()


def test_a_decision_of_another_run_is_named(tmp_path, plan):
    run = factory.write_host(tmp_path, plan)
    other = replace(plan, run_id="another")
    (run / plan.host / "decision.json").write_bytes(decision_of(other, 1, "decided"))
    with pytest.raises(DataError, match="run_id is 'another', but '20260131-0200'"):
        load_run(run)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(DataError, match="no such run"):
        load_run(tmp_path / "none")
    with pytest.raises(DataError, match="was the run pulled"):
        load_run(tmp_path)


def planned(path, value):
    """Return the plan as JSON with another value at a place."""
    data = json.loads(dumps(factory.plan(blocks=1, variants=factory.variants(factory.PAIRS[:2]))))
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("variants",), [], "is of a variant or an endpoint that is not there"),
        (("endpoints",), [], "is of a variant or an endpoint that is not there"),
        (("blocks",), 0, "blocks: got 0; accepted: 1 to"),
        (("created_at",), "yesterday", "created_at: got 'yesterday'; accepted: an ISO 8601 date"),
        (("created_at",), "0001-01-01T00:00:00+14:00", "created_at: got '0001"),
        (("load", "duration_s"), 1e18, "load.duration_s: got 1e+18; accepted"),
        (("load", "warmup_s"), 1e200, "load.warmup_s: got a number too large"),
        (("stopping", "gap"), 7.0, "stopping.gap: got 7.0; accepted"),
        (("endpoints", 0, "method"), "\ud800", "holds '\\ud800', half a character"),
        (("seed",), 10**30, "seed: got a number too large"),
        (("timing", "stop_timeout_s"), float("nan"), "stop_timeout_s: got nan; accepted: a finite"),
        (("trials", 0, "block"), 2, "trials[0].block: got 2; accepted: 1 to 1"),
        (("variants", 1, "twin_of"), "nobody", "is a copy of 'nobody', which is not there"),
        (
            ("windows",),
            [
                {
                    "starts_at": f"2026-01-31T0{hour}:00:00+00:00",
                    "ends_at": f"2026-01-31T0{hour}:30:00+00:00",
                    "first_block": 1,
                    "last_block": 1,
                }
                for hour in (1, 2)
            ],
            "windows[1] has blocks of another window",
        ),
        (
            ("windows",),
            [{"starts_at": "2026-01-31", "ends_at": "x", "first_block": 1, "last_block": 1}],
            "windows[0].starts_at: got '2026-01-31'; accepted: an ISO 8601 date with its offset",
        ),
    ],
)
def test_a_plan_that_does_not_hold_together_is_refused(tmp_path, plan, path, value, words):
    run = factory.write_host(tmp_path, plan)
    (run / plan.host / "plan.json").write_bytes(planned(path, value))
    with pytest.raises(DataError) as caught:
        load_run(run)
    assert words in str(caught.value)
    assert str(run / plan.host / "plan.json") in str(caught.value)


@pytest.mark.parametrize("name", ["plan.json", "host.json"])
def test_a_file_that_is_too_large_is_refused_before_it_is_read_whole(tmp_path, plan, name):
    run = factory.write_host(tmp_path, plan)
    with (run / plan.host / name).open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(DataError, match=rf"{name}.*larger than"):
        load_run(run)


def test_a_run_with_a_negative_seed_has_a_report(tmp_path):
    plan = factory.plan(seed=-1, variants=factory.variants(factory.PAIRS[:2]))
    run = factory.write_host(tmp_path, plan, factory.noisy_trials(plan))
    assert build_report(load_run(run)).hosts[0].answer
