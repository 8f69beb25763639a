"""Every mode and depth that a file may have, against arrays known beforehand or another reader."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from picture_files import ICC_MARK, encoded, noise, png_chunks, png_file, png_of, smooth, srgb_icc
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.pictures import probe, read


def load(data):
    return read(io.BytesIO(data))


def tiff_of(array, **options):
    out = io.BytesIO()
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]  # else the first axis would be pages
    tifffile.imwrite(out, array, metadata=None, **options)
    return out.getvalue()


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


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame_and_says_so(kind):
    frames = [Image.fromarray(smooth(20, 20)[:, ::step]) for step in (1, -1)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    picture = load(data)
    assert picture.pixels.shape == (20, 20, 3)
    assert any("first of 2" in note for note in picture.source.notes)


@pytest.mark.parametrize("dtype", [np.float32, np.uint32, np.int16, np.float16])
def test_other_samples_are_refused_with_a_sentence(dtype):
    data = tiff_of(np.zeros((4, 5), dtype), photometric="minisblack")
    with pytest.raises(InputError, match="not supported yet"):
        load(data)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_follows_the_plain_formula(kind):
    ink = Image.fromarray(np.dstack([smooth(32, 32), np.zeros((32, 32), np.uint8)]), "CMYK")
    picture = load(encoded(ink, kind, **({"quality": 100} if kind == "JPEG" else {})))
    wanted = np.asarray(ink.convert("RGB")).astype(int)
    assert np.abs(picture.pixels - wanted).max() <= (4 if kind == "JPEG" else 0)
    assert picture.source.icc is None
    assert picture.source.mode == "CMYK"
    assert any("no profile" in note for note in picture.source.notes)


def test_cmyk_profile_does_not_stay_on_rgb_pixels():
    ink = Image.fromarray(np.dstack([smooth(32, 32), np.zeros((32, 32), np.uint8)]), "CMYK")
    broken = bytearray(srgb_icc())
    broken[16:20] = b"CMYK"  # says CMYK, but can't be applied to it
    picture = load(encoded(ink, "JPEG", icc_profile=bytes(broken)))
    assert picture.source.icc is None
    assert any("unusable" in note for note in picture.source.notes)


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
