"""What `moce restore` tells: a line or a JSON object a picture, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from moce_cli.cli.console import Console

if TYPE_CHECKING:
    from moce_cli.batch import Done, Job

REASONS: Mapping[str, str] = {
    "exists": "it is there",
    "done": "done before",
    "failed": "failed before",
}
MOST_NAMED = 20
"""Failures that the table at the end names."""


def row(done: Done) -> dict[str, object]:
    """The JSON object of a picture."""
    values = names(done.job)
    values["status"] = "failed" if done.error else "skipped" if done.skipped else "restored"
    if done.job.skip:
        values["reason"] = REASONS[done.job.skip]
    if done.error:
        values["output"] = None
        values["error"] = {
            "message": done.error.message,
            "hint": done.error.hint,
            "exit_code": done.error.exit_code,
        }
    if done.report:
        values |= done.report.to_dict()
        values["notes"] = list(done.warnings)
        values["seconds_with_files"] = round(done.seconds, 4)
        if done.network_busy is not None:
            values["network_busy"] = round(done.network_busy, 4)
    return values


def names(job: Job) -> dict[str, object]:
    """What a picture and its result are called."""
    return {
        "input": job.name if job.source else "-",
        "output": job.place if job.target else "-",
    }


def line(done: Done) -> str:
    """A picture in a line."""
    from moce_cli.cli.progress import fired

    name = done.job.name
    if done.error:
        return f"{name}: failed{' before' if done.earlier else ''}"
    target = done.job.place
    if done.report is None:
        return f"{name}: skipped, {Path(target).name} is {_state(done.job)}"
    report = done.report
    megapixels = report.height * report.width / 1e6
    seam = f", seam {report.seam:.3f}" if report.tiles > 1 else ""
    return (
        f"{name} -> {target}: {report.width} x {report.height} in {done.seconds:.1f} s "
        f"({megapixels / max(done.seconds, 1e-9):.2f} MP/s), experts {fired(report.experts)}{seam}"
    )


def _state(job: Job) -> str:
    return "done" if job.skip == "done" else "there"


@dataclass(slots=True)
class Summary:
    """What became of a batch."""

    jobs: int
    """How many there are; 0 where nobody knows."""
    restored: int = 0
    skipped: int = 0
    pixels: int = 0
    failures: list[Done] = field(default_factory=list["Done"])
    begun: float = field(default_factory=time.monotonic)

    def add(self, done: Done) -> None:
        """Count a picture."""
        if done.error:
            self.failures.append(done)
        elif done.report is None:
            self.skipped += 1
        else:
            self.restored += 1
            self.pixels += done.report.height * done.report.width

    @property
    def left(self) -> int:
        """Pictures that were not come to."""
        return max(0, self.jobs - self.restored - self.skipped - len(self.failures))

    def tell(self, console: Console, busy: float | None) -> None:
        """The table, and the sentence that sums it up.

        Args:
            console: to tell.
            busy: share of the time that the network ran.
        """
        if console.quiet:
            return
        seconds = time.monotonic() - self.begun
        table = Table("pictures", "", box=None, show_header=False, pad_edge=False)
        for name, count in (
            ("restored", self.restored),
            ("skipped", self.skipped),
            ("failed", len(self.failures)),
            ("not begun", self.left),
        ):
            if count:
                table.add_row(name, str(count))
        table.add_row("time", f"{seconds:.1f} s, {self.pixels / 1e6 / max(seconds, 1e-9):.2f} MP/s")
        if busy is not None:
            table.add_row("network busy", f"{100 * busy:.0f} % from first to last picture")
        console.err.print(table)
        for done in self.failures[:MOST_NAMED]:
            assert done.error is not None
            console.say(f"  failed ({done.error.exit_code}): {done.job.name}")
        if len(self.failures) > MOST_NAMED:
            console.say(f"  and {len(self.failures) - MOST_NAMED} more, all in the journal")
        total = self.jobs or self.restored + self.skipped + len(self.failures)
        before = sum(done.earlier for done in self.failures)
        told = f" ({before} in an earlier run: --retry-failed)" if before else ""
        console.say(
            f"{self.restored + self.skipped} of {total} pictures done, "
            f"{len(self.failures)} failed{told}" + (f", {self.left} not begun" if self.left else "")
        )
