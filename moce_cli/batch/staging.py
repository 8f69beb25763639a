"""Beside its place first: where results are written before they are renamed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from moce_cli.errors import OutputError, OutputExistsError

PREFIX = ".moce-"


class Staging:
    """A hidden folder in each folder of results, on the same file system.

    Args:
        tag: tells the folders of one run from those of another that may be under way; a run that
            goes on where one was killed has its tag, and sweeps away what that left.
    """

    def __init__(self, tag: str | None = None) -> None:
        self.tag = tag or secrets.token_hex(4)
        self._made: set[Path] = set()
        self._numbers = itertools.count()

    @classmethod
    def of_journal(cls, journal: Path) -> Staging:
        """For the runs that keep this journal; there is one at a time."""
        name = os.fsencode(os.path.abspath(journal))
        return cls("j" + hashlib.sha256(name).hexdigest()[:8])

    def file(self, target: Path) -> Path:
        """A name for a file that is to become the target.

        Raises:
            OSError: its folder cannot be made.
        """
        folder = target.parent / f"{PREFIX}{self.tag}-{os.getpid()}"
        folder.mkdir(exist_ok=True)
        self._made.add(folder)
        return folder / f"{next(self._numbers)}{target.suffix}"

    def sweep(self, folders: Iterable[Path], pid: int | None = None) -> None:
        """Remove what earlier runs of this tag left there, or the one process that has died."""
        for folder in folders:
            with contextlib.suppress(OSError):
                for found in folder.glob(f"{PREFIX}{self.tag}-{pid or '*'}"):
                    shutil.rmtree(found, ignore_errors=True)

    def close(self) -> None:
        """Remove what this run made."""
        for folder in list(self._made):
            shutil.rmtree(folder, ignore_errors=True)


def place(part: Path, target: Path, *, replace: bool) -> None:
    """Rename a complete file to its place, for good.

    Raises:
        OutputExistsError: something is there and may not be replaced.
        OutputError: a folder is there.
        OSError: the file system refuses.
    """
    if target.is_dir():
        raise OutputError(f"{target} is a folder; a picture can't be written over it")
    if replace:
        part.replace(target)
    else:
        _rename_new(part, target)
    with contextlib.suppress(OSError):  # not every file system syncs folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _rename_new(part: Path, target: Path) -> None:
    """A link fails where something has come meanwhile; a rename would replace it."""
    try:
        os.link(part, target)
    except FileExistsError as error:
        raise OutputExistsError(
            f"{target} is there already", "add --overwrite to replace it"
        ) from error
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise OutputExistsError(
                f"{target} is there already", "add --overwrite to replace it"
            ) from None
        part.replace(target)
    else:
        part.unlink()
