"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from moce_cli.errors import OutputError, OutputExistsError


def make_folder(folder: Path) -> None:
    """Make a folder, and make sure that it can be written to.

    Raises:
        OutputError: it can't.
    """
    what = "made"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        what = "written to"
        tempfile.TemporaryFile(dir=folder).close()  # also sees a disk that is only to be read
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"the folder {folder} cannot be {what}: {reason}") from error


def write_whole(path: Path, write: Callable[[Path], object], *, overwrite: bool) -> None:
    """Let `write` fill a file beside the place, then rename it.

    Args:
        path: the place; missing folders are made.
        write: takes the path of an empty file and fills it.
        overwrite: whether a file may be there already.

    Raises:
        OutputError: it can't be written.
        OutputExistsError: something is there and may not be replaced.
    """
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists", hint="to replace it: --overwrite")
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut leaves the new name on an empty file
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)  # a temporary file is private, weights need not be
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def copy_whole(source: Path, path: Path, *, overwrite: bool) -> None:
    """Copy a file's contents.

    Raises:
        OutputError: it can't be written.
        OutputExistsError: something is there and may not be replaced.
    """
    if path.exists() and source.samefile(path):
        raise OutputExistsError(f"{path} is the very file to copy")
    write_whole(path, lambda part: shutil.copyfile(source, part), overwrite=overwrite)


def write_text(path: Path, text: str) -> None:
    """Write a small text file, replacing what was there.

    Raises:
        OutputError: it can't be written.
    """
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), overwrite=True)
