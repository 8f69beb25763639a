"""Haze, rain and snow do what air and water do."""

import numpy as np
import pytest
import torch
from degradation_samples import grey, run, scene, step

from moce_cli.degradations import Step
from moce_cli.degradations.haze import depth, draw_haze
from moce_cli.degradations.light import to_encoded, to_linear
from moce_cli.degradations.spectrum import canvas, fractal, scatter, soft_noise


def flat_haze(strength, light):
    drawn = draw_haze(strength, np.random.default_rng(0), 256.0)
    drawn |= {"near": 1.0, "rough": 0.0, "light": light, "airlight": [0.8, 0.9, 1.0]}
    return Step("haze", {"strength": strength, **drawn})


def test_linear_light_and_back():
    values = torch.linspace(0, 1, 256)
    assert torch.allclose(to_encoded(to_linear(values)), values, atol=2e-6)
    assert to_linear(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize("strength", [0.25, 0.6, 0.9])
def test_haze_takes_its_share_of_the_contrast(strength):
    clean = scene(1)
    hazy = run(clean, flat_haze(strength, "encoded"), quantise=False)
    assert torch.allclose(hazy.std((2, 3)), (1 - strength) * clean.std((2, 3)), rtol=1e-4)
    hazy = to_linear(run(clean, flat_haze(strength, "linear"), quantise=False))
    assert torch.allclose(
        hazy.std((2, 3)), (1 - strength) * to_linear(clean).std((2, 3)), rtol=1e-3
    )


@pytest.mark.parametrize("light", ["encoded", "linear"])
def test_all_the_light_lost_leaves_the_airlight(light):
    hazy = run(scene(1), flat_haze(1.0, light), quantise=False)
    assert torch.allclose(hazy.amax((0, 2, 3)), torch.tensor([0.8, 0.9, 1.0]), atol=1e-5)
    assert torch.allclose(hazy.amin((0, 2, 3)), torch.tensor([0.8, 0.9, 1.0]), atol=1e-5)


def test_a_batch_may_mix_linear_and_encoded():
    clean = scene(1).expand(2, -1, -1, -1)
    plans = [(flat_haze(0.5, "linear"),), (flat_haze(0.5, "encoded"),)]
    from moce_cli.degradations import degrade

    both = degrade(clean, plans, torch.Generator(), quantise=False)
    for row, plan in zip(both, plans, strict=True):
        assert torch.allclose(row, run(clean[:1], *plan, quantise=False)[0], atol=1e-6)


def test_depth_lies_between_near_and_the_farthest_point():
    like = torch.zeros(40, 3, 96, 128)
    steps = [step("haze", 0.5, seed, extent=128.0) for seed in range(40)]
    far = depth(steps, like, torch.Generator().manual_seed(0))
    assert far.shape == (40, 1, 96, 128)
    assert far.min() >= 0
    assert far.max() <= 1
    for drawn, field in zip(steps, far, strict=True):
        assert field.min() >= drawn.number("near") - 1e-6
        if drawn.word("shape") == "ramp":  # the whole scene shows its farthest point
            assert field.max() > 0.95
    assert {drawn.word("shape") for drawn in steps} == {"plane", "ramp", "fractal", "blend"}


def test_rough_depth_is_drawn_from_the_generator():
    drawn = dict(step("haze", 0.5, extent=128.0).parameters) | {"near": 0.0, "rough": 1.0}
    like, made = torch.zeros(1, 3, 128, 128), Step("haze", drawn)
    fields = [depth([made], like, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(fields[0], fields[1])
    assert not torch.allclose(fields[0], fields[2], atol=0.1)
    assert fields[0].std() > 0.05


def test_a_ramp_goes_the_way_it_says():
    drawn = dict(step("haze", 0.5, extent=64.0).parameters) | {"rough": 0.0, "near": 0.0}
    like, generator = torch.zeros(1, 3, 64, 64), torch.Generator()
    up = depth([Step("haze", drawn | {"angle": 0.0})], like, generator)[0, 0]
    assert up[0, 32] > 0.9 > 0.1 > up[-1, 32]
    right = depth([Step("haze", drawn | {"angle": 90.0})], like, generator)[0, 0]
    assert right[32, -1] > 0.9 > 0.1 > right[32, 0]


def test_a_crop_is_a_piece_of_its_scene():
    whole, piece = torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 64, 64)
    drawn = dict(step("haze", 0.5, extent=256.0).parameters)
    drawn |= {"rough": 0.0, "left": 0.5, "top": 0.25}
    far = depth([Step("haze", drawn)], whole, torch.Generator())
    near = depth([Step("haze", drawn)], piece, torch.Generator())
    assert torch.allclose(near, far[..., 48:112, 96:160], atol=1e-5)


def test_fractal_fields_are_scaled_to_their_scene():
    extent, exponent = torch.full((24, 1, 1, 1), 256.0), torch.full((24, 1, 1, 1), 2.0)
    generator = torch.Generator().manual_seed(0)
    whole = fractal((256, 256), extent, exponent, generator)
    assert 0.6 < whole.square().mean() < 1.4
    piece = fractal((48, 64), extent * 4, exponent, generator)
    assert piece.shape == (24, 1, 48, 64)
    assert piece.std((2, 3)).mean() < 0.35 * whole.std((2, 3)).mean(), "nearly constant on a piece"
    steps = (whole[..., 1:] - whole[..., :-1]).abs().mean()
    assert steps < 0.1, "smooth"


def test_soft_noise_has_variance_one():
    sigma = torch.tensor([0.5, 1.0, 3.0]).reshape(3, 1, 1, 1)
    field = soft_noise((250, 250), sigma, torch.Generator().manual_seed(0))
    assert torch.allclose(field.var((1, 2, 3)), torch.ones(3), rtol=0.15)
    neighbours = (field[..., 1:] * field[..., :-1]).mean((1, 2, 3))
    assert neighbours[0] < neighbours[1] < neighbours[2]


def streaks(density=1e-4, length=30.0, width=1.0, angle=0.0, size=(300, 300)):
    def tensor(value):
        return torch.full((1, 1, 1, 1), value)

    return scatter(
        size,
        tensor(density),
        1.0,
        tensor(length),
        tensor(width),
        tensor(np.deg2rad(angle)),
        torch.Generator().manual_seed(0),
    )[0, 0]


def test_streaks_have_their_size_number_and_brightness():
    field = streaks()
    assert field.max() == pytest.approx(1.0, abs=0.25)  # where none cross
    area = 30.0 * 1.0 * np.sqrt(2 * np.pi)  # what one adds up to
    assert field.sum().item() / area == pytest.approx(1e-4 * canvas(300) ** 2, abs=4)
    assert field.min() > -0.1


def test_streaks_lean_as_they_say():
    for angle in (0.0, 40.0, -40.0):
        field = streaks(angle=angle, density=3e-4)
        spectrum = torch.fft.rfft2(field - field.mean()).abs().square()
        down = torch.fft.fftfreq(300)[:, None].expand_as(spectrum)
        across = torch.fft.rfftfreq(300)[None].expand_as(spectrum)
        found = {}
        for guess in (0.0, 40.0, -40.0):  # a line's energy lies across it
            turn = np.deg2rad(guess)
            along = across * np.sin(turn) - down * np.cos(turn)
            found[guess] = (spectrum * (along.abs() < 0.01)).sum().item()
        assert max(found, key=found.get) == angle


@pytest.mark.parametrize("kind", ["rain", "snow"])
def test_what_falls_brightens_the_dark_and_leaves_the_bright(kind):
    drawn = step(kind, 0.8, extent=256.0)
    dark = run(grey(0.1), drawn)
    assert dark.mean() > 0.15
    assert (dark - 0.1).min() > -1 / 255
    light = drawn.numbers("light")
    if kind == "snow":
        assert dark.max() > max(light) - 0.02, "a flake hides what is behind it"
    bright = torch.tensor(light).reshape(1, 3, 1, 1).expand(1, 3, 64, 64)
    assert torch.allclose(run(bright, drawn, quantise=False), bright, atol=1e-5)


def test_rain_is_streaks_and_snow_is_flakes():
    """Rain is much longer than wide, snow about round."""

    def shape(kind):
        ratios = []
        for seed in range(6):
            drawn = dict(step(kind, 0.6, seed, extent=400.0).parameters)
            drawn["angles"] = [0.0] * 4
            field = run(grey(0.1), Step(kind, drawn), quantise=False)[0, 0]
            down = (field[1:] - field[:-1]).square().mean()
            across = (field[:, 1:] - field[:, :-1]).square().mean()
            ratios.append((across / down).item())
        return np.median(ratios)

    assert shape("rain") > 8
    assert shape("snow") < 5


def test_larger_pictures_get_larger_drops():
    small = step("rain", 0.5, extent=400.0).numbers("lengths")
    large = step("rain", 0.5, extent=3200.0).numbers("lengths")
    assert np.allclose(np.divide(large, small), 8, rtol=0.05)


def test_canvases_are_even_and_have_small_factors():
    for side in range(1, 400):
        size = canvas(side)
        assert size >= side
        assert size % 2 == 0
        for prime in (2, 3, 5):
            while size % prime == 0:
                size //= prime
        assert size == 1
