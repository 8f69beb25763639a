"""The measures, against scikit-image."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from moce_cli.errors import InputError
from moce_cli.evaluation import metrics

SIZES = [(11, 11), (12, 31), (37, 53), (64, 48), (7, 40)]


def pictures(height, width, *, amount=0.1, seed=0):
    rng = np.random.default_rng(seed)
    clean = rng.random((height, width, 3))
    return np.clip(clean + amount * rng.standard_normal(clean.shape), 0, 1), clean


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("amount", [0.02, 0.4])
def test_psnr_and_ssim_are_those_of_scikit_image(size, amount):
    a, b = pictures(*size, amount=amount)
    psnr = peak_signal_noise_ratio(b, a, data_range=1.0)
    assert metrics.measure(a, b).psnr == pytest.approx(psnr, abs=1e-6)
    uniform = structural_similarity(a, b, data_range=1.0, channel_axis=2)
    assert metrics.ssim_uniform(a, b) == pytest.approx(uniform, abs=1e-6)
    if min(size) >= 11:
        gaussian = structural_similarity(
            a, b, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        assert metrics.ssim_gaussian(a, b) == pytest.approx(gaussian, abs=1e-6)
        assert abs(gaussian - uniform) > 1e-5  # they are two measures


def test_eight_bit_pictures_agree_with_scikit_image_at_a_range_of_255():
    a, b = (np.uint8(x * 255) for x in pictures(40, 33))
    gaussian = structural_similarity(
        a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert metrics.ssim_gaussian(a / 255, b / 255) == pytest.approx(gaussian, abs=1e-6)


def test_equal_pictures_are_perfect():
    a, _ = pictures(20, 20)
    assert metrics.ssim_gaussian(a, a) == pytest.approx(1)
    assert metrics.ssim_uniform(a, a) == pytest.approx(1)


def test_a_picture_smaller_than_the_window_has_no_ssim():
    a, b = pictures(7, 10)
    assert math.isnan(metrics.ssim_gaussian(a, b))
    assert not math.isnan(metrics.ssim_uniform(a, b))
    a, b = pictures(6, 10)
    assert math.isnan(metrics.ssim_uniform(a, b))
    assert math.isfinite(metrics.measure(a, b).psnr)


def test_shapes_that_differ_are_refused():
    with pytest.raises(InputError, match=r"\(4, 5, 3\) and \(5, 4, 3\)"):
        metrics.ssim_uniform(np.zeros((4, 5, 3)), np.zeros((5, 4, 3)))


def test_lpips_needs_its_library_and_its_weights(monkeypatch, tmp_path, capsys):
    class Fake(torch.nn.Module):
        def __init__(self, **options):
            super().__init__()
            sys.stdout.write("Setting up")  # as the library does; it must not reach stdout

        def forward(self, a, b):
            assert a.shape == (1, 3, 4, 5)
            assert float(a.min()) >= -1
            return (a - b).abs().mean().reshape(1, 1, 1, 1)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    library = SimpleNamespace(LPIPS=Fake, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "lpips", library)
    metrics.find_lpips.cache_clear()
    assert metrics.find_lpips() is None  # the backbone is not here, and is not fetched
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()
    metrics.find_lpips.cache_clear()
    measure = metrics.find_lpips()
    assert capsys.readouterr().out == ""
    a = np.zeros((4, 5, 3))
    assert measure(a, a + 0.5) == pytest.approx(1)
    assert metrics.measure(a, a + 0.5, measure).lpips == pytest.approx(1)
    assert metrics.measure(a, a + 0.5).lpips is None
    metrics.find_lpips.cache_clear()
