"""Every layout of a TIFF, written by tifffile or OpenCV."""

import io
import struct

import cv2
import numpy as np
import pytest
from picture_files import cmyk_icc, noise, smooth, tiff_of

from moce_cli.pictures import probe, read


def load(data):
    return read(io.BytesIO(data))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 32)}, {"rowsperstrip": 5}])
def test_tiff_gives_each_sample_as_stored(dtype, byteorder, compression, options):
    predictor = {"predictor": True} if compression else {}
    for photometric, array in (
        ("rgb", noise(35, 50, 3, dtype)),
        ("minisblack", noise(35, 50, 1, dtype)),
    ):
        data = tiff_of(
            array,
            photometric=photometric,
            byteorder=byteorder,
            compression=compression,
            **predictor,
            **options,
        )
        picture = load(data)
        np.testing.assert_array_equal(picture.pixels, array)
        assert picture.pixels.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_tiff_planes_alpha_and_bigtiff(dtype, bigtiff):
    array = noise(19, 21, 4, dtype)
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    for data in (
        tiff_of(array, photometric="rgb", extrasamples=["unassalpha"], bigtiff=bigtiff),
        tiff_of(
            planes,
            photometric="rgb",
            planarconfig="separate",
            extrasamples=["unassalpha"],
            bigtiff=bigtiff,
        ),
    ):
        picture = load(data)
        np.testing.assert_array_equal(picture.pixels, array[:, :, :3])
        np.testing.assert_array_equal(picture.alpha, array[:, :, 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_grey_with_alpha(dtype):
    array = noise(19, 21, 2, dtype)
    picture = load(tiff_of(array, photometric="minisblack", extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(picture.pixels, array[:, :, :1])
    np.testing.assert_array_equal(picture.alpha, array[:, :, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_white_is_zero(dtype):
    array = noise(19, 21, 1, dtype)
    picture = load(tiff_of(array, photometric="miniswhite"))
    np.testing.assert_array_equal(picture.pixels, np.iinfo(dtype).max - array)


def test_tiff_premultiplied_8_bit_alpha_is_said():
    data = tiff_of(noise(9, 9, 4), photometric="rgb", extrasamples=["assocalpha"])
    assert any("alpha" in note for note in load(data).source.notes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_further_channels_are_named(dtype):
    array = noise(9, 9, 5, dtype)
    data = tiff_of(array, photometric="rgb", extrasamples=["unassalpha", "unspecified"])
    picture = load(data)
    np.testing.assert_array_equal(picture.pixels, array[:, :, :3])
    np.testing.assert_array_equal(picture.alpha, array[:, :, 3])
    assert picture.source.notes == ("1 further channel was left out",)


def test_tiff_16_bit_cmyk_is_read_with_8_and_said():
    profile = cmyk_icc()
    data = tiff_of(noise(9, 9, 4, np.uint16), photometric="separated", iccprofile=profile)
    picture = load(data)
    assert picture.depth == 8
    assert any("16 bits" in note for note in picture.source.notes)


def test_tiff_premultiplied_16_bit_alpha_is_divided_and_said():
    colour = noise(19, 21, 3, np.uint16).astype(np.uint64)
    alpha = noise(19, 21, 1, np.uint16, seed=1).astype(np.uint64)
    stored = np.concatenate([colour * alpha // 65535, alpha], axis=2).astype(np.uint16)
    picture = load(tiff_of(stored, photometric="rgb", extrasamples=["assocalpha"]))
    error = np.abs(picture.pixels.astype(float) - colour)
    assert (error <= np.ceil(65535 / np.maximum(alpha, 1)))[alpha[:, :, 0] > 0].all()
    assert any("alpha" in note for note in picture.source.notes)


@pytest.mark.parametrize("compression", [5, 32773, 8, 1])  # LZW, PackBits, Deflate, none
def test_16_bit_tiff_from_opencv(compression):
    array = noise(35, 50, 3, np.uint16)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    done, data = cv2.imencode(".tiff", array[:, :, ::-1], options)
    assert done
    np.testing.assert_array_equal(load(data.tobytes()).pixels, array)


def test_tiff_further_pages_are_named():
    pages = np.stack([noise(8, 9, 3, seed=seed) for seed in range(3)])
    picture = load(tiff_of(pages, photometric="rgb"))
    np.testing.assert_array_equal(picture.pixels, pages[0])
    assert any("3 pages" in note for note in picture.source.notes)
    assert probe(io.BytesIO(tiff_of(pages, photometric="rgb"))).frames == 3


def test_what_photoshop_puts_into_a_tiff():
    """IPTC that stands in its resources alone is found; layers are named."""
    records = b"\x1c\x02\x19\0\x07harbour"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + b"\0"
    tags = [(34377, 7, len(block), block, True), (37724, 7, 8, b"Adobe Ph", True)]
    found = read(io.BytesIO(tiff_of(smooth(8, 12), extratags=tags)))
    assert found.source.iptc == records
    assert found.source.notes == ("Photoshop's layers were left out",)
