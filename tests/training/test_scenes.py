"""While it trains, a network is told of the whole picture, damaged like its crop."""

import numpy as np
import pytest
import torch
from tiny_run import write_recipe
from training_pictures import RECIPE, folder_of

from moce_cli.degradations import draw
from moce_cli.network import SCENE_SIZE, block_means, scene_of
from moce_cli.training import scenes
from moce_cli.training.growing import can_grow
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.recipe import load_recipe
from moce_cli.training.sampling import Sampler
from moce_cli.training.scenes import Scenes, filled, of


@pytest.fixture(autouse=True)
def _never_of_its_own(monkeypatch):
    monkeypatch.setattr(scenes, "ITSELF", 0.0)


def picture(value=0.6):
    rng = np.random.default_rng(0)
    return (value * 255 + rng.normal(0, 20, (96, 136, 3))).clip(0, 255).astype(np.uint8)


def scene(kind=None, strength=None, seed=0, value=0.6):
    rng = np.random.default_rng(seed)
    plan = () if kind is None else (draw(kind, rng, strength),)
    return Scenes().draw(0, picture(value), plan, rng).reshape(4, 5)


def test_a_clean_scene_is_that_of_the_picture():
    whole = torch.from_numpy(picture()).permute(2, 0, 1)[None] / 255
    expected = scene_of(block_means(whole))[0].view(4, 5).numpy()
    np.testing.assert_allclose(scene(), expected, atol=0.01)


def test_damage_that_shows_from_afar_shows():
    clean = scene()
    assert (scene("low", 3) < 0.6 * clean).all()
    assert scene("haze", 0.8)[3, 0] > clean[3, 0], "haze lightens the darkest"
    np.testing.assert_array_equal(scene("noise", 50), clean)
    np.testing.assert_array_equal(scene("jpeg", 10), clean)


def test_some_crops_are_scenes_of_their_own(monkeypatch):
    monkeypatch.setattr(scenes, "ITSELF", 0.5)
    rng, made = np.random.default_rng(0), Scenes()
    told = [made.draw(0, picture(), (), rng) for _ in range(200)]
    assert 60 < sum(one is None for one in told) < 140
    assert np.isnan(of(None)).all()
    crops = torch.rand(2, 3, 32, 32)
    found = filled(torch.from_numpy(np.stack([of(None), scene().ravel()])), crops)
    assert torch.equal(found[0], scene_of(block_means(crops))[0])
    assert torch.equal(found[1], torch.from_numpy(scene().ravel()))


def sampler(folder, network):
    text = RECIPE.replace("[data]", f"{network}\n\n[data]")
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return Sampler(load_recipe(folder / "recipe.toml"))


def test_batches_hold_scenes_where_the_network_asks(tmp_path):
    folder_of(tmp_path / "clean", 5)
    asked, not_asked = sampler(tmp_path, "scene = true"), sampler(tmp_path, "scene = false")
    with_scene, without = asked.batch(3), not_asked.batch(3)
    assert with_scene.scene.shape == (len(with_scene.clean), SCENE_SIZE)
    assert torch.isfinite(with_scene.scene).all()
    assert without.scene.isnan().all()
    assert torch.equal(asked.batch(3).scene, with_scene.scene), "the same step, the same batch"


def test_a_run_learns_what_a_scene_means_and_grows_it(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path, 3))
    before = Trainer(recipe, Options(tmp_path / "a.safetensors", torch.device("cpu")))
    before.run()
    told = load_recipe(write_recipe(tmp_path, 3, network="scene = true"))
    assert can_grow(recipe.network, told.network)
    options = Options(
        tmp_path / "b.safetensors", torch.device("cpu"), warm_start=tmp_path / "a.safetensors"
    )
    grown = Trainer(told, options)
    network = grown.objective.network
    degraded = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = before.average(degraded)
        torch.testing.assert_close(network.eval()(degraded), expected, atol=1e-4, rtol=1e-4)
    grown.run()
    assert all(head.weight.abs().max() > 0 for head in network.scene.heads)
