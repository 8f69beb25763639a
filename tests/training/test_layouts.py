"""The standard sets: found, paired by the rules, and named when they are missing."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_pictures import picture, save, standard_sets

from moce_cli.checkpoints import load
from moce_cli.degradations import KINDS
from moce_cli.errors import InputError
from moce_cli.folders import COMPOSITES
from moce_cli.training.checks import DatasetError
from moce_cli.training.layouts import LAYOUTS, find_sets
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.recipe import Budget, load_recipe, with_data
from moce_cli.training.sampling import Sampler
from moce_cli.training.sources import Pictures

RECIPES = Path(__file__).parents[2] / "examples/recipes"
PAPER = ["aio3-s", "aio3", "aio5-s", "aio5", "cdd11-s"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return standard_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def own(root, tmp_path):
    return Path(shutil.copytree(root, tmp_path / "sets"))


def names(pairs):
    return [(p.degraded.stem if p.degraded else None, p.clean.stem) for p in pairs]


def test_pairs_are_made_by_each_set_s_rule(root):
    found = find_sets(LAYOUTS, root)
    assert names(found["BSD400+WED"]) == [(None, "0"), (None, "1")] * 2
    assert names(found["RainTrainL"]) == [("rain-0", "norain-0"), ("rain-1", "norain-1")]
    assert len(found["RESIDE-OTS"]) == 8
    assert all(d.split("_")[0] == c for d, c in names(found["RESIDE-OTS"]))
    assert names(found["GoPro"]) == names(found["LOL-v1"]) == [("0", "0"), ("1", "1")]
    cdd = found["CDD-11"]
    assert {p.degraded.parent.name for p in cdd} == set(COMPOSITES)
    assert len(COMPOSITES) == 11
    assert all(p.clean.parent.name == "clear" and p.clean.name == p.degraded.name for p in cdd)
    assert all("_".join(p.kinds) == p.degraded.parent.name for p in cdd)
    assert {kind for pairs in found.values() for p in pairs for kind in p.kinds} <= set(KINDS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_missing_set_says_which_where_and_how(own, name):
    layout = LAYOUTS[name]
    folder = (own / layout.patterns[0]).parent
    shutil.rmtree(folder)
    with pytest.raises(DatasetError) as caught:
        find_sets(LAYOUTS, own)
    said = caught.value.message
    assert caught.value.exit_code == 3
    assert said.startswith("1 of 6 data sets are not complete below")
    for part in (name, layout.what, layout.home, *layout.patterns):
        assert part in said
    assert "--data" in caught.value.hint


def test_all_that_is_missing_is_said_at_once(tmp_path):
    with pytest.raises(DatasetError) as caught:
        find_sets(["GoPro", "LOL-v1", "GoPro"], tmp_path / "nowhere")
    assert caught.value.message.startswith("2 of 2 data sets")
    assert caught.value.message.count("must lie as") == 2


def test_what_does_not_pair_is_refused(own):
    save(own / "deraining/RainTrainL/rainy/rain-2.png", picture(1))
    with pytest.raises(InputError, match=r"holds 3 pictures and .* 2: they do not pair"):
        find_sets(["RainTrainL"], own)
    save(own / "dehazing/RESIDE/part3/0009_1_0.1.jpg", picture(1))
    with pytest.raises(InputError, match=r"0009_1_0.1.jpg has no clean picture '0009' in .*clear"):
        find_sets(["RESIDE-OTS"], own)
    (own / "cdd11/train/clear/1.png").unlink()
    with pytest.raises(InputError, match="has no clean picture '1'"):
        find_sets(["CDD-11"], own)


@pytest.mark.parametrize("name", PAPER)
def test_each_recipe_of_the_paper_gives_batches(root, name):
    recipe = with_data(load_recipe(RECIPES / f"{name}.toml"), [root])
    sampler = Sampler(recipe)
    for step in range(2):
        batch = sampler.batch(step)
        assert batch.clean.shape == batch.degraded.shape == (32, 3, 128, 128)
        assert not batch.pending.any()
        assert batch.labels.shape == (32, len(KINDS))
        assert (batch.labels.sum(1) > 0).all()
    clean, degraded = batch.clean.numpy().astype(int), batch.degraded.numpy().astype(int)
    noisy = batch.labels[:, list(KINDS).index("noise")].numpy() > 0
    # what is no noise was made darker by 10: place, turn and flip are the same for both
    difference = (clean - degraded)[~noisy]
    assert len(difference)
    assert np.abs(difference - 10).mean() < 1.5
    assert all(np.std((clean - degraded)[i]) > 5 for i in np.flatnonzero(noisy))
    assert noisy.any() == (name != "cdd11-s")


@pytest.mark.parametrize("name", PAPER)
def test_each_recipe_of_the_paper_trains(root, name, tmp_path):
    recipe = with_data(load_recipe(RECIPES / f"{name}.toml"), [root])
    small = replace(
        recipe,
        network=replace(
            recipe.network,
            width=8,
            encoder_blocks=(1, 1, 1),
            latent_blocks=1,
            decoder_blocks=(1, 1, 1),
            refinement_blocks=1,
        ),
        stages=(replace(recipe.stages[0], crop=32, batch=2),),
        optimiser=replace(recipe.optimiser, warmup_steps=1),
        budget=Budget(steps=2),
    )
    run = Trainer(small, Options(tmp_path / "out.safetensors", torch.device("cpu")))
    before = {k: v.clone() for k, v in run.objective.network.state_dict().items()}
    ending = run.run()
    assert (ending.counters.step, ending.counters.skipped) == (2, 0)
    after = run.objective.network.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(value, before[key]) for key, value in after.items())
    written = load(ending.output)
    assert written.config == small.network
    assert set(written.state) == set(before)


def test_an_epoch_goes_through_each_set_as_often_as_the_recipe_says(root, monkeypatch):
    sampler = Sampler(with_data(load_recipe(RECIPES / "aio5-s.toml"), [root]))
    looked_at = Counter()
    original = Pictures.__getitem__

    def look(self, number):
        looked_at[self.paths[number]] += 1
        return original(self, number)

    monkeypatch.setattr(Pictures, "__getitem__", look)
    rng = np.random.default_rng(0)
    for number in range(len(sampler.source)):
        sampler.source.draw(number, 0.0, 32, rng)
    repeats = {"denoising": 9, "deraining": 120, "deblurring": 5, "llie": 20}
    for path, count in looked_at.items():
        part = path.relative_to(root).parts[0]
        hazy_and_clear = 4 if path.parent.name == "clear" else 1
        assert count == repeats.get(part, hazy_and_clear), path
    assert len(looked_at) == 4 + 4 + (2 + 8) + 4 + 4


def test_a_recipe_without_its_sets_says_so(tmp_path):
    recipe = with_data(load_recipe(RECIPES / "aio3-s.toml"), [tmp_path])
    with pytest.raises(DatasetError, match="3 of 3 data sets are not complete"):
        Sampler(recipe)


def test_pairs_of_two_sizes_or_unreadable_are_left_out(own):
    save(own / "llie/LOLv1/Train/input/0.png", picture(0, 160, 160))
    (own / "deraining/RainTrainL/gt/norain-0.png").write_text("no picture")
    sampler = Sampler(with_data(load_recipe(RECIPES / "aio5-s.toml"), [own]))
    whys = {one.path.name: one.why for one in sampler.left_out}
    assert "size is not that of its clean picture" in whys["0.png"]
    assert "this is no picture" in whys["norain-0.png"]
    full = 4 * 3 * 3 + 2 * 120 + 8 + 2 * 5 + 2 * 20
    assert len(sampler.source) == full - 120 - 20
