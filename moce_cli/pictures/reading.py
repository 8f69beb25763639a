"""Pictures in: from a file, a stream or a pipe."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import shutil
import struct
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, cast

from PIL import UnidentifiedImageError

from moce_cli.errors import InputError, MoceError
from moce_cli.pictures import decode
from moce_cli.pictures.assemble import pixels_of
from moce_cli.pictures.examine import examine
from moce_cli.pictures.formats import FORMATS, SIGNATURE_BYTES, sniff
from moce_cli.pictures.guard import pillow_guard
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Header, Picture
from moce_cli.pictures.raw import is_raw

MAX_PIXELS = 1_000_000_000
SPOOL_BYTES = 64 * 2**20  # of a pipe held in memory; more goes to a temporary file

# what a decoder's own code stumbles with: words for its programmers
_WORDLESS = (ArithmeticError, AttributeError, LookupError, TypeError, UnicodeError, struct.error)
_NAMELESS = re.compile(r"'?<python[ _]\w+>'?", re.IGNORECASE)  # how OpenEXR calls a stream

_log = logging.getLogger(__name__)


def read(
    source: Path | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    whole: bool = False,
) -> Picture:
    """Read a picture: upright, at its depth, with all that can be kept.

    Args:
        source: a path, or a stream (read from where it stands; it need not be seekable).
        max_pixels: a file that states more is refused before anything is decoded.
        name: what to call it in messages; by default the path.
        whole: with all pages or frames, and floating-point samples as they are. Else the first
            page or frame alone, and floating-point samples as 16-bit ones in sRGB's encoding.

    Returns:
        the picture; `source.notes` says what was left out.

    Raises:
        InputError: missing, unreadable, damaged, cut short, too large, or no picture.
    """
    with _opened(source, name) as (file, called), explained(called):
        kind = recognise(file)
        facts = examine(file, kind, max_pixels=max_pixels, check_data=True)
        return pixels_of(file, facts, max_pixels=max_pixels, whole=whole)


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
    with _opened(source, name) as (file, called), explained(called):
        return examine(file, recognise(file), max_pixels=max_pixels, check_data=False).header


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
            raise InputError(why_not_opened(called, error)) from error
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


def why_not_opened(called: str, error: OSError | ValueError) -> str:
    """A sentence on a file that could not be opened."""
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
    """A pipe's bytes, in memory or on disk."""
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        spool(stream, cast("BinaryIO", file), called)
        file.seek(0)
        yield cast("BinaryIO", file)


def spool(stream: BinaryIO, file: BinaryIO, called: str) -> None:
    """Copy a pipe's bytes; only its first ones unless they begin like a picture.

    Raises:
        InputError: it can't be read.
    """
    try:
        start = stream.read(SIGNATURE_BYTES)
        file.write(start)
        if sniff(start):
            shutil.copyfileobj(stream, file, 2**20)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(
                f"{called} can't be kept until it is decoded: no space left for temporary files",
                "set TMPDIR to a folder with room for it",
            ) from error
        raise InputError(f"{called} can't be read: {error.strerror}") from error


@contextlib.contextmanager
def explained(called: str) -> Generator[None, None, None]:
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
            f"{called} holds {_plain(str(error))}, which are not supported yet",
            hint="convert it to 8 or 16 bits",
        ) from error
    except DamagedError as error:
        raise InputError(f"{called} is damaged: {_plain(str(error))}") from error
    except UnidentifiedImageError as error:  # its own words name an object in memory
        raise InputError(f"{called} is damaged: its header makes no sense") from error
    except Exception as error:  # Pillow raises nearly any kind for a damaged file
        _log.debug("%s", called, exc_info=True)
        raise InputError(f"{called} is damaged or cut short: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """A library's own words, where it has some for people."""
    if isinstance(error, _WORDLESS):
        return "what it states makes no sense"
    said = next(iter(error.args), "")
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
    return _lower(_plain(_NAMELESS.sub("it", words))) or "what it states makes no sense"


def _plain(words: str) -> str:
    """One line to print, whatever a file put into it."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:200].rstrip(".")


def _lower(sentence: str) -> str:
    """Without a capital at its start, unless that belongs to an abbreviation."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def recognise(file: BinaryIO) -> str:
    """A file's format, by its first bytes.

    Args:
        file: seekable.

    Raises:
        InputError: empty, or no picture.
    """
    file.seek(0)
    start = file.read(SIGNATURE_BYTES)
    file.seek(0)
    if not start:
        raise InputError("the file is empty")
    kind = sniff(start)
    if kind == "TIFF" and is_raw(file):
        return "RAW"
    if kind is None:
        raise InputError(
            f"this is no picture of a kind that is read ({', '.join(FORMATS)}); "
            f"it begins with {start[:8]!r}"
        )
    return kind
