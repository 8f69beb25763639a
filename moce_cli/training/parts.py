"""A file in parts, for places that take small files only."""

from __future__ import annotations

import re
from pathlib import Path

from moce_cli.checkpoints.atomic import write_whole
from moce_cli.errors import InputError

MOST_BYTES = 15_000_000
_NAME = re.compile(r"(?P<stem>.+)\.part-(?P<number>\d+)-of-(?P<count>\d+)")


def split(path: Path, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Write a file once more in parts beside it, `NAME.part-1-of-3` and so on; returns their paths.

    Raises:
        OutputError: a part can't be written.
    """
    content = path.read_bytes()
    count = max(1, -(-len(content) // most_bytes))
    for old in path.parent.glob(f"{path.name}.part-*-of-*"):
        old.unlink()
    parts: list[Path] = []
    for i in range(count):
        part = path.with_name(f"{path.name}.part-{i + 1}-of-{count}")
        piece = content[i * most_bytes : (i + 1) * most_bytes]
        write_whole(part, lambda beside, piece=piece: beside.write_bytes(piece), overwrite=True)
        parts.append(part)
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
        InputError: a part is missing.
        OutputError: the whole can't be written.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path} is no part of a file", "a part is called NAME.part-1-of-3")
    count = int(match["count"])
    parts = [path.with_name(f"{match['stem']}.part-{i + 1}-of-{count}") for i in range(count)]
    if missing := [part for part in parts if not part.is_file()]:
        raise InputError(f"{missing[0]} is missing: {count} parts belong together")
    content = b"".join(part.read_bytes() for part in parts)
    write_whole(target, lambda beside: beside.write_bytes(content), overwrite=True)
