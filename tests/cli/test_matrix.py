"""Every format, depth and mode into every format, with all metadata, through the real command.

The laws: what the new format holds is there, and what it does not hold is named. ExifTool and
libvips judge, which share no code with what is tested.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from matrix_files import EXIFTOOL, PROFILE, TAGS, VIPS, by_vips, facts, make, sources
from networks import checkpoint

pytestmark = pytest.mark.skipif(
    not (EXIFTOOL and VIPS),
    reason="the independent readers are missing: apt install libimage-exiftool-perl libvips-tools",
)
HOLDS = {  # by each format's own standard: metadata; bits; alpha
    "png": ({"EXIF", "XMP", "IPTC", "profile", "resolution", "Comment"}, 16, True),
    "jpeg": ({"EXIF", "XMP", "IPTC", "profile", "resolution", "Comment"}, 8, False),
    "tiff": ({"EXIF", "XMP", "IPTC", "profile", "resolution"}, 32, True),
    "webp": ({"EXIF", "XMP", "profile", "resolution"}, 8, True),
    "avif": ({"EXIF", "XMP", "profile", "resolution"}, 12, True),
    "gif": ({"XMP", "profile", "Comment"}, 8, True),
    "bmp": ({"resolution"}, 8, False),
    "exr": ({"resolution", "Comment"}, 32, True),
}
EXACT = ("png", "tiff", "bmp", "exr")
SUFFIX = {"jpeg": "jpg", "tiff": "tif"}
NAMES = sorted(sources())
DOTS = {  # where ExifTool finds how many dots there are to an inch: across, down
    "jpg": ("JFIF:XResolution", "JFIF:YResolution", 1),
    "tif": ("IFD0:XResolution", "IFD0:YResolution", 1),
    "png": ("PNG-pHYs:PixelsPerUnitX", "PNG-pHYs:PixelsPerUnitY", 0.0254),
    "bmp": ("File:PixelsPerMeterX", "File:PixelsPerMeterY", 0.0254),
    **dict.fromkeys(("webp", "avif"), ("IFD0:XResolution", "IFD0:YResolution", 1)),
    "exr": ("OpenEXR:XResolution", "OpenEXR:PixelAspectRatio", 1),
}
COMMENTS = ("File:Comment", "PNG:Comment", "OpenEXR:Comments")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    from moce_cli.checkpoints import save

    made = checkpoint(identity=True)
    folder = tmp_path_factory.mktemp("matrix")
    save(folder / "idle.safetensors", made.state, made.config, made.card)
    make(folder / "in")
    return folder


@pytest.fixture(scope="module")
def before(home):
    return facts(home / "in")


@pytest.fixture(scope="module", params=HOLDS)
def converted(request, home):
    """All sources in one format: its name, the command's rows, what ExifTool reads."""
    from typer.testing import CliRunner

    from moce_cli.cli.app import app

    kind = request.param
    words = ["restore", home / "in", "-o", home / kind, "--format", kind, "--json"]
    words += ["--model", home / "idle.safetensors", "--threads", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCE_HOME", str(home))
        result = CliRunner().invoke(app, [str(w) for w in words])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    by_name = {Path(row["input"]).name: row for row in rows}
    assert result.exit_code == 0, [r for r in rows if r["status"] != "restored"]
    assert sorted(by_name) == NAMES
    return kind, by_name, facts(home / kind)


def output(name, kind):
    return f"{Path(name).stem}.{SUFFIX.get(kind, kind)}"


def stated(found):
    """{(block, tag): value} of what this matrix looks at."""
    told = {(block, tag): found[tag] for block, tag, _ in TAGS.values() if tag in found}
    if PROFILE in found:
        told["profile", PROFILE] = found[PROFILE]
    if comment := next((found[tag] for tag in COMMENTS if tag in found), None):
        told["Comment", "Comment"] = comment
    return told


def dots(found, suffix):
    """Dots per inch, (across, down), or None."""
    across, down, scale = DOTS.get(suffix, ("", "", 1))
    if across not in found or found.get("JFIF:ResolutionUnit") == 0:  # of a ratio, not inches
        return None
    if suffix == "exr":
        return found[across], found[across] * found[down]
    return found[across] * scale, found[down] * scale


def test_the_sources_are_rich(before):
    """What ExifTool could not write into the sources is little."""
    able = [n for n in NAMES if not n.endswith(("big.tif", "bmp", "exr", "gif", "heic"))]
    there = sum(tag in before[name] for name in able for _, tag, _ in TAGS.values())
    assert there > 0.9 * len(TAGS) * len(able)
    assert sum(PROFILE in found for found in before.values()) > 20
    assert sum(dots(found, n.rpartition(".")[2]) is not None for n, found in before.items()) > 25


def test_metadata_is_there_or_named(converted, before):
    kind, rows, after = converted
    holds = HOLDS[kind][0]
    wrong = []
    for name in NAMES:
        found, notes = after[output(name, kind)], " ".join(rows[name]["notes"])
        told = stated(found)
        inked = "inks" in name
        for (block, tag), value in stated(before[name]).items():
            if block == "profile" and inked:
                continue
            if block in holds:
                if told.get((block, tag)) != pytest.approx(value):
                    wrong.append(f"{name}: {tag} is lost: {told.get((block, tag))}")
            elif block not in notes:
                wrong.append(f"{name}: {block} is lost in silence")
            elif (block, tag) in told:
                wrong.append(f"{name}: {block} is there and said to be lost")
    assert not wrong, "\n".join(wrong)


def test_what_is_kept_is_not_said_to_be_lost(converted):
    kind, rows, _ = converted
    for name in NAMES:
        for block in HOLDS[kind][0]:
            assert f"holds no {block}" not in " ".join(rows[name]["notes"])


def test_resolution_is_there_turned_with_the_picture_or_named(converted, before):
    kind, rows, after = converted
    wrong = []
    for name in NAMES:
        given = dots(before[name], name.rpartition(".")[2])
        if given is None or name.endswith(("webp", "avif")):  # theirs is part of EXIF
            continue
        if before[name].get("IFD0:Orientation") == 6:
            given = given[::-1]
        seen = dots(after[output(name, kind)], SUFFIX.get(kind, kind))
        named = "resolution" in " ".join(rows[name]["notes"])
        if "resolution" in HOLDS[kind][0]:
            if seen != pytest.approx(given, rel=0.01) or named:
                wrong.append(f"{name}: {seen}, not {given}")
        elif not named:
            wrong.append(f"{name}: lost in silence")
    assert not wrong, "\n".join(wrong)


def test_it_stands_upright_once(converted, before):
    kind, _, after = converted
    for name in NAMES:
        found = after[output(name, kind)]
        assert found.get("IFD0:Orientation", 1) == 1, name
        assert found.get("XMP-tiff:Orientation", 1) == 1, name
        width, height = map(int, found["Composite:ImageSize"].replace("x", " ").split())
        own = [int(v) for v in before[name]["Composite:ImageSize"].replace("x", " ").split()]
        turned = before[name].get("IFD0:Orientation") == 6
        if not name.startswith(("avif", "heic", "jxl", "dng")):  # theirs is in their own boxes
            assert [width, height] == (own[::-1] if turned else own), name


def test_depth_and_channels(converted, before):
    """By ExifTool, of every file; `mode` names what a source holds, whatever its container."""
    kind, rows, after = converted
    _, most, clear = HOLDS[kind]
    wrong = []
    for name in NAMES:
        found, notes = after[output(name, kind)], " ".join(rows[name]["notes"])
        bits, has_alpha, is_grey = told_by(found, kind)
        mode = name.partition("_")[2]
        was_grey = mode.startswith(("grey", "bilevel"))
        was_clear = mode.startswith(("greyalpha", "rgba", "cleared"))
        wanted = {**DEPTHS, "jxl_rgb16": 16, "jpg_inks": 8}.get(name.rpartition(".")[0])
        wanted = wanted or next((d for d in (32, 16, 12, 10) if str(d) in mode), 8)
        if bits is not None and bits < min(wanted, most) and "JXL" not in notes:
            wrong.append(f"{name}: {wanted} bits became {bits}")
        if wanted > most and not any(w in notes for w in ("bits", "floating")):
            wrong.append(f"{name}: bits are lost in silence")
        if was_clear and has_alpha is False and (clear or "alpha" not in notes):
            wrong.append(f"{name}: alpha is lost")
        if has_alpha and not was_clear:
            wrong.append(f"{name}: alpha is new")
        if is_grey is not None and was_grey != is_grey and "no grey" not in notes:
            wrong.append(f"{name}: grey is {is_grey}")
    assert not wrong, "\n".join(wrong)


DEPTHS = {"tif_big": 16, "tif_tiles": 16, "dng_camera": 16, "exr_rgba": 32}


def told_by(found, kind):
    """(bits, alpha, grey) by ExifTool; None for what it does not tell of this format."""
    if kind == "png":
        colour = found["PNG:ColorType"]
        return found["PNG:BitDepth"], colour in (4, 6), colour in (0, 4)
    if kind == "tiff":
        bits = str(found["IFD0:BitsPerSample"]).split()
        clear = "IFD0:ExtraSamples" in found
        return int(bits[0]), clear, found["IFD0:PhotometricInterpretation"] == 1
    if kind == "jpeg":
        return found["File:BitsPerSample"], False, found["File:ColorComponents"] == 1
    if kind == "avif":
        depth = str(found["QuickTime:ImagePixelDepth"]).split()
        clear = "QuickTime:AuxiliaryImageType" in found  # whose own format hides the picture's
        return int(depth[0]), clear, None if clear else found["QuickTime:ChromaFormat"] == 7
    if kind == "exr":
        names = {part.split()[0] for part in found["OpenEXR:Channels"]}
        return 32, "A" in names, "Y" in names
    if kind == "bmp":
        return None, False, found["File:BitDepth"] == 8
    return None, None, None


FEW = ("png_rgb8", "png_rgba16", "png_grey16", "png_cleared", "tif_rgb8", "tif_rgba32", "tif_tiles")
FEW += ("jpg_grey", "jpg_chroma", "webp_rgba", "avif_rgb8", "gif_rgb")
NEAR = {"jpeg": 0.03, "webp": 0.03, "avif": 0.03, "gif": 0.08}
APART = ("dng", "bmp", "tif_inks", "jpg_inks", "jxl", "exr")  # libvips sees those otherwise


@pytest.mark.parametrize(
    "few", [pytest.param(True, id="few"), pytest.param(False, id="all", marks=pytest.mark.slow)]
)
def test_pixels_are_the_same_upright(converted, home, tmp_path, few):
    """By libvips: to the last bit where nothing is lost, else near; colours of alpha 0 aside."""
    kind, _, _ = converted
    if kind in ("bmp", "exr"):
        pytest.skip("libvips sees their colours otherwise: converted into sRGB, or into light")
    wrong = []
    for name in NAMES:
        if name.startswith(APART) or (few and not name.startswith(FEW)):
            continue
        given = by_vips(home / "in" / name, tmp_path)
        seen = by_vips(home / kind / output(name, kind), tmp_path)
        if given.shape[:2] != seen.shape[:2]:
            wrong.append(f"{name}: {given.shape} became {seen.shape}")
            continue
        if given.dtype.kind == "f" and seen.dtype.kind != "f":
            continue  # light became sRGB
        if kind == "gif" and given.shape[2] in (2, 4):
            continue  # it knows all or nothing
        if kind not in EXACT or name.endswith(("webp", "avif", "heic", "jpg")):
            bound = NEAR.get(kind, 0.02)
            loss = float(np.abs(coarse(given) - coarse(seen)).mean())
        else:
            most = 1 if given.dtype.kind == "f" else np.iinfo(given.dtype).max
            bound, loss = 0, np.abs(unit(given) - unit(seen))[..., : given.shape[2]].max() * most
            loss = 0 if loss < 0.01 else loss
        if loss > bound:
            wrong.append(f"{name}: pixels differ by {loss:.3f}")
    assert not wrong, "\n".join(wrong)


def unit(pixels):
    """(H, W, 4) in [0, 1]: colours and alpha."""
    scale = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    values = pixels.astype(np.float64) / scale
    colours = values[..., :1].repeat(3, axis=2) if pixels.shape[2] < 3 else values[..., :3]
    alpha = values[..., -1:] if pixels.shape[2] in (2, 4) else np.ones((*values.shape[:2], 1))
    return np.concatenate([colours, alpha], axis=2)


def coarse(pixels):
    """Means of blocks of eight by eight, laid on white: what coding with loss keeps."""
    values = unit(pixels)
    laid = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    height, width = laid.shape[:2]
    return laid.reshape(height // 8, 8, width // 8, 8, 3).mean(axis=(1, 3))
