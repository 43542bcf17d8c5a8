"""Bytes that nobody wrote on purpose: archives, files of a run, texts, what a host says."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import factory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_doctor import found as found_on

from collect.archive import unpack
from collect.checks import verdict_of_figures
from collect.doctor import examine
from collect.errors import DataError, ServerbenchError
from collect.follow import choose_run
from collect.model import load_decision, load_plan, load_trial
from collect.parse import decode_text, parse_outputs
from collect.report.parsed import ParsedOutput, render_parsed_json, render_parsed_table

# `make fuzz` asks for more; without, each test takes a few seconds.
EXAMPLES = int(os.environ.get("SERVERBENCH_FUZZ_EXAMPLES", "150"))
PLAN = factory.plan(
    blocks=1, variants=factory.variants(factory.PAIRS[1:2]), endpoints=factory.ENDPOINTS[:1]
)
FILES = factory.host_files(PLAN, factory.healthy_trials(PLAN))
TAR = gzip.decompress(factory.tar_bytes(FILES))
TEXTS = sorted((Path(__file__).parents[1] / "data" / "wrk").glob("*.txt"))
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["flip", "cut", "twice", "digits", "junk"])),
    min_size=1,
    max_size=6,
)


def edited(data, edits):
    """Return the bytes with some changed, at places given as shares of the length."""
    new = bytearray(data)
    for share, kind in edits:
        at = min(int(share * len(new)), max(0, len(new) - 1))
        chance = random.Random(f"{share}{kind}")  # noqa: S311 - not a secret
        if kind == "flip" and new:
            new[at] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del new[at : at + chance.choice([1, 7, 512, 10_000])]
        elif kind == "twice":
            new[at:at] = new[at : at + chance.choice([1, 40, 512])]
        elif kind == "digits":
            new[at:at] = chance.choice([b"9" * 30, b"-", b"1e999", b"0" * 5000, b"\x80"])
        else:
            new[at:at] = chance.choice([b"\0", b"\xff\xfe", b'"', b"{", b"[" * 2000, b"NaN", b"\n"])
    return bytes(new)


@settings(deadline=None, max_examples=EXAMPLES)
@given(edits=EDITS, name=st.sampled_from(["plan.json", "trial.json", "decision.json"]))
def test_any_file_of_a_run_loads_or_is_refused_by_its_name(edits, name):
    load = {"plan.json": load_plan, "trial.json": load_trial, "decision.json": load_decision}[name]
    own = {"plan.json": FILES["plan.json"]}.get(
        name, FILES[f"trials/{PLAN.trials[0].id}/trial.json"]
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(edited(own, edits))
        try:
            load(path)
        except DataError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 - some are fine


@settings(deadline=None, max_examples=EXAMPLES)
@given(edits=EDITS, where=st.sampled_from(["tar", "gzip"]))
def test_any_archive_is_unpacked_or_refused_and_stays_in_its_folder(edits, where):
    data = gzip.compress(edited(TAR, edits), 1)
    if where == "gzip":
        data = edited(gzip.compress(TAR, 1), edits)
    with TemporaryDirectory() as folder:
        archive, inside = Path(folder, "lab1.tar.gz"), Path(folder, "results/run/lab1")
        archive.write_bytes(data)
        try:
            unpack(archive, inside)
        except DataError as error:
            assert str(archive) in str(error)  # noqa: PT017 - some are fine
            assert "\n" not in str(error)  # noqa: PT017
        beside = [path for path in Path(folder).rglob("*") if path.is_file() and path != archive]
        assert all(path.is_relative_to(inside) for path in beside)


def header(**fields):
    """Return the 512 bytes of a ustar header, with fields as they stand in the file."""
    member = tarfile.TarInfo("trials")
    raw = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    places = {"name": 0, "size": 124, "type": 156}
    for name, value in fields.items():
        raw[places[name] : places[name] + len(value)] = value
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


HOSTILE_HEADERS = {
    "a negative size": header(size=b"\xff" * 12),
    "headers that announce headers": 3000
    * (header(type=b"L", size=b"00000000002\0") + b"a\0".ljust(512, b"\0")),
    "a size of eight exbibytes": header(size=b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7),
    "a long name of two gigabytes": header(type=b"L", size=b"17777777777\0"),
    "an extended header of two gigabytes": header(type=b"x", size=b"17777777777\0"),
    "an extended header that is no record": header(type=b"x", size=b"00000000010\0")
    + b"nonsense".ljust(512, b"\0"),
    "an extended header with a negative size": header(type=b"x", size=b"00000000014\0")
    + b"12 size=-99\n".ljust(512, b"\0")
    + header(type=b"0", size=b"00000000000\0"),
    "a sparse map of five thousand digits": header(type=b"x", size=b"00000000051\0")
    + b"41 GNU.sparse.realsize=9999999999999999999\n".ljust(512, b"\0")
    + header(type=b"0", size=b"00000000000\0"),
    "a device": header(type=b"3"),
    "a pipe": header(type=b"6"),
    "a name of another folder": header(name=b"../../x\0", type=b"0"),
    "an absolute name": header(name=b"/tmp/x\0", type=b"0"),
    "a link": header(name=b"plan.json\0", type=b"2"),
    "a hard link": header(name=b"plan.json\0", type=b"1"),
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_a_header_that_lies_is_refused_at_once(name, tmp_path):
    archive = tmp_path / "lab1.tar.gz"
    # Zeros to read on in, as a bomb has them.
    archive.write_bytes(gzip.compress(HOSTILE_HEADERS[name] + b"\0" * 2**22 + TAR, 1))
    with pytest.raises(DataError, match=r"lab1\.tar\.gz"):
        unpack(archive, tmp_path / "results")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab1.tar.gz", "results"]
    assert not list((tmp_path / "results").iterdir())


SPARSE = {
    "old": header(type=b"S", size=b"00000000000\0"),
    "new": header(type=b"x", size=b"00000000054\0")
    + b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n".ljust(512, b"\0")
    + header(type=b"0", size=b"00000001000\0")
    + b"0\n".ljust(512, b"\0"),
}


@pytest.mark.parametrize("name", SPARSE)
def test_the_map_of_a_sparse_file_is_not_read(name, tmp_path):
    archive = tmp_path / "lab1.tar.gz"
    archive.write_bytes(gzip.compress(SPARSE[name] + b"\0" * 2**12))
    with pytest.raises(DataError, match=r"damaged \(a sparse file\)"):
        unpack(archive, tmp_path / "results")


def test_a_bomb_is_refused_while_it_is_small(tmp_path):
    archive = tmp_path / "lab1.tar.gz"
    member = tarfile.TarInfo("big.txt")
    member.size = 2**28 + 1
    with gzip.open(archive, "wb", 1) as file:
        file.write(member.tobuf())
    with pytest.raises(DataError, match="larger than 256 MiB"):
        unpack(archive, tmp_path / "results")


@settings(deadline=None, max_examples=EXAMPLES)
@given(edits=EDITS, path=st.sampled_from(TEXTS))
def test_any_text_is_parsed_judged_and_shown(edits, path):
    try:
        found = parse_outputs(decode_text(edited(path.read_bytes(), edits), path.name))
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most are fine
        return
    outputs = [ParsedOutput(path.name, one, verdict_of_figures(one.figures)) for one in found]
    json.loads(render_parsed_json(outputs))
    assert "\x1b" not in render_parsed_table(outputs)


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["user", "systemd", "available_mb", "results_free_mb", "cpu_before", "cpu_after",
             "root", "clock_here", "clock_there", "port_9875", "port_99999999999999", "port_٣", ""]
        ),
        st.sampled_from(
            ["", "0", "-1", "nan", "inf", "1e999", "9" * 5000, "x y z w", "cpu 1 2 3 4 5 6 7 8 9",
             "cpu " + "9" * 5000 + " 1 1 1 1 1 1 1", "\x1b[2J", "=", "٣"]
        ),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(ANSWERS, st.sampled_from(["", "2", "x", "9" * 5000, "٣", "-1"]))
def test_whatever_a_host_says_to_the_doctor_is_judged(answers, cores):
    said = "\n".join(f"{name}={value}" for name, value in answers)
    assert examine(found_on(said=said, host_facts={"cores": cores}))


@given(st.text(alphabet="nowpast 0123456789./-\n٣ab", max_size=200))
def test_no_host_chooses_a_folder_outside_the_results(listing):
    try:
        run_id = choose_run({"web1": f"{listing}\nnow {'9' * 5000} ../../x\npast 1 run-1"})
    except ServerbenchError:
        return
    assert Path("results", run_id).parent == Path("results")
    assert not run_id.startswith(".")


def test_no_host_chooses_a_role_or_a_unit():
    from test_request import CATALOGUE, request  # noqa: PLC0415 - for this test alone

    from collect.decode import encode  # noqa: PLC0415
    from collect.request import recorded_service  # noqa: PLC0415

    variant = encode(request(server="granian"))
    for change in (
        {"server": "../../tmp/role"},
        {"server": "lab_host"},
        {"id": "../x"},
        {"unit": "sshd.service"},
        {"proxy_unit": "sshd.service"},
        {"knobs": {"extra_arguments": ["a\nb"]}},
        {"knobs": {"nonsense": 1}},
    ):
        record = {"variant": {**variant, **change}, "release": "r1", "since": "2026-01-01"}
        record["previous_release"] = None
        with pytest.raises(DataError, match=r"web1: /etc/serverbench/service\.json: "):
            recorded_service(json.dumps(record), "web1", CATALOGUE)
    with pytest.raises(DataError, match="not JSON"):
        recorded_service("[" * 100_000, "web1", CATALOGUE)


def test_what_is_packed_here_is_what_the_fuzzing_starts_from():
    with tarfile.open(fileobj=io.BytesIO(TAR)) as tar:
        assert {member.name for member in tar} == set(FILES)
