"""One law: arrays, integers and tensors give scikit-image's number, and nobody else computes it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from moce_cli.errors import InputError
from moce_cli.psnr import MOST_DB, batch_psnr, capped, mean_psnr, psnr

ROOT = Path(__file__).parent.parent
SIZES = [(1, 1), (11, 11), (64, 48), (65, 7), (200, 31)]


def pictures(height, width, *, amount=0.1, seed=0):
    rng = np.random.default_rng(seed)
    clean = rng.random((height, width, 3))
    return np.clip(clean + amount * rng.standard_normal(clean.shape), 0, 1), clean


def tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("amount", [0.001, 0.02, 0.4])
@pytest.mark.parametrize("kind", ["float64", "float32", "uint8", "uint16"])
def test_arrays_and_tensors_agree_with_scikit_image(size, amount, kind):
    a, b = pictures(*size, amount=amount)
    top = 1.0 if "float" in kind else np.iinfo(kind).max
    a, b = (np.round(x * top) if top > 1 else x for x in (a, b))
    a, b = a.astype(kind), b.astype(kind)
    if np.array_equal(a, b):
        assert psnr(a, b) == math.inf
        return
    wanted = peak_signal_noise_ratio(np.float64(b), np.float64(a), data_range=top)
    assert psnr(a, b) == pytest.approx(wanted, abs=1e-6)
    if top == 1:
        again, flipped = (torch.stack([tensor(x), tensor(x[::-1].copy())]) for x in (a, b))
        found = batch_psnr(again, flipped)
        assert found.shape == (2,)
        assert found == pytest.approx([wanted] * 2, abs=1e-6)


def test_each_sample_of_a_batch_is_measured_alone():
    pairs = [pictures(9, 12, amount=amount, seed=i) for i, amount in enumerate((0.01, 0.1, 0.3))]
    a, b = (torch.stack([tensor(pair[side]) for pair in pairs]) for side in (0, 1))
    assert batch_psnr(a, b) == pytest.approx([psnr(*pair) for pair in pairs], abs=1e-9)
    half = a.bfloat16()
    assert batch_psnr(half, b) == pytest.approx(batch_psnr(half.double(), b), abs=1e-9)


def test_equal_pictures_are_infinitely_good_and_the_range_is_one():
    a, _ = pictures(20, 20)
    assert psnr(a, a) == math.inf
    assert batch_psnr(tensor(a)[None], tensor(a)[None]).tolist() == [math.inf]
    dim = np.full((8, 8, 3), 0.25)  # no guess from the brightest pixel
    assert psnr(dim, dim + 0.1) == pytest.approx(20)
    assert psnr(np.uint8(dim * 4), np.uint8(dim * 4) + np.uint8(51)) == pytest.approx(
        20 * math.log10(5)
    )


def test_what_is_no_number_stays_none():
    a, b = pictures(8, 8)
    a[0, 0] = math.nan
    assert math.isnan(psnr(a, b))
    assert np.isnan(batch_psnr(tensor(a)[None], tensor(b)[None])).all()


def test_means_cap_an_equal_picture_among_others():
    assert mean_psnr([math.inf, 30.0]) == (MOST_DB + 30) / 2
    assert mean_psnr(iter([math.inf, math.inf])) == math.inf
    assert math.isnan(mean_psnr([]))
    assert capped([20.0, 130.0, math.inf]).tolist() == [20.0, MOST_DB, MOST_DB]


@pytest.mark.parametrize("shapes", [((4, 5, 3), (5, 4, 3)), ((4, 5), (4, 5)), ((0, 5, 3),) * 2])
def test_shapes_that_do_not_fit_are_refused(shapes):
    a, b = (np.zeros(shape) for shape in shapes)
    with pytest.raises(InputError, match=re.escape(f"{a.shape} and {b.shape} cannot be compared")):
        psnr(a, b)
    with pytest.raises(InputError, match="cannot be compared"):
        batch_psnr(*(torch.from_numpy(x)[None] for x in (a, b)))


def test_decibels_are_made_in_one_place():
    files = [*(ROOT / "moce_cli").rglob("*.py"), *(ROOT / "examples").glob("*.py")]
    made = [path.name for path in files if "log10" in path.read_text(encoding="utf-8")]
    assert made == ["psnr.py"]
