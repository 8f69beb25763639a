"""Going on where a run ended: what is done and still true is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Book, Entry, Work
from moce_cli.batch.remote import exists


@dataclass(frozen=True, slots=True)
class Resume:
    """What an earlier run's journal means for this one.

    Attributes:
        book: what journals say.
        work: what would be done to every picture now.
        retry_failed: try again also what failed by its own fault.
    """

    book: Book
    work: Work
    retry_failed: bool = False

    def settle(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Mark jobs that are done, or failed and would again; results of ours may be replaced."""
        for job in jobs:
            yield self._settled(job)

    def _settled(self, job: Job) -> Job:
        if job.source is None or job.target is None:
            return job
        entry = self.book.latest(job.target)
        if entry is None:
            return job
        same = self._same_work(entry) and entry.read is not None and entry.read.fits(job.source)
        if same and entry.written is not None and entry.written.fits_result(job.target):
            return replace(job, skip="done", earlier=entry)
        if same and entry.own_fault and not self.retry_failed:
            return replace(job, skip="failed", earlier=entry)
        if exists(job.target) and self.book.wrote(job.target):
            return replace(job, replace=True)
        return job

    def _same_work(self, entry: Entry) -> bool:
        """The same weights, whatever they are called, and the same options."""
        mine, its = self.work, entry.work
        same_weights = mine.sha256 == its.sha256 and (mine.sha256 or mine.model == its.model)
        return bool(same_weights) and dict(mine.options) == dict(its.options)
