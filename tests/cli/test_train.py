"""`moce train` as a person meets it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tiny_run import write_recipe

from moce_cli.cli.train import _workers
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Ending
from moce_cli.training.state import Counters

ENDED = Ending(Path("tiny.safetensors"), Counters(), {}, stopped=False)


@pytest.fixture
def train(moce, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(tmp_path)

    def run(*arguments, recipe=recipe):
        return moce("train", recipe, "--threads", 1, "--workers", 0, "--device", "cpu", *arguments)

    return run


def test_it_writes_weights_state_record_and_plot(train, tmp_path):
    seen = train("--steps", 3, "--json", "--half", "--parts")
    assert seen.exit_code == 0, seen.output
    result = json.loads(seen.stdout)
    assert result["output"] == "tiny.safetensors"
    assert result["steps"] == 3
    assert set(result["psnr"]) == {"noise 25", "undamaged"}
    for name in ("tiny.safetensors", "tiny.safetensors.sha256", "tiny.state.pt", "tiny.jsonl"):
        assert (tmp_path / name).stat().st_size
    (part,) = result["parts"]
    assert part.startswith("tiny.safetensors.part-1-of-1-")
    with Image.open(result["plot"]) as plot:
        assert plot.width > 800


def test_what_it_wrote_restores(train, moce, tmp_path):
    assert train("--steps", 2).exit_code == 0
    picture = tmp_path / "clean" / "0.png"
    seen = moce(
        "restore", picture, "-o", tmp_path / "r.png", "--model", tmp_path / "tiny.safetensors"
    )
    assert seen.exit_code == 0, seen.output


def test_what_is_there_is_not_trained_over(train, tmp_path):
    assert train("--steps", 2).exit_code == 0
    before = (tmp_path / "tiny.safetensors").read_bytes()
    seen = train("--steps", 2)
    assert seen.exit_code == 6
    assert "to go on: --resume" in seen.stderr
    assert (tmp_path / "tiny.safetensors").read_bytes() == before
    assert train("--steps", 2, "--overwrite").exit_code == 0


@pytest.mark.parametrize("name", ["tiny.png", "tiny.jsonl", "tiny.safetensors.sha256"])
def test_nor_is_anothers_file_that_has_the_name_of_what_it_writes_beside(train, tmp_path, name):
    (tmp_path / name).write_text("mine")
    seen = train("--steps", 2)
    assert seen.exit_code == 6
    assert f"{name} exists" in seen.stderr
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "tiny.safetensors").exists()


def test_a_plot_that_cannot_be_written_costs_nothing_else(train, tmp_path):
    (tmp_path / "tiny.png").mkdir()
    seen = train("--steps", 2, "--json", "--overwrite")
    assert seen.exit_code == 0, seen.output
    assert "no plot: tiny.png cannot be written" in seen.stderr
    assert json.loads(seen.stdout)["plot"] is None


@pytest.mark.parametrize(
    ("device", "processes", "workers"),
    [("cpu", 1, 1), ("cpu", 2, 0), ("cuda", 1, 15), ("cuda", 4, 3), ("cuda", 16, 1)],
)
def test_cores_are_shared_out_among_processes(monkeypatch, device, processes, workers):
    monkeypatch.setattr("moce_cli.runtime.usable_cores", lambda: 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert _workers(None, device) == workers
    assert _workers(7, device) == 7


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--resume"], 3, "there is no state at"),
        (["--resume", "--overwrite"], 2, "exclude each other"),
        (["--resume", "--warm-start", "x"], 2, "exclude each other"),
        (["--warm-start", "x.safetensors"], 4, "x.safetensors"),
        (["--precision", "fp16"], 2, "training in 'fp16' is not supported"),
        (["--precision", "half"], 2, "--precision auto, fp32 or bf16"),
        (["--measure-data", "0"], 2, "--measure-data is 0, it needs a number of seconds above 0"),
        (["--measure-data", "-1"], 2, "--measure-data is -1, it"),
        (["--measure-data", "nan"], 2, "--measure-data is nan, it"),
        (["--measure-data", "inf"], 2, "--measure-data is inf, it"),
        (["-o", "weights.bin"], 2, "end its name in .safetensors"),
        (["--steps", "0"], 2, "--steps"),
        (["--minutes", "-1"], 2, "minutes is -1"),
        (["--device", "gpu"], 2, "is no device"),
        (["--data", "nowhere"], 3, "nowhere is not there"),
    ],
)
def test_what_cannot_work_is_a_sentence(train, arguments, code, sentence):
    seen = train(*arguments)
    assert seen.exit_code == code, seen.output
    assert sentence in seen.stderr.replace("\n", " ")


def test_a_folder_without_pictures(train, tmp_path):
    (tmp_path / "empty").mkdir()
    seen = train("--data", tmp_path / "empty")
    assert seen.exit_code == 3
    assert "holds no pictures" in seen.stderr


def test_a_missing_recipe_and_one_that_is_none(train, tmp_path):
    seen = train(recipe=tmp_path / "none.toml")
    assert seen.exit_code == 2
    assert "there is no such recipe" in seen.stderr
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ")
    seen = train(recipe=bad)
    assert seen.exit_code == 2
    assert "is no TOML" in seen.stderr


def test_an_unreadable_picture_is_named_and_left_out(train, tmp_path):
    (tmp_path / "clean" / "broken.png").write_bytes(b"no picture")
    seen = train("--steps", 2)
    assert seen.exit_code == 0, seen.output
    assert "broken.png is left out" in seen.stderr


def test_a_small_picture_is_named_and_left_out(train, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "clean" / "small.png")
    seen = train("--steps", 2)
    assert seen.exit_code == 0, seen.output
    assert "small.png is left out" in seen.stderr


def test_the_rate_of_the_data_alone(train, tmp_path):
    seen = train("--measure-data", 0.3)
    assert seen.exit_code == 0, seen.output
    assert float(seen.stdout.split()[0]) > 1
    assert not (tmp_path / "tiny.safetensors").exists()
    seen = train("--measure-data", 0.3, "--json")
    assert seen.exit_code == 0, seen.output
    result = json.loads(seen.stdout)
    assert result.keys() == {"crops_per_second", "workers"}
    assert result["crops_per_second"] > 1


def test_a_card_without_bfloat16_trains_in_float32(train, monkeypatch):
    """What `auto` takes for restoring is not what a run can use."""
    monkeypatch.setattr("moce_cli.training.options.choose_precision", lambda *_: "fp16")
    begun = []
    monkeypatch.setattr(Trainer, "run", lambda run: begun.append(run.options.precision) or ENDED)
    assert train("--json").exit_code == 0
    assert begun == ["fp32"]


def test_the_budget_is_of_the_whole_run_and_the_help_says_so(train, moce):
    assert train("--steps", 2).exit_code == 0
    seen = train("--steps", 3, "--resume", "--json")
    assert json.loads(seen.stdout)["steps"] == 3
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", moce("train", "--help").stdout).split())
    for unit in ("steps", "minutes"):
        assert f"so many {unit} in all, those before --resume among them." in words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(tmp_path, number):
    recipe = write_recipe(tmp_path, steps=100_000)
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "moce_cli", "train", recipe, "--threads", "1"),
            *("--workers", "1", "--no-compile"),
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 60
    record = tmp_path / "tiny.jsonl"
    while not (record.exists() and record.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert b"go on with --resume" in said
    assert (tmp_path / "tiny.safetensors").exists()
    assert (tmp_path / "tiny.state.pt").exists()
