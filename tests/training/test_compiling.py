"""Compiled where it pays, and the same network as before."""

import functools
from dataclasses import replace

import pytest
import torch
from tiny_run import trainer, write_recipe
from torch import nn

from moce_cli.checkpoints import load
from moce_cli.network import PRESETS, MoCEIR
from moce_cli.network.layers import EncoderBlock, GatedFeedForward
from moce_cli.network.mixture import ExpertFeedForward
from moce_cli.training.compiling import compile_blocks, pays
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.recipe import load_recipe
from moce_cli.training.settings import Stage

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
        (CUDA, 14.0, None, False),
        (CUDA, 15.0, None, True),
        (CUDA, None, 1999, False),
        (CUDA, None, 2000, True),
        (CUDA, 1.0, 9999, False),
        (CPU, 600.0, None, False),
        (MPS, 600.0, None, False),
    ],
)
def test_it_pays_for_a_long_run_on_cuda_alone(device, minutes, steps, wanted):
    assert pays(device, minutes, steps) == wanted


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
    recipe = load_recipe(write_recipe(tmp_path, 3))
    stages = tuple(Stage(crop, batch, 1 / 3) for crop, batch in ((32, 4), (40, 3), (48, 2)))
    recipe = replace(recipe, stages=stages, validation=None)
    for name, compiled in (("plain", False), ("traced", True)):
        options = Options(tmp_path / f"{name}.safetensors", CPU, compiled=compiled)
        # every level has its shapes, in every stage: none may fall back to what is not compiled
        with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
            Trainer(recipe, options).run()
    plain, traced = (load(tmp_path / f"{name}.safetensors") for name in ("plain", "traced"))
    assert plain.state.keys() == traced.state.keys()
    for name, value in plain.state.items():
        torch.testing.assert_close(traced.state[name], value, rtol=0, atol=1e-5)
