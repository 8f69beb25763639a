"""One known model, and where a user's own files are kept."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from moce_cli.checkpoints.card import ModelCard
from moce_cli.checkpoints.header import read_header
from moce_cli.errors import WeightsError

Kind = Literal["shipped", "imported", "pulled", "hub", "convert"]
"""In this package; added by the user; in the hub's cache; to be pulled; to be converted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One known model."""

    name: str
    kind: Kind
    summary: str
    source: str
    """A file, a hub repository, or the page where its owner offers it."""
    licence: str
    architecture: str | None = None
    """A preset's name; None for an architecture without a name."""
    revision: str | None = None
    """The hub's, where it came or comes from there."""
    sha256: str | None = None
    """Recorded when the file was known to be whole."""
    path: Path | None = None
    """The file, where it is on this machine."""
    card: ModelCard | None = None
    size_bytes: int | None = None
    parameters: int | None = None
    problem: str | None = None
    """Why the file can't be used, where it can't."""

    def to_dict(self) -> dict[str, object]:
        """The entry as plain JSON values."""
        values: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        values["path"] = str(self.path) if self.path else None
        values["card"] = self.card.to_dict() if self.card else None
        return values


def home() -> Path:
    """Where a user's own models are kept; `MOCE_HOME` names another folder."""
    if given := os.environ.get("MOCE_HOME"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "moce"


def describe_file(path: Path, entry: Entry) -> Entry:
    """The entry with what the file at `path` says of itself, or with what is wrong with it."""
    try:
        header = read_header(path)
    except WeightsError as error:
        return replace(entry, path=path if path.exists() else None, problem=error.message)
    return replace(
        entry,
        path=path,
        summary=header.card.summary,
        licence=header.card.licence,
        architecture=header.preset,
        card=header.card,
        size_bytes=header.size_bytes,
        parameters=header.parameters,
    )
