"""Drive the fuzz tests by coverage: `python tests/fuzz SECONDS`, as `make fuzz` does.

Hypothesis draws inputs blindly; atheris keeps those that reach a branch no other has reached, and
goes on from them. The tests are the same. What was kept stays in .build/fuzz for the next time.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
TARGETS = (
    "test_fuzz_files:test_any_text_is_parsed_judged_and_shown",
    "test_fuzz_files:test_any_file_of_a_run_loads_or_is_refused_by_its_name",
    "test_fuzz_files:test_any_archive_is_unpacked_or_refused_and_stays_in_its_folder",
    "test_fuzz_results:test_any_value_anywhere_is_read_or_refused",
)


def fuzz(target: str) -> None:
    """Fuzz one test until its time is over; it ends the process."""
    import atheris  # noqa: PLC0415 - only where there is a wheel

    sys.path[:0] = [str(REPO / "tests"), str(REPO / "tests/unit")]
    module, name = target.split(":")
    with atheris.instrument_imports(include=["collect"]):
        test = getattr(importlib.import_module(module), name)
    atheris.Setup(sys.argv[:1] + sys.argv[2:], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def main() -> int:
    """Fuzz each target in a process of its own, and say what was found."""
    if importlib.util.find_spec("atheris") is None:
        sys.stdout.write("There is no atheris for this machine; Hypothesis alone has fuzzed.\n")
        return 0
    failed = 0
    for target in TARGETS:
        corpus = REPO / ".build/fuzz" / target.partition(":")[2]
        corpus.mkdir(parents=True, exist_ok=True)
        log = corpus.with_suffix(".log")
        with log.open("wb") as file:
            done = subprocess.run(
                [sys.executable, __file__, target, f"-max_total_time={sys.argv[1]}", "-timeout=60",
                 "-len_control=0", "-max_len=8192", f"-artifact_prefix={corpus}.", corpus],
                env={**os.environ, "PYTHONPATH": str(REPO)},
                stdout=file,
                stderr=file,
                check=False,
            )  # fmt: skip
        said = log.read_text(errors="replace")
        runs = re.findall(r"^Done (\d+) runs", said, re.MULTILINE)
        kept = len(list(corpus.iterdir()))
        sys.stdout.write(f"{target}: {''.join(runs) or 'cut off'} inputs, {kept} kept\n")
        if done.returncode or not kept:
            failed += 1
            sys.stdout.write(f"failed; see {log.relative_to(REPO)}:\n{said[-3000:]}\n")
    return failed


if __name__ == "__main__":
    if ":" in sys.argv[1]:
        fuzz(sys.argv[1])
    sys.exit(main())
