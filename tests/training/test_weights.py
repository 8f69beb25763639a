"""Weights files at both ends of a run: what they are called, what their cards say."""

from dataclasses import replace

import pytest
from networks import checkpoint
from tiny_run import RECIPE, trainer, write_pictures

from moce_cli.checkpoints import save
from moce_cli.errors import WeightsError
from moce_cli.network import MoCEIR
from moce_cli.training.parts import split
from moce_cli.training.recipe import load_recipe
from moce_cli.training.weights import degradations_of


def parts_of(folder, content=None):
    """Parts of weights of another architecture, or of some bytes."""
    path, other = folder / "other.safetensors", checkpoint()
    config = replace(other.config, latent_blocks=2)
    save(path, MoCEIR(config).state_dict(), config, other.card)
    if content is not None:
        path.write_bytes(content)
    parts = split(path, most_bytes=path.stat().st_size // 2 + 1)
    path.unlink()
    return parts


@pytest.mark.parametrize("content", [None, b"no weights at all", b""])
def test_what_is_wrong_with_a_part_names_the_part_that_was_given(tmp_path, content):
    for part in parts_of(tmp_path, content):
        with pytest.raises(WeightsError) as caught:
            trainer(tmp_path, warm_start=part)
        assert caught.value.message.startswith(str(part))


def test_kinds_of_one_mixture_are_told_from_mixtures(tmp_path):
    write_pictures(tmp_path / "clean")
    text = RECIPE.format(steps=12, network="", loss="")
    text = text.replace("noise = [10, 50]", "noise = [10, 50], jpeg = [20, 60]")
    (tmp_path / "two.toml").write_text(text, encoding="utf-8")
    noise, jpeg = "noise 10 to 50 (sigma of 255)", "jpeg 20 to 60 (quality)"
    assert degradations_of(load_recipe(tmp_path / "two.toml")) == (f"{noise} + {jpeg}", jpeg)
