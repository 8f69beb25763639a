"""What `moce train` shows while it runs, and how it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from moce_cli.cli.console import console

if TYPE_CHECKING:
    from moce_cli.training.recipe import Recipe


class Stop:
    """Ctrl-C and SIGTERM ask for an orderly end; a second Ctrl-C does not wait for it."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        """Whether to end."""
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._asked:
            console.warn("stopping after this step; once more does not wait for it")
        self._asked = True

    @contextmanager
    def listening(self) -> Generator[None]:
        """Listen within."""
        before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Bar:
    """Loss, PSNR, who ran, crops a second and time left, on a terminal."""

    def __init__(self, recipe: Recipe, *, hidden: bool) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._live = console.err.file.isatty() and not hidden
        self._bars = Progress(
            TextColumn(recipe.name),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[line]}", markup=False),
            console=console.err,
            transient=True,
            expand=True,
        )
        self._task = self._bars.add_task("", total=1.0, line="begins")
        self._begun: tuple[float, float] | None = None

    def __enter__(self) -> Bar:
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._live:
            self._bars.stop()

    def update(self, moment: Any) -> None:  # noqa: ANN401 -- a Moment; torch is late
        """A step was taken."""
        if not self._live:
            return
        begun = self._begun = self._begun or (moment.spent, moment.seconds)
        done, seconds = moment.spent - begun[0], moment.seconds - begun[1]
        left = f"{seconds / done * (1 - moment.spent) / 60:.0f} min left" if done > 0 else ""
        shares = "/".join(f"{share:.0%}" for share in moment.shares)
        psnr = ""
        if moment.psnr:
            psnr = f"{sum(moment.psnr.values()) / len(moment.psnr):.2f} dB"
        words = (
            f"step {moment.step}",
            f"loss {moment.loss:.4f}",
            psnr,
            f"experts {shares}",
            f"{moment.crops_per_second:.0f} crops/s",
            left,
        )
        self._bars.update(self._task, completed=moment.spent, line="  ".join(filter(None, words)))
