"""Jobs: which pictures, and what they become; decided before anything runs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from moce_cli.batch.finding import STANDARD, Found, Wanted, find, location
from moce_cli.batch.journal import Entry
from moce_cli.batch.naming import Naming, check_inside, choose_naming
from moce_cli.batch.remote import exists, shown, url_of
from moce_cli.checkpoints.atomic import make_folder
from moce_cli.errors import InputError, OutputExistsError, UsageError
from moce_cli.pictures import format_for, format_named


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to restore; None is standard input or output."""

    source: Path | None
    target: Path | None
    format: str | None
    """What to write; None follows the target's extension, or the source on a pipe."""
    below: str = ""
    """The source below the folder that was named; by it shards are told apart."""
    root: Path | None = None
    """What the target must not leave."""
    replace: bool = False
    """What is at the target may be replaced."""
    skip: Literal["", "exists", "done", "failed"] = ""
    """Why it is left alone: its output is there, was made by an earlier run, or failed in one."""
    earlier: Entry | None = None
    """What that run says."""

    @property
    def name(self) -> str:
        """The source as a person wrote it."""
        return shown(self.source) if self.source else "standard input"

    @property
    def place(self) -> str:
        """The target likewise."""
        return shown(self.target) if self.target else "standard output"

    @property
    def exists(self) -> bool:
        """It is left alone."""
        return self.skip != ""


@dataclass(frozen=True, slots=True)
class Shard:
    """One share of a batch that several machines do.

    Raises:
        UsageError: there is no such share.
    """

    index: int
    """1 to count."""
    count: int

    def __post_init__(self) -> None:
        """Check the range."""
        if not 1 <= self.index <= self.count:
            raise UsageError(
                f"there is no shard {self.index} of {self.count}",
                "--shard takes 1/N to N/N; begin a Slurm array with --array=1-N",
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`i/n`.

        Raises:
            UsageError: it is not.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if match is None:
            raise UsageError(f"{text!r} is no shard", "--shard takes i/n, such as 3/8")
        return cls(int(match[1]), int(match[2]))

    def takes(self, job: Job) -> bool:
        """Whether a job is this share's: by its name alone, on every machine alike."""
        digest = hashlib.sha256(os.fsencode(job.below)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    @property
    def name(self) -> str:
        """For the name of a journal."""
        return f"{self.index}-of-{self.count}"


def plan_jobs(
    inputs: Sequence[str],
    output: str | None,
    *,
    format: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> list[Job]:
    """Find the pictures and decide their outputs, where nothing is resumed.

    Args:
        inputs: files, folders (searched with all below, hidden ones and earlier outputs left out),
            patterns or `-`.
        output: a file, a folder, a template, `-`, or None for `NAME.restored.EXT` beside each.
        format: what to write, in place of what the extension says.
        overwrite: existing outputs may be replaced.
        skip_existing: existing outputs are marked to be skipped.

    Raises:
        UsageError: inputs and output do not fit each other, or two inputs share an output.
        InputError: an input is not there, or a folder holds no picture.
        OutputError: an output cannot be written; `OutputExistsError` if it is there.
    """
    wanted = Wanted(tuple(inputs))
    jobs = list(list_jobs(wanted, output, format=format))
    check_collisions(jobs)
    return check_existing(jobs, overwrite=overwrite, skip_existing=skip_existing)


def list_jobs(
    wanted: Wanted,
    output: str | None,
    *,
    format: str | None = None,
    known: frozenset[str] = frozenset(),
) -> Iterator[Job]:
    """Pictures and their outputs, not yet compared with each other or with what is there.

    Args:
        wanted: which.
        output: as for `plan_jobs`.
        format: likewise.
        known: locations of earlier results, which are no inputs.

    Raises:
        UsageError, InputError, OutputError: as `plan_jobs`.
    """
    kind = format_named(format) if format is not None else None
    inputs = wanted.inputs + wanted.listed
    try:
        if STANDARD in wanted.inputs or output == STANDARD:
            yield _pipe_job(inputs, output, kind)
            return
        naming = choose_naming(inputs, output, kind)
        outputs = naming.root if naming.kind != "file" else None
        for found in find(wanted, outputs=outputs, known=known):
            yield job_for(found, naming)
    except OSError as error:  # a name too long, a folder that may not be entered
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{error.filename or 'a name'} cannot be looked at: {reason}") from error


def job_for(found: Found, naming: Naming) -> Job:
    """The job of one picture.

    Raises:
        UsageError, OutputError: its output cannot be.
    """
    root = naming.root if naming.kind in ("folder", "template") else None
    target = naming.target(found)
    check_inside(target, root)
    return Job(found.path, target, naming.format, found.below.as_posix(), root)


def _pipe_job(inputs: Sequence[str], output: str | None, format: str | None) -> Job:
    if len(inputs) != 1:
        raise UsageError("a pipe holds one picture", "give - alone, or files and folders")
    if output is None:
        raise UsageError("where should the picture from standard input go?", "add -o FILE or -o -")
    if output == "":
        raise UsageError("an empty name is no file and no folder", "is a shell variable unset?")
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
    return Job(source, target, format)


def check_collisions(jobs: Sequence[Job]) -> None:
    """Refuse results that would meet each other, or an input.

    Raises:
        UsageError: the first that do.
    """
    taken: dict[str, Path] = {}
    sources: set[str] = set()
    for job in jobs:
        if job.source:
            sources |= {location(job.source), location(Path(os.path.realpath(job.source)))}
    for job in jobs:
        if job.source is None or job.target is None:
            continue
        place = location(job.target)
        if place in taken:
            raise UsageError(
                f"{shown(taken[place])} and {job.name} would both become {job.place}",
                "name them one by one, each with its own -o, or use {parent} in a template",
            )
        if place in sources:
            raise UsageError(
                f"{job.place} is an input, and would be overwritten", "name another output with -o"
            )
        taken[place] = job.source


def check_existing(jobs: Sequence[Job], *, overwrite: bool, skip_existing: bool) -> list[Job]:
    """Decide about outputs that are there already; jobs that are decided stay as they are.

    Raises:
        OutputExistsError: they are there, and nobody said what to do.
    """
    checked: list[Job] = []
    there: list[Path] = []
    for job in jobs:
        if job.exists or job.replace or job.target is None or not exists(job.target):
            pass
        elif overwrite:
            job = replace(job, replace=True)
        elif skip_existing:
            job = replace(job, skip="exists")
        else:
            there.append(job.target)
        checked.append(job)
    if there:
        more = f" and {len(there) - 1} more outputs are" if len(there) > 1 else " is"
        raise OutputExistsError(
            f"{shown(there[0])}{more} there already", "add --resume, --skip-existing or --overwrite"
        )
    return checked


def make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders of the outputs, and make sure that they can be written to.

    Raises:
        OutputError: one can't.
    """
    for folder in sorted({job.target.parent for job in jobs if job.target and not job.exists}):
        if url_of(folder) is None:  # others are made with the first file
            make_folder(folder)
