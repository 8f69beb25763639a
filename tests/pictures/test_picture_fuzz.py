"""Damaged files give a picture or a sentence: no crash, no hang over 10 s, no 2 GB of memory.

`MOCE_FUZZ_CASES=200000 pytest -m slow tests/pictures/test_picture_fuzz.py` reads so many.
"""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from picture_fuzz import MAX_PIXELS, complaint, is_sentence, mutate, right_checksums
from picture_whole import WHOLE

SEEDS = Path(__file__).parent.parent / "data" / "fuzz"
PROGRAM = Path(__file__).with_name("picture_fuzz.py")
MOST_SECONDS = 10
FEW, MANY = 400, 24_000


def fuzz(first, last, folder, program=PROGRAM):
    """Read cases in another process, which is watched.

    Returns:
        how many were read, and what went wrong, as (case, words, data).
    """
    count, wrong = 0, []
    while first < last:
        progress, said = folder / "progress", folder / "said"
        progress.write_text("")
        words = [sys.executable, str(program), str(first), str(last), str(progress)]
        quiet = os.environ | {"OMP_NUM_THREADS": "1"}
        with said.open("wb") as out, (folder / "errors").open("wb") as errors:
            child = subprocess.Popen(words, stdout=out, stderr=errors, env=quiet)
            hangs = watch(child, progress)
        rows = [json.loads(line) for line in said.read_text().splitlines()]
        wrong += [(row["case"], row["wrong"], row["data"]) for row in rows if "case" in row]
        done = [row["done"] for row in rows if "done" in row]
        if done:
            return count + done[0], wrong
        errors = (folder / "errors").read_text(errors="replace")[-300:]
        assert progress.read_text(), f"it did not begin: {errors}"
        at = int(progress.read_text())
        how = f"took over {MOST_SECONDS} s" if hangs else f"ended with {child.returncode}: {errors}"
        wrong.append((at, how, ""))
        count += at + 1 - first
        first = at + 1
    return count, wrong


def watch(child, progress):
    """Wait for its end; whether a case took too long and it was ended."""
    seen, since = "", time.monotonic()
    while child.poll() is None:
        time.sleep(0.05)
        now = progress.read_text()
        if now != seen:
            seen, since = now, time.monotonic()
        elif seen and time.monotonic() - since > MOST_SECONDS:
            child.kill()
            child.wait()
            return True
    return False


def check(first, last, folder):
    count, wrong = fuzz(first, last, folder)
    for case, _, data in wrong:
        if data:
            (folder / f"{case}.bin").write_bytes(base64.b64decode(data))
    told = "\n".join(f"case {case}: {words}" for case, words, _ in wrong[:20])
    assert not wrong, f"{len(wrong)} of {count} cases, kept in {folder}:\n{told}"
    assert count == last - first


def test_damaged_files(tmp_path):
    check(0, FEW, tmp_path)


@pytest.mark.slow
def test_very_many_damaged_files(tmp_path):
    check(FEW, FEW + int(os.environ.get("MOCE_FUZZ_CASES", MANY)), tmp_path)


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*")), ids=lambda p: p.name)
def test_what_once_went_wrong(path):
    """Each in a process of its own, so that a crash is a failure like another."""
    code = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import picture_fuzz as fuzz;"
        "data = pathlib.Path(sys.argv[2]).read_bytes();"
        "found = [fuzz.complaint(data, most)[0] for most in fuzz.MAX_PIXELS];"
        "sys.exit(found != [None, None] and str(found) or fuzz.peak_bytes() > fuzz.MOST_BYTES)"
    )
    words = [sys.executable, "-c", code, str(PROGRAM.parent), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_fuzzer_notices(monkeypatch):
    """A reader that raises something else, or speaks in tongues, is told; cases repeat."""
    assert mutate(7, WHOLE) == mutate(7, WHOLE)
    assert len({mutate(number, WHOLE)[1] for number in range(100)}) > 90
    assert right_checksums(WHOLE["PNG"]) == WHOLE["PNG"]
    assert complaint(WHOLE["PNG"], MAX_PIXELS[0]) == (None, "picture")
    assert is_sentence("NAME is damaged: it is cut short")
    for words in ("NAME is damaged or cut short: 'MPO'", "NAME: <_io.BytesIO>", "NAME: Bad", "x"):
        assert not is_sentence(words)

    def broken(*_args, **_options):
        raise ZeroDivisionError

    monkeypatch.setattr("moce_cli.pictures.read", broken)
    assert "ZeroDivisionError" in complaint(WHOLE["PNG"])[0]


@pytest.mark.parametrize(
    ("fault", "words"), [("os.abort()", "ended with -6"), ("time.sleep(99)", "took over")]
)
def test_a_crash_and_a_hang_are_noticed_and_the_rest_goes_on(tmp_path, monkeypatch, fault, words):
    monkeypatch.setattr("test_picture_fuzz.MOST_SECONDS", 0.5)
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time\n"
        "first, last, progress = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]\n"
        "for number in range(first, last):\n"
        "    open(progress, 'w').write(str(number))\n"
        f"    if number == 3: {fault}\n"
        "print('{\"done\": %d}' % (last - first))\n"
    )
    count, wrong = fuzz(0, 6, tmp_path, program)
    assert count == 6
    assert [case for case, _, _ in wrong] == [3]
    assert words in wrong[0][1]
