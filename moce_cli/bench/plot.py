"""Rows as a picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from moce_cli.bench.pairs import Row
from moce_cli.checkpoints.atomic import write_whole

log = logging.getLogger(__name__)


def label(row: Row) -> str:
    """A row in a few words."""
    case, plan = row.case, row.ours.facts.plan
    tile = plan.get("tile", 0) or "whole"
    return f"{case.model}\n{case.width} x {case.height}, {row.ours.facts.precision}, tile {tile}"


def plot(rows: Sequence[Row], target: Path) -> bool:
    """Draw seconds a megapixel and peak memory, the plain network beside ours.

    Args:
        rows: at least one.
        target: a PNG file, replaced.

    Returns:
        whether it was drawn: matplotlib must be installed.

    Raises:
        OutputError: it can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("no plot: matplotlib is not installed (pip install 'moce-cli[train]')")
        return False
    figure = Figure(figsize=(10, 1.6 + 0.7 * len(rows)), layout="constrained")
    speed, memory = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    for ours, place in ((True, -0.2), (False, 0.2)):
        parts = [row.ours if ours else row.plain for row in rows]
        at = [i + place for i, part in zip(places, parts, strict=True) if part]
        there = [(part, row) for part, row in zip(parts, rows, strict=True) if part]
        hatch, name = (None, "moce") if ours else ("//", "plain network")
        seconds = [part.median / row.case.megapixels for part, row in there]
        spread = [
            [part.median - min(part.seconds) for part, _ in there],
            [max(part.seconds) - part.median for part, _ in there],
        ]
        errors = [
            [value / row.case.megapixels for value, (_, row) in zip(side, there, strict=True)]
            for side in spread
        ]
        speed.barh(at, seconds, 0.38, xerr=errors, hatch=hatch, label=name)
        mebibytes = [
            (part.facts.device_peak_bytes or part.facts.peak_bytes) / 2**20 for part, _ in there
        ]
        memory.barh(at, mebibytes, 0.38, hatch=hatch, label=name)
    speed.set(xlabel="seconds a megapixel (median, least to most)")
    speed.set_yticks(list(places), [label(row) for row in rows], fontsize="small")
    speed.invert_yaxis()
    memory.set(xlabel="peak memory in MiB")
    memory.legend()
    write_whole(target, lambda part: figure.savefig(part, format="png", dpi=110), overwrite=True)
    return True
