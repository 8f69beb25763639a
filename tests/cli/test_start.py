"""What a small picture pays beside the network: what is imported, and with how many threads."""

import json
import os
import subprocess
import sys

import pytest
import torch
from cli_support import png_bytes

from moce_cli.network import MoCEIR

NEEDLESS = [
    "cv2",
    "huggingface_hub",
    "fsspec",
    "pyvips",
    "ray",
    "matplotlib",
    "scipy",
    "moce_cli.training",
    "moce_cli.evaluation",
    "moce_cli.degradations",
    "moce_cli.compare",
]


def python(code, *words, **options):
    seen = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True, text=True, check=True, **options,
    )  # fmt: skip
    return seen.stdout.splitlines()


def test_a_picture_imports_nothing_that_it_does_not_need(model_file, tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes())
    alone = python("import sys, torch; print(*sorted(sys.modules))")[0].split()
    code = (
        "import sys\n"
        "from moce_cli.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as ending: assert not ending.code\n"
        "print(*sorted(sys.modules))"
    )
    words = ["restore", tmp_path / "a.png", "-o", tmp_path / "b.png", "-q", "--model", model_file]
    seen = python(code, *words)[-1].split()
    assert (tmp_path / "b.png").exists()
    assert [name for name in NEEDLESS if name in seen] == []
    # neither the compiler nor anything else of torch beyond what importing it takes
    further = {n.partition(".")[2].partition(".")[0] for n in seen if n.startswith("torch.")}
    further -= {n.partition(".")[2].partition(".")[0] for n in alone if n.startswith("torch.")}
    assert further <= {"fft"}
    assert {n for n in seen if n.split(".")[0] in ("sympy", "networkx")} <= set(alone)


def test_objects_that_stay_are_left_alone_by_the_collector():
    code = (
        "import gc\n"
        "from moce_cli.cli.importing import importing\n"
        "with importing():\n"
        "    import torch\n"
        "    print(gc.isenabled())\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
        "before = gc.get_freeze_count()\n"
        "with importing(): print(gc.isenabled(), gc.get_freeze_count() <= before)"
    )
    assert python(code) == ["False", "True True", "True True"]


@pytest.fixture
def threads(monkeypatch):
    """How many threads torch had each time the network ran, in its own thread."""
    seen = set()
    restore = MoCEIR.restore

    def watched(self, *arguments, **options):
        seen.add(torch.get_num_threads())
        return restore(self, *arguments, **options)

    monkeypatch.setattr(MoCEIR, "restore", watched)
    before = torch.get_num_threads()
    yield seen
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 3])
def test_every_way_obeys_threads(moce, model_file, picture, tmp_path, threads, count):
    clean = picture(tmp_path / "pairs" / "clean" / "a.png", 48, 40)
    picture(tmp_path / "pairs" / "degraded" / "a.png", 48, 40, seed=1)
    given = ["--threads", count, "--device", "cpu", "--model", model_file]
    result = moce("restore", clean, "-o", tmp_path / "b.png", "--json", *given)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["plan"]["threads"] == count
    assert threads == {count}
    for words in (
        ["info", clean],
        ["compare", clean, clean, "-o", tmp_path / "c.html", "--experts"],
        ["eval", tmp_path / "pairs"],
        ["eval", clean.parent, "--suite", "noise 25", "--oracle", "--crop", 32],
    ):
        threads.clear()
        torch.set_num_threads(2)
        result = moce(*words, *given)
        assert result.exit_code == 0, result.output
        assert threads == {count}, words


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_one_core_is_one_thread(model_file, tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes())
    core = min(os.sched_getaffinity(0))
    words = ["restore", tmp_path / "a.png", "-o", tmp_path / "b.png", "--model", model_file]
    seen = subprocess.run(
        [sys.executable, "-m", "moce_cli", *map(str, words), "--json"],
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(seen.stdout)["plan"]["threads"] == 1
