"""What `moce train` shows while it runs, and how it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from moce_cli.cli.console import console

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moce_cli.training.recipe import Recipe

LINE_SECONDS = 60.0
"""Between two lines where there is no terminal."""


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
    """Loss, PSNR by row, who ran, crops a second and time left.

    On a terminal it is a bar, elsewhere, in a log file for one, a plain line a minute.

    Args:
        recipe: of the run.
        hidden: show nothing.
    """

    def __init__(self, recipe: Recipe, *, hidden: bool) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._name, self._hidden = recipe.name, hidden
        # FORCE_COLOR makes rich take a log file for a terminal, and bars do not belong into one
        self._is_live = console.err.file.isatty() and not hidden
        self._bars = Progress(
            TextColumn(recipe.name, markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[line]}", markup=False),
            console=console.err,
            expand=True,
        )
        self._task = self._bars.add_task("", total=1.0, line="begins")
        self._rows = ""
        self._live = Live(console=console.err, transient=True, get_renderable=self._shown)
        self._begun: tuple[float, float] | None = None
        self._next_line = 0.0

    def __enter__(self) -> Bar:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._is_live:
            self._live.stop()

    def update(self, moment: Any) -> None:  # noqa: ANN401 -- a Moment; torch is late
        """A step was taken."""
        if self._hidden:
            return
        begun = self._begun = self._begun or (moment.spent, moment.seconds)
        done, seconds = moment.spent - begun[0], moment.seconds - begun[1]
        left = f"{seconds / done * (1 - moment.spent) / 60:.0f} min left" if done > 0 else ""
        step, loss = f"step {moment.step}", f"loss {moment.loss:.4f}"
        experts = f"experts {'/'.join(f'{share:.0%}' for share in moment.shares)}"
        rate = f"{moment.crops_per_second:.0f} crops/s"
        rows = " · ".join(f"{row} {psnr:.1f}" for row, psnr in moment.psnr.items())
        if self._is_live:
            self._rows = rows and f"dB: {rows}"
            line = "  ".join(filter(None, (step, loss, experts, rate, left)))
            self._bars.update(self._task, completed=moment.spent, line=line)
        elif moment.seconds >= self._next_line:
            self._next_line = moment.seconds + LINE_SECONDS
            words = (step, loss, rows and f"{rows} dB", experts, rate, left)
            console.say(f"{self._name}: {', '.join(filter(None, words))}")

    def _shown(self) -> RenderableType:
        """The bar, and below it the PSNR of each row as far as the terminal is wide."""
        from rich.console import Group
        from rich.text import Text

        rows = Text(self._rows, no_wrap=True, overflow="ellipsis")
        return Group(self._bars.get_renderable(), *([rows] if self._rows else []))
