"""The recipes for many processes and machines, run as they stand, with fewer of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path):
    """`moce` on the path, and the model that is shipped."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "moce"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m moce_cli "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def made(out):
    return sorted(p.name for p in out.glob("[!.]*"))


def test_processes_of_one_machine(environment, picture, tmp_path):
    for i in range(4):
        picture(tmp_path / "in here" / f"{i}.png", seed=i)
    words = ["sh", ROOT / "examples" / "parallel.sh", tmp_path / "in here", tmp_path / "out", "2"]
    subprocess.run(words, env=environment, check=True)
    assert made(tmp_path / "out") == [f"{i}.png" for i in range(4)]
    journals = [p.name for p in (tmp_path / "out").glob(".moce-journal.*")]
    assert sorted(journals) == [".moce-journal.1-of-2.jsonl", ".moce-journal.2-of-2.jsonl"]


def test_a_slurm_array(environment, picture, tmp_path):
    for i in range(4):
        picture(tmp_path / "in" / f"{i}.png", seed=i)
    words = ["sh", ROOT / "examples" / "slurm_array.sh", tmp_path / "in", tmp_path / "out"]
    alone = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert alone.returncode
    assert "sbatch" in alone.stderr
    for task in ("1", "2"):
        told = {
            "SLURM_ARRAY_TASK_ID": task,
            "SLURM_ARRAY_TASK_COUNT": "2",
            "SLURM_CPUS_PER_TASK": "1",
        }
        subprocess.run(words, env=environment | told, check=True)
    assert made(tmp_path / "out") == [f"{i}.png" for i in range(4)]
