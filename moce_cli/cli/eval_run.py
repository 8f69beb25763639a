"""Evaluations as they run: the bar, the lines, the tables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from moce_cli import runtime
from moce_cli.checkpoints.atomic import write_text
from moce_cli.cli.console import Console, console
from moce_cli.evaluation import RowError, ask_oracle, opencv, score_row
from moce_cli.evaluation.metrics import find_lpips
from moce_cli.evaluation.oracle import SIDE, gather, passes_needed
from moce_cli.evaluation.oracle_tables import oracle_csv, oracle_objects, oracle_tables
from moce_cli.evaluation.page import page as make_page
from moce_cli.evaluation.tables import (
    in_decibels,
    lost_object,
    score_csv,
    score_objects,
    score_table,
)
from moce_cli.wording import counted

if TYPE_CHECKING:
    from moce_cli.checkpoints import Checkpoint
    from moce_cli.evaluation import OracleReport, Row, RowResult
    from moce_cli.evaluation.tables import Table
    from moce_cli.restoration import Restorer


class CountProgress:
    """A bar on a terminal, nothing elsewhere.

    Args:
        console: whose stderr is written to.
        total: steps there will be.
    """

    def __init__(self, console: Console, total: int) -> None:
        # FORCE_COLOR makes rich take a pipe for a terminal, and bars do not belong into one
        self._live = console.err.file.isatty() and not console.quiet
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console.err,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("", total=max(total, 1))

    def __enter__(self) -> CountProgress:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._bar.stop()

    def begin(self, what: str) -> None:
        """Something begins."""
        self._bar.update(self._task, description=what)

    def step(self, count: int = 1) -> None:
        """Steps are done."""
        self._bar.advance(self._task, count)


def run_scores(
    rows: list[Row],
    restorers: dict[bool, list[tuple[str, Restorer]]],
    *,
    compare: bool,
    quantise: bool | None,
    threads: int | None,
    as_json: bool,
    markdown: bool,
    csv: Path | None,
    page: Path | None,
    page_pictures: int,
) -> None:
    """Score row by row, and write what is wanted.

    `restorers` are those for rows by the paper's protocol (True) and for others.

    Raises:
        RowError: no row could be scored; the first one's.
        typer.Exit: some samples could not be scored, the others are.
    """
    opencv.use_threads(threads or runtime.usable_cores())
    filters = opencv.ways() if compare else ()
    lpips = find_lpips()
    results: list[RowResult] = []
    lost: list[RowError] = []
    total = sum(len(row.samples) + len(filters) for row in rows)
    with CountProgress(console, total) as progress:
        for row in rows:
            progress.begin(f"{row.dataset}, {row.name}")
            try:
                tuned = opencv.tune(row, filters, progress=progress.step) if filters else ()
                result = score_row(
                    row,
                    restorers[row.paper],
                    tuned,
                    quantised=quantise,
                    lpips=lpips,
                    show=page_pictures if page else 0,
                    progress=lambda _: progress.step(),
                )
            except RowError as error:
                if as_json:
                    console.json(lost_object(error))
                if len(rows) == 1:
                    raise
                lost.append(error)
                console.warn(f"{error.told}; the first: {error.message}")
                continue
            results.append(result)
            for name, error in result.failed:
                console.warn(f"{result.row}: {name} is left out: {error.message}")
            if as_json:
                for line in score_objects(result):
                    console.json(line)
            console.say(_line(result))
            if csv:
                write_text(csv, score_csv(results))  # what is done stays, should the rest fail
    if not results:
        raise lost[0]
    if page:
        names = ", ".join(name for name, _ in restorers[rows[0].paper])
        write_text(page, make_page(results, f"moce eval: {names}", lost))
    if not as_json:
        show_table(score_table(results, lost), markdown=markdown)
    _end(sum(len(failing.failed) for failing in (*results, *lost)))


def labels(checkpoints: dict[str, Checkpoint]) -> dict[str, str]:
    """What each model is called in tables: a file goes by its card, or by its stem.

    Two that would be called alike go by what they were asked for as.
    """
    called = {
        name: (checkpoint.card.name or Path(name).stem) if Path(name).is_file() else name
        for name, checkpoint in checkpoints.items()
    }
    called = _told_apart(called, {name: Path(name).stem for name in called})
    return _told_apart(called, {name: name for name in called})


def _told_apart(called: dict[str, str], instead: dict[str, str]) -> dict[str, str]:
    """With other labels for files whose labels are alike."""
    times = Counter(called.values())
    return {
        name: instead[name] if times[label] > 1 and Path(name).is_file() else label
        for name, label in called.items()
    }


def _end(failed: int) -> None:
    if failed:
        lost = counted(failed, "sample")
        console.say(f"{lost} could not be measured: left out of the figures")
        raise typer.Exit(1)


def run_oracle(
    checkpoints: dict[str, Checkpoint],
    rows: list[Row],
    *,
    device: str,
    precision: str,
    threads: int | None,
    side: int | None,
    seed: int,
    batch: int | None,
    as_json: bool,
    markdown: bool,
    csv: Path | None,
) -> None:
    """Compare the router's choice with its rivals, model by model."""
    side = side or SIDE
    where = runtime.choose_device(device)
    exact = runtime.choose_precision(precision, where)
    runtime.use_threads(threads)
    samples = sum(len(row.samples) for row in rows)
    passes = sum(passes_needed(c.config.num_experts, len(rows)) for c in checkpoints.values())
    reports: list[OracleReport] = []
    with CountProgress(console, samples * (1 + passes)) as progress:
        progress.begin("pictures")
        gathered = gather([row.cropped(side) for row in rows], progress.step)
        for name, error in gathered[2]:
            console.warn(f"{name} is left out: {error.message}")
        for name, checkpoint in checkpoints.items():
            progress.begin(name)
            report = ask_oracle(
                name,
                checkpoint,
                rows,
                device=where,
                precision=exact,
                side=side,
                seed=seed,
                batch=batch or 8,
                gathered=gathered,
                tick=progress.step,
            )
            reports.append(report)
            if as_json:
                for line in oracle_objects(report):
                    console.json(line)
    if csv:
        write_text(csv, oracle_csv(reports))
    for report in () if as_json else reports:
        for table in oracle_tables(report):
            show_table(table, markdown=markdown)
    _end(len(gathered[2]))


def _line(result: RowResult) -> str:
    """A row in a line."""
    scores = ", ".join(
        f"{way.way} {in_decibels(way.scores.psnr)}"
        for way in result.ways
        if way.kind != "opencv" or way is result.best_filter
    )
    count = len(result.ways[0].pictures)
    return f"{result.dataset}, {result.row}: {scores} ({count} picture{'s' * (count != 1)})"


def show_table(table: Table, *, markdown: bool) -> None:
    """A table on stdout."""
    if markdown:
        console.result(table.to_markdown())
        return
    head, body = table.to_text()
    console.result(table.title)
    for line in head:
        console.out.print(line, style="bold", markup=False, soft_wrap=True)
    for line in (*body, *(f"- {note}" for note in table.notes)):
        console.result(line)
