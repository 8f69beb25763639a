"""The journal: one JSON line a picture, written before its result takes its place.

What the journal says is checked against the files themselves, so that a line whose result never
came, or came and was changed, is seen for what it is. Several processes may keep journals in one
folder; all are read together, and the latest line of a result counts.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from moce_cli import __version__
from moce_cli.batch import remote
from moce_cli.batch.finding import location
from moce_cli.batch.remote import url_of
from moce_cli.checkpoints.header import sha256_of
from moce_cli.errors import InputError, MoceError, OutputError

NAME = ".moce-journal.jsonl"
_ALL = re.compile(r"\.moce-journal(\.[\w-]+)?\.jsonl")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file from another, and from itself changed."""

    size_bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Look at a file.

        Raises:
            OSError: it cannot be read.
        """
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, sha256_of(path))

    def fits(self, path: Path) -> bool:
        """Whether a file is still this one: by size and time, or else by its bytes."""
        if url_of(path) is not None:
            return remote.fits(path, self.size_bytes, self.mtime_ns, self.sha256)
        try:
            found = path.stat()
            if found.st_size != self.size_bytes:
                return False
            return found.st_mtime_ns == self.mtime_ns or sha256_of(path) == self.sha256
        except OSError:
            return False

    def fits_result(self, path: Path) -> bool:
        """The same of a result; another store gives it a time of its own, a little later."""
        if url_of(path) is None:
            return self.fits(path)
        slack = remote.UPLOAD_SECONDS
        return remote.fits(path, self.size_bytes, self.mtime_ns, self.sha256, slack_seconds=slack)


@dataclass(frozen=True, slots=True)
class Work:
    """What is done to every picture of a batch: what must be the same for a result to count."""

    model: str
    sha256: str | None
    """Of the weights; None for a preset."""
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    """Those that change pixels or files."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: what became of a picture."""

    status: str
    """restored or failed."""
    input: str
    output: str
    """Relative to the journal's folder where it is below it."""
    read: Stamp | None
    written: Stamp | None
    work: Work
    time: str
    """ISO 8601, UTC."""
    seconds: float
    seam: float | None = None
    experts: Mapping[str, int] | None = None
    error: Mapping[str, Any] | None = None

    def to_line(self) -> bytes:
        """One line of JSON; names that are no text survive it."""
        return json.dumps({"moce": __version__} | asdict(self)).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Entry | None:
        """None for a line that was cut short, or is no entry."""
        try:
            values = json.loads(line)
            values.pop("moce", None)
            for name in ("read", "written"):
                values[name] = None if values[name] is None else Stamp(**values[name])
            return cls(**values | {"work": Work(**values["work"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def failure(self) -> MoceError:
        """The error that was told then."""
        told = self.error or {}
        error = MoceError(str(told.get("message", "failed")), told.get("hint"))
        error.exit_code = int(told.get("exit_code", 1))
        return error

    @property
    def own_fault(self) -> bool:
        """Whether it failed for what it is, not for a full disk or a device."""
        return self.status == "failed" and self.failure().exit_code in (1, 3)


def now() -> str:
    """The time for an entry."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Journal:
    """A journal that is written to; one run at a time.

    Args:
        path: of the file; its folder is made.
        alone: refuse a journal that another process is writing to.

    Raises:
        OutputError: it cannot be written, or another run writes to it.
    """

    def __init__(self, path: Path, *, alone: bool = True) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise OutputError(
                f"the journal {path} cannot be written: {(error.strerror or str(error)).lower()}",
                "name another place with --journal",
            ) from error
        if alone and not _locked(self._file):
            os.close(self._file)
            raise OutputError(
                f"another run is writing to the journal {path}",
                "wait for it, share the work with --shard, or name another --journal",
            )
        self._mend()

    def _mend(self) -> None:
        """End a line that a full disk or a power cut left open."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def add(self, entry: Entry) -> None:
        """Write a line, and have it on the disk.

        Raises:
            OutputError: the disk is full, or gone.
        """
        line = entry.to_line()
        with self._lock:
            try:
                written = os.write(self._file, line)  # one call: whole among other processes' lines
                if written < len(line):
                    os.write(self._file, b"\n")
                    raise OutputError(
                        f"the journal {self.path} cannot be written: the disk is full"
                    )
                os.fsync(self._file)
            except OSError as error:
                raise OutputError(
                    f"the journal {self.path} cannot be written: {error.strerror}"
                ) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _locked(file: int) -> bool:
    try:
        import fcntl  # not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


class Book:
    """What journals say, by the place of the result.

    Args:
        entries: with the folder of their journal.
    """

    def __init__(self, entries: Iterator[tuple[Path, Entry]]) -> None:
        self._by_place: dict[str, list[Entry]] = {}
        for folder, entry in entries:
            here = Path() if url_of(entry.output) is not None else folder
            self._by_place.setdefault(location(here / entry.output), []).append(entry)
        for lines in self._by_place.values():
            lines.sort(key=lambda e: e.time)

    @property
    def places(self) -> frozenset[str]:
        """Of all results that were ever written."""
        return frozenset(
            place
            for place, lines in self._by_place.items()
            if any(entry.written for entry in lines)
        )

    def latest(self, target: Path) -> Entry | None:
        """The last word on a result."""
        lines = self._by_place.get(location(target))
        return lines[-1] if lines else None

    def wrote(self, target: Path) -> bool:
        """Whether what is there is as some run left it."""
        lines = self._by_place.get(location(target), [])
        return any(e.written is not None and e.written.fits_result(target) for e in reversed(lines))


def read_book(path: Path) -> Book:
    """Read a journal, and those beside it that other shards and workers keep.

    Raises:
        InputError: one cannot be read.
    """
    return Book(_entries(path))


def _entries(path: Path) -> Iterator[tuple[Path, Entry]]:
    paths = {path} if path.exists() else set[Path]()
    try:
        if _ALL.fullmatch(path.name) and path.parent.is_dir():
            paths |= {p for p in path.parent.iterdir() if _ALL.fullmatch(p.name)}
        for one in sorted(paths):
            for line in one.read_bytes().splitlines():
                if (entry := Entry.from_line(line)) is not None:
                    yield one.parent, entry
    except OSError as error:
        raise InputError(
            f"the journal {cast('object', error.filename) or path} cannot be read: "
            f"{(error.strerror or str(error)).lower()}"
        ) from error
