"""Pictures restored in bands, through the real command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("pyvips")


def moce(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "moce_cli", *map(str, arguments)],
        capture_output=True,
        check=False,
        **options,
    )


def noisy(height, width, channels=3, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.2, 0.8, width)[None, :, None] * np.linspace(1, 0.6, height)[:, None, None]
    values = (ramp + rng.normal(0, 0.06, (height, width, channels))).clip(0, 1)
    return (values * np.iinfo(dtype).max).round().astype(dtype)


def store(path, pixels):
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, tile=(64, 64), bigtiff=True, photometric="rgb")
    elif path.suffix == ".jpg":
        Image.fromarray(pixels).save(path, quality=92)
    else:
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_the_same_file_as_in_one_piece(tmp_path, suffix):
    source = tmp_path / f"in{suffix}"
    store(source, noisy(300, 420))
    rows = {}
    for bands in ("always", "never"):
        done = moce(
            "restore", source, "-o", tmp_path / f"{bands}.png", "--bands", bands, "--tile", "128",
            "--json", "--device", "cpu",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows[bands] = json.loads(done.stdout)
    with Image.open(tmp_path / "always.png") as a, Image.open(tmp_path / "never.png") as b:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        assert np.abs(np.asarray(a).astype(int) - noisy(300, 420)).mean() > 5, "it was restored"
    for row in rows.values():
        for changing in ("seconds", "seconds_with_files", "output"):
            del row[changing]
    assert rows["always"] == rows["never"]


def test_sixteen_bits_alpha_and_a_turned_jpeg(tmp_path):
    deep = noisy(150, 90, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    alpha = np.dstack([noisy(90, 150), np.tile(np.arange(150, dtype=np.uint8), (90, 1))])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noisy(90, 150)).save(tmp_path / "turned.jpg", exif=exif)
    done = moce("restore", tmp_path, "-o", tmp_path / "out", "--bands", "always", "--tile", "64")
    assert done.returncode == 0, done.stderr
    out = tifffile.imread(tmp_path / "out" / "deep.tif")
    assert (out.dtype, out.shape) == (np.uint16, deep.shape)
    assert len(np.unique(out)) > 300
    with Image.open(tmp_path / "out" / "alpha.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[..., 3], alpha[..., 3])
    with Image.open(tmp_path / "out" / "turned.jpg") as image:
        assert image.size == (90, 150)
        assert image.getexif().get(0x0112, 1) == 1


def test_a_region_is_all_that_changes(tmp_path):
    pixels = noisy(260, 200)
    store(tmp_path / "in.png", pixels)
    done = moce(
        "restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--bands", "always",
        "--tile", "64", "--region", "70,30,100,90",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as image:
        changed = np.argwhere((np.asarray(image) != pixels).any(axis=2))
    assert changed.min(axis=0).tolist() == [70, 30]
    assert changed.max(axis=0).tolist() == [169, 119]


def test_a_mask_that_keeps_all_is_refused(tmp_path):
    store(tmp_path / "in.png", noisy(260, 200))
    Image.new("L", (200, 260)).save(tmp_path / "black.png")
    done = moce(
        "restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--bands", "always",
        "--tile", "64", "--mask", tmp_path / "black.png",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert b"the mask keeps all of the picture" in done.stderr
    assert not (tmp_path / "out.png").exists()


def test_what_it_takes_is_said_before_it_begins(tmp_path):
    store(tmp_path / "in.png", noisy(260, 200))
    words = ("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--bands", "always")
    options = ("--tile", "48", "--overlap", "12")
    planned = moce(*words, *options, "--dry-run", "--json")
    forecast = json.loads(planned.stdout)["forecast"]
    assert (forecast["tiles"], forecast["in_bands"]) == (42, True)
    assert forecast["seconds"] > 0
    assert 2**27 < forecast["host_bytes"] < 2**31
    assert forecast["disk_bytes"] >= 260 * 200 * 3
    assert not (tmp_path / "out.png").exists()
    done = moce(*words, *options)
    assert b"42 tiles, " in done.stderr
    assert b"of memory in bands" in done.stderr
    assert b"tiles" not in moce(*words, *options, "--overwrite", "-q").stderr


@pytest.mark.parametrize("bands", ["always", "never"])
def test_a_plan_counts_what_is_asked_for(tmp_path, bands):
    store(tmp_path / "in.png", noisy(300, 300))
    words = (
        "restore",
        tmp_path / "in.png",
        "--dry-run",
        "--json",
        "--tile",
        "64",
        "--bands",
        bands,
    )
    tiles = {}
    for region in ("0,0,300,300", "0,0,40,40"):
        done = moce(*words, "--region", region)
        assert done.returncode == 0, done.stderr
        tiles[region] = json.loads(done.stdout)["forecast"]["tiles"]
    assert tiles["0,0,40,40"] <= 4 < tiles["0,0,300,300"]
    outside = moce(*words, "--region", "200,0,200,10")
    assert outside.returncode == 3
    assert b"lies outside the picture" in outside.stderr


def test_by_a_pipe(tmp_path):
    store(tmp_path / "in.png", noisy(120, 100))
    with (tmp_path / "in.png").open("rb") as given:
        piped = moce("restore", "-", "-o", "-", "--bands", "always", "--tile", "64", stdin=given)
    assert piped.returncode == 0, piped.stderr
    (tmp_path / "piped.png").write_bytes(piped.stdout)
    moce("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--tile", "64")
    with Image.open(tmp_path / "piped.png") as a, Image.open(tmp_path / "out.png") as b:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_what_goes_wrong_is_a_sentence_and_leaves_nothing(tmp_path):
    store(tmp_path / "whole.png", noisy(400, 300))
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) * 2 // 3])
    Image.fromarray(noisy(40, 40)).save(tmp_path / "a.webp")
    out = tmp_path / "out"
    out.mkdir()
    cases = {
        ("cut.png", "out.png"): (3, "cut.png"),
        ("a.webp", "out.png"): (2, "can't be restored in bands: WebP"),
        ("whole.png", "out.webp"): (2, "can't be restored in bands: WebP"),
    }
    for (name, result), (code, told) in cases.items():
        done = moce(
            "restore", tmp_path / name, "-o", out / result, "--bands", "always", "--tile", "64"
        )
        assert done.returncode == code, done.stderr
        assert told in done.stderr.decode().replace("\n", " ")
        assert list(out.iterdir()) == []
    done = moce("restore", tmp_path / "whole.png", "-o", out / "o.png", "--bands", "sometimes")
    assert done.returncode == 2


def test_a_batch_resumes_and_a_seam_fails_one(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        store(photos / f"{index}.png", noisy(100, 130, seed=index))
    options = ("--bands", "always", "--tile", "64", "--json")
    assert moce("restore", photos, "-o", tmp_path / "out", *options).returncode == 0
    (tmp_path / "out" / "1.png").unlink()
    again = moce("restore", photos, "-o", tmp_path / "out", "--resume", *options)
    assert again.returncode == 0, again.stderr
    assert len(os.listdir(tmp_path / "out")) == 4  # with the journal
    refused = moce(
        "restore", photos / "0.png", "-o", tmp_path / "s.png", "--max-seam", "0", *options
    )
    assert refused.returncode == 1
    assert not (tmp_path / "s.png").exists()


MEASURED = """
import sys
import numpy as np
from moce_cli import runtime
from moce_cli.pictures import Storage
from moce_cli.pictures.large import BandWriter, open_bands
from networks import restorer
from pathlib import Path
source, target = map(Path, sys.argv[1:])
made = restorer(tile=64, overlap=8, routing="0")
made.restore(np.zeros((70, 64, 3), np.uint8))
before = runtime.peak_memory_bytes()
with open_bands(source) as reader, BandWriter(
    target, reader, format="PNG", storage=Storage()
) as writer:
    made.restore_bands(reader, lambda: writer)
    writer.finish()
print(runtime.peak_memory_bytes() - before)
"""


@pytest.mark.slow
def test_memory_follows_the_width_not_the_height(tmp_path):
    networks = Path(__file__).parent.parent / "restoration"
    grown = []
    for height in (4000, 12000):
        pixels = np.zeros((height, 512, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{height}.png")
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, tmp_path / f"{height}.png", tmp_path / f"o{height}"],
            env={**os.environ, "PYTHONPATH": str(networks)}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        grown.append(int(done.stdout))
    assert grown[1] < grown[0] + 10e6, "the pixels alone are 12 MB more, held twice"
