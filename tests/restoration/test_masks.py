"""A mask from a file: how light it is, times how opaque; in memory it is small where it can be."""

import numpy as np
import pytest
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.restoration import Mask
from moce_cli.restoration.where import How


def saved(path, array):
    Image.fromarray(array).save(path)
    return path


def weight(mask):
    return How(mask=mask.pixels).weight(*mask.pixels.shape)


def grey(dtype, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top + 1, (70, 40)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_file_stays_as_it_is(dtype, tmp_path):
    pixels = grey(dtype)
    mask = Mask.read(saved(tmp_path / "a.png", pixels))
    np.testing.assert_array_equal(mask.pixels, pixels)
    assert mask.pixels.dtype == dtype
    np.testing.assert_allclose(weight(mask), pixels / np.iinfo(dtype).max, rtol=1e-6)


def test_grey_in_three_colours_is_grey(tmp_path):
    pixels = grey(np.uint8)
    one = Mask.read(saved(tmp_path / "a.png", pixels))
    three = Mask.read(saved(tmp_path / "b.png", np.stack([pixels] * 3, axis=2)))
    assert three.pixels.dtype == np.uint8
    assert str(one) == str(three), "the same mask"
    other = pixels.copy()
    other[69, 39] ^= 1
    assert str(Mask.read(saved(tmp_path / "c.png", other))) != str(one)


def test_colours_are_averaged_and_alpha_counts(tmp_path):
    pixels = np.zeros((70, 40, 3), np.uint8)
    pixels[66:, :, 0] = 255
    coloured = Mask.read(saved(tmp_path / "a.png", pixels))
    np.testing.assert_allclose(weight(coloured)[66:], 1 / 3, rtol=1e-6)
    assert not weight(coloured)[:66].any()
    half = np.dstack([np.full((70, 40, 3), 255, np.uint8), np.full((70, 40), 51, np.uint8)])
    np.testing.assert_allclose(weight(Mask.read(saved(tmp_path / "b.png", half))), 0.2, rtol=1e-6)


def test_what_is_no_picture_is_no_mask(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(InputError, match=r"a\.png"):
        Mask.read(tmp_path / "a.png")
