"""Batches in trouble: killed, on a full disk, among files that vanish, with names of every kind."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

MOCE = [sys.executable, "-m", "moce_cli"]


def make_pictures(folder, count):
    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8)).save(folder / f"{i:04}.png")


def state(folder):
    """Of every file: its bytes and time."""
    return {
        p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in folder.glob("[!.]*.png")
    }


def start(*words):
    return subprocess.Popen(
        [*MOCE, "restore", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def assert_right(photos, out, network):
    from moce_cli.pictures import read

    for source in photos.glob("*.png"):
        expected = network.restore(read(source)).picture.pixels
        assert np.array_equal(read(out / source.name).pixels, expected), source.name


@pytest.mark.parametrize(
    ("count", "kills"),
    [(60, 3), pytest.param(1000, 20, marks=pytest.mark.slow)],
    ids=["small", "large"],
)
def test_killed_at_random_moments_and_resumed(model_file, tmp_path, count, kills):
    """Nothing partial, nothing done twice, nothing of the inputs touched, all there at the end."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    make_pictures(photos, count)
    inputs, folder_time = state(photos), photos.stat().st_mtime_ns
    words = (
        photos, "-o", out, "--resume", "--model", model_file, "--threads", 1,
        "--precision", "fp32", "--json",
    )  # fmt: skip
    chance, kept = random.Random(count), {}
    for kill in range(kills):
        process = start(*words)
        # not before it works, nor after it is done: at some picture of this try's share
        todo = (count - len(kept)) // (kills - kill + 1)
        for _ in range(len(kept) + chance.randrange(max(1, 2 * todo - 1)) + 1):
            if not process.stdout.readline():
                break
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = state(out)
        assert {name: now.get(name) for name in kept} == kept, "nothing is done twice"
        for name in now:
            with Image.open(out / name) as image:
                image.load()
        kept = now
    assert 0 < len(kept) < count, "the kills met the work"
    process = start(*words)
    process.communicate(timeout=300)
    assert process.returncode == 0
    final = state(out)
    assert len(final) == count
    assert {name: final[name] for name in kept} == kept
    assert state(photos) == inputs
    assert photos.stat().st_mtime_ns == folder_time, "nothing came or went beside the inputs"
    left = [p.name for p in out.iterdir() if p.name.startswith(".")]
    assert left == [".moce-journal.jsonl"], "what the kills left is swept away"
    from moce_cli.restoration import Restorer

    assert_right(
        photos, out, Restorer.from_pretrained(str(model_file), precision="fp32", threads=1)
    )


def test_a_run_whose_line_came_but_not_its_picture_does_it_again(moce, picture, tmp_path):
    """As a kill between the journal's line and the renaming leaves it."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    for i in range(2):
        picture(photos / f"{i}.png", seed=i)
    assert moce("restore", photos, "-o", out).exit_code == 0
    before = (out / "1.png").read_bytes()
    (out / "1.png").unlink()
    again = moce("restore", photos, "-o", out, "--resume", "--json")
    rows = [json.loads(line)["status"] for line in again.stdout.splitlines()]
    assert rows == ["skipped", "restored"]
    assert (out / "1.png").read_bytes() == before


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 120 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120k", "none", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up(moce, picture, small_disk, tmp_path):
    photos, out = tmp_path / "photos", small_disk / "out"
    for i in range(12):
        picture(photos / f"{i:02}.png", 90, 100, seed=i)
    full = moce("restore", photos, "-o", out, "--json")
    assert full.exit_code == 1
    rows = [json.loads(line) for line in full.stdout.splitlines()]
    assert len(rows) == 12
    failures = [row["error"] for row in rows if row["status"] == "failed"]
    assert 3 <= len(failures) < 12
    assert {error["exit_code"] for error in failures} == {6}
    assert all("space" in e["message"] or "full" in e["message"] for e in failures), failures
    kept = state(out)
    assert len(kept) == 12 - len(failures)
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    assert moce("restore", photos, "-o", out, "--resume").exit_code == 0
    final = state(out)
    assert len(final) == 12
    assert {name: final[name] for name in kept} == kept
    assert not list(out.glob(".moce-j[0-9a-f]*"))


ODD = [
    b"a b.png", b"line\nbreak.png", b"\xff\xfe.png", "\U0001f4f7.png".encode(), b"-o.png",
    b"x" * 246 + b".png", b"quote'\".png", b"[1].png", b"{stem}.png", b"%s $HOME.png", b"..a.png",
]  # fmt: skip


def test_names_of_every_kind(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png").read_bytes()
    (tmp_path / "in").mkdir()
    names = []
    for name in ODD:
        try:
            (tmp_path / "in" / os.fsdecode(name)).write_bytes(source)
        except OSError:
            continue  # this file system does not take it
        names.append(name)
    wanted = {n for n in names if not n.startswith(b".")}
    words = ("restore", tmp_path / "in", "-o", tmp_path / "out", "--json")
    result = moce(*words)
    assert result.exit_code == 0, result.stderr
    there = {n for n in os.listdir(os.fsencode(tmp_path / "out")) if not n.startswith(b".")}
    assert there == wanted
    again = moce(*words, "--resume")
    assert {json.loads(line)["status"] for line in again.stdout.splitlines()} == {"skipped"}


def test_links_in_a_circle_and_a_read_only_folder_in_the_middle(moce, picture, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        picture(photos / name)
    (photos / "c" / "round").symlink_to(photos)
    (photos / "c" / "self.png").symlink_to("self.png")
    (out).mkdir()
    (out / "b").write_text("a file where a folder should be, which root may not write to either")
    result = moce("restore", photos, "-o", out, "--json")
    rows = {r["input"]: r for r in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 1
    told = {os.path.relpath(k, photos): v["status"] for k, v in rows.items()}
    assert told == {
        "a/1.png": "restored", "b/1.png": "failed", "c/1.png": "restored", "c/self.png": "failed",
    }  # fmt: skip
    assert rows[str(photos / "b" / "1.png")]["error"]["exit_code"] == 6
    assert rows[str(photos / "c" / "self.png")]["error"]["exit_code"] == 3


def test_files_that_vanish_or_change_while_it_runs(moce, picture, tmp_path, monkeypatch):
    from moce_cli.batch import loading

    photos, out = tmp_path / "photos", tmp_path / "out"
    for i in range(8):
        picture(photos / f"{i}.png", seed=i)
    opened = loading.open_picture

    def meanwhile(source, most, **options):
        if source.name == "0.png":
            (photos / "6.png").unlink()
        made = opened(source, most, **options)
        if source.name == "2.png":
            picture(source, seed=99)
        return made

    monkeypatch.setattr(loading, "open_picture", meanwhile)
    result = moce("restore", photos, "-o", out, "--json")
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [r["status"] == "failed" for r in rows] == [i in (2, 6) for i in range(8)]
    monkeypatch.setattr(loading, "open_picture", opened)
    assert moce("restore", photos, "-o", out, "--resume").exit_code == 0
    assert len(state(out)) == 7


def test_sigterm_is_as_good_as_ctrl_c(model_file, tmp_path):
    make_pictures(tmp_path / "photos", 60)
    process = start(
        tmp_path / "photos", "-o", tmp_path / "out", "--json", "--model", model_file,
        "--threads", 1,
    )  # fmt: skip
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert 1 <= len(state(tmp_path / "out")) < 60
    assert not list((tmp_path / "out").glob(".moce-j[0-9a-f]*"))


@pytest.mark.slow
def test_the_network_is_busy(moce, tmp_path):
    """On 200 small files reading and writing hide behind the network."""
    make_pictures(tmp_path / "photos", 200)
    result = moce("restore", tmp_path / "photos", "-o", tmp_path / "out", "--model", "photo-xs")
    share = int(result.stderr.partition("network busy")[2].split()[0])
    assert 85 < share <= 100
