"""What `moce restore` tells before it begins: what would be done, and what it would take."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moce_cli.cli.console import console, printable
from moce_cli.cli.restore_tell import REASONS, names

if TYPE_CHECKING:
    from moce_cli.batch import Job, Settings
    from moce_cli.cli.machine import Machine
    from moce_cli.errors import MoceError
    from moce_cli.restoration import Forecast, Restorer

ANNOUNCED_TILES = 30
"""Of one picture from which on it is told beforehand what it takes."""
TIMED_TILES = 100
"""And from which on a few tiles are tried for the time."""


def planned(job: Job, forecast: Forecast | None, error: MoceError | None) -> dict[str, object]:
    """The JSON object of a picture that would be restored."""
    status = "skipped" if job.skip else "failing" if error else "planned"
    values = names(job) | {"status": status}
    if job.skip:
        values["reason"] = REASONS[job.skip]
    if error:
        values["error"] = {"message": error.message, "hint": error.hint}
    if forecast:
        values["forecast"] = forecast.to_dict()
    return values | {"replaces": job.replace}


def plan_line(job: Job, forecast: Forecast | None, error: MoceError | None) -> str:
    """A picture that would be restored, in a line."""
    line = f"{job.name} -> {job.place}"
    if job.skip:
        return f"{line}: skipped, {REASONS[job.skip]}"
    if error:
        return f"{line}: would fail: {error.message}"
    told = ["replaced"] if job.replace else []
    if forecast:
        told.append(said(forecast))
    return f"{line}: {'; '.join(told)}" if told else line


def said(forecast: Forecast) -> str:
    """What a picture takes, in a clause."""
    parts = [f"{forecast.tiles} tile{'s' if forecast.tiles > 1 else ''}"]
    if forecast.seconds is not None:
        parts.append(f"about {duration(forecast.seconds)}")
    parts.append(f"{size(forecast.host_bytes)} of memory{' in bands' * forecast.in_bands}")
    if forecast.device_bytes:
        parts.append(f"{size(forecast.device_bytes)} of the device's")
    parts.append(f"up to {size(forecast.disk_bytes)} of disk")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


@dataclass(slots=True)
class Planned:
    """A batch's sum."""

    pictures: int = 0
    tiles: int = 0
    seconds: float = 0.0
    host_bytes: int = 0
    disk_bytes: int = 0

    def add(self, forecast: Forecast | None) -> None:
        """Count a picture."""
        if forecast is None:
            return
        self.pictures += 1
        self.tiles += forecast.tiles
        self.seconds += forecast.seconds or 0
        self.host_bytes = max(self.host_bytes, forecast.host_bytes)
        self.disk_bytes += forecast.disk_bytes

    def line(self) -> str:
        """In a line; memory is that of the picture that needs most."""
        return (
            f"{self.pictures} picture{'s' if self.pictures > 1 else ''}: {self.tiles} "
            f"tile{'s' if self.tiles > 1 else ''}, about {duration(self.seconds)} of the "
            f"network, {size(self.host_bytes)} of memory for the largest, up to "
            f"{size(self.disk_bytes)} of disk"
        )


def tell_plan(jobs: list[Job], machine: Machine, settings: Settings, *, as_json: bool) -> None:
    """What would be done, and what it would take; nothing is written.

    Raises:
        MoceError: the only picture can't be read, or can't be restored as it is asked for.
    """
    from moce_cli.batch import forecast_of
    from moce_cli.errors import MoceError

    here = machine.cluster is None and any(not job.skip for job in jobs)
    restorer = machine.each()[0].restorer() if here else None
    total = Planned()
    for job in jobs:
        forecast = error = None
        if restorer is not None and not job.skip:
            try:
                forecast = forecast_of(job, restorer, settings)
            except MoceError as failure:
                if len(jobs) == 1:
                    raise
                error = failure
        if as_json:
            console.json(planned(job, forecast, error))
        else:
            console.result(printable(plan_line(job, forecast, error)))
        total.add(forecast)
    if len(jobs) > 1 and total.pictures and not as_json:
        console.result(total.line())


def announce(job: Job, restorer: Restorer, settings: Settings) -> None:
    """Of a picture that takes a while, say before it begins what it will take."""
    from moce_cli.batch import forecast_of
    from moce_cli.errors import MoceError

    if job.skip:
        return
    with contextlib.suppress(MoceError):  # said when its turn comes
        forecast = forecast_of(job, restorer, settings, timed=False)
        if forecast is None or forecast.tiles < ANNOUNCED_TILES:
            return
        if forecast.tiles >= TIMED_TILES:
            forecast = forecast_of(job, restorer, settings)
        if forecast is not None:
            console.say(printable(f"{job.name}: {said(forecast)}"))
