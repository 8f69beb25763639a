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
        several: "pages", or "frames of an animation", that it can hold more than one of.
        linear: its samples are light, not an encoding of it.
        quality: how much it loses can be chosen.
    """

    name: str
    extensions: tuple[str, ...]
    writable: bool = True
    depths: tuple[int, ...] = (8,)
    alpha: bool = True
    grey: bool = True
    holds: frozenset[str] = frozenset()
    max_side: int = 2**31 - 1
    several: frozenset[str] = frozenset()
    linear: bool = False
    quality: bool = False


_PAGES, _FRAMES = frozenset({"pages"}), frozenset({"frames of an animation"})

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format(
            "PNG",
            (".png",),
            depths=(8, 16),
            holds=frozenset({"icc", "exif", "xmp", "iptc", "dpi", "text", "png_chunks"}),
            several=_FRAMES,
        ),
        Format(
            "JPEG",
            (".jpg", ".jpeg", ".jpe", ".jfif"),
            alpha=False,
            holds=frozenset({"icc", "exif", "xmp", "iptc", "dpi"}),
            max_side=65500,  # libjpeg's JPEG_MAX_DIMENSION
            quality=True,
        ),
        Format(
            "WebP",
            (".webp",),
            grey=False,
            holds=frozenset({"icc", "exif", "xmp"}),
            max_side=16383,
            several=_FRAMES,
            quality=True,
        ),
        Format(
            "TIFF",
            (".tif", ".tiff"),
            depths=(8, 16, 32),
            holds=frozenset({"icc", "exif", "xmp", "iptc", "dpi"}),
            several=_PAGES,
        ),
        Format(
            "AVIF",
            (".avif", ".avifs"),
            depths=(8, 16),
            holds=frozenset({"icc", "exif", "xmp"}),
            max_side=32768,  # what libavif decodes without being told otherwise
            several=_FRAMES,
            quality=True,
        ),
        Format("BMP", (".bmp", ".dib"), alpha=False, holds=frozenset({"dpi"})),
        Format(
            "EXR",
            (".exr",),
            depths=(32,),
            holds=frozenset({"dpi", "text"}),
            linear=True,
        ),
        Format("HEIC", (".heic", ".heif", ".hif"), writable=False),
        Format("JXL", (".jxl",), writable=False),
        Format(
            "RAW",
            (".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"),
            writable=False,
        ),
        Format(
            "GIF",
            (".gif",),
            holds=frozenset({"icc", "xmp"}),
            max_side=65535,
            several=_FRAMES,
        ),
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
JXL_CODESTREAM, JXL_CONTAINER = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
EXR_SIGNATURE = b"\x76\x2f\x31\x01"
RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")


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
    if start[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypheim", b"ftypheis"):
        return "HEIC"
    if start.startswith((JXL_CODESTREAM, JXL_CONTAINER)):
        return "JXL"
    if start.startswith(EXR_SIGNATURE):
        return "EXR"
    if start.startswith(RAW_SIGNATURES) or start[4:12] == b"ftypcrx ":
        return "RAW"
    return None
