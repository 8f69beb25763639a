"""Large and tiny pictures through the real command."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

MOST_BYTES = 3e9


def restore(source, target, *options):
    """Run `moce restore` and give its peak memory in bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target), *options],
        stderr=subprocess.PIPE,
    )
    with process.stderr:
        errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, errors
    return usage.ru_maxrss * 1024


@pytest.mark.slow
def test_24_megapixels_stay_under_3_gb(tmp_path):
    rows = np.linspace(0, 255, 4000)[:, None, None]
    columns = np.linspace(0, 1, 6000)[None, :, None] * np.array([1.0, 0.7, 0.4])
    noise = np.random.default_rng(0).normal(0, 15, (4000, 6000, 1)).astype(np.float32)
    picture = (rows * columns + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "large.jpg", quality=92)
    peak = restore(tmp_path / "large.jpg", tmp_path / "out.jpg")
    assert peak < MOST_BYTES
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (6000, 4000)
        middle = np.asarray(image.crop((2800, 1800, 3200, 2200))).astype(float)
    clean = (rows * columns)[1800:2200, 2800:3200]
    before = np.abs(picture[1800:2200, 2800:3200] - clean).mean()
    assert np.abs(middle - clean).mean() < before / 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (3, 65)])
def test_tiny_pictures(tmp_path, height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    restore(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (width, height)
