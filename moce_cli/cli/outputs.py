"""Files that a command will write, checked before it begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def check_outputs(paths: Iterable[Path], *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse what could not be written at the end before hours are spent; make its folder.

    Raises:
        UsageError: two of them are one file, of which one would be lost, or one is an input.
        OutputError: a path is a folder, or its folder cannot be made or written to;
            `OutputExistsError` if it is there and may not be replaced.
    """
    from moce_cli.checkpoints.atomic import make_folder
    from moce_cli.errors import OutputError, OutputExistsError, UsageError

    files: set[str] = set()
    for path in (paths := tuple(paths)):
        if (file := os.path.realpath(path)) in files:
            raise UsageError(f"two outputs would become one file, {path}", "name two files")
        files.add(file)
    read = [path for path in inputs if path.exists()]
    for path in paths:
        if path.exists() and any(path.samefile(one) for one in read):
            raise UsageError(f"{path} is an input, and would be overwritten", "name another output")
        if path.is_dir():
            raise OutputError(f"{path} is a folder", "name a file")
        if os.path.lexists(path) and not overwrite:
            raise OutputExistsError(f"{path} is there already", "add --overwrite")
        make_folder(path.parent)
