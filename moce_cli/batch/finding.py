"""Which pictures are meant: by name, folder, glob or list, less what is left out."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moce_cli.batch import remote
from moce_cli.batch.remote import shown, url_of
from moce_cli.errors import InputError, UsageError
from moce_cli.pictures import EXTENSIONS

STANDARD = "-"
"""Stands for standard input or output."""
MARK = ".restored"
"""Goes before the extension where no output is named."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture, by its name alone: nobody has looked into it."""

    path: Path
    below: Path
    """Relative to the folder that was named; the bare name for a file that was."""
    named: bool
    """Whether the person named this very file."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for.

    Attributes:
        inputs: files, folders, or globs that the shell has left alone.
        listed: files and folders of a list; one that is not there fails when its turn comes.
        include: of a folder's or glob's pictures only those whose name, or path below the folder,
            matches one of these shell patterns (`*` crosses folders).
        exclude: leave out those that match, and folders that do.
        recursive: folders are searched with all below them.
    """

    inputs: tuple[str, ...]
    listed: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recursive: bool = True

    def __post_init__(self) -> None:
        """Refuse empty names."""
        if "" in self.inputs:
            raise UsageError("an empty name is no file and no folder", "is a shell variable unset?")
        if not self.inputs and not self.listed:
            raise UsageError("no picture was named", "name files or folders, or use --files-from")

    def takes(self, below: Path) -> bool:
        """Whether include and exclude let a picture through."""
        return (not self.include or _matches(below, self.include)) and not self.leaves_out(below)

    def leaves_out(self, below: Path) -> bool:
        """Whether a folder or file is excluded."""
        return _matches(below, self.exclude)


def _matches(below: Path, patterns: tuple[str, ...]) -> bool:
    path = below.as_posix()
    return any(
        fnmatch.fnmatchcase(path, p.rstrip("/")) or fnmatch.fnmatchcase(below.name, p.rstrip("/"))
        for p in patterns
    )


def read_list(data: bytes) -> tuple[str, ...]:
    """Names, one a line; where there is a zero byte, they end with zero bytes (`find -print0`)."""
    zero = b"\0" in data
    names = data.split(b"\0") if zero else [line.rstrip(b"\r") for line in data.split(b"\n")]
    return tuple(os.fsdecode(name) for name in names if name)


@functools.lru_cache(maxsize=65536)
def _real_folder(absolute: str) -> str:
    return os.path.realpath(absolute)


def location(path: Path) -> str:
    """Where a name is, links of its folders followed; one string for one place."""
    if (url := url_of(path)) is not None:
        return url
    absolute = os.path.abspath(path)
    there = os.path.join(_real_folder(os.path.dirname(absolute)), os.path.basename(absolute))
    if sys.platform in ("darwin", "win32"):  # their file systems know no case
        there = unicodedata.normalize("NFC", there).casefold()
    return there


def find(wanted: Wanted, *, outputs: Path | None, known: frozenset[str]) -> Iterator[Found]:
    """All pictures, each once, in a fixed order.

    Args:
        wanted: what was asked for.
        outputs: the folder that results go to, not searched; None where they go beside.
        known: locations of earlier results, not taken up again from folders.

    Raises:
        InputError: an input is not there, or a folder holds no picture.
    """
    seen: set[str] = set()
    for name in dict.fromkeys(wanted.inputs + wanted.listed):
        path = Path(name)
        if url_of(name) is not None:
            every = _elsewhere(name, wanted, outputs, known)
        elif path.is_dir():
            every = _in_folder(path, wanted, outputs, known)
        elif os.path.lexists(path) or name not in wanted.inputs:
            every = iter([Found(path, Path(path.name), True)])
        elif glob.has_magic(name):
            every = _in_glob(name, wanted, outputs, known)
        else:
            raise InputError(f"{path} is not there")
        for found in every:
            real = os.path.realpath(found.path)
            if real not in seen:
                seen.add(real)
                yield found


def _in_folder(
    folder: Path, wanted: Wanted, outputs: Path | None, known: frozenset[str]
) -> Iterator[Found]:
    empty = True
    for found in walk(folder, wanted, outputs, known):
        empty = False
        yield found
    everything = Wanted((str(folder),), recursive=wanted.recursive)
    if empty and not any(True for _ in walk(folder, everything, None, frozenset())):
        raise InputError(
            f"the folder {folder} holds no pictures",
            "it is searched for " + ", ".join(sorted(EXTENSIONS)),
        )


def walk(
    folder: Path, wanted: Wanted, outputs: Path | None, known: frozenset[str]
) -> Iterator[Found]:
    """Pictures below a folder in sorted order; symbolic links to folders are not followed."""
    avoided = os.path.realpath(outputs) if outputs else None
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(parent)
        folders[:] = sorted(
            f
            for f in folders
            if wanted.recursive
            and not f.startswith(".")
            and os.path.realpath(here / f) != avoided
            and not wanted.leaves_out((here / f).relative_to(folder))
        )
        for name in sorted(files):
            path = here / name
            if not _may_be(path, outputs, known):
                continue
            below = path.relative_to(folder)
            if wanted.takes(below):
                yield Found(path, below, False)


def _elsewhere(
    name: str, wanted: Wanted, outputs: Path | None, known: frozenset[str]
) -> Iterator[Found]:
    """A file, a folder or a pattern of another store."""
    path = Path(name)
    if not glob.has_magic(name) and not remote.is_folder(name):
        if name in wanted.inputs and remote.look(path) is None:
            raise InputError(f"{shown(path)} is not there")
        yield Found(path, Path(path.name), True)
        return
    avoided = f"{shown(outputs)}/" if outputs else None
    empty = True
    for found, below in remote.walk(name):
        deep = len(below.parts) > 1 and not (wanted.recursive or glob.has_magic(name))
        inside = avoided is not None and shown(found).startswith(avoided)
        hidden = any(part.startswith(".") for part in below.parts)
        if deep or inside or hidden or not _may_be(found, outputs, known):
            continue
        empty = False
        if wanted.takes(below) and not any(wanted.leaves_out(p) for p in below.parents[:-1]):
            yield Found(found, below, False)
    if empty:
        raise InputError(f"{shown(path)} holds no pictures")


def _may_be(path: Path, outputs: Path | None, known: frozenset[str]) -> bool:
    if path.name.startswith(".") or path.suffix.lower() not in EXTENSIONS:
        return False
    earlier = outputs is None and path.stem.endswith(MARK)
    return not earlier and not (known and location(path) in known)


def _in_glob(
    pattern: str, wanted: Wanted, outputs: Path | None, known: frozenset[str]
) -> Iterator[Found]:
    """Pictures that match; their tree begins where the pattern does."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:fixed])
    avoided = os.path.realpath(outputs) + os.sep if outputs else None
    empty = True
    for name in sorted(glob.glob(pattern, recursive=True)):
        path = Path(name)
        inside = avoided is not None and os.path.realpath(path).startswith(avoided)
        if path.is_dir() or inside or not _may_be(path, outputs, known):
            continue
        empty = False
        below = path.relative_to(base)
        if wanted.takes(below):
            yield Found(path, below, False)
    if empty:
        raise InputError(f"{pattern} matches no pictures")


def _refuse(error: OSError) -> None:
    raise InputError(
        f"the folder {error.filename} cannot be read: {(error.strerror or str(error)).lower()}",
        "name the folders that can, or leave it out with --exclude",
    ) from error
