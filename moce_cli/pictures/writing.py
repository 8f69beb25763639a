"""Pictures out: to a file, whole or not at all, or to a stream."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from moce_cli.errors import InputError, MoceError, OutputError, OutputExistsError, UsageError
from moce_cli.pictures.encode import encode
from moce_cli.pictures.formats import FORMATS, format_for, format_named
from moce_cli.pictures.guard import pillow_guard
from moce_cli.pictures.picture import Picture
from moce_cli.pictures.reading import probe


def write(
    picture: Picture,
    target: Path | BinaryIO,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write a picture with all that the format can hold of it.

    A path is written beside its place, synced, checked and renamed: there is a whole file or
    none. A missing folder is not made here.

    Without `quality`, a JPEG gets its JPEG source's own tables and subsampling if those are as
    fine as quality 90 (coarser ones would bring back what was just restored), else quality 95
    with full chroma. A WebP is lossless if the source was stored without loss, else quality 95;
    with `quality` it is lossy. The other formats lose nothing and take no notice of it.

    Args:
        picture: to write.
        target: a path or a stream.
        format: a key of `FORMATS` or a value of `--format`; by default from the path's
            extension, on a stream the picture's own format if that can be written, else PNG.
        quality: 1 to 100, for JPEG and WebP.
        overwrite: replace what is there.

    Returns:
        a sentence for each thing the format could not hold.

    Raises:
        UsageError: `format` or `quality` is out of range.
        OutputExistsError: the target is there already.
        OutputError: it can't be written.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"a quality of {quality} is out of range: 1 to 100")
    name = _format(picture, target, format)
    if isinstance(target, Path) and not overwrite:
        _check_free(target)
    try:
        with pillow_guard():
            data, notes = encode(picture, name, quality)
    except MoceError:
        raise
    except MemoryError as error:
        raise OutputError(f"{_called(target)}: there is not enough memory to encode it") from error
    except Exception as error:  # whatever an encoder dislikes
        raise OutputError(f"{_called(target)} can't be encoded as {name}: {error}") from error
    if isinstance(target, Path):
        _write_file(target, data, picture, overwrite=overwrite)
    else:
        try:
            target.write(data)
            target.flush()
        except (OSError, ValueError) as error:
            raise OutputError(f"{_called(target)} can't be written: {_reason(error)}") from error
    return notes


def _format(picture: Picture, target: Path | BinaryIO, wanted: str | None) -> str:
    if wanted is not None:
        return format_named(wanted)
    if isinstance(target, Path):
        return format_for(target)
    own = FORMATS.get(picture.source.format)
    return own.name if own and own.writable else "PNG"


def _called(target: Path | BinaryIO) -> str:
    return str(target if isinstance(target, Path) else getattr(target, "name", "the stream"))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


def _check_free(target: Path) -> None:
    try:
        there = os.path.lexists(target)
    except ValueError as error:
        raise OutputError(f"{target!s} is no name for a file: {error}") from error
    if there and target.is_dir():
        raise OutputError(f"{target} is a folder; a picture can't be written over it")
    if there:
        raise OutputExistsError(f"{target} is there already", hint="give --overwrite to replace it")


def _write_file(target: Path, data: bytes, picture: Picture, *, overwrite: bool) -> None:
    temporary = target.parent / f".moce-{secrets.token_hex(4)}"
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _verify(temporary, picture)
            if target.is_dir():
                raise OutputError(f"{target} is a folder; a picture can't be written over it")
            if not overwrite:
                _check_free(target)
            temporary.replace(target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        if not target.parent.is_dir():
            raise OutputError(
                f"{target} can't be written: there is no folder {target.parent}"
            ) from error
        raise OutputError(f"{target} can't be written: {_reason(error)}") from error


def _verify(path: Path, picture: Picture) -> None:
    """The file says what it should."""
    try:
        found = probe(path, max_pixels=picture.height * picture.width)
    except InputError as error:
        raise OutputError(f"what was written can't be read again: {error.message}") from error
    if (found.height, found.width) != (picture.height, picture.width):
        raise OutputError(
            f"what was written is {found.width} x {found.height}, not "
            f"{picture.width} x {picture.height}"
        )
