"""A batch as it runs: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from moce_cli.cli.console import Console, printable

BARS = 0.1
"""Seconds: pictures that take less show no bar of their own."""


def fired(experts: dict[int, int]) -> str:
    """Which experts ran, each with how often."""
    return " ".join(f"{e}×{n}" for e, n in experts.items() if n) or "none"  # noqa: RUF001 -- a multiplication sign is meant


class BatchProgress:
    """Shows files done of all, the tile within the file, time left, speed and who fired.

    Args:
        console: whose stderr is written to.
        files: how many.
        pixels: in all files together, as far as known.
        hidden: show nothing.
    """

    def __init__(self, console: Console, files: int, pixels: int, *, hidden: bool) -> None:
        self._console = console
        # FORCE_COLOR makes rich take a pipe for a terminal, and bars do not belong into one
        self._live = console.err.file.isatty() and not hidden
        self._begun = time.monotonic()
        self._pixels_done = 0
        self._current = 0
        self._experts: dict[int, int] = {}
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn(
                "{task.description}", table_column=Column(ratio=2, no_wrap=True), markup=False
            ),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[count]}", markup=False),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[rate]}", markup=False),
            console=console.err,
            transient=True,
            expand=True,
        )
        self._files = files
        self._all = self._bars.add_task(
            "files", total=max(pixels, 1), count="", rate="", visible=files != 1
        )
        self._one = self._bars.add_task("", total=1, count="", rate="", visible=False)
        self._index = 0

    def __enter__(self) -> BatchProgress:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._bars.stop()

    def expect(self, pixels: int) -> None:
        """How many pixels there are in all, once that is known."""
        self._bars.update(self._all, total=max(pixels, 1))

    def start_file(self, name: str, pixels: int) -> None:
        """A picture begins."""
        name = printable(name)
        self._current = pixels
        self._bars.update(
            self._one, description=name, total=1, completed=0, visible=True, count="", rate=""
        )
        self._show()

    def tile(self, done: int, total: int) -> None:
        """Some tiles of the picture are done."""
        self._bars.update(self._one, completed=done, total=total, count=f"tile {done}/{total}")
        self._show(done / total)

    @property
    def live(self) -> bool:
        """Whether bars are shown at all."""
        return self._live

    def end_file(
        self, line: str, experts: dict[int, int] | None, pixels: int | None = None
    ) -> None:
        """A picture is done, or has failed; the line, if any, says so.

        Args:
            line: what to say.
            experts: that ran.
            pixels: the picture's, where another one may have begun meanwhile.
        """
        self._index += 1
        self._pixels_done += self._current if pixels is None else pixels
        self._current = 0 if pixels is None else self._current
        for expert, count in (experts or {}).items():
            self._experts[expert] = self._experts.get(expert, 0) + count
        self._show()
        prefix = f"[{self._index}/{self._files}] " if self._files > 1 else ""
        if line:
            self._console.say(prefix + line)

    def _show(self, share: float = 0.0) -> None:
        done = self._pixels_done + share * self._current
        seconds = time.monotonic() - self._begun
        rate = f"{done / 1e6 / seconds:.2f} MP/s" if done and seconds > BARS else ""
        description = "files" if not self._experts else f"experts {fired(self._experts)}"
        self._bars.update(
            self._all,
            completed=done,
            description=description,
            count=f"file {min(self._index + 1, self._files)}/{self._files}",
            rate=rate,
        )
        if self._files == 1:  # its own bar is the only one
            self._bars.update(self._one, rate=rate)
