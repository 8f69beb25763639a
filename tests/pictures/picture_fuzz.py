"""Damaged files without end: run as a program, it reads cases FROM to TO and tells of the bad ones.

    python tests/pictures/picture_fuzz.py FROM TO [PROGRESS]

Each case depends on its number alone. The file PROGRESS always holds the number of the case at
hand, so that whoever started this knows what a crash or a hang was about. A case that gives
anything but a picture or a sentence with exit code 3 is told as a line of JSON; the last line says
how many were read, what came of them, and how long the slowest took.
"""

import base64
import collections
import ctypes
import io
import json
import os
import random
import re
import resource
import struct
import sys
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

MAX_PIXELS = 100_000, 20_000_000  # by turns: quick, and with room for what eats memory
MOST_BYTES = 2e9
NO_SENTENCE = re.compile(r"object at 0x|<_io|<python|Traceback|short: b'|: '[^']*'$|: ?$")
EXTREMES = [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]


def seeds():
    """Small whole files of every kind that can be made or read here."""
    import numpy as np
    from picture_files import encoded, noise, smooth
    from picture_whole import WHOLE
    from PIL import Image

    from moce_cli.pictures import Picture, Source, write
    from moce_cli.pictures.extras import PACKAGES

    found = dict(WHOLE)
    frames = [Picture(smooth(16, 20)[::s].copy(), None, Source(duration_ms=40)) for s in (1, -1)]
    moving = Picture(frames[0].pixels, None, frames[0].source, (frames[1],))
    pages = Picture(noise(9, 8), None, Source(), (Picture(noise(5, 6, 1)),))
    for name, picture, kind in (
        ("moving PNG", moving, "PNG"),
        ("moving GIF", moving, "GIF"),
        ("moving WebP", moving, "WebP"),
        ("moving AVIF", moving, "AVIF"),
        ("AVIF", Picture(smooth(16, 20)), "AVIF"),
        ("AVIF 12", Picture(noise(16, 20, 3, np.uint16)), "AVIF"),
        ("TIFF float", Picture(noise(9, 8).astype(np.float32) / 255), "TIFF"),
        ("TIFF pages", pages, "TIFF"),
    ):
        out = io.BytesIO()
        write(picture, out, format=kind)
        found[name] = out.getvalue()
    interlaced = Image.fromarray(smooth(24, 40)).quantize(9)
    found["GIF interlaced"] = encoded(interlaced, "GIF", interlace=1)
    from test_picture_extras import HEIC, dng

    for name, module, make in (
        ("HEIC", "pi_heif", lambda: (HEIC / "p3_8bit.heic").read_bytes()),
        ("RAW", "rawpy", lambda: dng(height=16, width=24)),
        ("EXR", "OpenEXR", lambda: exr_of(Picture(smooth(9, 8)))),
        ("JXL", "imagecodecs", lambda: jxl_of(smooth(16, 20))),
    ):
        assert module in [known for known, _, _ in PACKAGES.values()]
        try:
            __import__(module)
        except ImportError:
            continue
        found[name] = make()
    return found


def exr_of(picture):
    from moce_cli.pictures import write

    out = io.BytesIO()
    write(picture, out, format="EXR")
    return out.getvalue()


def jxl_of(array):
    import imagecodecs

    return imagecodecs.jpegxl_encode(array, lossless=True)


def mutate(number, files):
    """A damaged file, the same for the same number."""
    rng = random.Random(number)
    names = sorted(files)
    name = names[number % len(names)]
    data = bytearray(files[name])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        near_start = rng.random() < 0.5
        at = rng.randrange(min(len(data), 200) if near_start else len(data)) if data else 0
        kind = rng.choices(range(7), (5, 3, 4, 1, 1, 1, 1))[0]
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.randrange(256)
        elif kind == 2:
            form = rng.choice(("<H", ">H", "<I", ">I"))
            value = rng.choice(EXTREMES) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
            packed = struct.pack(form, value)
            data[at : at + len(packed)] = packed
        elif kind == 3:
            del data[at : at + rng.randrange(1, 40)]
        elif kind == 4:
            part = data[at : at + rng.randrange(1, 200)]
            data[at:at] = part * rng.choice((1, 2, 50))
        elif kind == 5:
            del data[rng.randrange(len(data) + 1) :]
        else:
            other = files[rng.choice(names)]
            data[at:] = other[rng.randrange(len(other)) :]
    if rng.random() < 0.7:  # believed by its frame, so that what is inside is looked at
        if "PNG" in name:
            data = right_checksums(bytes(data))
        elif "WebP" in name:
            data[4:8] = struct.pack("<I", max(0, len(data) - 8) & 0xFFFFFFFF)
    return name, bytes(data)


def right_checksums(data):
    """A PNG whose chunks are believed, so that what is in them is looked at."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            break
        body = data[at + 8 : at + 8 + length]
        out += struct.pack(">I4s", length, name) + body
        out += struct.pack(">I", zlib.crc32(name + body))
        at += 12 + length
    return bytes(out + data[at:])


def complaint(data, max_pixels=MAX_PIXELS[0]):
    """What is wrong with how a damaged file is taken, or None; and what came of it."""
    from moce_cli.errors import InputError
    from moce_cli.pictures import probe, read

    came = "refused"
    for act, options in ((probe, {}), (read, {}), (read, {"whole": True})):
        try:
            found = act(io.BytesIO(data), max_pixels=max_pixels, name="NAME", **options)
        except InputError as error:
            if not is_sentence(error.message) or error.exit_code != 3:
                return f"no sentence: {error.message!r}", came
        except Exception as error:
            return f"{type(error).__name__} from {act.__name__}: {error}", came
        else:
            if act is read:
                came = "picture"
                if wrong := unwritable(found):
                    return wrong, came
    return None, came


def is_sentence(message):
    plain = message.isprintable() and len(message) < 400 and not NO_SENTENCE.search(message)
    rest = message.removeprefix("NAME").lstrip(": ")
    low = rest[:1].islower() or rest[1:2].isupper() or not rest[:1].isalpha()
    return plain and message.startswith("NAME") and low and message[-1] not in ".!"


def unwritable(picture):
    """What a damaged file carries along may not stop the picture from being written."""
    from moce_cli.errors import OutputError
    from moce_cli.pictures import write

    if picture.pixels.size > 100_000:
        return None
    for kind in ("PNG", "TIFF"):
        try:
            write(picture, io.BytesIO(), format=kind)
        except OutputError:
            pass
        except Exception as error:
            return f"{type(error).__name__} from write {kind}: {error}"
    return None


def main(first, last, progress=os.devnull):
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    files = seeds()
    told = os.fdopen(os.dup(1), "w", buffering=1)
    printed = Path(f"{progress}.printed" if progress != os.devnull else os.devnull)
    with printed.open("wb") as other:
        os.dup2(other.fileno(), 1)  # what a library prints would end in a picture on its way
    flush = ctypes.CDLL(None).fflush
    came, slowest = collections.Counter(), (0.0, 0)
    with Path(progress).open("w") as place:
        for number in range(int(first), int(last)):
            place.seek(0)
            place.write(f"{number:12}")
            place.flush()
            name, data = mutate(number, files)
            before, begun = peak_bytes(), time.monotonic()
            wrong, what = complaint(data, MAX_PIXELS[number // len(files) % 2])
            came[what] += 1
            slowest = max(slowest, (time.monotonic() - begun, number))
            if peak_bytes() > max(before, MOST_BYTES):
                wrong = f"{peak_bytes() / 2**30:.1f} GiB of memory"
            flush(None)
            if printed.is_file() and printed.stat().st_size:
                wrong = f"printed {printed.read_bytes()[:200]!r}"
                os.truncate(printed, 0)
            if wrong:
                text = base64.b64encode(data).decode()
                row = {"case": number, "kind": name, "wrong": wrong, "data": text}
                told.write(json.dumps(row) + "\n")
    row = {"done": came.total(), **came, "slowest": slowest, "GiB": peak_bytes() / 2**30}
    told.write(json.dumps(row) + "\n")
    told.close()


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
