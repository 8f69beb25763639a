"""What became of each property of a file, and how far pixels are apart."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from moce_cli.compare import compare, look_page
from moce_cli.compare.comparison import as_srgb, difference, labels
from moce_cli.compare.properties import fates, properties
from moce_cli.errors import InputError
from moce_cli.pictures import Picture, Source, probe, read, write


def full_exif():
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "Somebody"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.ExposureTime] = 0.01
    inner[ExifTags.Base.MakerNote] = b"\x00\x01\xff\x80"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (47.0, 22.0, 30.5)
    return exif


def test_a_resolution_that_went_into_exif_is_not_lost(photo, tmp_path):
    first = photo("a.jpg", dpi=(300, 200))
    write(read(first), tmp_path / "b.webp")
    _, second = compare([first, tmp_path / "b.webp"])
    assert fate_of(second, "resolution").status == "kept"
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 100.0
    for unit, expected in ((2, "100 dpi"), (3, "254 dpi"), (9, None)):
        exif[ExifTags.Base.ResolutionUnit] = unit
        _, third = compare([photo("c.png"), photo("d.webp", exif=exif)])
        told = [fate.after for fate in third.fates if fate.name == "resolution"]
        assert told == [expected] * bool(expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_alpha_channel_that_hides_nothing_is_no_transparency(tmp_path, dtype):
    pixels = np.zeros((60, 80, 3), dtype)
    paths = [tmp_path / f"{name}.png" for name in ("bare", "opaque", "clear")]
    most = np.iinfo(dtype).max
    opaque = np.full((60, 80), most, dtype)
    clear = opaque.copy()
    clear[3, 4] = most - 1
    for path, alpha in zip(paths, (None, opaque, clear), strict=True):
        write(Picture(pixels, alpha), path)
    told = [fate_of(one, "transparency") for one in compare(paths)]
    assert [fate.status for fate in told] == ["kept", "kept", "changed"]
    assert [fate.after for fate in told] == ["no", "none used", "yes"]


def test_the_network_is_not_imported_to_compare():
    code = (
        "import sys, moce_cli.compare\n"
        "assert {'torch', 'cv2', 'huggingface_hub'}.isdisjoint(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def fate_of(compared, name):
    return next(fate for fate in compared.fates if fate.name == name)


def test_everything_is_kept_in_a_copy_and_in_another_format_that_holds_it(photo, tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    first = photo("a.jpg", exif=full_exif(), icc_profile=srgb, dpi=(300, 300), quality=95)
    picture = read(first)
    write(picture, tmp_path / "b.jpg")
    write(picture, tmp_path / "c.tif")
    _, copy, other = compare([first, tmp_path / "b.jpg", tmp_path / "c.tif"])
    assert {fate.status for fate in copy.fates} == {"kept"}
    assert other.named("changed") == ("format",)
    assert other.named("lost") == ()
    told = {fate.name: fate.before for fate in copy.fates}
    assert told["Make"] == "Maker"
    assert told["ExposureTime"] == "0.01"
    assert told["MakerNote"] == "4 bytes"
    assert told["resolution"] == "300 dpi"
    assert "sRGB" in told["profile"]
    assert told["size"] == "80 x 60"


def test_what_another_tool_lost_changed_and_added_is_named(photo):
    exif = full_exif()
    first = photo("a.jpg", exif=exif, dpi=(300, 300), comment="mine")
    exif[ExifTags.Base.Make] = "Other"
    del exif[ExifTags.Base.Artist]
    exif[ExifTags.Base.Software] = "Tool"
    after = photo("b.jpg", exif=exif)
    bare = photo("c.png")
    _, other, nothing = compare([first, after, bare])
    assert set(other.named("lost")) == {"Artist", "resolution", "text 'Comment'"}
    assert other.named("changed") == ("Make",)
    assert other.named("added") == ("Software",)
    make = fate_of(other, "Make")
    assert (make.before, make.after) == ("Maker", "Other")
    assert {"Make", "GPSLatitude", "MakerNote"} <= set(nothing.named("lost"))


def test_where_a_picture_was_taken_is_compared_and_not_told(photo):
    first = photo("a.jpg", exif=full_exif())
    moved = full_exif()
    moved.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    _, same, other = compare([first, photo("b.jpg", exif=full_exif()), photo("c.jpg", exif=moved)])
    assert fate_of(same, "GPSLatitude").status == "kept"
    assert fate_of(other, "GPSLatitude").status == "changed"
    for one in (same, other):
        told = fate_of(one, "GPSLatitude")
        assert (told.before, told.after) == ("there", "there")


def test_an_applied_orientation_is_told_and_nothing_else_changes(photo, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    first = photo("a.jpg", exif=exif, height=40, width=60, quality=95)
    picture = read(first)
    write(picture, tmp_path / "b.png")
    _, after = compare([first, tmp_path / "b.png"])
    turned = fate_of(after, "orientation")
    assert (turned.status, turned.before, turned.after) == ("changed", "turned by 90°", "upright")
    assert fate_of(after, "size").before == "40 x 60"
    assert after.difference.is_none


def test_an_animation_that_became_a_still_is_noticed(photo):
    path = photo("a.png")
    still, header = read(path), probe(path)
    moving = replace(still, source=replace(still.source, duration_ms=120, loops=0))
    told = fates(properties(moving, replace(header, frames=3)), properties(still, header))
    lost = {fate.name: fate.before for fate in told if fate.status == "lost"}
    assert lost == {"pages or frames": "3", "first frame's time": "120 ms", "played": "for ever"}


def test_that_only_the_first_page_is_shown_is_said(photo):
    (first, other) = compare([photo("a.png"), photo("b.png")])
    pages = replace(first, picture=replace(first.picture, further=(other.picture,) * 2))
    assert "a.png has 3 pages or frames; the first is shown" in look_page([pages, other])


def test_texts_of_one_name_are_told_apart(photo):
    def texts(*said):
        info = PngImagePlugin.PngInfo()
        for line in said:
            info.add_text("Note", line)
        return info

    first = photo("a.png", pnginfo=texts("one", "two"))
    _, other = compare([first, photo("b.png", pnginfo=texts("one", "three"))])
    assert fate_of(other, "text 'Note'").status == "kept"
    assert fate_of(other, "text 'Note' (2)").status == "changed"


@pytest.mark.parametrize("block", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"nonsense" * 9])
def test_a_damaged_block_is_a_row_and_no_crash(photo, block):
    path = photo("a.png")
    picture = read(path)
    damaged = replace(picture, source=replace(picture.source, exif=block, icc=b"\0" * 200))
    said = properties(damaged, probe(path))
    assert all(fate.status == "kept" for fate in fates(said, said))


def test_the_difference_is_what_the_pixels_say(photo):
    before = np.full((10, 20, 3), 100, np.uint8)
    after = before.copy()
    after[:5, 0] = 110  # 5 of 200 pixels by 10 of 255
    _, other, same = compare(
        [photo("a.png", before), photo("b.png", after), photo("c.png", before)]
    )
    assert other.difference.mean == pytest.approx(10 * 5 / 200)
    assert other.difference.largest == pytest.approx(10)
    assert other.difference.pixels == pytest.approx(5 / 200)
    assert not other.difference.is_none
    assert same.difference.is_none


def test_a_step_of_sixteen_bits_is_a_difference_and_depth_alone_is_none():
    eight = Picture(np.full((4, 4, 3), 100, np.uint8))
    sixteen = Picture(np.full((4, 4, 3), 25700, np.uint16))
    assert difference(eight, sixteen).is_none
    one_more = sixteen.pixels.copy()
    one_more[0, 0, 0] += 1
    found = difference(sixteen, Picture(one_more))
    assert found.pixels == 1 / 16
    assert found.largest == pytest.approx(1 / 257)


def test_grey_and_transparency_count():
    grey = Picture(np.full((4, 4, 1), 9, np.uint8))
    assert difference(grey, Picture(np.full((4, 4, 3), 9, np.uint8))).is_none
    clear = Picture(grey.pixels, np.full((4, 4), 255, np.uint8))
    assert difference(grey, clear).is_none
    half = Picture(grey.pixels, np.full((4, 4), 155, np.uint8))
    assert difference(clear, half).largest == 100


def test_colours_are_shown_as_a_screen_shows_them():
    linear = Source(png_chunks=((b"gAMA", (100000).to_bytes(4, "big")),))
    picture = Picture(np.full((2, 2, 3), 55, np.uint8), source=linear)
    assert as_srgb(picture, None)[0, 0, 0] == pytest.approx(128, abs=2)
    plain = Picture(np.full((2, 2, 1), 55, np.uint8))
    assert np.array_equal(as_srgb(plain, None), np.full((2, 2, 3), 55))
    clear = Picture(plain.pixels, np.zeros((2, 2), np.uint8))
    ground = np.full((2, 2, 3), 200, np.uint8)
    assert np.array_equal(as_srgb(clear, ground), ground)


def test_shapes_that_do_not_cover_each_other_are_refused(photo):
    first = photo("a.png", height=60, width=80)
    with pytest.raises(InputError, match="not of one shape"):
        compare([first, photo("b.png", height=80, width=60)])
    larger = photo("c.png", height=120, width=160)
    _, other = compare([first, larger])
    assert other.difference is None
    assert fate_of(other, "size").after == "160 x 120"


def test_labels_tell_files_apart_and_say_no_more():
    assert labels([Path("/x/a/p.png"), Path("/x/b/p.png"), Path("/x/q.png")]) == (
        "a/p.png",
        "b/p.png",
        "q.png",
    )
    assert labels([Path("/x/a/p.png"), Path("/y/a/p.png")]) == ("x/a/p.png", "y/a/p.png")
    assert labels([Path("/a.png"), Path("/a.png")]) == ("a.png", "a.png (2)")
    assert labels([Path("/home/me/secret/a.png"), Path("/tmp/b.png")]) == ("a.png", "b.png")
