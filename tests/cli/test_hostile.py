"""Pictures, names and links made to harm: one sentence, the right code, nothing written."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from cli_support import tree
from PIL import Image

SIDE = 40_000  # squared, more pixels than --max-pixels allows


def encoded(kind, side=16, mode="L", **options):
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).convert(mode).save(out, kind, **options)
    return bytearray(out.getvalue())


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed_rows(side):
    """As many rows of as many black pixels of one bit, each behind PNG's filter byte, deflated."""
    packer = zlib.compressobj(1)
    rows = bytes(100 * (1 + side // 8))
    return b"".join(packer.compress(rows) for _ in range(side // 100)) + packer.flush()


def png(side, data=b"x\x9c\x03\0\0\0\0\x01"):
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(side, blocks):
    """A grey one, of so many blocks; four of them are 3 bytes."""
    data = encoded("JPEG", 8)
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    start = data.index(b"\xff\xda")
    start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return bytes(data[:start]) + b"\x28\xa2\x8a" * (blocks // 4) + b"\xff\xd9"


def tiff(*tags, data=b"", first=8):
    """A classic little-endian TIFF: its pixels at 8, its table behind them (or where told)."""
    at = 8 + len(data) + len(data) % 2
    table = struct.pack("<H", len(tags))
    for tag, kind, count, value in sorted(tags):
        table += struct.pack("<HHII", tag, kind, count, value)
    start = at if first == 8 else first
    return struct.pack("<2sHI", b"II", 42, start) + data.ljust(at - 8, b"\0") + table + bytes(4)


def layout(side, length, bits=8, at=8, compression=1, rows=None):
    return [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, bits), (259, 3, 1, compression),
        (262, 3, 1, 1), (273, 4, 1, at), (277, 3, 1, 1), (278, 4, 1, rows or side),
        (279, 4, 1, length),
    ]  # fmt: skip


def real_tiff(side):
    data = packed_rows(side)
    return tiff(*layout(side, len(data), bits=1, compression=8), data=data)


def moving(kind, canvas_at, stated):
    """Small frames on a canvas that alone is far below the limit."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")] * 150
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=40)
    return patched(bytearray(out.getvalue()), canvas_at, stated)


def patched(data, at, value):
    data[at : at + len(value)] = value
    return bytes(data)


DECLARED = {
    "a.png": lambda: png(SIDE),
    "a.jpg": lambda: jpeg(SIDE, 4),
    "a.tif": lambda: tiff(*layout(SIDE, 4), data=bytes(4)),
    "a16.tif": lambda: tiff(*layout(SIDE, 4, bits=16), data=bytes(4)),
    "a.gif": lambda: patched(encoded("GIF"), 6, struct.pack("<HH", SIDE, SIDE)),
    "frame.gif": lambda: bytes(encoded("GIF")[:-1]) + wide_frame(),
    "a.webp": lambda: moving("WEBP", 24, (SIDE - 1).to_bytes(3, "little") * 2),
    "a.bmp": lambda: patched(encoded("BMP"), 18, struct.pack("<ii", SIDE, SIDE)),
}


def wide_frame():
    return b",\0\0\0\0" + struct.pack("<HH", SIDE, SIDE) + b"\0\x02\x02\x4c\x01\0;"


REAL = {
    "a.png": lambda: png(SIDE, packed_rows(SIDE)),
    "a.jpg": lambda: jpeg(SIDE, (SIDE // 8) ** 2),
    "a.tif": lambda: real_tiff(SIDE),
    "a.gif": lambda: moving("GIF", 6, struct.pack("<HH", 2000, 2000)),
    "a.webp": lambda: moving("WEBP", 24, (1999).to_bytes(3, "little") * 2),
}


@pytest.mark.parametrize("name", DECLARED)
@pytest.mark.parametrize("command", ["restore", "info"])
def test_a_declared_bomb(refused, tmp_path, name, command):
    (tmp_path / name).write_bytes(DECLARED[name]())
    assert "--max-pixels" in refused(3, command, tmp_path / name)


def test_real_bombs_among_good_pictures(model_file, picture, tmp_path):
    """Whole files, small and true to the last byte, but for their size."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    picture(photos / "good.png")
    for name, make in REAL.items():
        (photos / name).write_bytes(make())
        assert (photos / name).stat().st_size < 20e6
    words = [sys.executable, "-m", "moce_cli", "restore", photos, "-o", out, "--json"]
    words += ["--model", model_file, "--threads", 1]
    with subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    rows = {os.path.basename(r["input"]): r for r in map(json.loads, said.splitlines())}
    assert child.returncode == 1
    assert rows.pop("good.png")["status"] == "restored"
    assert set(rows) == set(REAL)
    for name, row in rows.items():
        assert row["error"]["exit_code"] == 3, (name, row)
        assert "the 1000000000 allowed" in row["error"]["message"], (name, row)
    assert {path.name for path in out.iterdir() if path.name[0] != "."} == {"good.png"}
    assert used.ru_maxrss * 1024 < 2e9


def test_the_bombs_are_real(tmp_path):
    """Made small, each is a whole picture."""
    from moce_cli.pictures import read

    side = 800
    for data in (png(side, packed_rows(side)), jpeg(side, (side // 8) ** 2), real_tiff(side)):
        assert read(io.BytesIO(data)).pixels.shape[:2] == (side, side)
    for make in (REAL["a.gif"], REAL["a.webp"]):
        assert read(io.BytesIO(make())).pixels.shape[:2] == (2000, 2000)


def test_more_pixels_than_stated_are_not_unpacked(moce, tmp_path):
    """A quarter of a gigabyte behind the pixels of a small picture."""
    import resource

    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(2**24)) for _ in range(16)) + packer.flush()
    (tmp_path / "a.png").write_bytes(png(64, data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert moce("info", tmp_path / "a.png").exit_code == 0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 1e8


POINTING = {
    "its table outside": tiff(*layout(16, 256), data=bytes(256), first=10**9),
    "its table in the header": tiff(*layout(16, 256), data=bytes(256), first=4),
    "its pixels outside": tiff(*layout(16, 256, at=10**9), data=bytes(256)),
    "its pixels half outside": tiff(*layout(16, 256, at=300), data=bytes(256)),
    "16-bit pixels outside": tiff(*layout(16, 512, bits=16, at=10**9), data=bytes(512)),
    "packed pixels outside": tiff(*layout(16, 256, at=2**32 - 8, compression=8), data=bytes(256)),
    "its list of strips outside": tiff(
        *[t for t in layout(16, 256, rows=1) if t[0] not in (273, 279)],
        (273, 4, 16, 10**9), (279, 4, 16, 10**9), data=bytes(256),
    ),
    "a list without end": tiff(
        *[t for t in layout(16, 256) if t[0] != 273], (273, 4, 2**32 - 1, 8), data=bytes(256)
    ),
    "fewer strips than rows": tiff(*layout(160, 256, rows=1), data=bytes(256)),
    "a table of 65535": b"II*\0\x08\0\0\0\xff\xff" + bytes(40),
    "BigTIFF beyond 2^63": struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**64 - 8) + bytes(64),
}  # fmt: skip


@pytest.mark.parametrize("what", POINTING)
def test_a_tiff_that_points_outside(refused, tmp_path, what):
    (tmp_path / "a.tif").write_bytes(POINTING[what])
    assert "a.tif is damaged" in refused(3, "restore", tmp_path / "a.tif")


@pytest.mark.parametrize("pages", [1, 2])
def test_a_tiff_whose_pages_go_round_ends(moce, tmp_path, pages):
    data = bytearray(tiff(*layout(16, 256), data=bytes(range(256))))
    start = len(data)
    if pages == 2:  # the second says that the first follows it
        table = data[264:-4]
        data[-4:] = struct.pack("<I", start)
        data += table + bytes(4)
    data[-4:] = struct.pack("<I", 264)
    (tmp_path / "a.tif").write_bytes(data)
    result = moce("restore", tmp_path / "a.tif", "-o", tmp_path / "b.tif")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "b.tif") as image:
        assert image.n_frames == pages


def test_links_out_of_the_outputs(refused, moce, picture, tmp_path):
    photos, out, elsewhere = (tmp_path / name for name in ("photos", "out", "elsewhere"))
    picture(photos / "sub" / "a.png")
    picture(elsewhere / "precious.png", seed=1)
    precious = tree(elsewhere)
    out.mkdir()
    (out / "sub").symlink_to(elsewhere)
    for output in (out, f"{out}/{{parent}}/{{name}}"):
        for more in ((), ("--overwrite",), ("--resume",), ("--skip-existing",)):
            assert "leads out of" in refused(6, "restore", photos, "-o", output, *more)
    (out / "sub").unlink()
    (out / "sub").mkdir()
    (out / "sub" / "a.png").symlink_to(elsewhere / "precious.png")
    assert "is there already" in refused(6, "restore", photos, "-o", out)
    assert moce("restore", photos, "-o", out, "--overwrite").exit_code == 0
    assert not (out / "sub" / "a.png").is_symlink(), "the link was replaced, not followed"
    assert tree(elsewhere) == precious


@pytest.mark.parametrize(
    "output", ["out/{parent}/../../{name}", "out/{stem}/../../x{ext}", "out/{name}/.."]
)
def test_a_template_that_climbs(refused, picture, tmp_path, output):
    picture(tmp_path / "photos" / "a.png")
    said = refused(2, "restore", tmp_path / "photos", "-o", f"{tmp_path}/{output}")
    assert "leads out of" in said


def test_names_that_climb_from_a_list(moce, picture, tmp_path):
    """Whatever way an input is named by, its result stays in the folder."""
    picture(tmp_path / "a" / "x.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "list.txt").write_text(f"{tmp_path}/b/../a/x.png\n")
    result = moce("restore", "--files-from", tmp_path / "list.txt", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    made = {path for path in tree(tmp_path) if path.startswith("out") and "/." not in path}
    assert made == {"out", "out/x.png"}
