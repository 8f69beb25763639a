"""Folders that nobody may write to in the middle of a batch: real ones, also for root."""

import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def read_only(tmp_path):
    """Make a folder a disk that is mounted to be read; root may not write there either."""
    mounted = []

    def mount(folder):
        folder.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "none", folder]
        try:
            failed = subprocess.run(words, capture_output=True, check=False).returncode
        except FileNotFoundError:
            failed = True
        if failed:
            pytest.skip("mounting a disk is not allowed here")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def photos(picture, tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.png", "c/1.png"):
        picture(tmp_path / "photos" / name)
    return tmp_path / "photos"


def check(code, stdout, out):
    """Those of the folder in the middle failed, each with its code; the others are there."""
    rows = [json.loads(line) for line in stdout.splitlines()]
    assert code == 1, rows
    assert [r["status"] for r in rows] == ["restored", "failed", "failed", "restored"]
    assert [r["error"]["exit_code"] for r in rows[1:3]] == [6, 6]
    assert all(str(out / "b") in r["error"]["message"] for r in rows[1:3]), rows
    assert not any(".moce-" in r["error"]["message"] for r in rows[1:3]), "a name nobody has seen"
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == {
        ".moce-journal.jsonl", "a/1.png", "c/1.png",
    }  # fmt: skip


def test_a_read_only_disk_in_the_middle(moce, photos, read_only, tmp_path):
    out = tmp_path / "out"
    read_only(out / "b")
    words = ("restore", photos, "-o", out, "--json")
    result = moce(*words)
    check(result.exit_code, result.stdout, out)
    assert "read-only" in result.stdout
    subprocess.run(["mount", "-o", "remount,rw", out / "b"], check=True)
    again = moce(*words, "--resume")
    assert again.exit_code == 0, "what failed for its folder is tried again unasked"
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == [
        "skipped", "restored", "restored", "skipped",
    ]  # fmt: skip


def test_inputs_on_a_read_only_disk(moce, picture, tmp_path, read_only):
    photos = tmp_path / "photos"
    read_only(photos)
    subprocess.run(["mount", "-o", "remount,rw", photos], check=True)
    picture(photos / "1.png")
    subprocess.run(["mount", "-o", "remount,ro", photos], check=True)
    assert moce("restore", photos, "-o", tmp_path / "out").exit_code == 0
    beside = moce("restore", photos)
    assert beside.exit_code == 6
    assert "cannot be written to: read-only" in beside.stderr
    assert [p.name for p in photos.iterdir()] == ["1.png"]


def test_a_folder_without_permission_in_the_middle(photos, model_file, tmp_path):
    """Root is let in anywhere, so it gives that power up first."""
    out = tmp_path / "out"
    (out / "b").mkdir(parents=True)
    (out / "b").chmod(0o555)
    bound = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not there to bind root to permissions")
        powers = "-dac_override,-dac_read_search"
        bound = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"]
    words = [
        *bound, sys.executable, "-m", "moce_cli", "restore", photos, "-o", out, "--json",
        "--model", model_file, "--threads", "1",
    ]  # fmt: skip
    made = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    check(made.returncode, made.stdout, out)
    assert "permission denied" in made.stdout
