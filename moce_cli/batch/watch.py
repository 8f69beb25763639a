"""A folder that is watched: what appears in it, once it is completely written."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from moce_cli.batch.jobs import Job
from moce_cli.batch.pipeline import Stop
from moce_cli.errors import InputError

log = logging.getLogger(__name__)

SCAN_SECONDS = 1.0
SETTLE_SECONDS = 2.0
"""A file that has not changed for so long, by its size and time, is taken for whole."""

_Look = tuple[int, int]


def watch(
    scan: Callable[[], Sequence[Job]],
    stop: Stop,
    *,
    scan_seconds: float = SCAN_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
) -> Iterator[Job]:
    """Jobs as their pictures appear, until `stop` is set.

    The folder is looked at again and again, which works on every file system. A picture is tried
    again when it changes; an empty file is waited for.

    Args:
        scan: the jobs that are there now.
        stop: ends it.
        scan_seconds: between two looks.
        settle_seconds: how long a file must be left alone.
    """
    given: dict[Path, _Look] = {}
    since: dict[Path, tuple[_Look, float]] = {}
    while not stop.is_set():
        try:
            jobs = scan()
        except InputError as error:  # empty for now, or a folder went away
            log.info(error.message)
            jobs = []
        for job in jobs:
            if job.source is None or (look := _look(job.source)) is None:
                continue
            if given.get(job.source) == look:
                continue
            if job.skip:
                given[job.source] = look
                continue
            if since.get(job.source, (None, 0.0))[0] != look:
                since[job.source] = look, time.monotonic()
            first_seen = since[job.source][1]
            if look[0] == 0 or time.monotonic() - first_seen < settle_seconds:
                continue
            given[job.source] = look
            del since[job.source]
            yield job
            if stop.is_set():
                return
        _sleep(scan_seconds, stop)


def _look(path: Path) -> _Look | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _sleep(seconds: float, stop: Stop) -> None:
    until = time.monotonic() + seconds
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
