"""The first step of a batch: a picture is read, or opened to be read in bands."""

from __future__ import annotations

import contextlib
import dataclasses
import stat
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from moce_cli.batch import remote
from moce_cli.batch.bands import open_in_bands
from moce_cli.batch.desk import Desk, Done, failed
from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Stamp
from moce_cli.batch.remote import url_of
from moce_cli.errors import InputError
from moce_cli.pictures import Picture, probe, read, spool
from moce_cli.pictures.large import BandReader, why_not_bands
from moce_cli.pictures.memory import check_fits, fits


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture that was read."""

    job: Job
    picture: Picture | BandReader
    stamp: Stamp | None
    """Of the file, where a journal is kept."""
    seconds: float

    def close(self) -> None:
        """Let go of a file that is not read after all."""
        if isinstance(self.picture, BandReader):
            self.picture.close()

    @property
    def unchanged(self) -> bool:
        """Whether a file that is read in bands, step by step, is as it was; all others are read."""
        source = self.job.source
        if not isinstance(self.picture, BandReader) or self.stamp is None or source is None:
            return True
        return url_of(source) is not None or same(source, self.stamp)


def open_picture(source: Path | None, max_pixels: int, *, whole: bool = False) -> Picture:
    """Read a picture that is known to fit; None is standard input; `whole` is as for `read`.

    Raises:
        InputError: it cannot be read.
        DeviceError: it is larger than memory.
    """
    if source is None:
        return read(standard_input(), max_pixels=max_pixels, name="standard input", whole=whole)
    header = probe(source, max_pixels=max_pixels)
    rows = header.height * (header.frames if whole else 1)
    if not fits(rows, header.width, header.depth):
        reason = why_not_bands(header)
        told = f", but {reason}" if reason else " (--bands auto)"
        hint = f"moce restore takes large pictures in bands{told}"
        check_fits(str(source), rows, header.width, header.depth, hint)
    return read(source, max_pixels=max_pixels, whole=whole)


def standard_input() -> BinaryIO:
    """What the program is given.

    Raises:
        InputError: nothing.
    """
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
        raise InputError("standard input is closed")
    return sys.stdin.buffer


def load(job: Job, desk: Desk) -> Loaded | Done:
    """The first step; a picture that can't be read is done, with the stamp of what was there.

    Of a picture that is restored in bands only the header is read.
    """
    if job.source is None:
        return _load_from_pipe(job, desk)
    if url_of(job.source) is not None:
        return _load_from_elsewhere(job, job.source, desk)
    return _load_file(job, job.source, desk)


def _load_file(job: Job, path: Path, desk: Desk) -> Loaded | Done:
    """From a local file, which need not have the job's name."""
    begun = time.perf_counter()
    stamp = None
    if desk.journal is not None:
        with contextlib.suppress(OSError):  # reading says it better
            if stat.S_ISREG(path.stat().st_mode):
                stamp = Stamp.of(path)
    settings = desk.settings
    try:
        made: Picture | BandReader | Exception | None
        made = open_in_bands(job, path, settings, job.name)
        if made is None:
            made = open_picture(path, settings.max_pixels, whole=True)
    except Exception as error:
        made = error
    if stamp is not None and not same(path, stamp):
        if isinstance(made, BandReader):
            made.close()
        # no stamp: it is not this file that failed, and the next run tries again
        made = changed(job)
        stamp = None
    seconds = time.perf_counter() - begun
    if isinstance(made, Exception):
        return dataclasses.replace(failed(job, made, seconds), stamp=stamp)
    return Loaded(job, made, stamp, seconds)


def changed(job: Job) -> InputError:
    """What is said of a file that did not stay as it was."""
    return InputError(f"{job.name} changed while it was read", "run again when it is whole")


def _load_from_pipe(job: Job, desk: Desk) -> Loaded | Done:
    begun = time.perf_counter()
    try:
        if desk.settings.bands == "never":
            picture = open_picture(None, desk.settings.max_pixels, whole=True)
        else:
            picture = _from_pipe(job, desk)
    except Exception as error:
        return failed(job, error, time.perf_counter() - begun)
    return Loaded(job, picture, None, time.perf_counter() - begun)


def _from_pipe(job: Job, desk: Desk) -> Picture | BandReader:
    """What comes by a pipe lies on disk until it is open, since it may be read twice."""
    part = desk.staging.file(Path(tempfile.gettempdir()) / "pipe")
    name, most = "standard input", desk.settings.max_pixels
    try:
        with part.open("xb") as file:
            spool(standard_input(), file, name)
        reader = open_in_bands(job, part, desk.settings, name)
        return reader or read(part, max_pixels=most, name=name, whole=True)
    finally:
        _drop(part)


def _drop(part: Path) -> None:
    """Nobody needs its name any more; a system that keeps what is open has it swept at the end."""
    with contextlib.suppress(OSError):
        part.unlink(missing_ok=True)


def _load_from_elsewhere(job: Job, source: Path, desk: Desk) -> Loaded | Done:
    begun = time.perf_counter()
    part = desk.staging.file(remote.spool(source))
    try:
        look = remote.fetch(source, part)
        seconds = time.perf_counter() - begun
        loaded = _load_file(job, part, desk)
    finally:
        _drop(part)
    stamp = loaded.stamp and Stamp(look.size_bytes, look.mtime_ns, loaded.stamp.sha256)
    seconds += loaded.seconds
    made = dataclasses.replace(loaded, stamp=stamp, seconds=seconds)
    if isinstance(made, Done) and made.error is not None:
        made.error.message = made.error.message.replace(str(part), job.name)
    return made


def same(path: Path, stamp: Stamp) -> bool:
    """Whether a file is as it was."""
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (stamp.size_bytes, stamp.mtime_ns)
