"""Every format, depth and mode with all metadata it can hold, through the real command.

The inputs are made by Pillow, tifffile and ExifTool; the outputs are judged by ExifTool and
libvips, which share no code with what is tested.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from networks import checkpoint
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "pictures"))
from picture_files import noise, png_of, smooth
from picture_profiles import grey_icc, rgb_icc

EXIFTOOL, VIPS = shutil.which("exiftool"), shutil.which("vips")
pytestmark = pytest.mark.skipif(
    not (EXIFTOOL and VIPS),
    reason="the independent readers are missing: apt install libimage-exiftool-perl libvips-tools",
)
HEIGHT, WIDTH = 24, 40  # as stored; the orientation turns it
WRITTEN = {  # what ExifTool is told to write, and under which names it reads it again
    "-EXIF:Make=Moceflex": ("IFD0:Make", "Moceflex"),
    "-EXIF:Orientation#=6": None,
    "-EXIF:GPSLatitude=48.85": ("GPS:GPSLatitude", 48.85),
    "-EXIF:GPSLatitudeRef=N": ("GPS:GPSLatitudeRef", "N"),
    "-EXIF:ISO=400": ("ExifIFD:ISO", 400),
    "-EXIF:DateTimeOriginal=2020:02:03 04:05:06": (
        "ExifIFD:DateTimeOriginal",
        "2020:02:03 04:05:06",
    ),
    "-XMP-dc:Title=Köln": ("XMP-dc:Title", "Köln"),
    "-XMP-xmp:Rating=4": ("XMP-xmp:Rating", 4),
    "-IPTC:Keywords=harbour": ("IPTC:Keywords", "harbour"),
}
HOLDS = {  # which of these a format has room for, by its own standard
    "png": ("EXIF", "XMP", "IPTC"),
    "jpg": ("EXIF", "XMP", "IPTC"),
    "tif": ("EXIF", "XMP", "IPTC"),
    "webp": ("EXIF", "XMP"),
    "avif": ("EXIF", "XMP"),
    "gif": (),
    "bmp": (),
}
LOSSLESS = ("png", "tif", "bmp", "webp")


def samples(depth, channels):
    if depth == "float":
        return (noise(HEIGHT, WIDTH, channels, np.uint16) / 65535).astype(np.float32)
    return noise(HEIGHT, WIDTH, channels, np.uint8 if depth == 8 else np.uint16)


def make_png(path, depth, channels):
    path.write_bytes(png_of(samples(depth, channels)))


def make_tiff(path, depth, channels, **options):
    array = samples(depth, channels)
    extra = ["unassalpha"] if channels in (2, 4) else None
    tifffile.imwrite(
        path,
        array[:, :, 0] if channels == 1 else array,
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=extra,
        metadata=None,
        **options,
    )


def make_pillow(path, channels, **options):
    array = smooth(HEIGHT, WIDTH)
    if channels == 4:
        array = np.dstack([array, array[:, ::-1, 0]])
    elif channels == 1:
        array = array[:, :, 0]
    Image.fromarray(array).save(path, **options)


def cases():
    """name: (maker, arguments, options)."""
    found = {}
    for depth in (8, 16):
        for channels, mode in ((1, "grey"), (2, "greyalpha"), (3, "rgb"), (4, "rgba")):
            found[f"{mode}{depth}.png"] = (make_png, (depth, channels), {})
    for depth in (8, 16, "float"):
        for channels, mode in ((1, "grey"), (3, "rgb"), (4, "rgba")):
            found[f"{mode}{depth}.tif"] = (make_tiff, (depth, channels), {})
    for name, options in (
        ("tiled", {"tile": (16, 16)}),
        ("deflate", {"compression": "zlib", "predictor": True}),
        ("bigendian", {"byteorder": ">"}),
        ("strips", {"rowsperstrip": 5}),
    ):
        for depth in (8, 16, "float"):
            found[f"{name}{depth}.tif"] = (make_tiff, (depth, 3), options)
    found["big.tif"] = (make_tiff, (8, 3), {"bigtiff": True})
    found["lzw.tif"] = (make_pillow, (3,), {"compression": "tiff_lzw"})
    found["grey.jpg"] = (make_pillow, (1,), {"quality": 96, "dpi": (150, 300)})
    found["rgb.jpg"] = (make_pillow, (3,), {"quality": 96, "dpi": (150, 300)})
    found["chroma.jpg"] = (make_pillow, (3,), {"quality": 92, "subsampling": 2})
    found["progressive.jpg"] = (make_pillow, (3,), {"quality": 92, "progressive": True})
    found["rgb.webp"] = (make_pillow, (3,), {"lossless": True})
    found["rgba.webp"] = (
        make_pillow,
        (4,),
        {"lossless": True, "exact": True, "icc_profile": rgb_icc("Display P3")},
    )
    found["lossy.webp"] = (make_pillow, (3,), {"quality": 90})
    found["rgb.avif"] = (make_pillow, (3,), {"quality": 95})
    found["rgba.avif"] = (make_pillow, (4,), {"quality": 95})
    found["rgb.bmp"] = (make_pillow, (3,), {})
    found["rgb.gif"] = (make_pillow, (3,), {})
    return found


CASES = cases()


def run(*words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def facts(folder):
    """What ExifTool reads of every file below."""
    rows = json.loads(run(EXIFTOOL, "-j", "-n", "-G1", "-charset", "filename=utf8", folder))
    return {Path(row["SourceFile"]).name: row for row in rows}


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    """A folder of every case, restored by a network that changes nothing."""
    from typer.testing import CliRunner

    from moce_cli.checkpoints import save
    from moce_cli.cli.app import app

    home = tmp_path_factory.mktemp("whole")
    (home / "in").mkdir()
    for name, (maker, arguments, options) in CASES.items():
        maker(home / "in" / name, *arguments, **options)
    (home / "rgb.icc").write_bytes(rgb_icc("Display P3"))
    (home / "grey.icc").write_bytes(grey_icc())
    for grey in (False, True):
        able = [n for n in CASES if "gif" not in n and "bmp" not in n and "big.tif" not in n]
        names = [n for n in able if n.startswith("grey") == grey]
        icc = [] if grey else [f"-ICC_Profile<={home / 'rgb.icc'}"]
        names = [home / "in" / n for n in names]
        run(EXIFTOOL, "-q", "-m", "-overwrite_original", *WRITTEN, *icc, *names)
    made = checkpoint(identity=True)
    save(home / "idle.safetensors", made.state, made.config, made.card)
    words = ["restore", home / "in", "-o", home / "out", "--json"]
    words += ["--model", home / "idle.safetensors", "--threads", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCE_HOME", str(home))
        result = CliRunner().invoke(app, [str(w) for w in words])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    by_name = {Path(row["input"]).name: row for row in rows if "input" in row}
    assert result.exit_code == 0, [r for r in by_name.values() if r["status"] != "restored"]
    return home, by_name, facts(home / "in"), facts(home / "out")


@pytest.mark.parametrize("name", CASES)
def test_metadata_that_was_there_is_there(restored, name):
    _, rows, before, after = restored
    suffix = Path(name).suffix[1:]
    notes = " ".join(rows[name]["notes"])
    for option, pair in WRITTEN.items():
        if pair is None:
            continue
        tag, value = pair
        block = option[1:5].strip("-:=")
        if tag not in before[name]:
            continue  # ExifTool could not write it into this kind of file
        assert before[name][tag] == pytest.approx(value)
        if block in HOLDS[suffix]:
            assert after[name].get(tag) == pytest.approx(value), f"{tag} is lost"
        else:
            assert block in notes, f"{tag} is lost in silence"
    profile = "ICC_Profile:ProfileDescription"
    assert after[name].get(profile) == before[name].get(profile)


def test_the_matrix_is_not_empty(restored):
    """What the test above skips where ExifTool can't write is little."""
    before = restored[2]
    wanted = [pair for pair in WRITTEN.values() if pair is not None]
    there = sum(tag in before[name] for name in CASES for tag, _ in wanted)
    assert there > 0.8 * len(wanted) * sum(not n.endswith(("gif", "bmp")) for n in CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_orientation_was_applied_once(restored, name):
    _, _, before, after = restored
    turned = before[name].get("IFD0:Orientation") == 6
    assert turned == (not name.endswith(("gif", "bmp", "big.tif")))
    turned = turned and not name.endswith("avif")  # its own boxes turn it, whatever EXIF says
    assert after[name].get("IFD0:Orientation", 1) == 1
    size = after[name]["Composite:ImageSize"].replace("x", " ")
    assert size == (f"{HEIGHT} {WIDTH}" if turned else f"{WIDTH} {HEIGHT}")


@pytest.mark.parametrize("name", [n for n in CASES if n.endswith(".jpg") and "dpi" in CASES[n][2]])
def test_dots_per_inch_turn_with_the_picture(restored, name):
    after = restored[3][name]
    assert (after["JFIF:XResolution"], after["JFIF:YResolution"]) == (300, 150)


def by_vips(path, scratch, *, upright):
    """The pixels as libvips sees them, and how it calls their type."""
    source = path
    if upright:
        run(VIPS, "autorot", path, scratch / "upright.v")
        source = scratch / "upright.v"
    run(VIPS, "rawsave", source, scratch / "pixels.raw")
    fields = run(shutil.which("vipsheader"), "-a", source)
    words = dict(line.split(": ", 1) for line in fields.splitlines()[1:] if ": " in line)
    kind = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}[words["format"]]
    shape = (int(words["height"]), int(words["width"]), int(words["bands"]))
    return np.fromfile(scratch / "pixels.raw", kind).reshape(shape)


@pytest.mark.parametrize("name", CASES)
def test_depth_channels_and_pixels_are_the_same(restored, tmp_path, name):
    if name.endswith(".bmp"):
        pytest.skip("libvips reads BMP by ImageMagick only, which may be missing")
    home, rows, _, _ = restored
    before = by_vips(home / "in" / name, tmp_path, upright=True)
    after = by_vips(home / "out" / name, tmp_path, upright=False)
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    if before.dtype == np.float32:
        np.testing.assert_allclose(after, before, atol=1e-6)
    elif name.endswith(LOSSLESS) and name != "lossy.webp":
        np.testing.assert_array_equal(after, before)
    else:
        assert np.abs(after.astype(float) - before).mean() < 3
    assert rows[name]["height"], rows[name]["width"] == after.shape[:2]


def test_stripping_leaves_the_profile_alone(restored, tmp_path):
    from typer.testing import CliRunner

    from moce_cli.cli.app import app

    home, _, before, _ = restored
    names = ["rgb8.png", "rgb16.tif", "rgb.jpg", "rgb.webp", "rgb.avif"]
    words = ["restore", *(home / "in" / n for n in names), "-o", tmp_path / "out", "-q"]
    words += ["--model", home / "idle.safetensors", "--strip-metadata"]
    assert CliRunner().invoke(app, [str(w) for w in words]).exit_code == 0
    for name, found in facts(tmp_path / "out").items():
        groups = {key.split(":")[0] for key in found}
        assert not groups & {"IFD1", "ExifIFD", "GPS", "IPTC", "XMP-dc", "XMP-xmp"}, name
        assert "IFD0:Make" not in found
        profile = "ICC_Profile:ProfileDescription"
        assert found.get(profile) == before[name].get(profile)
        assert profile in found or name.endswith(("webp", "avif")), "ExifTool puts none there"
        upright = f"{WIDTH} {HEIGHT}" if name.endswith("avif") else f"{HEIGHT} {WIDTH}"
        assert found["Composite:ImageSize"].replace("x", " ") == upright
