"""Colour profiles made by hand from published primaries, so that tests do not lean on the code."""

import struct

import numpy as np

# linear RGB to XYZ relative to D50; source: each standard's primaries, Bradford-adapted, as
# published at brucelindbloom.com (Adobe RGB, ProPhoto) and in Apple's profile (Display P3)
TO_XYZ = {
    "Display P3": [
        [0.51512, 0.29198, 0.15710],
        [0.24120, 0.69225, 0.06657],
        [-0.00105, 0.04189, 0.78407],
    ],
    "Adobe RGB": [
        [0.6097559, 0.2052401, 0.1492240],
        [0.3111242, 0.6256560, 0.0632197],
        [0.0194811, 0.0608902, 0.7448387],
    ],
    "ProPhoto": [
        [0.7976749, 0.1351917, 0.0313534],
        [0.2880402, 0.7118741, 0.0000857],
        [0.0000000, 0.0000000, 0.8252100],
    ],
    "sRGB": [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ],
}
TO_XYZ["linear"] = TO_XYZ["sRGB"]
SRGB_PARA = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(*values):
    return struct.pack(f">{len(values)}i", *[round(v * 65536) for v in values])


def curve_tag(kind):
    if kind == "srgb":
        return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + fixed(*SRGB_PARA)
    if kind == "linear":
        return b"curv\0\0\0\0" + struct.pack(">I", 0)
    if kind == "table":  # a power of 1.8, as a table
        table = np.round(np.linspace(0, 1, 1024) ** 1.8 * 65535).astype(">u2")
        return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(kind * 256)) + b"\0\0"


CURVES = {
    "Display P3": "srgb",
    "Adobe RGB": 2.19921875,
    "ProPhoto": "table",
    "linear": "linear",
    "sRGB": "srgb",
}


def icc_of(tags, space=b"RGB ", pcs=b"XYZ "):
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 4 << 24, b"mntr", space, pcs)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def rgb_icc(name):
    columns = np.array(TO_XYZ[name]).T
    curve = curve_tag(CURVES[name])
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)}
    words = name.encode("utf-16-be")
    tags[b"desc"] = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(words), 28) + words
    for letter, column in zip("rgb", columns, strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ \0\0\0\0" + fixed(*column)
        tags[f"{letter}TRC".encode()] = curve
    return icc_of(tags)


def grey_icc(kind=2.2):
    return icc_of({b"kTRC": curve_tag(kind)}, space=b"GRAY")


def srgb_encode(light):
    light = np.asarray(light, np.float64)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.abs(light) ** (1 / 2.4) - 0.055)
