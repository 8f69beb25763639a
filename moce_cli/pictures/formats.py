"""Which kinds of file there are, told by their first bytes or by an extension."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from moce_cli.errors import OutputError, UsageError


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file and what it can hold.

    Attributes:
        name: as Pillow spells it, except WebP.
        extensions: lower case, the usual one first.
        writable: `write` makes it (all are read).
        depths: bits per sample that can be written.
        alpha: it holds transparency.
        grey: it holds one channel.
        holds: the fields of `Source` that it can carry.
        max_side: the longest side it can state.
    """

    name: str
    extensions: tuple[str, ...]
    writable: bool = True
    depths: tuple[int, ...] = (8,)
    alpha: bool = True
    grey: bool = True
    holds: frozenset[str] = frozenset()
    max_side: int = 2**31 - 1


FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format(
            "PNG",
            (".png",),
            depths=(8, 16),
            holds=frozenset({"icc", "exif", "xmp", "dpi", "text", "png_chunks"}),
        ),
        Format(
            "JPEG",
            (".jpg", ".jpeg", ".jpe", ".jfif"),
            alpha=False,
            holds=frozenset({"icc", "exif", "xmp", "iptc", "dpi"}),
            max_side=65500,  # libjpeg's JPEG_MAX_DIMENSION
        ),
        Format(
            "WebP",
            (".webp",),
            grey=False,
            holds=frozenset({"icc", "exif", "xmp"}),
            max_side=16383,
        ),
        Format(
            "TIFF",
            (".tif", ".tiff"),
            depths=(8, 16),
            holds=frozenset({"icc", "exif", "xmp", "iptc", "dpi"}),
        ),
        Format("BMP", (".bmp", ".dib"), alpha=False, holds=frozenset({"dpi"})),
        Format("GIF", (".gif",), writable=False),
    )
}

EXTENSIONS: dict[str, Format] = {
    extension: known for known in FORMATS.values() for extension in known.extensions
}


def format_for(target: str | os.PathLike[str]) -> str:
    """The format that an output's name, or its extension alone (".png"), asks for.

    Raises:
        OutputError: no format that can be written has this extension.
    """
    text = os.fspath(target)
    extension = (Path(text).suffix or (text if text.startswith(".") else "")).lower()
    known = EXTENSIONS.get(extension)
    if known is None or not known.writable:
        allowed = ", ".join(e for e, f in EXTENSIONS.items() if f.writable)
        told = f"the extension {extension!r}" if extension else f"{text!r} has no extension: it"
        raise OutputError(
            f"{told} names no format that can be written; those that can: {allowed}",
            hint="give the format with --format",
        )
    return known.name


def format_named(name: str) -> str:
    """The format that a value of `--format` names: "png", "JPG", ".tif".

    Raises:
        UsageError: no writable format has this name.
    """
    wanted = name.lower().removeprefix(".")
    for known in FORMATS.values():
        if known.writable and (wanted == known.name.lower() or f".{wanted}" in known.extensions):
            return known.name
    allowed = ", ".join(known.name.lower() for known in FORMATS.values() if known.writable)
    raise UsageError(f"--format {name!r} is unknown; these can be written: {allowed}")


SIGNATURE_BYTES = 16


def sniff(start: bytes) -> str | None:
    """The format of a file that starts so (16 bytes do), or None. An extension may lie."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WebP"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if start.startswith(b"BM"):
        return "BMP"
    return None
