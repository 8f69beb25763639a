"""Kernels sum to 1, have the extent they say, and act on linear light."""

import numpy as np
import pytest
import torch
from degradation_samples import grey, run, scene, step, write_kernels

from moce_cli.degradations import Step
from moce_cli.degradations.lens import disc, gaussian, kernel_of, scaled, trail
from moce_cli.degradations.light import to_encoded, to_linear
from moce_cli.degradations.spectrum import convolve, mirrored, reflected

LENS = ("blur", "defocus", "shake", "kernel")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return write_kernels(tmp_path_factory.mktemp("kernels"))


def second_moments(kernel):
    """Variance down and across, about the kernel's mean, and that mean about the middle."""
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    means = (kernel * y).sum(), (kernel * x).sum()
    return (kernel * (y - means[0]) ** 2).sum(), (kernel * (x - means[1]) ** 2).sum(), means


@pytest.mark.parametrize("kind", LENS)
def test_kernels_sum_to_one_and_are_centred(kind, kernels):
    for seed in range(8):
        for strength in (0.0, 0.3, None):
            kernel = kernel_of(step(kind, strength, seed, kernels=kernels))
            assert kernel.ndim == 2
            assert kernel.shape[0] == kernel.shape[1]
            assert len(kernel) % 2 == 1
            assert kernel.min() >= 0
            assert kernel.sum() == pytest.approx(1, abs=1e-5)
            *_, means = second_moments(kernel)
            assert np.abs(means).max() < 0.51 * max(1.0, strength or 1.2)


@pytest.mark.parametrize("sigma", [0.7, 1.5, 4.0])
def test_a_gaussian_has_its_sigma(sigma):
    down, across, _ = second_moments(gaussian(sigma, 1.0, 30.0))
    assert down == pytest.approx(sigma**2, rel=0.02)
    assert across == pytest.approx(sigma**2, rel=0.02)
    narrow = second_moments(gaussian(sigma, 0.5, 0.0))
    assert narrow[1] == pytest.approx(sigma**2, rel=0.02)
    assert narrow[0] < 0.4 * narrow[1]


@pytest.mark.parametrize("radius", [2.5, 7.3, 12.0])
def test_a_disc_has_its_radius_and_is_flat(radius):
    kernel = disc(radius, 0.0)
    down, across, _ = second_moments(kernel)
    assert down == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.04)
    assert across == pytest.approx(down)
    middle = len(kernel) // 2
    assert kernel[middle, middle] == pytest.approx(1 / (np.pi * radius**2), rel=0.02)
    assert kernel[middle, middle] == kernel[middle, middle + 1]


def test_a_trail_is_as_long_as_it_says():
    line = np.stack([np.zeros(30), np.linspace(-0.5, 0.5, 30)], axis=1)
    kernel = trail(line, 20.0)
    rows, columns = np.nonzero(kernel > 1e-6)
    assert set(rows) == {len(kernel) // 2}
    assert 20 <= np.ptp(columns) <= 21
    inner = kernel[len(kernel) // 2, columns.min() + 2 : columns.max() - 1]
    assert inner.min() == pytest.approx(inner.max(), rel=0.3), "even along an even path"
    for seed in range(10):
        points = np.array(step("shake", 12.0, seed).parameters["path"])
        far = np.linalg.norm(points[:, None] - points[None], axis=2).max()
        assert far == pytest.approx(1, abs=1e-3)


def test_a_kernel_may_be_drawn_larger(kernels):
    measured = np.load(kernels / "a.npy")
    same = scaled(measured, 1.0)
    assert np.array_equal(same[same > 0], measured[measured > 0]), "only moved"
    base = second_moments(same)
    twice = second_moments(scaled(measured, 2.0))
    for large, small in zip(twice[:2], base[:2], strict=True):  # pixels grow as well
        assert large == pytest.approx(4 * small + 4 / 12, rel=0.12)
    assert scaled(measured, 0.0).max() == 1


def test_measured_kernels_are_turned_and_mirrored(kernels):
    found = {
        kernel_of(step("kernel", 1.0, seed, kernels=kernels / "a.npy")).round(4).tobytes()
        for seed in range(60)
    }
    assert len(found) == 8


@pytest.mark.parametrize("length", [1, 2, 5])
def test_reflection_goes_on_for_ever(length):
    places = mirrored(length, 7, 20, torch.device("cpu")).tolist()
    assert places[7 : 7 + length] == list(range(length))
    assert places[6] == 0
    assert places[7 + length] == length - 1
    assert set(places) == set(range(length))


@pytest.mark.parametrize("length", [1, 3, 8])
def test_short_and_long_sides_are_continued_alike(length):
    field = torch.rand(2, 3, length, 4)
    for before, after in ((0, 2), (2, 0), (3, 7), (8, 8)):
        places = mirrored(length, before, before + length + after, field.device)
        assert torch.equal(reflected(field, -2, before, after), field[:, :, places])


def test_convolution_equals_the_sum_written_out():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(3, 2, 9, 14, generator=generator)
    kernels = torch.rand(3, 5, 5, generator=generator)
    rows = mirrored(9, 2, 13, pictures.device)
    columns = mirrored(14, 2, 18, pictures.device)
    padded = pictures[:, :, rows][..., columns]
    wanted = torch.zeros_like(pictures)
    for i in range(5):
        for j in range(5):
            weight = kernels[:, None, 4 - i, 4 - j, None, None]
            wanted += weight * padded[..., i : i + 9, j : j + 14]
    assert torch.allclose(convolve(pictures, kernels), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", LENS)
def test_blur_keeps_the_light(kind, kernels):
    clean = scene(1, 96, 96)
    blurred = run(clean, step(kind, kernels=kernels), quantise=False)
    before, after = to_linear(clean).mean((2, 3)), to_linear(blurred).mean((2, 3))
    assert torch.allclose(before, after, rtol=0.02)
    assert blurred.std() < clean.std()
    assert torch.allclose(
        run(grey(0.4, 1, 20, 20), step(kind, kernels=kernels), quantise=False),
        torch.tensor(0.4),
        atol=1e-5,
    )


def test_symmetrical_blur_keeps_the_light_exactly():
    clean = scene(1, 40, 31)
    blurred = run(clean, step("defocus", 6.0), quantise=False)
    assert torch.allclose(to_linear(clean).mean(), to_linear(blurred).mean(), rtol=1e-4)


def test_light_spreads_before_it_is_encoded():
    lamp = torch.zeros(1, 3, 31, 31)
    lamp[..., 15, 15] = 1
    drawn = Step("blur", {"strength": 2.0, "narrow": 1.0, "angle": 0.0})
    kernel = torch.from_numpy(gaussian(2.0, 1.0, 0.0))
    seen = run(lamp, drawn, quantise=False)[0, 0, 8:23, 8:23]
    assert torch.allclose(seen, to_encoded(kernel), atol=1e-3)
