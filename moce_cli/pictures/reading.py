"""Pictures in: from a file, a stream or a pipe."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from moce_cli.errors import InputError, MoceError
from moce_cli.pictures import decode, exif, png, tiff
from moce_cli.pictures.examine import Facts, examine
from moce_cli.pictures.formats import FORMATS, SIGNATURE_BYTES, sniff
from moce_cli.pictures.guard import pillow_guard
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Header, Picture, Source

MAX_PIXELS = 1_000_000_000
SPOOL_BYTES = 64 * 2**20  # of a pipe held in memory; more goes to a temporary file

_log = logging.getLogger(__name__)


def read(
    source: Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> Picture:
    """Read a picture: upright, at its depth, with all that can be kept.

    Args:
        source: a path, or a stream (read from where it stands; it need not be seekable).
        max_pixels: a file that states more is refused before anything is decoded.
        name: what to call it in messages; by default the path.

    Returns:
        the first page or frame; `source.notes` says what was left out.

    Raises:
        InputError: missing, unreadable, damaged, cut short, too large, or no picture.
    """
    with _opened(source, name) as (file, called), _explained(called):
        kind = _recognise(file)
        facts = examine(file, kind, max_pixels=max_pixels, check_data=True)
        return _picture(file, facts)


def probe(
    source: Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> Header:
    """Read a picture's header alone: size, format, depth; nothing is decoded.

    Args:
        source: a path, or a stream (a seekable one is put back to where it stood).
        max_pixels: as for `read`.
        name: as for `read`.

    Raises:
        InputError: missing, unreadable, too large, or no picture.
    """
    with _opened(source, name) as (file, called), _explained(called):
        return examine(file, _recognise(file), max_pixels=max_pixels, check_data=False).header


@contextlib.contextmanager
def _opened(
    source: Path | BinaryIO, name: str | None
) -> Generator[tuple[BinaryIO, str], None, None]:
    """A seekable file whose first byte is the picture's, and its name."""
    if isinstance(source, Path):
        called = name or str(source)
        try:
            opened: BinaryIO = source.open("rb")
        except (OSError, ValueError) as error:
            raise InputError(_why_not_opened(called, error)) from error
    else:
        called = name or str(getattr(source, "name", "the stream"))
        if source.seekable() and source.tell() == 0:
            try:
                yield source, called
            finally:
                source.seek(0)
            return
        opened = source
    with contextlib.ExitStack() as stack:
        if opened is not source:
            stack.enter_context(opened)
        if opened is source or not opened.seekable():
            opened = stack.enter_context(_spooled(opened, called))
        yield opened, called


def _why_not_opened(called: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{called}: there is no such file"
    if isinstance(error, IsADirectoryError):
        return f"{called} is a folder, not a picture"
    if isinstance(error, PermissionError):
        return f"{called} can't be read: permission denied"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{called} can't be read: {reason}"


@contextlib.contextmanager
def _spooled(stream: BinaryIO, called: str) -> Generator[BinaryIO, None, None]:
    """A pipe's bytes, in memory or on disk; only if they begin like a picture."""
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        try:
            start = stream.read(SIGNATURE_BYTES)
            spool.write(start)
            if sniff(start):
                shutil.copyfileobj(stream, spool, 2**20)
        except OSError as error:
            raise InputError(f"{called} can't be read: {error.strerror}") from error
        spool.seek(0)
        yield cast("BinaryIO", spool)


@contextlib.contextmanager
def _explained(called: str) -> Generator[None, None, None]:
    """Turn whatever goes wrong into one sentence that begins with the picture's name."""
    try:
        with pillow_guard():
            yield
    except InputError as error:
        raise InputError(f"{called}: {_lower(error.message)}", error.hint) from error
    except MoceError:
        raise
    except MemoryError as error:
        raise InputError(f"{called} does not fit into memory") from error
    except decode.UnsupportedError as error:
        raise InputError(
            f"{called} holds {error}, which are not supported yet",
            hint="convert it to 8 or 16 bits",
        ) from error
    except DamagedError as error:
        raise InputError(f"{called} is damaged: {error}") from error
    except UnidentifiedImageError as error:  # its own words name an object in memory
        raise InputError(f"{called} is damaged: its header makes no sense") from error
    except Exception as error:  # Pillow raises nearly any kind for a damaged file
        _log.debug("%s", called, exc_info=True)
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise InputError(f"{called} is damaged or cut short: {reason}") from error


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _recognise(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(SIGNATURE_BYTES)
    file.seek(0)
    if not start:
        raise InputError("the file is empty")
    kind = sniff(start)
    if kind is None:
        raise InputError(
            f"this is no picture of a kind that is read ({', '.join(FORMATS)}); "
            f"it begins with {start[:8]!r}"
        )
    return kind


def _picture(file: BinaryIO, facts: Facts) -> Picture:
    turn = facts.orientation
    if facts.png is not None:
        found = png.decode(file, facts.png, facts.source.icc)
    elif facts.tiff is not None:
        facts.tiff.check_supported()
        if facts.tiff.is_ours:
            found = tiff.decode16(file, facts.tiff, facts.source.icc)
        else:
            file.seek(0)
            with Image.open(file, formats=["TIFF"]) as image:
                found = decode.samples(image, facts.source.icc)
            turn = 1  # Pillow turns a TIFF itself
            if facts.tiff.depth == 12:
                found = replace(found, pixels=found.pixels << 4 | found.pixels >> 8)
    else:
        assert facts.image is not None
        found = decode.samples(facts.image, facts.source.icc)
    pixels = decode.upright(found.pixels, turn)
    alpha = None if found.alpha is None else decode.upright(found.alpha, turn)
    header = facts.header
    if pixels.shape[:2] != (header.height, header.width):
        raise DamagedError(f"its pixels are {pixels.shape[:2]}, not as its header says")
    notes = list(found.notes)
    if facts.frames > 1:
        notes.append(f"the first of {facts.frames} pages or frames was taken")
    if header.mode.startswith("palette"):
        notes.append("the palette's colours became RGB")
    elif header.depth < 8:
        notes.append(f"its {header.depth}-bit samples became 8-bit ones")
    source = replace(facts.source, icc=found.icc)
    return Picture(pixels, alpha, upright_source(source, facts.orientation, header, notes))


def upright_source(source: Source, orientation: int, header: Header, notes: list[str]) -> Source:
    """The metadata for a picture that has been turned upright, and `notes` after its own."""
    turned = orientation >= 5
    block = source.exif
    if block is not None:
        try:
            block = exif.upright(block, height=header.height, width=header.width, transposed=turned)
        except DamagedError as error:
            block = None
            notes.append(f"the EXIF data was left out: {error}")
    return replace(
        source,
        exif=block,
        xmp=exif.upright_xmp(source.xmp) if source.xmp else None,
        dpi=source.dpi[::-1] if turned and source.dpi else source.dpi,
        notes=(*source.notes, *notes),
    )
