"""The record of what was pulled from a hub: the files lie in the hub client's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from moce_cli.checkpoints.atomic import write_text
from moce_cli.checkpoints.entry import Entry, describe_file, home


@dataclass(frozen=True, slots=True)
class Pull:
    """One file that was pulled."""

    repo: str
    revision: str | None
    """As it was asked for; None for the newest."""
    commit: str
    sha256: str
    """Empty where it is not known."""
    path: str

    @property
    def name(self) -> str:
        """`org/repo` or `org/repo@revision`, as `--model` takes it."""
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def _record_file(name: str) -> Path:
    safe = "".join(c if c.isalnum() or c in "._-" else f"%{ord(c):02x}" for c in name)
    return home() / "pulled" / f"{safe}.json"


def record_pull(pull: Pull) -> None:
    """Remember a pulled file.

    Raises:
        OutputError: the record can't be written.
    """
    write_text(_record_file(pull.name), json.dumps(asdict(pull)) + "\n")


def forget_pull(name: str) -> None:
    """Forget a pulled file."""
    _record_file(name).unlink(missing_ok=True)


def pulls() -> Iterator[Pull]:
    """Every pulled file that is on record and still in its place."""
    folder = home() / "pulled"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError:  # nothing pulled yet, or not ours to read
        return
    for path in (folder / name for name in names):
        try:
            pull = Pull(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # a record only spares a look into the cache
        if os.path.exists(pull.path):  # else the cache was cleared
            yield pull


def find_pull(name: str) -> Pull | None:
    """The record of `org/repo` or `org/repo@revision`."""
    return next((pull for pull in pulls() if pull.name == name), None)


def pulled_entries() -> Iterator[Entry]:
    """The pulled files as models."""
    for pull in pulls():
        entry = Entry(
            pull.name, "pulled", "", pull.repo, "", revision=pull.commit, sha256=pull.sha256 or None
        )
        yield describe_file(Path(pull.path), entry)
