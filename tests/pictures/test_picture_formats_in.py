"""Every mode and depth that a file may have, against arrays known beforehand or another reader."""

import io
import struct
import zlib

import numpy as np
import pytest
from picture_files import (
    ICC_MARK,
    cmyk_icc,
    encoded,
    noise,
    png_chunks,
    png_file,
    png_of,
    smooth,
    srgb_icc,
    tiff_of,
)
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.pictures import read


def load(data):
    return read(io.BytesIO(data))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_gives_each_sample_as_stored(dtype, channels):
    array = noise(7, 5, channels, dtype)
    picture = load(png_of(array))
    colours = 1 if channels < 3 else 3
    np.testing.assert_array_equal(picture.pixels, array[:, :, :colours])
    assert picture.pixels.dtype == dtype
    assert picture.source.depth == array.dtype.itemsize * 8
    if channels % 2:
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, array[:, :, -1])


@pytest.mark.parametrize("value", [0, 255, 65535])
def test_depth_is_the_files_not_the_brightest_pixels(value):
    array = np.full((4, 4, 3), value, np.uint16)
    for data in (png_of(array), tiff_of(array, photometric="rgb")):
        picture = load(data)
        assert picture.pixels.dtype == np.uint16
        np.testing.assert_array_equal(picture.pixels, array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_transparent_colour_becomes_alpha(dtype, channels):
    array = noise(6, 4, channels, dtype)
    key = array[2, 3]
    body = b"".join(struct.pack(">H", value) for value in key)
    picture = load(png_of(array, extra=[(b"tRNS", body)]))
    np.testing.assert_array_equal(picture.pixels, array)
    clear = (array == key).all(axis=2)
    np.testing.assert_array_equal(picture.alpha, np.where(clear, 0, np.iinfo(dtype).max))
    assert picture.source.mode.endswith("+alpha")


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("transparent", [False, True])
def test_png_grey_of_few_bits_spans_0_to_255(depth, transparent):
    levels = 2**depth
    per_byte = 8 // depth
    values = np.arange(levels).repeat(per_byte)[None] % levels
    packed = np.zeros(values.size // per_byte, np.uint8)
    for index, value in enumerate(values[0]):
        packed[index // per_byte] |= value << (8 - depth - index % per_byte * depth)
    header = struct.pack(">IIBBBBB", values.size, 1, depth, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + packed.tobytes())), (b"IEND", b"")]
    if transparent:
        chunks.insert(1, (b"tRNS", struct.pack(">H", 1)))
    picture = load(png_file(chunks))
    np.testing.assert_array_equal(picture.pixels[:, :, 0], values * 255 // (levels - 1))
    assert picture.source.depth == depth
    if transparent:
        np.testing.assert_array_equal(picture.alpha, np.where(values == 1, 0, 255))
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP"])
def test_palette_is_promoted_to_rgb(kind):
    image = Image.fromarray(smooth(20, 30)).quantize(16)
    picture = load(encoded(image, kind))
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert picture.source.mode == "palette"


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_a_transparent_entry_is_promoted_to_rgb_and_alpha(kind):
    image = Image.fromarray(smooth(20, 30)).quantize(16)
    indices = np.asarray(image)
    picture = load(encoded(image, kind, transparency=5))
    clear = indices == 5 if kind == "PNG" else picture.alpha == 0  # GIF may number anew
    np.testing.assert_array_equal(picture.alpha == 0, clear)
    assert set(np.unique(picture.alpha)) == {0, 255}
    assert picture.source.mode == "palette+alpha"


def test_palette_with_graded_alpha():
    image = Image.fromarray(smooth(20, 30)).quantize(4)
    picture = load(encoded(image, "PNG", transparency=bytes([0, 100, 200, 255])))
    wanted = np.array([0, 100, 200, 255], np.uint8)[np.asarray(image)]
    np.testing.assert_array_equal(picture.alpha, wanted)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_grey(kind):
    array = noise(9, 11, 1)[:, :, 0] > 127
    picture = load(encoded(Image.fromarray(array), kind))
    np.testing.assert_array_equal(picture.pixels[:, :, 0], array * 255)
    assert picture.source.depth == 1


def test_interlaced_16_bit_png():
    array = noise(9, 11, 3, np.uint16)
    raw = b""
    for top, left, down, right in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)),
        (1, 0, 2, 1),
    ):
        part = array[top::down, left::right]
        raw += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part if part.size)
    header = struct.pack(">IIBBBBB", 11, 9, 16, 2, 0, 0, 1)
    data = png_file([(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")])
    np.testing.assert_array_equal(load(data).pixels, array)
    short = png_file([(b"IHDR", header), (b"IDAT", zlib.compress(raw[:-1])), (b"IEND", b"")])
    with pytest.raises(InputError, match="bytes of pixels"):
        load(short)


def test_16_bit_png_with_too_few_rows_is_an_error_not_grey():
    with pytest.raises(InputError, match="bytes of pixels"):
        load(png_of(noise(5, 6, 3, np.uint16), rows=6))
    with pytest.raises(InputError, match="damaged"):
        load(png_of(noise(5, 6, 3), rows=6))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame_and_says_so(kind):
    frames = [Image.fromarray(smooth(20, 20)[:, ::step]) for step in (1, -1)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    picture = load(data)
    assert picture.pixels.shape == (20, 20, 3)
    assert any("first of 2" in note for note in picture.source.notes)


@pytest.mark.parametrize("dtype", [np.uint32, np.int16, np.complex64])
def test_other_samples_are_refused_with_a_sentence(dtype):
    data = tiff_of(np.zeros((4, 5), dtype), photometric="minisblack")
    with pytest.raises(InputError, match="not supported yet"):
        load(data)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("profile", ["none", "broken"])
def test_cmyk_without_a_profile_is_refused(kind, profile):
    ink = Image.fromarray(np.dstack([smooth(32, 32), np.zeros((32, 32), np.uint8)]), "CMYK")
    broken = bytearray(srgb_icc())
    broken[16:20] = b"CMYK"  # says CMYK, but can't be applied to it
    options = {"icc_profile": bytes(broken)} if profile == "broken" else {}
    with pytest.raises(InputError, match="CMYK colours") as caught:
        load(encoded(ink, kind, **options))
    assert ("unusable" in caught.value.message) == (profile == "broken")
    assert "profile" in caught.value.hint


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(kind):
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[8:, :, 0] = 255  # the profile below prints this ink in red
    inks[16:, :, 0] = 0
    inks[16:, :, 3] = 255
    profile = cmyk_icc()
    options = {"quality": 100} if kind == "JPEG" else {}
    data = encoded(Image.fromarray(inks, "CMYK"), kind, icc_profile=profile, **options)
    picture = load(data)
    paper, red, black = (picture.pixels[row, 5].astype(int) for row in (3, 12, 24))
    assert paper.min() >= 250
    assert red[0] > 200
    assert red[1:].max() < 90
    assert black.max() <= 5
    assert picture.source.icc[16:20] == b"RGB "
    assert picture.source.icc == load(data).source.icc
    assert any("its profile" in note for note in picture.source.notes)


def test_profile_goes_with_the_pixels_untouched():
    profile = srgb_icc() + ICC_MARK
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        data = encoded(Image.fromarray(smooth(16, 16)), kind, icc_profile=profile)
        assert load(data).source.icc == profile


def test_webp_and_jpeg_decode_as_pillow_does():
    image = Image.fromarray(smooth(40, 50))
    for kind in ("WEBP", "JPEG"):
        data = encoded(image, kind, quality=80)
        with Image.open(io.BytesIO(data)) as expected:
            np.testing.assert_array_equal(load(data).pixels, np.asarray(expected.convert("RGB")))


def test_written_chunks_have_right_checksums():
    assert [name for name, _ in png_chunks(png_of(noise(2, 2)))] == [b"IHDR", b"IDAT", b"IEND"]
