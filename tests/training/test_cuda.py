"""Training on a GPU: what it computes, where it goes on, and that data does not hold it up."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import write_recipe
from training_pictures import RECIPE, folder_of

from moce_cli.checkpoints import load
from moce_cli.degradations import KINDS
from moce_cli.runtime import usable_cores
from moce_cli.training import loop
from moce_cli.training.data import Damage, Ingredient
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.rate import measure_rate
from moce_cli.training.recipe import load_recipe, with_data
from moce_cli.training.sampling import Sampler, finish

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PHOTO = Path(__file__).parents[2] / "examples" / "recipes" / "photo-s.toml"
FIXED = ("blur", "defocus", "shake", "low")
"""Arithmetic kinds that draw no field: the plan says all."""
SEEDED = ("haze", "rain", "snow", "sensor", "noise")
"""Those that do, and each device draws its own."""


def cuda_run(recipe, output, **options):
    """A run on the GPU, and what it said of each step."""
    moments = []
    run = Trainer(recipe, Options(output, CUDA, **options), watch=moments.append)
    return run, moments


@pytest.mark.filterwarnings("ignore")  # the compiler's own, about the device and torch's insides
def test_two_bf16_steps_compiled_or_not_compute_the_same_losses(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path, 2))
    # nothing is drawn within what is compiled; an expert left out is drawn beside it
    recipe = replace(recipe, loss=replace(recipe.loss, expert_dropout=0.0), validation=None)
    losses = {}
    for name, compiled in (("plain", False), ("compiled", True)):
        output = tmp_path / f"{name}.safetensors"
        run, moments = cuda_run(recipe, output, precision="bf16", compiled=compiled)
        before = {k: v.clone() for k, v in run.objective.network.state_dict().items()}
        assert run.run().counters.step == 2
        assert run.counters.skipped == 0
        after = run.objective.network.state_dict()
        assert all(value.isfinite().all() for value in load(output).state.values())
        assert any(not torch.equal(before[name], after[name]) for name in before)
        losses[name] = [moment.loss for moment in moments]
    assert losses["compiled"] == pytest.approx(losses["plain"], rel=0.05)


def test_a_resumed_run_goes_on_at_its_step_with_its_crops(tmp_path, monkeypatch):
    seeds = []

    def noted(batch, device):
        seeds.append(batch.seed)
        return finish(batch, device)

    monkeypatch.setattr(loop, "finish", noted)
    recipe = replace(load_recipe(write_recipe(tmp_path, 6)), validation=None)
    whole, _ = cuda_run(recipe, tmp_path / "whole.safetensors")
    whole.run()
    unbroken, seeds[:] = list(seeds), []
    output = tmp_path / "broken.safetensors"
    first = Trainer(recipe, Options(output, CUDA), stop=lambda: first.counters.step == 2)
    assert first.run().stopped
    resumed, moments = cuda_run(recipe, output, resume=True)
    assert resumed.run().counters.step == 6
    assert [moment.step for moment in moments] == [3, 4, 5, 6]
    assert seeds == unbroken
    states = [
        value
        for state in resumed.state.optimiser.state.values()
        for name, value in state.items()
        if name != "step"
    ]
    assert states
    assert all(value.is_cuda for value in states)


@pytest.fixture
def batch_of(tmp_path):
    """A batch of a kind of damage that is left to the device."""
    folder_of(tmp_path / "clean", 8)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(path)

    def make(kind):
        damage = Damage(1.0, (Ingredient(kind, *KINDS[kind].usual),))
        made = replace(recipe, data=replace(recipe.data, damage=(damage,)))
        batch = Sampler(made, on_device=True).batch(0)
        assert batch.pending.all()
        return batch

    return make


@pytest.mark.parametrize("kind", FIXED)
def test_damage_without_a_field_is_the_same_on_both(batch_of, kind):
    batch = batch_of(kind)
    (here, clean), (there, clean_there) = (finish(batch, device) for device in (CPU, CUDA))
    assert torch.equal(clean, clean_there.cpu())
    levels = (here - there.cpu()).abs() * 255
    assert levels.max() < 1.01  # where rounding to 8 bits was even
    assert levels.mean() < 0.02


@pytest.mark.parametrize("kind", SEEDED)
def test_damage_with_a_field_repeats_and_is_as_strong_on_both(batch_of, kind):
    batch = batch_of(kind)
    here, clean = finish(batch, CPU)
    there, twice = (finish(batch, CUDA)[0] for _ in range(2))
    assert torch.equal(there, twice)
    lost = [(degraded - clean).square().mean().sqrt() for degraded in (here, there.cpu())]
    assert float(lost[1]) == pytest.approx(float(lost[0]), rel=0.3)


def test_a_thousand_crops_a_second_come_ready(tmp_path):
    recipe = with_data(load_recipe(PHOTO), [folder_of(tmp_path / "clean", 16, 400, 500)])
    sampler = Sampler(recipe, on_device=True)
    sampler.set_stage(0)
    assert recipe.stages[0].crop == 128
    workers = max(1, usable_cores() - 1)
    rate = measure_rate(sampler, CUDA, workers, seconds=5.0)
    assert rate >= 1000, f"{rate:.0f} crops a second by {workers} workers"
