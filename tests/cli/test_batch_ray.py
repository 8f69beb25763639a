"""A Ray cluster: the same results, journal and codes; what a killed worker held is done again."""

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
COUNT = 16  # two a portion
JOURNAL = ".moce-journal.jsonl"


def needs_ray(test):
    test = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc here")(test)
    return pytest.mark.slow(test)


@pytest.fixture
def photos(picture, tmp_path):
    for i in range(COUNT):
        picture(tmp_path / "photos" / f"{i:02}.png", 400, 400, seed=i)
    return tmp_path / "photos"


def words(photos, out, model_file, *more):
    return [
        *MOCE, "restore", str(photos), "-o", str(out), "--engine", "ray", "--workers", "2",
        "--model", str(model_file), "--threads", "1", "--precision", "fp32", "--tile", "64",
        "--json", *more,
    ]  # fmt: skip


def begin(*arguments):
    environment = os.environ | {"RAY_worker_niceness": "0"}  # a busy machine starves them else
    pipe = subprocess.PIPE
    return subprocess.Popen(words(*arguments), stdout=pipe, stderr=pipe, text=True, env=environment)


def below(pid):
    """Process ids of all descendants, by /proc."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(p) for p in file.read().split()]
    except OSError:
        return []
    return children + [p for child in children for p in below(child)]


def workers(pid):
    found = []
    for one in below(pid):
        try:
            with open(f"/proc/{one}/cmdline", "rb") as file:
                if b"RayWorker" in file.read():
                    found.append(one)
        except OSError:
            continue
    return found


def at_work(out, until):
    """A worker in the middle of a portion: it keeps a folder from its first result to its last."""
    while time.monotonic() < until:
        for folder in out.glob(".moce-*-*-*"):
            return int(folder.name.rpartition("-")[2])
        time.sleep(0.01)
    raise AssertionError("no worker has begun")


def hidden(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def lines(out):
    return [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]


@needs_ray
def test_a_killed_workers_pictures_are_done_by_another(photos, model_file, moce, tmp_path):
    pytest.importorskip("ray")
    out = tmp_path / "out"
    (photos / "05.png").write_bytes((photos / "05.png").read_bytes()[:300])
    process = begin(photos, out, model_file)
    victim = at_work(out, time.monotonic() + 120)
    both = workers(process.pid)
    assert len(both) == 2
    assert victim in both
    os.kill(victim, signal.SIGKILL)
    rest, errors = process.communicate(timeout=240)
    rows = [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 1, errors  # the broken picture
    assert "Traceback" not in errors
    assert sorted(row["input"] for row in rows) == sorted(str(p) for p in photos.iterdir())
    assert [row["input"] for row in rows if row["status"] == "failed"] == [str(photos / "05.png")]
    assert hidden(out) == [JOURNAL]
    restored = [line["output"] for line in lines(out) if line["status"] == "restored"]
    assert sorted(restored) == sorted(p.name for p in photos.iterdir() if p.name != "05.png")
    assert f"{COUNT - 1} of {COUNT} pictures done, 1 failed" in errors
    assert "deaths of workers: 1; what they held was done by others" in errors

    options = ("--model", model_file, "--threads", 1, "--precision", "fp32", "--tile", 64)
    again = moce("restore", photos, "-o", out, "--resume", "--json", *options)
    told = [json.loads(line)["status"] for line in again.stdout.splitlines()]
    assert again.exit_code == 1
    assert (told.count("skipped"), told.count("failed")) == (COUNT - 1, 1), "the same journal"
    alone = tmp_path / "alone"
    assert moce("restore", photos, "-o", alone, *options).exit_code == 1
    assert len(list(alone.glob("*.png"))) == COUNT - 1
    for path in alone.glob("*.png"):
        with Image.open(path) as a, Image.open(out / path.name) as b:
            assert np.array_equal(np.asarray(a), np.asarray(b))


@needs_ray
def test_an_interrupt_reaches_the_cluster_and_the_rest_is_resumed(photos, model_file, tmp_path):
    pytest.importorskip("ray")
    out = tmp_path / "out"
    process = begin(photos, out, model_file)
    process.stdout.readline()
    everyone = below(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    done = len(list(out.glob("*.png")))
    assert 1 <= done < COUNT
    assert hidden(out) == [JOURNAL]
    until = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in everyone) and time.monotonic() < until:
        time.sleep(0.2)
    assert not [pid for pid in everyone if os.path.exists(f"/proc/{pid}")], "Ray is left behind"

    (photos / "15.png").write_bytes(b"no picture")
    process = begin(photos, out, model_file, "--resume", "--fail-fast")
    rest, errors = process.communicate(timeout=240)
    told = [json.loads(line)["status"] for line in rest.splitlines()]
    assert process.returncode == 1, errors
    assert told.count("skipped") == done
    assert told.count("failed") == 1


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--engine", "spark"], "there is no engine 'spark'"),
        (["--address", "auto"], "--address auto is of an engine, and none is named"),
        (["--workers", "3"], "--workers 3 is of an engine, and none is named"),
        (["--engine", "ray", "--watch"], "--watch and --engine ray exclude each other"),
        (["--engine", "ray", "--address", "ray://head:10001"], "which cannot keep the journal"),
        (["--engine", "ray", "--device", "cuda:1"], "--device cuda:1 and --engine ray exclude"),
    ],
)
def test_what_cannot_be_is_refused(moce, photos, tmp_path, more, sentence):
    result = moce("restore", photos, "-o", tmp_path / "out", *more)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_without_ray_one_sentence_names_the_extra(moce, photos, tmp_path, monkeypatch):
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, None)
    result = moce("restore", photos, "-o", tmp_path / "out", "--engine", "ray")
    assert result.exit_code == 2
    assert "needs the package ray, which is not installed" in result.stderr
    assert "pip install 'moce-cli[ray]'" in result.stderr
    assert not list((tmp_path / "out").glob("*.png"))


@needs_ray
def test_workers_fetch_and_bring_what_lies_elsewhere(picture, model_file, tmp_path):
    pytest.importorskip("ray")
    for i in range(3):
        picture(tmp_path / "bucket" / "photos" / f"{i}.png", seed=i)
    base = f"file://{tmp_path}/bucket"
    process = begin(f"{base}/photos", f"{base}/out", model_file)
    rest, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    told = [json.loads(line) for line in rest.splitlines()]
    assert sorted(row["output"] for row in told) == [f"{base}/out/{i}.png" for i in range(3)]
    out = tmp_path / "bucket" / "out"
    assert sorted(p.name for p in out.iterdir()) == [JOURNAL, "0.png", "1.png", "2.png"]
    assert sorted(line["output"] for line in lines(out)) == [
        f"{base}/out/{i}.png" for i in range(3)
    ]
