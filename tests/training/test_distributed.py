"""Two processes over gloo train what one process trains."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tiny_run import trainer, write_recipe

from moce_cli.checkpoints import load
from moce_cli.errors import UsageError
from moce_cli.training.distributed import Place, joined

ONE_EXPERT = "num_experts = 1\nrank_divisors = [1]\nexpert_windows = [8]"


def torchrun(folder, script, processes=2):
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def set_place(monkeypatch, **names):
    """What `torchrun` sets; None where it is not set."""
    for name, value in names.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


def script(folder, name):
    return f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from pathlib import Path
        import torch
        from moce_cli.training.distributed import joined
        from moce_cli.training.loop import Trainer
        from moce_cli.training.options import Options
        from moce_cli.training.recipe import load_recipe
        torch.set_num_threads(1)
        folder = Path({str(folder)!r})
        with joined("cpu") as place:
            options = Options(folder / "{name}.safetensors", torch.device("cpu"))
            run = Trainer(load_recipe(folder / "tiny.toml"), options, place)
            run.run()
            total = sum(float(p.double().sum()) for p in run.objective.parameters())
            print("rank", place.rank, "of", place.world_size, "sum", repr(total), flush=True)
    """


@pytest.mark.parametrize("network", [ONE_EXPERT, ""], ids=["one expert", "four experts"])
def test_two_processes_keep_the_same_weights(tmp_path, network):
    write_recipe(tmp_path, 6, network=network)
    done = torchrun(tmp_path, script(tmp_path, "two"))
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("rank")]
    assert {line[1] for line in lines} == {"0", "1"}
    assert {line[3] for line in lines} == {"2"}
    assert len({line[5] for line in lines}) == 1
    assert load(tmp_path / "two.safetensors").card.facts["steps"] == 6


def test_two_processes_train_what_one_trains(tmp_path):
    # with one expert and without noise nothing is drawn but the crops, the same together
    recipe = write_recipe(tmp_path, 6, network=ONE_EXPERT)
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("noise = [10, 50]", "blur = [1, 3]"), encoding="utf-8")
    done = torchrun(tmp_path, script(tmp_path, "two"))
    assert done.returncode == 0, done.stderr
    done = torchrun(tmp_path, script(tmp_path, "one"), processes=1)
    assert done.returncode == 0, done.stderr
    one, two = (load(tmp_path / f"{name}.safetensors").state for name in ("one", "two"))
    for name, value in one.items():
        assert (value - two[name]).abs().max() < 2e-4, name


@pytest.mark.parametrize(
    ("size", "rank", "local_rank", "told"),
    [
        ("2", "first", "0", "RANK is 'first', it needs a whole number from 0 to 1"),
        ("2", "2", "0", "RANK is '2', it needs a whole number from 0 to 1"),
        ("2", "", "0", "RANK is '', it needs a whole number from 0 to 1"),
        ("2", None, "0", "WORLD_SIZE is '2', but RANK is not set"),
        ("two", "0", "0", "WORLD_SIZE is 'two', it needs a whole number from 1 on"),
        ("0", "0", "0", "WORLD_SIZE is '0', it needs a whole number from 1 on"),
        ("2", "0", "-1", "LOCAL_RANK is '-1', it needs a whole number from 0 on"),
    ],
)
def test_an_environment_without_a_place_is_refused(monkeypatch, size, rank, local_rank, told):
    set_place(monkeypatch, WORLD_SIZE=size, RANK=rank, LOCAL_RANK=local_rank)
    with pytest.raises(UsageError) as caught, joined("cpu"):
        pass
    assert caught.value.message == told
    assert caught.value.hint == "start several processes with torchrun"


@pytest.mark.parametrize("rank", [None, "0"])
def test_one_process_of_one_is_alone(monkeypatch, rank):
    set_place(monkeypatch, WORLD_SIZE="1", RANK=rank, LOCAL_RANK=None)
    with joined("cpu") as place:
        assert place == Place()
        assert place.is_alone


def test_alone_is_a_place_too(tmp_path, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as place:
        assert place.is_alone
        assert place.is_first
    assert trainer(tmp_path).place.is_alone
