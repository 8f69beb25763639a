"""A file in parts, for places that take small files only."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from moce_cli.checkpoints.atomic import write_whole
from moce_cli.errors import InputError

MOST_BYTES = 15_000_000
_NAME = re.compile(r"(?P<stem>.+)\.part-(?P<number>\d+)-of-(?P<count>\d+)-(?P<digest>[0-9a-f]{12})")


def split(path: Path, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Write a file once more in parts beside it; returns their paths.

    They are called `NAME.part-1-of-3-DIGEST`, with the beginning of the whole's SHA-256, so that
    parts of two versions are not put together.

    Raises:
        OutputError: a part can't be written.
    """
    content = path.read_bytes()
    count = max(1, -(-len(content) // most_bytes))
    digest = hashlib.sha256(content).hexdigest()[:12]
    parts: list[Path] = []
    for i in range(count):
        part = path.with_name(f"{path.name}.part-{i + 1}-of-{count}-{digest}")
        piece = content[i * most_bytes : (i + 1) * most_bytes]
        write_whole(part, lambda beside, piece=piece: beside.write_bytes(piece), overwrite=True)
        parts.append(part)
    for old in path.parent.iterdir():  # only now: a full disk leaves those of before
        match = _NAME.fullmatch(old.name)
        if match and match["stem"] == path.name and old not in parts:
            old.unlink()
    return parts


def is_part(path: Path) -> bool:
    """Whether a file's name is that of a part."""
    return _NAME.fullmatch(path.name) is not None


def join(path: Path, target: Path) -> None:
    """Put a file together again.

    Args:
        path: any one of its parts; the others lie beside it.
        target: where the whole goes.

    Raises:
        InputError: a part is missing or damaged.
        OutputError: the whole can't be written.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path} is no part of a file", "--parts of moce train makes them")
    stem, count, digest = match["stem"], int(match["count"]), match["digest"]
    parts = [path.with_name(f"{stem}.part-{i + 1}-of-{count}-{digest}") for i in range(count)]
    if missing := [part for part in parts if not part.is_file()]:
        raise InputError(f"{missing[0]} is missing: {count} parts belong together")
    content = b"".join(part.read_bytes() for part in parts)
    if hashlib.sha256(content).hexdigest()[:12] != digest:
        raise InputError(f"the parts of {stem} are damaged: together they are another file")
    write_whole(target, lambda beside: beside.write_bytes(content), overwrite=True)
