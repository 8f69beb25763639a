"""A file is whole or not there; what can't be done is one sentence."""

import errno
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from picture_files import noise, smooth

from moce_cli.errors import MoceError, OutputError, OutputExistsError, UsageError
from moce_cli.pictures import (
    EXTENSIONS,
    FORMATS,
    Picture,
    Source,
    format_for,
    format_named,
    probe,
    read,
    write,
    writing,
)

PICTURE = Picture(smooth(12, 20))


@pytest.mark.parametrize("extension", [e for e, f in EXTENSIONS.items() if f.writable])
def test_extension_decides_the_format(tmp_path, extension):
    for name in (f"a{extension}", f"b{extension.upper()}"):
        write(PICTURE, tmp_path / name)
        assert probe(tmp_path / name).format == EXTENSIONS[extension].name
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"a{extension}",
        f"b{extension.upper()}",
    ]


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.txt", "a.png.", ".png/a"])
def test_unknown_extension_lists_what_is_allowed(tmp_path, name):
    with pytest.raises(OutputError, match=r"\.png, \.jpg") as caught:
        write(PICTURE, tmp_path / name)
    assert caught.value.exit_code == 6


def test_format_lookups():
    assert format_for("x/y.JPeG") == format_for(".jpg") == format_for(Path("a.b.jpe")) == "JPEG"
    assert format_named("png") == format_named(".PNG") == "PNG"
    assert format_named("tif") == format_named("TIFF") == "TIFF"
    for name in ("giff", "", "pngg"):
        with pytest.raises(UsageError, match="webp"):
            format_named(name)


def test_format_overrules_the_extension(tmp_path):
    write(PICTURE, tmp_path / "a.dat", format="tif")
    assert probe(tmp_path / "a.dat").format == "TIFF"


@pytest.mark.parametrize(
    ("own", "wanted"), [("JPEG", "JPEG"), ("TIFF", "TIFF"), ("GIF", "GIF"), ("", "PNG")]
)
def test_a_stream_gets_the_sources_format(own, wanted):
    out = io.BytesIO()
    write(Picture(smooth(12, 20), None, Source(format=own)), out)
    out.seek(0)
    assert probe(out).format == wanted


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_quality_out_of_range(quality):
    with pytest.raises(UsageError, match="1 to 100"):
        write(PICTURE, io.BytesIO(), format="JPEG", quality=quality)


def test_quality_is_used():
    sizes = []
    for quality in (10, 60, 100):
        out = io.BytesIO()
        write(Picture(noise(40, 40)), out, format="JPEG", quality=quality)
        sizes.append(len(out.getvalue()))
    assert sizes == sorted(set(sizes))


def test_nothing_is_overwritten_unless_asked(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError) as caught:
        write(PICTURE, path)
    assert "--overwrite" in caught.value.hint
    assert path.read_bytes() == b"precious"
    write(PICTURE, path, overwrite=True)
    assert probe(path).width == 20
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_dangling_link_counts_as_there(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(OutputExistsError):
        write(PICTURE, tmp_path / "a.png")


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    verify = writing.verify

    def appear(*args):
        verify(*args)
        path.write_bytes(b"precious")

    monkeypatch.setattr(writing, "verify", appear)
    with pytest.raises(OutputExistsError):
        write(PICTURE, path)
    assert path.read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_no_target(tmp_path, overwrite):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write(PICTURE, tmp_path / "a.png", overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        write(PICTURE, tmp_path / "no" / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="there is no folder"):
        write(PICTURE, tmp_path / "file" / "a.png")


def test_long_and_odd_names(tmp_path):
    for name in ("x" * 250 + ".png", "a b\nc.png", "é🙂.png", os.fsdecode(b"\xff\xfe.png")):
        write(PICTURE, tmp_path / name)
        assert read(tmp_path / name).width == 20
    with pytest.raises(OutputError):
        write(PICTURE, tmp_path / ("x" * 300 + ".png"))
    with pytest.raises(OutputError):
        write(PICTURE, tmp_path / "a\0.png")
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "permission denied"), (errno.EIO, "i")],
)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_failing_disk_leaves_nothing(tmp_path, monkeypatch, number, words, step):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    old = tmp_path / "a.png"
    old.write_bytes(b"precious")
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, step, fail)
    with pytest.raises(OutputError) as caught:
        write(PICTURE, old, overwrite=True)
    monkeypatch.undo()
    assert words in caught.value.message.lower()
    assert str(old) in caught.value.message
    assert old.read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_stream():
    with (
        pytest.raises(OutputError, match="no space left"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        write(PICTURE, full, format="PNG")


def test_a_broken_file_is_noticed(tmp_path, monkeypatch):
    encode = writing.encode

    def broken(*arguments):
        return replace(encode(*arguments), data=b"\x89PNG\r\n\x1a\n broken")

    monkeypatch.setattr(writing, "encode", broken)
    with pytest.raises(OutputError, match="can't be read again"):
        write(PICTURE, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(PICTURE, tmp_path / "a.png")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    write(PICTURE, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(("kind", "side"), [("JPEG", 65_501), ("WebP", 16_384)])
def test_sides_too_long_for_a_format(kind, side):
    with pytest.raises(OutputError, match=str(side)) as caught:
        write(Picture(np.zeros((1, side, 3), np.uint8)), io.BytesIO(), format=kind)
    assert "PNG" in caught.value.hint


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((4, 5), np.uint8), None),
        (np.zeros((4, 5, 2), np.uint8), None),
        (np.zeros((0, 5, 3), np.uint8), None),
        (np.zeros((4, 5, 3), np.float64), None),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8)),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint16)),
    ],
)
def test_a_picture_checks_itself(pixels, alpha):
    with pytest.raises(UsageError):
        Picture(pixels, alpha)


def test_with_pixels_keeps_the_rest():
    given = Picture(noise(6, 7), noise(6, 7, 1)[:, :, 0], Source(format="PNG"))
    deep = given.with_pixels(noise(6, 7, 1, np.uint16))
    assert deep.depth == 16
    np.testing.assert_array_equal(deep.alpha, given.alpha.astype(np.uint16) * 257)
    np.testing.assert_array_equal(deep.with_pixels(noise(6, 7)).alpha, given.alpha)
    assert deep.source is given.source
    assert (deep.height, deep.width, deep.channels) == (6, 7, 1)
    with pytest.raises(MoceError):
        given.with_pixels(noise(7, 6))


def test_pixels_are_contiguous():
    flipped = noise(6, 7)[:, ::-1]
    picture = Picture(flipped)
    assert picture.pixels.flags.c_contiguous
    np.testing.assert_array_equal(picture.pixels, flipped)


def test_every_format_is_told_by_its_extension():
    for name, known in FORMATS.items():
        assert known.name == name
        assert all(EXTENSIONS[extension] is known for extension in known.extensions)
