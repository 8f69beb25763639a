"""Which encoding a file says its samples have: by profile, by PNG's chunks, by EXIF.

Source: ICC.1:2022; PNG specification, third edition, sections 4.3 and 11.3.2; DCF 2.0 (Adobe RGB).
"""

from __future__ import annotations

import io
import struct

import numpy as np

from moce_cli.pictures.encoding import (
    ADOBE_RGB,
    LINEAR,
    LINEAR_SRGB,
    PRIMARIES,
    SRGB_CURVE,
    SRGB_TO_XYZ,
    Curve,
    Encoding,
    Matrix,
    from_primaries,
    gamma,
)
from moce_cli.pictures.ifd import EXIF_POINTER, INTEROP_POINTER, DamagedError, Directories
from moce_cli.pictures.picture import Picture

_COLOUR_SPACE = 0xA001
_CICP_PRIMARIES = {1: "sRGB", 9: "BT.2020", 12: "Display P3"}
_BT709 = Curve((1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081))
_CICP_CURVES = {
    **dict.fromkeys((1, 6, 14, 15), _BT709),
    4: gamma(2.2),
    8: LINEAR,
    13: SRGB_CURVE,
}
_SRGB_GAMMA = (0.4495, 0.4595)  # what PNG writers state who mean sRGB


def encoding_of(picture: Picture) -> tuple[Encoding | None, str | None]:
    """The encoding of a picture's samples.

    Returns:
        the encoding, None if it is sRGB's or nothing says what it is; and a sentence if the file
        says something that can't be used.
    """
    source = picture.source
    chunks = dict(source.png_chunks)
    found: Encoding | None = None
    note: str | None = None
    if b"cICP" in chunks:
        found = _from_cicp(chunks[b"cICP"])
        if found is None:
            note = "its colour encoding (cICP) is none that is known: taken for sRGB"
    elif source.icc:
        found = read_profile(source.icc)
        if found is None:
            note = "its colour profile is no curve and matrix: restored in its own encoding"
        elif (found.matrix is None) != (picture.channels == 1):
            found, note = None, "its colour profile does not fit its channels: it was not used"
    elif b"sRGB" in chunks:
        found = None
    elif b"gAMA" in chunks:
        found = _from_gamma(chunks[b"gAMA"], chunks.get(b"cHRM"))
    elif source.exif and is_adobe_rgb(source.exif):
        found = ADOBE_RGB
    elif picture.pixels.dtype.kind == "f":
        found = LINEAR_SRGB
    if found is not None and picture.channels == 1 and found.matrix is not None:
        found = Encoding(found.name, found.curves[:1])
    return (None if found is None or found.is_srgb else found), note


def read_profile(icc: bytes) -> Encoding | None:
    """A profile's encoding; None if it is damaged or made of tables."""
    try:
        return _read_profile(icc)
    except (struct.error, ValueError, IndexError, np.linalg.LinAlgError):
        return None


def _read_profile(icc: bytes) -> Encoding | None:
    space = icc[16:20]
    if icc[36:40] != b"acsp":
        return None
    (count,) = struct.unpack_from(">I", icc, 128)
    tags: dict[bytes, bytes] = {}
    for index in range(min(count, 100)):
        name, at, length = struct.unpack_from(">4sII", icc, 132 + 12 * index)
        tags[name] = icc[at : at + length]
    name = _description(tags.get(b"desc", b""))
    if space == b"GRAY" and b"kTRC" in tags:
        curve = _curve(tags[b"kTRC"])
        return Encoding(name, (curve,)) if curve else None
    if space != b"RGB " or icc[20:24] != b"XYZ ":
        return None
    if not all(colour + kind in tags for colour in (b"r", b"g", b"b") for kind in (b"XYZ", b"TRC")):
        return None
    columns = [
        [v / 65536 for v in struct.unpack_from(">3i", tags[colour + b"XYZ"], 8)]
        for colour in (b"r", b"g", b"b")
    ]
    matrix: Matrix = np.linalg.inv(SRGB_TO_XYZ) @ np.array(columns).T
    if abs(np.linalg.det(matrix)) < 1e-4:
        return None
    curves = [_curve(tags[colour + b"TRC"]) for colour in (b"r", b"g", b"b")]
    whole = tuple(curve for curve in curves if curve is not None)
    return Encoding(name, whole, matrix) if len(whole) == 3 else None


def _curve(tag: bytes) -> Curve | None:
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return LINEAR
        if count == 1:
            exponent = struct.unpack_from(">H", tag, 12)[0] / 256
            return gamma(exponent) if exponent > 0 else None
        table = np.frombuffer(tag, ">u2", count, 12).astype(np.float64) / 65535
        rising = bool((np.diff(table) >= 0).all() and table[-1] > table[0])
        return Curve(table=table) if rising else None
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        number = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[kind] if kind in range(5) else 0
        if not number:
            return None
        v = [n / 65536 for n in struct.unpack_from(f">{number}i", tag, 12)]
        if kind == 0:
            return gamma(v[0]) if v[0] > 0 else None
        if kind == 3 and v[0] > 0 and v[1] > 0 and v[3] > 0:
            return Curve((v[0], v[1], v[2], v[3], v[4]))
        if kind == 4 and not any(v[5:]) and v[0] > 0 and v[1] > 0 and v[3] > 0:
            return Curve((v[0], v[1], v[2], v[3], v[4]))
    return None


def _description(tag: bytes) -> str:
    if tag[:4] == b"desc":
        (length,) = struct.unpack_from(">I", tag, 8)
        return tag[12 : 12 + length].rstrip(b"\0").decode("latin-1")
    if tag[:4] == b"mluc":
        length, at = struct.unpack_from(">II", tag, 20)
        return tag[at : at + length].decode("utf-16-be", "replace").rstrip("\0")
    return "a profile without a name"


def _from_cicp(data: bytes) -> Encoding | None:
    if len(data) != 4 or data[2] != 0 or data[3] != 1:
        return None
    primaries, curve = _CICP_PRIMARIES.get(data[0]), _CICP_CURVES.get(data[1])
    if primaries is None or curve is None:
        return None
    return Encoding(primaries, (curve,), from_primaries(*PRIMARIES[primaries]))


def _from_gamma(gama: bytes, chrm: bytes | None) -> Encoding | None:
    exponent = int.from_bytes(gama[:4], "big") / 100_000
    if not 0.05 <= exponent <= 20:
        return None
    curve = gamma(1 / exponent)
    matrix: Matrix = np.eye(3)
    if chrm is not None and len(chrm) == 32:
        v = [n / 100_000 for n in struct.unpack(">8I", chrm)]
        try:
            white, red, green, blue = ((v[i], v[i + 1]) for i in (0, 2, 4, 6))
            matrix = from_primaries(red, green, blue, white)
        except (ZeroDivisionError, np.linalg.LinAlgError):
            return None
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-4:
            return None
    if _SRGB_GAMMA[0] < exponent < _SRGB_GAMMA[1] and np.abs(matrix - np.eye(3)).max() < 0.01:
        curve = SRGB_CURVE
    return Encoding(f"gamma {exponent:g}", (curve,), matrix)


def is_adobe_rgb(exif: bytes) -> bool:
    """A camera's way to say so: no sRGB, and interoperability index R03."""
    try:
        tables = Directories(io.BytesIO(exif))
        main, _ = tables.read(tables.first)
        details, _ = tables.read(main[EXIF_POINTER].integers(tables.order)[0])
        if details[_COLOUR_SPACE].integers(tables.order)[:1] not in ((2,), (65535,)):
            return False
        if details[_COLOUR_SPACE].integers(tables.order)[0] == 2:
            return True
        further, _ = tables.read(details[INTEROP_POINTER].integers(tables.order)[0])
        return further[1].data[:3] == b"R03"
    except (DamagedError, KeyError, IndexError):
        return False
