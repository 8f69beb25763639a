"""Several devices, a process each: the same results, and what a killed one leaves goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

MOCE = [sys.executable, "-m", "moce_cli"]


@pytest.fixture
def photos(picture, tmp_path):
    for i in range(12):
        picture(tmp_path / "photos" / f"{i:02}.png", 200, 200, seed=i)
    return tmp_path / "photos"


def words(photos, out, model_file, *more):
    return [
        *MOCE, "restore", str(photos), "-o", str(out), "--device", "cpu,cpu", "--model",
        str(model_file), "--threads", "1", "--precision", "fp32", "--tile", "64", "--json", *more,
    ]  # fmt: skip


def children(pid):
    """Process ids below one, by /proc."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(p) for p in file.read().split()]


def is_worker(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"spawn_main" in file.read()


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc here")
def test_a_killed_workers_pictures_are_done_by_another(photos, model_file, moce, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(
        words(photos, out, model_file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        rows = [json.loads(process.stdout.readline())]
        workers = [pid for pid in children(process.pid) if is_worker(pid)]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        # not `communicate`, which leaves out lines that were read ahead
        rows += map(json.loads, process.stdout.read().splitlines())
        errors = process.stderr.read()
        assert process.wait(timeout=120) == 0, errors
    assert "a worker ended with code -9" in errors
    assert sorted(row["input"] for row in rows) == sorted(str(p) for p in photos.iterdir())
    assert len(list(out.glob("*.png"))) == 12
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == [".moce-journal.jsonl"]
    alone = tmp_path / "alone"
    made = moce(
        "restore", photos, "-o", alone, "--model", model_file, "--threads", 1, "--precision",
        "fp32", "--tile", 64,
    )  # fmt: skip
    assert made.exit_code == 0
    for path in alone.glob("*.png"):
        with Image.open(path) as a, Image.open(out / path.name) as b:
            assert np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc here")
def test_workers_end_with_a_killed_parent_and_the_rest_is_resumed(photos, model_file, tmp_path):
    """Else they would put their pictures in the way of the run that goes on."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        words(photos, out, model_file), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    workers = [pid for pid in children(process.pid) if is_worker(pid)]
    process.kill()
    process.communicate(timeout=5)  # they hold its streams: closed means that they are gone
    assert len(workers) == 2
    until = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in workers):
        assert time.monotonic() < until, "a worker outlives its parent"
        time.sleep(0.01)
    before = {p: p.stat().st_mtime_ns for p in out.glob("*.png")}
    assert len(before) < 12
    rest = subprocess.run(
        words(photos, out, model_file, "--resume"), capture_output=True, check=False
    )
    assert rest.returncode == 0, rest.stderr
    assert len(list(out.glob("*.png"))) == 12
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == [".moce-journal.jsonl"]


def test_an_interrupt_reaches_all_workers(photos, model_file, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        words(photos, out, model_file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert 1 <= len(list(out.glob("*.png"))) < 12
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == [".moce-journal.jsonl"]


def test_a_list_of_devices_that_cannot_be(moce, photos, tmp_path):
    for devices, code in (("cpu,cuda:7", 5), ("cpu,", 2), ("cpu,auto", 2), ("cpu,gpu", 2)):
        result = moce("restore", photos, "-o", tmp_path / devices, "--device", devices)
        assert result.exit_code == code, result.output
