"""The real process: signals, closed and broken streams."""

import os
import signal
import subprocess
import sys
import time

import pytest
from cli_support import png_bytes

MOCE = [sys.executable, "-m", "moce_cli"]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes())
    return path


def run(*words, **options):
    return subprocess.run(
        [*MOCE, *map(str, words)], capture_output=True, text=True, check=False, **options
    )


def test_an_interrupt_keeps_what_is_finished_and_leaves_nothing_half_done(model_file, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(20):
        (photos / f"{i:02}.png").write_bytes(png_bytes(120, 120))
    words = ["restore", photos, "-o", tmp_path / "out", "--model", model_file, "--tile", "32"]
    process = subprocess.Popen(
        [*MOCE, *map(str, words)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    first = process.stderr.readline()
    assert "[1/20]" in first
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    made = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert made.pop(0) == ".moce-journal.jsonl"
    assert 1 <= len(made) < 20
    assert all(name.endswith(".png") for name in made), "no temporary file stays"
    again = run(*words, "--skip-existing")
    assert again.returncode == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 20


def test_closed_streams_are_said(source, model_file, tmp_path):
    closed_input = f'exec "$@" restore - -o {tmp_path}/b.png --model {model_file} <&-'
    seen = subprocess.run(
        ["sh", "-c", closed_input, "sh", *MOCE], capture_output=True, text=True, check=False
    )
    assert seen.returncode == 3
    assert "standard input is closed" in seen.stderr
    closed_output = f'exec "$@" restore {source} -o - --model {model_file} >&-'
    seen = subprocess.run(
        ["sh", "-c", closed_output, "sh", *MOCE], stderr=subprocess.PIPE, text=True, check=False
    )
    assert seen.returncode == 6
    assert "standard output is closed" in seen.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["--version"], ["models", "ls"]])
def test_a_full_disk_behind_stdout_is_said(words):
    with open("/dev/full", "w") as full:
        seen = subprocess.run(
            [*MOCE, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert seen.returncode == 6
    assert "No space left" in seen.stderr or "disk is full" in seen.stderr
    assert "Traceback" not in seen.stderr


def test_a_reader_that_goes_away_is_no_error_to_shout_about(source, model_file):
    command = f'"$@" restore {source} -o - --model {model_file} | head -c 1 > /dev/null'
    seen = subprocess.run(
        ["sh", "-c", command, "sh", *MOCE], stderr=subprocess.PIPE, text=True, check=False
    )
    assert "Traceback" not in seen.stderr


def test_colour_that_is_forced_brings_no_bars_into_a_pipe(source, model_file, tmp_path):
    seen = run(
        "restore", source, "-o", tmp_path / "b.png", "--model", model_file,
        env=os.environ | {"FORCE_COLOR": "1"},
    )  # fmt: skip
    assert seen.returncode == 0
    assert "\x1b[?25l" not in seen.stderr
    assert "\x1b[2K" not in seen.stderr
