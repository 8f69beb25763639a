"""The two recipes for photographs: alike in what they teach, true in what they ask for."""

import re
from pathlib import Path

import pytest

from moce_cli.training.crops import MARGIN
from moce_cli.training.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"


def test_both_teach_the_same_damage_by_the_same_loss():
    small, smaller = (load_recipe(RECIPES / f"photo-{size}.toml") for size in ("s", "xs"))
    assert small.data == smaller.data
    assert small.loss == smaller.loss
    assert small.network.beyond_paper == smaller.network.beyond_paper


@pytest.mark.parametrize("size", ["s", "xs"])
def test_the_least_size_of_pictures_that_a_recipe_states_is_what_its_crops_need(size):
    path = RECIPES / f"photo-{size}.toml"
    (stated,) = re.findall(r"at least (\d+) px on both sides", path.read_text(encoding="utf-8"))
    assert int(stated) == load_recipe(path).largest_crop + 2 * MARGIN
