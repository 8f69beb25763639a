"""Files that a command will write, checked before it begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def check_outputs(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Refuse what could not be written at the end before hours are spent; make its folder.

    Raises:
        OutputError: a path is a folder, or its folder cannot be made or written to;
            `OutputExistsError` if it is there and may not be replaced.
    """
    from moce_cli.checkpoints.atomic import make_folder
    from moce_cli.errors import OutputError, OutputExistsError

    for path in paths:
        if path.is_dir():
            raise OutputError(f"{path} is a folder", "name a file")
        if os.path.lexists(path) and not overwrite:
            raise OutputExistsError(f"{path} is there already", "add --overwrite")
        make_folder(path.parent)
