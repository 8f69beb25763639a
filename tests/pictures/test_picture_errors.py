"""Whatever is wrong with an input, one sentence says so, and nothing else comes out."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from picture_files import exif_of, noise, png_chunks, png_file, png_of
from picture_whole import WHOLE
from PIL import Image, ImageFile

from moce_cli.errors import InputError, MoceError
from moce_cli.pictures import opencv as opencv_module
from moce_cli.pictures import probe, read, write


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_short_is_an_error(kind):
    data = WHOLE[kind]
    assert read(io.BytesIO(data)).channels == 3
    tail = 2 if kind == "GIF" else 0  # a GIF's end mark carries no pixels
    cuts = {*range(1, min(80, len(data)), 7), *np.linspace(1, len(data) - 1 - tail, 24, dtype=int)}
    for cut in cuts:
        with pytest.raises(InputError) as caught:
            read(io.BytesIO(data[:cut]))
        assert caught.value.message[-1] not in ".!"
        assert "\n" not in caught.value.message


def check_only_moce_errors(data):
    for act in (probe, read):
        try:
            act(io.BytesIO(data), max_pixels=100_000)
        except InputError as error:
            sentence = error.message
        else:
            continue
        assert sentence[-1] not in ".!"
        assert "\n" not in sentence


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
    early=st.booleans(),
)
def test_changed_bytes_give_a_picture_or_a_sentence(kind, changes, early):
    data = bytearray(WHOLE[kind])
    span = min(len(data), 200) if early else len(data)
    for place, value in changes:
        data[int(place * (span - 1))] = value
    check_only_moce_errors(bytes(data))


@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from(sorted(WHOLE)), rest=st.binary(max_size=300), keep=st.integers(0, 60))
def test_noise_behind_a_true_start_gives_a_sentence(start, rest, keep):
    check_only_moce_errors(WHOLE[start][: keep + 16] + rest)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from([b"eXIf", b"iCCP", b"tEXt", b"iTXt", b"zTXt", b"pHYs", b"tRNS", b"acTL"]),
    body=st.binary(max_size=60),
)
def test_any_body_of_a_png_chunk_with_a_true_checksum(name, body):
    check_only_moce_errors(png_of(noise(4, 5, 3, np.uint16), extra=[(name, body)]))
    check_only_moce_errors(png_of(noise(4, 5, 3), trailing=[(name, body)]))


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8))
@example(changes=[(8, 8)])  # a table that reaches over its own values
def test_damaged_exif_never_costs_the_picture(changes):
    exif = bytearray(exif_of(1, thumbnail=b"\xff\xd8small\xff\xd9"))
    for place, value in changes:
        exif[place % len(exif)] = value
    picture = read(io.BytesIO(png_of(noise(4, 5), extra=[(b"eXIf", bytes(exif))])))
    assert sorted(picture.pixels.shape[:2]) == [4, 5]
    for kind in ("PNG", "TIFF", "JPEG", "WebP"):
        write(picture, io.BytesIO(), format=kind)


def test_missing_file_folder_empty_and_text(tmp_path):
    cases = {
        "no such file": tmp_path / "nowhere.png",
        "is a folder": tmp_path,
        "is empty": tmp_path / "empty.png",
        "no picture of a kind": tmp_path / "letter.jpg",
    }
    cases["is empty"].touch()
    cases["no picture of a kind"].write_text("Dear Sir or Madam,")
    for words, path in cases.items():
        for act in (read, probe):
            with pytest.raises(InputError, match=words) as caught:
                act(path)
            assert str(path) in caught.value.message
            assert caught.value.exit_code == 3


def test_name_is_used_in_messages():
    with pytest.raises(InputError, match="standard input"):
        read(io.BytesIO(b""), name="standard input")


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000 + ".png"])
def test_impossible_names(tmp_path, name):
    with pytest.raises(InputError, match="can't be read"):
        read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_permission_denied(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(WHOLE["PNG"])
    path.chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        read(path)


def test_permission_denied_has_its_words(tmp_path, monkeypatch):
    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(InputError, match="permission denied"):
        read(tmp_path / "a.png")


def bombs():
    sides = struct.pack(">II", 60_000, 60_000)
    chunks = png_chunks(WHOLE["PNG"])
    yield "PNG", png_file([(b"IHDR", sides + chunks[0][1][8:]), *chunks[1:]])
    jpeg = WHOLE["JPEG"]
    at = jpeg.index(b"\xff\xc0") + 5
    yield "JPEG", jpeg[:at] + struct.pack(">HH", 60_000, 60_000) + jpeg[at + 4 :]
    webp = WHOLE["WebP"]
    yield "WebP", webp[:24] + b"\xff\xff\0\xff\xff\0" + webp[30:]
    bmp = WHOLE["BMP"]
    yield "BMP", bmp[:18] + struct.pack("<ii", 60_000, 60_000) + bmp[26:]
    gif = WHOLE["GIF"]
    yield "GIF", gif[:6] + struct.pack("<HH", 60_000, 60_000) + gif[10:]
    tiff = WHOLE["TIFF plain"]
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HHI", tag, 4, 1)) + 8
        tiff = tiff[:at] + struct.pack("<I", 60_000) + tiff[at + 4 :]
    yield "TIFF", tiff


@pytest.mark.parametrize(("kind", "data"), [pytest.param(*b, id=b[0]) for b in bombs()])
def test_a_bomb_is_refused_by_its_header(kind, data):
    for act in (read, probe):
        with pytest.raises(InputError, match="more than the 1000000000 allowed") as caught:
            act(io.BytesIO(data))
        assert "--max-pixels" in caught.value.hint


def test_max_pixels_is_exact():
    data = WHOLE["PNG"]
    assert read(io.BytesIO(data), max_pixels=960).pixels.size == 960 * 3
    with pytest.raises(InputError, match="960 pixels, more than the 959"):
        read(io.BytesIO(data), max_pixels=959)


def test_pillows_own_limit_neither_acts_nor_changes(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for data in WHOLE.values():
        read(io.BytesIO(data))
    with pytest.raises(InputError):
        read(io.BytesIO(WHOLE["JPEG"][:-200]))
    assert Image.MAX_IMAGE_PIXELS == 10
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_threads_leave_pillow_as_they_found_it():
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    failures = []

    def work():
        for data in WHOLE.values():
            try:
                read(io.BytesIO(data))
            except MoceError as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_a_wrong_checksum_is_damage():
    data = bytearray(WHOLE["PNG"])
    data[data.index(b"IDAT") + 10] ^= 1
    with pytest.raises(InputError, match="checksum of its 'IDAT' chunk"):
        read(io.BytesIO(bytes(data)))


def test_a_table_that_points_at_itself_ends():
    tiff = bytearray(WHOLE["TIFF plain"])
    (first,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, first)
    struct.pack_into("<I", tiff, first + 2 + 12 * count, first)
    assert probe(io.BytesIO(bytes(tiff))).frames == 1


def test_packed_texts_are_no_bombs():
    bomb = (b"zTXt", b"key\0\0" + zlib.compress(bytes(15 * 2**20)))
    data = png_of(noise(4, 5), extra=[bomb] * 20)
    assert len(read(io.BytesIO(data)).source.text) <= 2


def test_opencv_that_will_not_load_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    opencv_module.opencv.cache_clear()
    try:
        with pytest.raises(MoceError, match="OpenCV") as caught:
            read(io.BytesIO(WHOLE["PNG 16"]))
    finally:
        opencv_module.opencv.cache_clear()
    assert "opencv-python-headless" in caught.value.hint


def test_importing_the_package_loads_neither_opencv_nor_torch():
    command = (
        "import sys, moce_cli.pictures; print([m for m in ('cv2', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
