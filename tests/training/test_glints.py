"""Bright specks of a clean picture are part of it: what the network is to give back."""

import numpy as np
import pytest
from training_pictures import RECIPE, folder_of

from moce_cli.training.glints import COVER, with_glints
from moce_cli.training.recipe import load_recipe
from moce_cli.training.sampling import Sampler


def grey(value=90, side=120):
    return np.full((side, side, 3), value, np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_specks_are_bright_and_leave_most_of_the_picture_as_it_was(seed):
    before = grey()
    seen = with_glints(before, 1.0, np.random.default_rng(seed))
    assert seen.dtype == np.uint8
    assert seen.shape == before.shape
    assert (before == 90).all()
    changed = (seen != 90).any(axis=2)
    assert 0.002 < changed.mean() < 1.5 * COVER[1]
    assert seen.max() > 150


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (40, 7)])
def test_they_fit_any_picture(shape):
    for seed in range(20):
        picture = np.zeros((*shape, 3), np.uint8)
        assert with_glints(picture, 1.0, np.random.default_rng(seed)).shape == picture.shape


def test_they_come_as_often_as_asked():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert with_glints(grey(), 0.0, rng) is not None
    assert rng.bit_generator.state == before, "a recipe without them draws what it drew before"
    made = [(with_glints(grey(side=30), 0.3, rng) != 90).any() for _ in range(400)]
    assert 0.22 < np.mean(made) < 0.38


def test_undamaged_crops_keep_theirs(tmp_path):
    folder_of(tmp_path / "clean", 5)

    def sampler(probability):
        text = RECIPE.replace("[data]", f"[data]\nglints = {probability}")
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        return Sampler(load_recipe(tmp_path / "recipe.toml"))

    with_them, without = sampler(1), sampler(0)
    for step in range(5):
        batch = with_them.batch(step)
        undamaged = [i for i, plan in enumerate(batch.plans) if not plan]
        assert undamaged
        assert (batch.clean[undamaged] == batch.degraded[undamaged]).all()
        assert not (batch.clean == without.batch(step).clean).all()
