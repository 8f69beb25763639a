"""Floating-point samples: light, also beyond white, in TIFF and out of it."""

import io

import numpy as np
import pytest
import tifffile
from picture_files import noise, srgb_icc
from picture_profiles import rgb_icc, srgb_encode

from moce_cli.errors import InputError
from moce_cli.pictures import Picture, Source, read, to_depth, write


def light(height, width, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((height, width, channels)) ** 3 * 4 - 0.1).astype(np.float32)


def tiff(array, **options):
    out = io.BytesIO()
    array = array[:, :, 0] if array.shape[2] == 1 else array
    tifffile.imwrite(out, array, metadata=None, **options)
    return io.BytesIO(out.getvalue())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 32)}, {"rowsperstrip": 5}])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("predictor", [False, True])
def test_each_sample_as_stored(dtype, byteorder, options, compression, predictor):
    if predictor and (compression is None or dtype == np.float16):
        pytest.skip("nothing that tifffile writes")
    for channels, photometric in ((3, "rgb"), (1, "minisblack")):
        array = light(35, 50, channels).astype(dtype)
        data = tiff(
            array,
            photometric=photometric,
            byteorder=byteorder,
            compression=compression,
            predictor=predictor,
            **options,
        )
        found = read(data, whole=True)
        assert found.pixels.dtype == np.float32
        assert found.source.depth == 32
        np.testing.assert_array_equal(found.pixels, array.astype(np.float32))


@pytest.mark.parametrize("bigtiff", [False, True])
def test_planes_alpha_and_bigtiff(bigtiff):
    array = light(19, 21, 4)
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    data = tiff(
        planes,
        photometric="rgb",
        planarconfig="separate",
        extrasamples=["unassalpha"],
        bigtiff=bigtiff,
    )
    found = read(data, whole=True)
    np.testing.assert_array_equal(found.pixels, array[:, :, :3])
    np.testing.assert_array_equal(found.alpha, array[:, :, 3])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("size", [(23, 17), (1, 1), (300, 500)])
def test_what_is_written_is_what_was_given(channels, alpha, size):
    given = Picture(
        light(*size, channels),
        light(*size, 1, seed=2)[:, :, 0].clip(0, 1) if alpha else None,
        Source(icc=rgb_icc("linear") if channels == 3 else None),
    )
    out = io.BytesIO()
    assert write(given, out, format="TIFF") == ()
    with tifffile.TiffFile(io.BytesIO(out.getvalue())) as file:
        assert file.pages[0].dtype == np.float32
        assert file.pages[0].predictor == 3
    found = read(io.BytesIO(out.getvalue()), whole=True)
    np.testing.assert_array_equal(found.pixels, given.pixels)
    assert (found.alpha is None) == (not alpha)
    if alpha:
        np.testing.assert_array_equal(found.alpha, given.alpha)


def test_tifffile_undoes_our_predictor():
    pytest.importorskip("imagecodecs")
    given = Picture(light(30, 40))
    out = io.BytesIO()
    write(given, out, format="TIFF")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(out.getvalue())), given.pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value):
    array = light(9, 9)
    array[3, 4, 1] = value
    with pytest.raises(InputError, match="infinite or no numbers"):
        read(tiff(array, photometric="rgb"), whole=True)


@pytest.mark.parametrize(("kind", "depth"), [("PNG", 16), ("JPEG", 8), ("WebP", 8), ("AVIF", 16)])
def test_elsewhere_light_becomes_srgb_and_that_is_said(kind, depth):
    values = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(64, 0).repeat(3, 2)
    out = io.BytesIO()
    notes = write(Picture(values), out, format=kind)
    assert any("floating-point" in note for note in notes)
    assert not any("clipped" in note for note in notes)
    found = read(io.BytesIO(out.getvalue()))
    assert found.depth == depth
    seen = to_depth(found.pixels, 32)
    assert np.abs(seen - srgb_encode(values)).mean() < (2e-5 if kind == "PNG" else 0.01)
    assert any("clipped" in note for note in write(Picture(values * 2), io.BytesIO(), format=kind))


def test_who_does_not_ask_for_floats_gets_16_bits():
    array = light(12, 14).clip(0, 1)
    found = read(tiff(array, photometric="rgb"))
    assert found.pixels.dtype == np.uint16
    np.testing.assert_allclose(found.pixels / 65535, srgb_encode(array), atol=2e-4)
    assert any("floating-point" in note for note in found.source.notes)
    encoded = read(tiff(array, photometric="rgb", iccprofile=srgb_icc()))
    np.testing.assert_array_equal(encoded.pixels, (array * 65535).round())


def test_another_range_is_wondered_at():
    found = read(tiff(noise(9, 9).astype(np.float32), photometric="rgb"), whole=True)
    assert any("another range" in note for note in found.source.notes)


def test_depths_go_through_floats_unchanged():
    for dtype in (np.uint8, np.uint16):
        samples = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
        depth = samples.itemsize * 8
        np.testing.assert_array_equal(to_depth(to_depth(samples, 32), depth), samples)
    assert to_depth(np.float32([-1, 0, 0.5, 2]), 8).tolist() == [0, 0, 128, 255]
