"""A run goes on: by the README's way of several processes, and wherever it was killed."""

import os
import random
import subprocess
import sys

import pytest
import torch
from tiny_run import write_recipe

from moce_cli.checkpoints import load
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.recipe import load_recipe
from moce_cli.training.record import read_lines
from moce_cli.training.state import state_path

STEPS = 12


def torchrun(folder, *arguments):
    """`torchrun --nproc-per-node 2 -m moce_cli train tiny.toml`, as the README has it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "moce_cli", "train", "tiny.toml"]
    command += ["--device", "cpu", "--workers", "0", "--json", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_two_processes_of_the_command_train_and_go_on(tmp_path):
    write_recipe(tmp_path)
    weights = {}
    for steps, more in ((3, ()), (5, ("--resume",))):
        done = torchrun(tmp_path, "--steps", str(steps), *more)
        assert done.stdout.count('"steps"') == 1, "the first process alone tells"
        assert f'"steps": {steps}' in done.stdout
        loaded = load(tmp_path / "tiny.safetensors")
        assert loaded.card.facts["steps"] == steps
        weights[steps] = loaded.state
        content = torch.load(state_path(tmp_path / "tiny.safetensors"), weights_only=True)
        assert content["counters"]["step"] == steps
    assert all(value.isfinite().all() for value in weights[5].values())
    assert any(not torch.equal(weights[3][name], value) for name, value in weights[5].items())
    noted = [line["step"] for line in read_lines(tmp_path / "tiny.jsonl") if line["kind"] == "step"]
    assert noted == [3, 5]


class CrashError(Exception):
    """As if the power had gone."""


def test_a_run_killed_anywhere_after_its_state_ends_where_the_unbroken_one_ends(tmp_path):
    path = write_recipe(tmp_path, STEPS, network="scene = true")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[data]", "[data]\ncolor_jitter = 0.7"), encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.network.scene
    assert recipe.data.color_jitter == 0.7

    def run(name, resume=False, watch=None):
        options = Options(tmp_path / f"{name}.safetensors", torch.device("cpu"), resume=resume)
        return Trainer(recipe, options, watch=watch).run()

    run("whole")
    whole = load(tmp_path / "whole.safetensors").state
    # the state is kept every five steps, when it is measured, and not in the step of the crash
    for crash in random.sample(range(6, STEPS + 1), 2):
        name = f"killed in step {crash}"

        def killed(moment, crash=crash):
            if moment.step == crash:
                raise CrashError

        with pytest.raises(CrashError):
            run(name, watch=killed)
        state = torch.load(state_path(tmp_path / f"{name}.safetensors"), weights_only=True)
        kept = state["counters"]["step"]
        assert kept < crash, name
        assert run(name, resume=True).counters.step == STEPS, name
        for key, value in load(tmp_path / f"{name}.safetensors").state.items():
            far = float((value - whole[key]).abs().max())
            assert far <= 1e-6, f"{key} is {far} away, {name}, resumed after {kept}"
