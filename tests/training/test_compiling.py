"""Compiled where it pays, and the same network as before."""

import functools
import shutil

import pytest
import torch
from tiny_run import trainer
from torch import nn

from moce_cli.checkpoints import load
from moce_cli.network import PRESETS, MoCEIR
from moce_cli.network.layers import EncoderBlock, GatedFeedForward
from moce_cli.network.mixture import ExpertFeedForward
from moce_cli.training.compiling import compile_blocks, pays

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.fixture
def compiled(monkeypatch):
    """The modules that are asked to be compiled, and how; none is."""
    seen = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: seen.append((self, how)))
    return seen


@pytest.mark.parametrize(
    ("device", "minutes", "steps", "wanted"),
    [
        (CPU, 14.0, None, False),
        (CPU, 15.0, None, True),
        (CPU, None, 1999, False),
        (CPU, None, 2000, True),
        (CPU, 1.0, 9999, False),
        (CUDA, 30.0, None, True),
        (CUDA, 1.0, None, False),
        (MPS, 600.0, None, False),
    ],
)
def test_it_pays_for_a_long_run_alone(monkeypatch, device, minutes, steps, wanted):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/c++")
    assert pays(device, minutes, steps) == wanted


def test_a_cpu_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not pays(CPU, 60.0, None)
    assert pays(CUDA, 60.0, None)


def test_blocks_are_compiled_for_fixed_shapes_and_experts_are_not(compiled):
    network = MoCEIR(PRESETS["moce_ir_xs"])
    compile_blocks(network)
    modules = {id(module) for module, _ in compiled}
    assert all(how == {"dynamic": False} for _, how in compiled)
    assert len(modules) == len(compiled) > 0
    assert {id(m) for m in network.modules() if isinstance(m, EncoderBlock)} <= modules
    within = {
        id(part)
        for module in network.modules()
        if isinstance(module, ExpertFeedForward)
        for part in module.modules()
    }
    assert not modules & within
    outside = [m for m in network.modules() if id(m) not in within]
    assert {id(m) for m in outside if isinstance(m, GatedFeedForward)} <= modules


def test_a_run_compiles_when_it_is_told_to(compiled, tmp_path):
    trainer(tmp_path, name="plain")
    assert compiled == []
    trainer(tmp_path, name="fast", compiled=True)
    assert compiled


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's tracer looks at it itself
def test_a_compiled_run_writes_the_weights_of_a_plain_one(tmp_path, monkeypatch):
    """Its names are plain, too; traced and not translated, so that no compiler is needed."""
    whole = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(whole, backend="eager"))
    for name, compiled in (("plain", False), ("traced", True)):
        trainer(tmp_path, steps=3, name=name, compiled=compiled).run()
    plain, traced = (load(tmp_path / f"{name}.safetensors") for name in ("plain", "traced"))
    assert plain.state.keys() == traced.state.keys()
    for name, value in plain.state.items():
        torch.testing.assert_close(traced.state[name], value, rtol=0, atol=1e-5)
