"""A colour profile made for an encoding that a file can state in no other way.

Source: ICC.1:2010 (version 4.3), sections 7.2, 8.3, 9.2.44, 10.5, 10.15.
"""

from __future__ import annotations

import functools
import struct

import numpy as np

from moce_cli.pictures.encoding import LINEAR, SRGB_TO_XYZ, Curve, Encoding

_D50 = (0.9642, 1.0, 0.8249)
_SAME = 2e-3  # half a step of 8 bits; profiles count in 65536ths
_MADE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the same bytes on every day


def profile_of(encoding: Encoding) -> bytes:
    """A profile that says the same as the encoding, by curves and a matrix."""
    name = encoding.name.encode("utf-16-be")
    says = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(name), 28) + name
    free = "no copyright".encode("utf-16-be")
    rights = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(free), 28) + free
    tags = {b"desc": says, b"cprt": rights, b"wtpt": _xyz(*_D50)}
    if encoding.matrix is None:
        tags[b"kTRC"] = _curve(encoding.curves[0])
    else:
        columns = (SRGB_TO_XYZ @ encoding.matrix).T
        curves = encoding.curves if len(encoding.curves) == 3 else encoding.curves * 3
        for letter, column, curve in zip((b"r", b"g", b"b"), columns, curves, strict=True):
            tags[letter + b"XYZ"] = _xyz(*column.tolist())
            tags[letter + b"TRC"] = _curve(curve)
    return _assembled(tags, b"GRAY" if encoding.matrix is None else b"RGB ")


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    head += _MADE + b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + body


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve(curve: Curve) -> bytes:
    if curve.table is not None:
        steps = np.round(curve.table * 65535).astype(">u2")
        return b"curv\0\0\0\0" + struct.pack(">I", len(steps)) + steps.tobytes()
    if curve.power == LINEAR.power:
        return b"curv\0\0\0\0" + struct.pack(">I", 0)
    exponent, scale, offset, slope, end = curve.power
    if (scale, offset, end) == (1, 0, 0):
        return b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + _fixed(exponent)
    return (
        b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(*(exponent, scale, offset), slope, end)
    )


@functools.cache
def _grid(grey: bool) -> np.ndarray:
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    if grey:
        return steps[:, None]
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)


def alike(one: Encoding | None, other: Encoding | None, *, grey: bool) -> bool:
    """Whether the same samples mean the same colours in both; None is sRGB's encoding."""
    if one is other:
        return True
    steps = _grid(grey)
    first = steps if one is None else one.to_srgb(steps)
    second = steps if other is None else other.to_srgb(steps)
    return bool(np.abs(first - second).max() < _SAME)
