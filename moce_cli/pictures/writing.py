"""Pictures out: to a file, whole or not at all, or to a stream."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from moce_cli.errors import MoceError, OutputError, OutputExistsError
from moce_cli.pictures.encode import Encoded, encode
from moce_cli.pictures.formats import FORMATS, format_for, format_named
from moce_cli.pictures.guard import pillow_guard
from moce_cli.pictures.picture import Picture
from moce_cli.pictures.storage import Storage
from moce_cli.pictures.verify import verify


def write(
    picture: Picture,
    target: Path | BinaryIO,
    *,
    format: str | None = None,
    quality: int | None = None,
    storage: Storage | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write a picture with all that the format can hold of it.

    A path is written beside its place, synced, checked and renamed: there is a whole file or
    none. A missing folder is not made here.

    Without `quality`, a JPEG gets its JPEG source's own tables and subsampling if those are as
    fine as quality 90 (coarser ones would bring back what was just restored), else quality 95
    with full chroma. A WebP is lossless if the source was stored without loss, else quality 95;
    with `quality` it is lossy. An AVIF gets quality 90 with full chroma. The other formats lose
    nothing (a GIF but colours) and have no quality.

    What was written is read again, from the disk, and compared.

    Args:
        picture: to write.
        target: a path or a stream.
        format: a key of `FORMATS` or a value of `--format`; by default from the path's
            extension, on a stream the picture's own format if that can be written, else PNG.
        quality: 1 to 100, for JPEG, WebP and AVIF; in place of the one in `storage`.
        storage: what else a format leaves open.
        overwrite: replace what is there.

    Returns:
        a sentence for each thing the format could not hold or use.

    Raises:
        UsageError: `format`, `quality` or `storage` is out of range.
        OutputExistsError: the target is there already.
        OutputError: it can't be written.
    """
    storage = storage or Storage()
    if quality is not None:
        storage = replace(storage, quality=quality)
    name = _format(picture, target, format)
    if isinstance(target, Path) and not overwrite:
        check_free(target)
    try:
        with pillow_guard():
            encoded = encode(picture, name, storage)
    except MoceError:
        raise
    except MemoryError as error:
        raise OutputError(f"{_called(target)}: there is not enough memory to encode it") from error
    except Exception as error:  # whatever an encoder dislikes
        raise OutputError(f"{_called(target)} can't be encoded as {name}: {error}") from error
    if isinstance(target, Path):
        _write_file(target, encoded, overwrite=overwrite)
    else:
        verify(io.BytesIO(encoded.data), encoded)
        try:
            target.write(encoded.data)
            target.flush()
        except (OSError, ValueError) as error:
            raise OutputError(f"{_called(target)} can't be written: {reason(error)}") from error
    return encoded.notes


def _format(picture: Picture, target: Path | BinaryIO, wanted: str | None) -> str:
    if wanted is not None:
        return format_named(wanted)
    if isinstance(target, Path):
        return format_for(target)
    own = FORMATS.get(picture.source.format)
    return own.name if own and own.writable else "PNG"


def _called(target: Path | BinaryIO) -> str:
    return str(target if isinstance(target, Path) else getattr(target, "name", "the stream"))


def reason(error: Exception) -> str:
    """Why something could not be written, to follow a colon."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


def check_free(target: Path) -> None:
    """Refuse a path where something is.

    Raises:
        OutputExistsError: a file.
        OutputError: a folder, or no name for a file.
    """
    try:
        there = os.path.lexists(target)
    except ValueError as error:
        raise OutputError(f"{target!s} is no name for a file: {error}") from error
    if there and target.is_dir():
        raise OutputError(f"{target} is a folder; a picture can't be written over it")
    if there:
        raise OutputExistsError(f"{target} is there already", hint="give --overwrite to replace it")


def _write_file(target: Path, encoded: Encoded, *, overwrite: bool) -> None:
    temporary = target.parent / f".moce-{secrets.token_hex(4)}"
    try:
        try:
            with temporary.open("xb") as file:
                file.write(encoded.data)
                file.flush()
                os.fsync(file.fileno())
            verify(temporary, encoded)
            if target.is_dir():
                raise OutputError(f"{target} is a folder; a picture can't be written over it")
            if not overwrite:
                check_free(target)
            temporary.replace(target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        if not target.parent.is_dir():
            raise OutputError(
                f"{target} can't be written: there is no folder {target.parent}"
            ) from error
        raise OutputError(f"{target} can't be written: {reason(error)}") from error
