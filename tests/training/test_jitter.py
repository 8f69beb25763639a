"""A clean picture in other tones is a clean picture: it is what the network is to give back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_pictures import RECIPE, folder_of

from moce_cli.network import block_means, scene_of
from moce_cli.training import scenes
from moce_cli.training.jitter import BRIGHT, DARK, GREY, Jitter, draw_jitter
from moce_cli.training.recipe import load_recipe
from moce_cli.training.sampling import Sampler

AS_IT_IS = Jitter(1.0, (1.0, 1.0, 1.0), 1.0, 0.0, 1.0)


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 56, 3)).astype(np.uint8)


def drawn(count, seed=0):
    rng = np.random.default_rng(seed)
    return [draw_jitter(1.0, rng) for _ in range(count)]


def test_no_change_changes_nothing():
    np.testing.assert_array_equal(AS_IT_IS.bytes(picture()), picture())


def test_each_part_does_what_it_says():
    rgb = picture()
    assert (replace(AS_IT_IS, gamma=1.5).bytes(rgb) <= rgb).all()
    assert (replace(AS_IT_IS, gamma=0.7).bytes(rgb) >= rgb).all()
    grey = replace(AS_IT_IS, saturation=0.0).bytes(rgb)
    assert (grey == grey[..., :1]).all()
    flat = replace(AS_IT_IS, black=0.1, white=0.8).bytes(rgb)
    assert flat.min() == round(0.1 * 255)
    assert flat.max() == round(0.8 * 255)
    red = replace(AS_IT_IS, gains=(1.1, 1.0, 1.0)).bytes(rgb)
    assert (red[..., 0] >= rgb[..., 0]).all()
    np.testing.assert_array_equal(red[..., 1:], rgb[..., 1:])


@pytest.mark.parametrize("jitter", drawn(60, seed=3))
def test_values_stay_within_range_and_shape(jitter):
    x = picture().astype(np.float32) / 255
    x[0, 0], x[0, 1] = 0, 1
    changed = jitter(x)
    assert changed.dtype == np.float32
    assert changed.shape == x.shape
    assert 0 <= changed.min() <= changed.max() <= 1


def test_brighter_stays_brighter():
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[:, None], 3, axis=1)
    for jitter in drawn(60):
        luma = jitter(ramp).sum(axis=1)
        assert (np.diff(luma) >= -1e-6).all()
        assert luma[-1] - luma[0] > 1, "white and black stay far apart"


def test_it_comes_as_often_as_asked():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert draw_jitter(0.0, rng) is None
    assert rng.bit_generator.state == before, "a recipe without it draws what it drew before"
    found = [draw_jitter(0.4, rng) for _ in range(2000)]
    made = [one for one in found if one is not None]
    assert 0.36 < len(made) / len(found) < 0.44
    assert np.mean([one.saturation == 0 for one in made]) == pytest.approx(GREY, abs=0.05)
    # a usual gamma seldom comes as far
    assert np.mean([one.gamma > 1.8 for one in made]) == pytest.approx(DARK, abs=0.05)
    assert np.mean([one.gamma < 0.55 for one in made]) == pytest.approx(BRIGHT / 2, abs=0.04)


def sampler(folder, probability, network="scene = true"):
    text = RECIPE.replace("[data]", f"{network}\n\n[data]\ncolor_jitter = {probability}")
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return Sampler(load_recipe(folder / "recipe.toml"))


def test_target_and_input_are_changed_alike(tmp_path):
    folder_of(tmp_path / "clean", 5)
    changed, plain = sampler(tmp_path, 1), sampler(tmp_path, 0)
    for step in range(5):
        batch = changed.batch(step)
        undamaged = [i for i, plan in enumerate(batch.plans) if not plan]
        assert len(undamaged) == 2
        assert torch.equal(batch.clean[undamaged], batch.degraded[undamaged])
        assert not torch.equal(batch.clean, plain.batch(step).clean)
        assert torch.equal(changed.batch(step).clean, batch.clean), "the same step, the same batch"


def test_the_scene_is_that_of_the_changed_picture(monkeypatch):
    monkeypatch.setattr(scenes, "ITSELF", 0.0)
    rgb = np.kron(picture()[:12, :17], np.ones((8, 8, 1), np.uint8))
    for jitter in drawn(8):
        told = scenes.Scenes().draw(0, rgb, (), np.random.default_rng(0), jitter)
        whole = torch.from_numpy(jitter.bytes(rgb)).permute(2, 0, 1)[None] / 255
        expected = scene_of(block_means(whole))[0].numpy()
        np.testing.assert_allclose(told, expected, atol=0.01)
