"""IPTC records, as JPEG and PNG carry them: in one of Photoshop's resources.

Source: Adobe Photoshop file format, "Image Resource Blocks"; PNG text chunks named "Raw profile
type iptc" as ImageMagick and ExifTool write and read them.
"""

from __future__ import annotations

_MARK = b"Photoshop 3.0\0"
KEYWORD = "Raw profile type iptc"


def resource(records: bytes) -> bytes:
    """The resource 0x0404 that holds the records."""
    padding = b"\0" * (len(records) % 2)
    return b"8BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + records + padding


def segment(records: bytes) -> bytes:
    """A JPEG's APP13 segment."""
    body = _MARK + resource(records)
    return b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body


def text(records: bytes) -> str:
    """The text of a PNG's chunk: a name, a length, hexadecimal."""
    data = resource(records)
    digits = data.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return "\n".join(("", "iptc", f"{len(data):8}", *lines, ""))


def found(data: bytes | None) -> bytes | None:
    """The records in a block of resources, or in one that holds nothing else."""
    if not data:
        return None
    data = data.removeprefix(_MARK)
    if data[:1] == b"\x1c":
        return data
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        name_bytes = data[at + 6] + 1
        start = at + 6 + name_bytes + name_bytes % 2
        length = int.from_bytes(data[start : start + 4], "big")
        if data[at + 4 : at + 6] == b"\x04\x04":
            return data[start + 4 : start + 4 + length] or None
        at = start + 4 + length + length % 2
    return None
