"""The journal of results that lie elsewhere: kept here, and copied beside them."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from pathlib import Path

from moce_cli.batch.journal import Entry, Journal
from moce_cli.batch.remote import fetch, look, put, url_of
from moce_cli.checkpoints.entry import home
from moce_cli.errors import MoceError

log = logging.getLogger(__name__)

COPY_SECONDS = 30
"""Between two copies while a batch runs."""


def local_copy(journal: Path) -> Path:
    """Where the journal of another store is kept on this machine."""
    folder = hashlib.sha256(str(url_of(journal.parent)).encode()).hexdigest()[:16]
    return home() / "journals" / folder / journal.name


def bring(journal: Path) -> None:
    """Take over lines that runs on other machines have copied there.

    Raises:
        InputError: the copy is there, and cannot be read.
        OutputError: there is no room for it here.
    """
    if look(journal) is None:
        return
    with tempfile.TemporaryDirectory(prefix="moce-") as folder:
        part = Path(folder) / "part"
        fetch(journal, part)
        lines = part.read_bytes().splitlines(keepends=True)
    path = local_copy(journal)
    known = set(path.read_bytes().splitlines()) if path.exists() else set[bytes]()
    kept = Journal(path)
    try:
        for line in lines:
            if line.rstrip(b"\n") not in known and (entry := Entry.from_line(line)) is not None:
                kept.add(entry)
    finally:
        kept.close()


class CopiedJournal(Journal):
    """A journal that is copied beside results that lie elsewhere, now and then and at the end.

    Args:
        journal: its place there.
        path: its place here.
    """

    def __init__(self, journal: Path, path: Path) -> None:
        super().__init__(path)
        self._there = journal
        self._copied = time.monotonic()

    def add(self, entry: Entry) -> None:
        """As of any journal."""
        super().add(entry)
        if time.monotonic() - self._copied > COPY_SECONDS:
            self._copy()

    def close(self) -> None:
        """Copy it for the last time, and let go of the file."""
        self._copy()
        super().close()

    def _copy(self) -> None:
        self._copied = time.monotonic()
        try:
            if self.path.stat().st_size:
                put(self.path, self._there, replace=True)
        except (MoceError, OSError) as error:  # the one here is whole
            log.warning("the journal is kept in %s alone: %s", self.path, error)
