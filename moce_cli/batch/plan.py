"""From what a person asked for to the jobs of this run, and their journal."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from moce_cli.batch.finding import STANDARD, Wanted
from moce_cli.batch.jobs import Job, Shard, check_collisions, check_existing, list_jobs
from moce_cli.batch.journal import NAME, Work, read_book
from moce_cli.batch.naming import choose_naming
from moce_cli.batch.remote import is_folder, url_of
from moce_cli.batch.remote_journal import local_copy
from moce_cli.batch.resume import Resume
from moce_cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for.

    Attributes:
        wanted: which pictures.
        output: as for `plan_jobs`.
        format: likewise.
        overwrite: existing outputs may be replaced.
        skip_existing: existing outputs are left alone.
        resume: what the journal says is done is left alone.
        retry_failed: resume, and try again what failed.
        shard: this run's share.
        journal: its place; None is beside the outputs of a batch.
        watch: go on with what appears.

    Raises:
        UsageError: they exclude each other.
    """

    wanted: Wanted
    output: str | None = None
    format: str | None = None
    overwrite: bool = False
    skip_existing: bool = False
    resume: bool = False
    retry_failed: bool = False
    shard: Shard | None = None
    journal: str | None = None
    watch: bool = False

    def __post_init__(self) -> None:
        """Check what excludes what."""
        if self.overwrite and self.skip_existing:
            raise UsageError(
                "--overwrite and --skip-existing exclude each other", "drop one of them"
            )
        pipe = STANDARD in self.wanted.inputs or self.output == STANDARD
        for given, name in (
            (self.resumes, "--resume"),
            (self.shard, "--shard"),
            (self.journal, "--journal"),
        ):
            if pipe and given:
                raise UsageError(f"{name} and a pipe exclude each other", "name files or folders")
        inputs = self.wanted.inputs
        if self.watch and (self.wanted.listed or not all(os.path.isdir(i) for i in inputs)):
            raise UsageError("--watch takes folders", "name the folder that pictures appear in")

    @property
    def resumes(self) -> bool:
        """The journal decides what is left to do."""
        return self.resume or self.retry_failed or self.watch

    @property
    def journal_path(self) -> Path | None:
        """Where the journal is; None where none is kept: for one picture, unless asked for."""
        place = self.journal_place
        return place if place is None or url_of(place) is None else local_copy(place)

    @property
    def journal_place(self) -> Path | None:
        """Where it is meant to be; in another store there is a copy of it."""
        if self.journal is not None:
            return Path(self.journal)
        inputs = [*self.wanted.inputs, *self.wanted.listed]
        many = len(inputs) > 1 or not os.path.lexists(inputs[0]) or os.path.isdir(inputs[0])
        asked = self.resumes or self.shard is not None
        if STANDARD in self.wanted.inputs or self.output == STANDARD or not (many or asked):
            return None
        naming = choose_naming(inputs, self.output, self.format)
        name = NAME.replace(".jsonl", f".{self.shard.name}.jsonl") if self.shard else NAME
        return (naming.root or _beside(inputs[0])) / name

    def jobs(self, work: Work) -> list[Job]:
        """What this run has to do, and what it leaves alone.

        Raises:
            UsageError: inputs and output do not fit each other, two inputs share an output, or the
                journal is a picture's file.
            InputError: an input is not there, or a folder holds no picture.
            OutputError: an output cannot be written; `OutputExistsError` if it is there.
        """
        path = self.journal_path
        book = read_book(path) if path is not None else None
        known = book.places if book is not None else frozenset[str]()
        jobs = list(list_jobs(self.wanted, self.output, format=self.format, known=known))
        check_collisions(jobs)
        self._check_journal(jobs)
        if self.shard is not None:
            jobs = [job for job in jobs if self.shard.takes(job)]
        if self.resumes and book is not None:
            jobs = list(Resume(book, work, self.retry_failed).settle(jobs))
        if self.watch and not (self.overwrite or self.skip_existing):
            return jobs  # one that meets an output fails when its turn comes, and the rest goes on
        return check_existing(jobs, overwrite=self.overwrite, skip_existing=self.skip_existing)

    def _check_journal(self, jobs: list[Job]) -> None:
        if self.journal is None:
            return
        name, place = os.path.basename(self.journal), os.path.realpath(self.journal)
        for path in (path for job in jobs for path in (job.source, job.target) if path):
            if path.name == name and os.path.realpath(path) == place:
                raise UsageError(
                    f"{self.journal} is a picture of this run, and cannot be its journal",
                    "name another --journal",
                )


def _beside(first: str) -> Path:
    """The folder where results go that go beside their pictures: the first one's."""
    path = Path(first)
    if url_of(first) is not None:
        return path if is_folder(first) else path.parent
    if os.path.isdir(path):  # `Path.is_dir` raises for a name that is too long
        return path
    fixed = itertools.takewhile(lambda part: "*" not in part and "?" not in part, path.parts[:-1])
    return Path(*fixed)
