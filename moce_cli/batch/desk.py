"""How pictures are done, where results go, and what is noted of them."""

from __future__ import annotations

import dataclasses
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from moce_cli.batch.bands import Bands
from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Entry, Journal, Stamp, Work, now
from moce_cli.batch.remote import url_of
from moce_cli.batch.staging import Staging
from moce_cli.errors import DeviceError, MoceError
from moce_cli.pictures import Storage

if TYPE_CHECKING:
    from moce_cli.pictures.picture import Pixels
    from moce_cli.restoration import Mask, Region, Report

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job."""

    job: Job
    report: Report | None = None
    error: MoceError | None = None
    warnings: tuple[str, ...] = ()
    """What could not be kept."""
    seconds: float = 0.0
    """Reading and writing included, waiting not."""
    stamp: Stamp | None = None
    """Of the file that failed, as it was before it was read."""
    network_busy: float | None = None
    """Share of the batch's time so far in which the network had work."""

    @property
    def skipped(self) -> bool:
        """It was left alone, and has not failed."""
        return self.report is None and self.error is None

    @property
    def earlier(self) -> bool:
        """It failed in an earlier run, and was not tried again."""
        return self.error is not None and self.job.skip == "failed"


class Manner(TypedDict):
    """What the restorer is told of each picture, as its arguments."""

    strength: float
    region: Region | None
    mask: Pixels | None
    ensemble: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """How each picture is done."""

    strength: float = 1.0
    max_pixels: int = 1_000_000_000
    storage: Storage = field(default_factory=Storage)
    region: Region | None = None
    mask: Mask | None = None
    ensemble: bool = False
    max_seam: float | None = None
    preserve: bool = False
    """Results get their pictures' times and permissions."""
    bands: Bands = "auto"
    """Which pictures are never whole in memory; see `batch.bands`."""

    def manner(self) -> Manner:
        """As arguments of `Restorer.restore` and `Restorer.restore_bands`."""
        mask = None if self.mask is None else self.mask.pixels
        return Manner(strength=self.strength, region=self.region, mask=mask, ensemble=self.ensemble)

    def facts(self) -> dict[str, object]:
        """Those that change a result, as plain JSON values for the journal."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del values["max_pixels"], values["bands"]
        return {k: v if isinstance(v, bool | int | float | None) else str(v)
                for k, v in values.items()}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Desk:
    """Where results go, and what is noted of them."""

    settings: Settings
    staging: Staging
    work: Work
    journal: Journal | None = None

    def note(self, done: Done, stamp: Stamp | None = None, written: Stamp | None = None) -> None:
        """Write a line of the journal.

        Raises:
            OutputError: the journal cannot be written.
        """
        job = done.job
        if self.journal is None or job.source is None or job.target is None:
            return
        report, error = done.report, done.error
        self.journal.add(
            Entry(
                status="failed" if error else "restored",
                input=url_of(job.source) or os.path.abspath(job.source),
                output=_from(job.target, self.journal.path.parent),
                read=stamp or done.stamp,
                written=written,
                work=self.work,
                time=now(),
                seconds=round(done.seconds, 4),
                seam=report.seam if report else None,
                experts={str(k): v for k, v in report.experts.items()} if report else None,
                error=told(error) if error else None,
            )
        )


def told(error: MoceError) -> dict[str, object]:
    """An error as JSON values."""
    return {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}


def _from(target: Path, folder: Path) -> str:
    if (url := url_of(target)) is not None:
        return url
    absolute, base = os.path.abspath(target), os.path.abspath(folder)
    inside = absolute.startswith(base.rstrip(os.sep) + os.sep)
    return os.path.relpath(absolute, base) if inside else absolute


def failed(job: Job, error: Exception, seconds: float) -> Done:
    """No picture may end a batch, whatever it does to the code."""
    if isinstance(error, MoceError):
        failure = error
    elif isinstance(error, MemoryError):
        failure = DeviceError(f"{job.name}: out of memory", "use a smaller --tile")
    else:
        log.debug("%s", job.name, exc_info=error)
        reason = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
        failure = MoceError(f"{job.name}: {reason}", "run it alone with -v -v, and report it")
    return Done(job, error=failure, seconds=seconds)
