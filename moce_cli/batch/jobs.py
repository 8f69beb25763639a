"""Which files, and what they become. Everything is decided before anything runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from moce_cli.errors import InputError, OutputError, OutputExistsError, UsageError
from moce_cli.pictures import EXTENSIONS, FORMATS, format_for, format_named

STANDARD = "-"
"""Stands for standard input or output."""
MARK = ".restored"
"""Goes before the extension where no output is named."""


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to restore; None is standard input or output."""

    source: Path | None
    target: Path | None
    format: str | None
    """What to write; None follows the target's extension, or the source on a pipe."""
    exists: bool = False
    """The target is there already, and is to be skipped."""

    @property
    def name(self) -> str:
        """The source as a person wrote it."""
        return str(self.source) if self.source else "standard input"


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    below: Path
    """Relative to the folder that was named; the bare name for a file that was."""
    named: bool
    """Whether the person named this very file."""


def plan_jobs(
    inputs: Sequence[str],
    output: str | None,
    *,
    format: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> list[Job]:
    """Find the pictures and decide their outputs.

    Args:
        inputs: files, folders (searched with all below, hidden ones and earlier outputs left out)
            or `-`.
        output: a file, a folder, `-`, or None for `NAME.restored.EXT` beside each input.
        format: what to write, in place of what the extension says.
        overwrite: existing outputs may be replaced.
        skip_existing: existing outputs are marked to be skipped.

    Raises:
        UsageError: inputs and output do not fit each other, or two inputs share an output.
        InputError: an input is not there, or a folder holds no picture.
        OutputError: an output cannot be written; `OutputExistsError` if it is there.
    """
    wanted = format_named(format) if format is not None else None
    if "" in inputs or output == "":
        raise UsageError("an empty name is no file and no folder", "is a shell variable unset?")
    try:
        return _plan(inputs, output, wanted, overwrite=overwrite, skip_existing=skip_existing)
    except OSError as error:  # a name too long, a folder that may not be entered
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{error.filename or 'a name'} cannot be looked at: {reason}") from error


def _plan(
    inputs: Sequence[str],
    output: str | None,
    wanted: str | None,
    *,
    overwrite: bool,
    skip_existing: bool,
) -> list[Job]:
    if STANDARD in inputs or output == STANDARD:
        return [_pipe_job(inputs, output, wanted, overwrite, skip_existing)]
    into = Path(output) if output is not None else None
    is_folder = into is not None and (
        len(inputs) > 1
        or Path(inputs[0]).is_dir()
        or into.is_dir()
        or str(output).endswith(("/", os.sep))
        or (not into.suffix and wanted is None)
    )
    if is_folder and into is not None and into.exists() and not into.is_dir():
        if len(inputs) == 1 and not Path(inputs[0]).is_dir():
            raise OutputExistsError(f"{into} is there already, and is no folder")
        raise UsageError(f"several pictures cannot go into the one file {into}", "name a folder")
    jobs: list[Job] = []
    for found in _find(inputs, into if is_folder else None):
        if into is not None and not is_folder:
            if wanted is None:
                format_for(into)
            jobs.append(Job(found.path, into, wanted))
        elif into is not None:
            jobs.append(Job(found.path, _renamed(into / found.below, wanted, mark=""), wanted))
        else:
            jobs.append(Job(found.path, _renamed(found.path, wanted, mark=MARK), wanted))
    _check_collisions(jobs)
    return _check_existing(jobs, overwrite=overwrite, skip_existing=skip_existing)


def _pipe_job(
    inputs: Sequence[str],
    output: str | None,
    format: str | None,
    overwrite: bool,
    skip_existing: bool,
) -> Job:
    if len(inputs) != 1:
        raise UsageError("a pipe holds one picture", "give - alone, or files and folders")
    if output is None:
        raise UsageError("where should the picture from standard input go?", "add -o FILE or -o -")
    source = None if inputs[0] == STANDARD else Path(inputs[0])
    if source and source.is_dir():
        raise UsageError(f"{source} is a folder, and a pipe holds one picture", "name one file")
    if source and not source.exists():
        raise InputError(f"{source} is not there")
    if output == STANDARD:
        return Job(source, None, format)
    target = Path(output)
    if target.is_dir():
        raise UsageError(f"{target} is a folder, and a pipe has no name", "name a file with -o")
    if format is None:
        format_for(target)
    job = Job(source, target, format)
    return _check_existing([job], overwrite=overwrite, skip_existing=skip_existing)[0]


def _find(inputs: Sequence[str], into: Path | None) -> Iterator[_Found]:
    seen: set[Path] = set()
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            found = [f for f in _walk(path, into) if f.path.resolve() not in seen]
            if not found and not any(True for _ in _walk(path, None)):
                raise InputError(
                    f"the folder {path} holds no pictures",
                    "it is searched for " + ", ".join(sorted(EXTENSIONS)),
                )
        elif path.exists():
            found = [] if path.resolve() in seen else [_Found(path, Path(path.name), True)]
        else:
            raise InputError(f"{path} is not there")
        seen.update(f.path.resolve() for f in found)
        yield from found


def _walk(folder: Path, into: Path | None) -> Iterator[_Found]:
    """Pictures below a folder in sorted order; symbolic links to folders are not followed."""
    outputs = into.resolve() if into else None
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(parent)
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and (here / f).resolve() != outputs
        )
        for name in sorted(files):
            path = here / name
            hidden = name.startswith(".")
            earlier = outputs is None and path.stem.endswith(MARK)
            if not hidden and not earlier and path.suffix.lower() in EXTENSIONS:
                yield _Found(path, path.relative_to(folder), False)


def _refuse(error: OSError) -> None:
    raise InputError(
        f"the folder {error.filename} cannot be read: {(error.strerror or str(error)).lower()}",
        "name the folders that can",
    ) from error


def _renamed(path: Path, format: str | None, *, mark: str) -> Path:
    """With the mark, and the extension of a format that can be written."""
    suffix = path.suffix
    known = EXTENSIONS.get(suffix.lower())
    if format is not None and (known is None or known.name != format):
        suffix = FORMATS[format].extensions[0]
    elif format is None and (known is None or not known.writable):
        suffix = ".png"
    return path.with_name(f"{path.stem}{mark}{suffix}")


def _check_collisions(jobs: Sequence[Job]) -> None:
    taken: dict[str, Path] = {}
    sources = {job.source.resolve() for job in jobs if job.source}
    for job in jobs:
        assert job.source is not None
        assert job.target is not None
        key = str(job.target.resolve())
        if sys.platform in ("darwin", "win32"):  # their file systems know no case
            key = key.casefold()
        if key in taken:
            raise UsageError(
                f"{taken[key]} and {job.source} would both become {job.target}",
                "name them one by one, each with its own -o",
            )
        if job.target.resolve() in sources:
            raise UsageError(
                f"{job.target} is an input, and would be overwritten", "name another output with -o"
            )
        taken[key] = job.source


def _check_existing(jobs: Sequence[Job], *, overwrite: bool, skip_existing: bool) -> list[Job]:
    checked: list[Job] = []
    there: list[Path] = []
    for job in jobs:
        exists = job.target is not None and os.path.lexists(job.target)
        if exists and not overwrite:
            assert job.target is not None
            there.append(job.target)
        checked.append(Job(job.source, job.target, job.format, exists and skip_existing))
    if there and not skip_existing:
        more = f" and {len(there) - 1} more outputs are" if len(there) > 1 else " is"
        raise OutputExistsError(
            f"{there[0]}{more} there already", "add --overwrite or --skip-existing"
        )
    return checked


def make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders of the outputs, and make sure that they can be written to.

    Raises:
        OutputError: one can't.
    """
    for folder in sorted({job.target.parent for job in jobs if job.target and not job.exists}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"the folder {folder} cannot be made: {reason}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"the folder {folder} cannot be written to: permission denied")
