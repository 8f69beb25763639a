"""Animations and pages through the real command: every frame, its time, and how often it plays.

libvips and ExifTool judge, as in the matrix of single pictures.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from matrix_files import EXIFTOOL, VIPS, facts, run
from networks import checkpoint
from PIL import Image

pytestmark = pytest.mark.skipif(
    not (EXIFTOOL and VIPS),
    reason="the independent readers are missing: apt install libimage-exiftool-perl libvips-tools",
)
TIMES = [40, 120, 250]  # milliseconds
PLAYS = 3
HEIGHT, WIDTH = 24, 40
SHADES = [np.full((HEIGHT, WIDTH, 3), (60 * n + 40, 200 - 50 * n, 90), np.uint8) for n in range(3)]
MOVING = ("a_gif.gif", "a_webp.webp", "a_png.png")
TARGETS = ("gif", "webp", "png", "avif", "tiff", "jpeg")
SUFFIX = {"tiff": "tif", "jpeg": "jpg"}


def make(folder):
    folder.mkdir()
    images = [Image.fromarray(shade) for shade in SHADES]
    words = {"save_all": True, "append_images": images[1:], "duration": TIMES}
    images[0].save(folder / "a_gif.gif", loop=PLAYS - 1, **words)  # GIF counts the repeats
    images[0].save(folder / "a_webp.webp", loop=PLAYS, lossless=True, **words)
    images[0].save(folder / "a_png.png", loop=PLAYS, **words)
    tifffile.imwrite(folder / "pages.tif", np.stack(SHADES), photometric="rgb", metadata=None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    from moce_cli.checkpoints import save

    folder = tmp_path_factory.mktemp("frames")
    made = checkpoint(identity=True)
    save(folder / "idle.safetensors", made.state, made.config, made.card)
    make(folder / "in")
    return folder


@pytest.fixture(scope="module", params=TARGETS)
def converted(request, home):
    """All sources in one format: its name, the command's notes, what ExifTool reads."""
    from typer.testing import CliRunner

    from moce_cli.cli.app import app

    kind = request.param
    words = ["restore", home / "in", "-o", home / kind, "--format", kind, "--json"]
    words += ["--model", home / "idle.safetensors", "--threads", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCE_HOME", str(home))
        result = CliRunner().invoke(app, [str(w) for w in words])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0, rows
    notes = {Path(row["input"]).stem: " ".join(row["notes"]) for row in rows}
    return kind, notes, {Path(n).stem: f for n, f in facts(home / kind).items()}


def by_vips(path):
    """The header's fields as libvips tells them."""
    lines = run(VIPS + "header", "-a", f"{path}[n=-1]").splitlines()[1:]
    return dict(line.split(": ", 1) for line in lines if ": " in line)


@pytest.mark.parametrize("name", MOVING)
def test_every_frame_its_time_and_the_plays_are_there_or_named(converted, home, name):
    kind, notes, after = converted
    stem = Path(name).stem
    path, found, told = home / kind / f"{stem}.{SUFFIX.get(kind, kind)}", after[stem], notes[stem]
    if kind in ("tiff", "jpeg"):
        assert "the first of 3 was stored" in told
        return
    assert "first of" not in told
    if kind == "png":
        assert found["PNG:AnimationFrames"] == 3
        assert found["PNG:AnimationPlays"] == PLAYS
    elif kind == "avif":
        assert "3 times was dropped" in told
        assert found["Track1:MediaDuration"] == pytest.approx(sum(TIMES) / 1000, abs=0.002)
    else:
        fields = by_vips(path)
        assert int(fields["n-pages"]) == 3
        assert [int(v) for v in fields["delay"].split()] == TIMES
        assert int(fields["loop"]) == PLAYS
    with Image.open(path) as image:  # the colours, frame by frame
        for index, shade in enumerate(SHADES):
            image.seek(index)
            seen = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(seen - shade).max() <= (4 if kind == "avif" else 0)


def test_pages_stay_pages_and_are_no_animation(converted, home):
    kind, notes, _ = converted
    path = home / kind / f"pages.{SUFFIX.get(kind, kind)}"
    if kind != "tiff":
        assert "holds no pages: the first of 3 was stored" in notes["pages"]
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == 1
        return
    assert int(by_vips(path)["n-pages"]) == 3
    for page, shade in zip(tifffile.imread(path, key=range(3)), SHADES, strict=True):
        np.testing.assert_array_equal(page, shade)
