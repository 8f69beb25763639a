"""A tall picture is written, checked, read and turned in a small part of its own memory."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("pyvips")

HEIGHT, WIDTH = 40_000, 2_000
MOST_MB = 80  # 14 to 41 are used; the picture alone takes 229
CODE = """
import json, mmap, struct, sys
from pathlib import Path
import numpy as np
from moce_cli.pictures import Source, Storage
from moce_cli.pictures.large import BandFacts, BandWriter, open_bands
from moce_cli.pictures.large.vips import vips

target, kind, height, width = json.loads(sys.argv[1])
target = Path(target)
vips()

def peak_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

def total():
    found = 0
    with open_bands(target) as reader:
        step = 256 * width // reader.width + 1
        for top in range(0, reader.height, step):
            pixels, _ = reader.rows(top, min(top + step, reader.height))
            found += int(pixels[:, :, 0].sum(dtype=np.int64))
    return found, reader.disk_bytes

start = peak_mb()
facts = BandFacts(Source(), height, width, 3, False, np.dtype(np.uint8))
columns = (np.arange(width) // 32 % 250).astype(np.uint8)[None, :, None]
with BandWriter(target, facts, format=kind, storage=Storage(png_compression=1)) as writer:
    for top in range(0, height, 256):
        rows = np.arange(top, min(top + 256, height))[:, None, None] // 64 % 5
        writer.write(np.broadcast_to(columns + rows.astype(np.uint8), (len(rows), width, 3)), None)
    writer.finish()
seen = [total()]
if kind == "TIFF":  # on its side
    with target.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        data[data.rfind(struct.pack("<HHIHH", 274, 3, 1, 1, 0)) + 8] = 6
        data.flush()
    seen.append(total())
print(json.dumps([peak_mb() - start, seen]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_memory_follows_the_width_alone(kind, tmp_path):
    given = json.dumps([str(tmp_path / "a"), kind, HEIGHT, WIDTH])
    done = subprocess.run(
        [sys.executable, "-c", CODE, given], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    peak_mb, seen = json.loads(done.stdout)
    assert peak_mb < MOST_MB
    columns = sum(x // 32 % 250 for x in range(WIDTH))
    wanted = HEIGHT * columns + WIDTH * sum(y // 64 % 5 for y in range(HEIGHT))
    for total, _ in seen:
        assert abs(total - wanted) <= (HEIGHT * WIDTH // 2 if kind == "JPEG" else 0)
    assert seen[0][1] == 0
    if kind == "TIFF":
        assert HEIGHT * WIDTH * 3 <= seen[1][1] < 1.05 * HEIGHT * WIDTH * 3
