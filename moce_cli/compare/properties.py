"""What a picture's file says of itself, and what of that another file still says."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms

from moce_cli.pictures import Header, Picture
from moce_cli.pictures.exif import PREFIX
from moce_cli.pictures.guard import pillow_guard

Group = Literal["Picture", "EXIF", "Position (GPS)", "Other metadata"]
Status = Literal["kept", "changed", "lost", "added"]

_LONGEST = 60
"""Characters of a value that are shown."""
_DPI_SLACK = 0.02
"""JPEG states whole dots per inch, PNG dots per metre."""
# they lay out the file, or say what stands under "Picture" in another form
_STRUCTURE = frozenset(
    {0x0100, 0x0101, 0x0112, 0x011A, 0x011B, 0x0128, 0x0201, 0x0202, 0x8769, 0x8825, 0xA005}
    | {0xA002, 0xA003}
)
_HIDDEN = "there"
"""In place of where a picture was taken: pages are made to be handed on."""


@dataclass(frozen=True, slots=True)
class Property:
    """One thing that a file says."""

    group: Group
    name: str
    value: str
    """For a person, cut to a line."""
    key: object
    """For comparing."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a property of the first file."""

    group: Group
    name: str
    status: Status
    before: str | None
    """As shown; None where the first file does not have it."""
    after: str | None
    """As shown; None where the other file does not have it."""


def properties(picture: Picture, header: Header) -> tuple[Property, ...]:
    """Everything that a file says, in the order in which a person would ask.

    Args:
        picture: as read.
        header: of the same file.
    """
    source = picture.source
    found = [
        _of("Picture", "format", header.format),
        _of("Picture", "size", f"{header.width} x {header.height}"),
        _of("Picture", "bits", str(header.depth)),
        _of("Picture", "colours", header.mode.removesuffix("+alpha")),
        _transparency(picture),
        _of("Picture", "orientation", _TURNS.get(header.orientation, str(header.orientation))),
    ]
    if header.frames > 1:
        found.append(_of("Picture", "pages or frames", str(header.frames)))
    if source.duration_ms is not None:
        found.append(_of("Picture", "first frame's time", f"{source.duration_ms:g} ms"))
    if source.loops is not None:
        found.append(
            _of("Picture", "played", f"{source.loops} times" if source.loops else "for ever")
        )
    if source.icc:
        found.append(Property("Picture", "profile", _profile(source.icc), source.icc))
    elif source.png_chunks:
        names = ", ".join(name.decode("latin-1") for name, _ in source.png_chunks)
        found.append(Property("Picture", "colour chunks", names, source.png_chunks))
    if dpi := source.dpi or _exif_dpi(source.exif):
        vertical, horizontal = dpi
        same = abs(vertical - horizontal) < _DPI_SLACK
        told = f"{horizontal:.4g} dpi" if same else f"{horizontal:.4g} x {vertical:.4g} dpi"
        found.append(Property("Picture", "resolution", told, _Dots(dpi)))
    if source.exif:
        found += _exif(source.exif)
    if source.xmp:
        found.append(_block("XMP", source.xmp.strip(b"\0 \t\r\n")))
    if source.iptc:
        found.append(_block("IPTC", source.iptc))
    for keyword, said in source.text:
        found.append(Property("Other metadata", f"text {keyword!r}", _cut(said), said))
    return tuple(_told_apart(found))


def _told_apart(found: Iterable[Property]) -> Iterator[Property]:
    """A second one of the same name gets a number."""
    seen: Counter[tuple[str, str]] = Counter()
    for p in found:
        seen[p.group, p.name] += 1
        times = seen[p.group, p.name]
        yield p if times == 1 else replace(p, name=f"{p.name} ({times})")


def fates(before: Sequence[Property], after: Sequence[Property]) -> tuple[Fate, ...]:
    """What became of each property, then what is new.

    Args:
        before: of the first file.
        after: of another.
    """
    theirs = {(p.group, p.name): p for p in after}
    ours = {(p.group, p.name) for p in before}
    told: list[Fate] = []
    for p in before:
        there = theirs.get((p.group, p.name))
        if there is None:
            told.append(Fate(p.group, p.name, "lost", p.value, None))
        else:
            status: Status = "kept" if p.key == there.key else "changed"
            told.append(Fate(p.group, p.name, status, p.value, there.value))
    told += [
        Fate(p.group, p.name, "added", None, p.value)
        for p in after
        if (p.group, p.name) not in ours
    ]
    return tuple(told)


_TURNS = {
    1: "upright",
    2: "mirrored",
    3: "turned by 180°",
    4: "mirrored, turned by 180°",
    5: "mirrored, turned by 90°",
    6: "turned by 90°",
    7: "mirrored, turned by 270°",
    8: "turned by 270°",
}


class _Dots:
    """A resolution; equal to another that is as near as formats can state it."""

    def __init__(self, dpi: tuple[float, float]) -> None:
        self.dpi = dpi

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Dots):
            return NotImplemented
        return all(
            abs(a - b) <= max(0.5, _DPI_SLACK * a) for a, b in zip(self.dpi, other.dpi, strict=True)
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType] -- nearness is no equivalence


def _of(group: Group, name: str, value: str) -> Property:
    return Property(group, name, value, value)


def _transparency(picture: Picture) -> Property:
    """An alpha channel that hides nothing, as some animations need one, is none to the eye."""
    alpha = picture.alpha
    if alpha is None:
        return _of("Picture", "transparency", "no")
    most = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
    if bool((alpha < most).any()):
        return _of("Picture", "transparency", "yes")
    return Property("Picture", "transparency", "none used", "no")


def _block(name: str, data: bytes) -> Property:
    return Property("Other metadata", name, f"{len(data)} bytes", data)


def _profile(icc: bytes) -> str:
    try:
        with pillow_guard():
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            return _cut(ImageCms.getProfileDescription(profile).strip()) or "without a name"
    except (OSError, ImageCms.PyCMSError):
        return f"{len(icc)} bytes that are no profile"


def _exif(block: bytes) -> list[Property]:
    """A row for each tag; one row in all where the tables can't be read."""
    try:
        with pillow_guard():
            tags = Image.Exif()
            tags.load(PREFIX + block)
            found = [_tag("EXIF", _name(ExifTags.TAGS, n), n, v) for n, v in tags.items()]
            for pointer, names in ((0x8769, ExifTags.TAGS), (0xA005, _INTEROP)):
                inner = tags.get_ifd(pointer)
                found += [_tag("EXIF", _name(names, n), n, v) for n, v in inner.items()]
            for n, v in tags.get_ifd(0x8825).items():
                key = _plain(v)
                told = Property("Position (GPS)", _name(ExifTags.GPSTAGS, n), _HIDDEN, key)
                found.append(told)
    except Exception:  # Pillow raises nearly any kind for a damaged block
        digest = hashlib.sha256(block).hexdigest()
        return [Property("EXIF", "all of it", f"{len(block)} bytes, unreadable", digest)]
    return [p for p in found if p is not None]


def _exif_dpi(block: bytes | None) -> tuple[float, float] | None:
    """The resolution, (vertical, horizontal), of a file that has no other place for one."""
    if block is None:
        return None
    try:
        with pillow_guard():
            tags = Image.Exif()
            tags.load(PREFIX + block)
            per_inch = {2: 1.0, 3: 2.54}[tags.get(ExifTags.Base.ResolutionUnit, 2)]
            vertical, horizontal = (
                float(tags[tag]) * per_inch
                for tag in (ExifTags.Base.YResolution, ExifTags.Base.XResolution)
            )
    except Exception:  # Pillow raises nearly any kind for a damaged block
        return None
    return vertical, horizontal


_INTEROP = {tag.value: tag.name for tag in ExifTags.Interop}


def _name(names: dict[int, str], number: int) -> str:
    return names.get(number, f"tag 0x{number:04x}")


def _tag(group: Group, name: str, number: int, value: Any) -> Property | None:  # noqa: ANN401 -- whatever Pillow decodes
    if number in _STRUCTURE:
        return None
    plain = _plain(value)
    if isinstance(plain, bytes):
        told = _cut(plain.decode("ascii")) if _is_text(plain) else f"{len(plain)} bytes"
    else:
        told = _cut(" ".join(map(_number, plain)) if isinstance(plain, tuple) else _number(plain))
    return Property(group, name, told, plain)


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever Pillow decodes
    """A value that compares by what it says, whatever the byte order of its file."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if isinstance(value, str):
        return value.rstrip("\0 ")
    if isinstance(value, bytes | int):
        return value
    numerator, denominator = getattr(value, "numerator", None), getattr(value, "denominator", None)
    if denominator == 0:
        return f"{numerator}/0"
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_text(data: bytes) -> bool:
    return bool(data) and all(32 <= byte < 127 for byte in data)


def _cut(told: str) -> str:
    line = " ".join(told.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
