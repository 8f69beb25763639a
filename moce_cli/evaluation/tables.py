"""Results as tables, JSON objects, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moce_cli.errors import MoceError
from moce_cli.evaluation.datasets import RowError
from moce_cli.evaluation.opencv import NOTHING
from moce_cli.evaluation.score import SEEN_DB, RowResult, WayResult
from moce_cli.psnr import MOST_DB, mean_psnr
from moce_cli.wording import counted

EQUAL = "equal"
"""Stands for an infinite PSNR."""


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows, for a terminal, Markdown or a page."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: frozenset[int] = frozenset({0})
    """Those that are aligned to the left."""
    notes: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """A Markdown table with its title and its notes."""

        def line(cells: Iterable[str]) -> str:
            return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

        rule = [":--" if i in self.text_columns else "--:" for i in range(len(self.headers))]
        lines = [f"**{self.title}**", "", line(self.headers), line(rule), *map(line, self.rows)]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def to_text(self) -> tuple[list[str], list[str]]:
        """Aligned lines for a terminal, those of the header and those below; headers are folded."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.headers)
        folded: list[list[str]] = []
        widths: list[int] = []
        for header, cells in zip(self.headers, columns, strict=True):
            longest = max((len(text) for text in (*cells, *header.split())), default=1)
            folded.append(textwrap.wrap(header, longest, break_on_hyphens=False))
            widths.append(longest)
        height = max(map(len, folded))
        head = zip(*([""] * (height - len(lines)) + lines for lines in folded), strict=True)

        def line(cells: Iterable[str]) -> str:
            sides = ("<" if i in self.text_columns else ">" for i in range(len(widths)))
            padded = zip(cells, sides, widths, strict=True)
            return "  ".join(f"{cell:{side}{width}}" for cell, side, width in padded).rstrip()

        return [line(cells) for cells in head], [line(cells) for cells in self.rows]


def decibels(value: float, error: float | None = None) -> str:
    """A PSNR for people."""
    if math.isinf(value):
        return EQUAL
    return f"{value:.2f}" + (f" ± {error:.2f}" if error is not None else "")


def in_decibels(value: float) -> str:
    """A PSNR in a sentence."""
    return "no error" if math.isinf(value) else f"{value:.2f} dB"


def similarity(value: float) -> str:
    """A structural similarity for people."""
    return "" if math.isnan(value) else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference for people."""
    return "" if value is None else f"{value:+.2f}"


def shares(experts: dict[int, float]) -> str:
    """Who fired, for people."""
    return " ".join(f"{e}: {share:.0%}" for e, share in experts.items() if share > 0)


def score_table(results: Sequence[RowResult], lost: Sequence[RowError] = ()) -> Table:
    """A line for each row; the first columns are about the input, then model by model.

    Rows that are lost are told in the notes.
    """
    models = [way.way for way in results[0].of_kind("model")]
    with_filters = any(r.best_filter for r in results)
    with_lpips = any(way.scores.lpips is not None for r in results for way in r.ways)
    several = len({r.dataset for r in results}) > 1
    measures = ["dB", "gain", "harmed", "SSIM gaussian", "SSIM uniform"] + ["LPIPS"] * with_lpips
    headers = ["dataset"] * several + ["damage", "pictures", "input dB"]
    for name in models:
        prefix = f"{name} " if len(models) > 1 else ""
        headers += [f"{prefix}{measure}" for measure in measures]
    headers += ["best filter dB", "best filter"] * with_filters + ["experts of " + models[0]]
    rows = [_score_line(result, several, with_filters, with_lpips) for result in results]
    if len(results) > 1:
        rows.append(_average_line(results, headers, several))
    text = {headers.index(h) for h in headers if h in ("dataset", "damage", "best filter")}
    return Table(
        "PSNR and SSIM",
        tuple(headers),
        tuple(rows),
        frozenset(text | {len(headers) - 1}),
        (*_notes(results, with_filters), *(error.told for error in lost)),
    )


def _score_line(
    result: RowResult, several: bool, with_filters: bool, with_lpips: bool
) -> tuple[str, ...]:
    before = result.ways[0]
    cells = [result.dataset] * several
    cells += [result.row, str(len(before.pictures)), decibels(before.scores.psnr)]
    models = result.of_kind("model")
    for way in models:
        cells += [decibels(way.scores.psnr, way.psnr_error), signed(way.gain), str(way.harmed)]
        cells += [similarity(way.scores.ssim_gaussian), similarity(way.scores.ssim_uniform)]
        if with_lpips:
            cells.append("" if way.scores.lpips is None else f"{way.scores.lpips:.4f}")
    if with_filters:
        best = result.best_filter
        cells.append(decibels(best.scores.psnr) if best else "")
        if best and best.parameters == NOTHING:
            cells.append(NOTHING)
        else:
            cells.append(f"{best.way} ({best.parameters})" if best else "")
    return (*cells, shares(models[0].experts))


def _average_line(
    results: Sequence[RowResult], headers: Sequence[str], several: bool
) -> tuple[str, ...]:
    """Means over the rows that are damaged: an input that is perfect has no finite PSNR."""
    damaged = [r for r in results if math.isfinite(r.ways[0].scores.psnr)] or list(results)

    def mean(values: Iterable[float | None]) -> float:
        kept = [value for value in values if value is not None]
        return float(np.mean(kept)) if kept else math.nan

    label = f"average of {len(damaged)}" + (" damaged" if len(damaged) < len(results) else "")
    cells = [""] * several + [
        label,
        "",
        decibels(mean_psnr(r.ways[0].scores.psnr for r in damaged)),
    ]
    per_model = sum(h.endswith("gain") for h in headers)
    for index in range(per_model):
        ways = [r.of_kind("model")[index] for r in damaged]
        gains = [way.gain for way in ways]
        cells += [decibels(mean_psnr(w.scores.psnr for w in ways))]
        cells += [signed(None if None in gains else mean(gains)), str(sum(w.harmed for w in ways))]
        cells += [similarity(mean(w.scores.ssim_gaussian for w in ways))]
        cells += [similarity(mean(w.scores.ssim_uniform for w in ways))]
        if any(h.endswith("LPIPS") for h in headers):
            cells.append(f"{mean(w.scores.lpips for w in ways):.4f}")
    if "best filter dB" in headers:
        best = [r.best_filter for r in damaged]
        cells += [decibels(mean_psnr(w.scores.psnr for w in best if w)), ""]
    return (*cells, "")


def _notes(results: Sequence[RowResult], with_filters: bool) -> tuple[str, ...]:
    notes = [
        "PSNR of RGB in dB, mean over pictures ± its standard error; gain over the input; beside "
        f"others an equal picture counts {MOST_DB:g} dB, and none counts more",
        f"harmed: pictures that came out worse than they went in, and below {SEEN_DB:g} dB",
    ]
    for protocol in dict.fromkeys((r.dataset, r.protocol) for r in results):
        notes.append(f"{protocol[0]}: {protocol[1]}" if protocol[1] else protocol[0])
    if with_filters:
        sets: dict[str, list[str]] = {}
        for way in results[0].of_kind("opencv"):
            sets.setdefault(way.tuned_on, []).append(way.way)
        tuned = "; ".join(f"{', '.join(names)} (on {on})" for on, names in sets.items())
        notes.append(
            f"best filter: of OpenCV's, each with the parameters that are best on the row's own "
            f"pictures, or left out where none is: {tuned}"
        )
    megapixels = sum(r.megapixels for r in results)
    for index, way in enumerate(results[0].of_kind("model")):
        ways = ((r.of_kind("model")[index], r.megapixels) for r in results)
        seconds = sum(way.seconds_per_megapixel * size for way, size in ways) / megapixels
        notes.append(f"{way.way} took {seconds:.2f} s a megapixel")
    failed = sum(len(r.failed) for r in results)
    if failed:
        notes.append(f"{counted(failed, 'sample')} could not be scored: left out")
    return tuple(notes)


def number(value: float | None, digits: int = 6) -> float | None:
    """A number as JSON can hold it: infinite ones and NaN are null."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def score_objects(result: RowResult) -> list[dict[str, Any]]:
    """One JSON object for each way that a row was treated."""
    return [
        {
            "kind": "score",
            **_facts(result, way),
            "settings": [asdict(settings) for settings in way.settings],
            "failed": _failures(result.failed),
            "scores": [
                {
                    "name": name,
                    **{k: number(v) for k, v in asdict(scores).items()},
                    "psnr_equal": math.isinf(scores.psnr),
                }
                for name, scores in way.pictures
            ],
        }
        for way in result.ways
    ]


def lost_object(error: RowError) -> dict[str, Any]:
    """The JSON object of a row that could not be scored."""
    return {
        "kind": "failed-row",
        "dataset": error.row.dataset,
        "damage": error.row.name,
        "samples": len(error.row.samples),
        "failed": _failures(error.failed),
    }


def _failures(failed: Iterable[tuple[str, MoceError]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "message": error.message, "exit_code": error.exit_code}
        for name, error in failed
    ]


def _facts(result: RowResult, way: WayResult) -> dict[str, Any]:
    run = way.settings[0] if way.settings else None  # what most pictures had
    return {
        "dataset": result.dataset,
        "damage": result.row,
        "way": way.way,
        "way_kind": way.kind,
        "parameters": way.parameters,
        "tuned_on": way.tuned_on,
        "pictures": len(way.pictures),
        "megapixels": number(result.megapixels),
        "psnr": number(way.scores.psnr),
        "psnr_error": number(way.psnr_error),
        "psnr_equal": math.isinf(way.scores.psnr),
        "psnr_cap": MOST_DB,
        "psnr_least": number(way.least_psnr),
        "harmed": way.harmed,
        "gain": number(way.gain),
        "gain_error": number(way.gain_error),
        "ssim_gaussian": number(way.scores.ssim_gaussian),
        "ssim_uniform": number(way.scores.ssim_uniform),
        "lpips": number(way.scores.lpips),
        "seconds_per_megapixel": number(way.seconds_per_megapixel),
        "experts": {str(e): number(share) for e, share in way.experts.items()},
        "saved_of_network": number(way.saved_of_network),
        "tile": run.tile if run else None,
        "overlap": run.overlap if run else None,
        "precision": run.precision if run else None,
        "routing": run.routing if run else None,
        "device": run.device if run else None,
        "quantised": result.quantised,
        "protocol": result.protocol,
    }


def score_csv(results: Sequence[RowResult]) -> str:
    """A line for each row and way; an empty field is a number that there is not."""
    facts = [_facts(result, way) for result in results for way in result.ways]
    for line in facts:
        line["experts"] = " ".join(f"{e}:{share}" for e, share in line["experts"].items())
    return to_csv(facts)


def to_csv(lines: Sequence[dict[str, Any]]) -> str:
    """Objects of the same keys as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()
