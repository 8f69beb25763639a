"""Rows as a picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from moce_cli.bench.rows import Row
from moce_cli.bench.spread import Spread
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
    for ours, place in ((True, -0.2), (False, 0.2)):
        hatch, name = (None, "moce") if ours else ("//", "plain network")
        spreads: dict[float, Spread] = {}
        mebibytes: dict[float, float] = {}
        for at, row in enumerate(rows):
            seconds, part = (row.ours.seconds, row.ours) if ours else (row.plain_seconds, row.plain)
            if part is None:
                continue
            spreads[at + place] = Spread.of(s / row.case.megapixels for s in seconds)
            if ours or not row.plain_case:  # the memory of another size says nothing of this one
                held = part.facts.device_peak_bytes or part.facts.peak_bytes
                mebibytes[at + place] = held / 2**20
        errors = [[s.median - s.least for s in spreads.values()],
                  [s.most - s.median for s in spreads.values()]]  # fmt: skip
        middles = [s.median for s in spreads.values()]
        speed.barh(list(spreads), middles, 0.38, xerr=errors, hatch=hatch, label=name)
        memory.barh(list(mebibytes), list(mebibytes.values()), 0.38, hatch=hatch, label=name)
    speed.set(xlabel="seconds a megapixel (median, least to most)")
    speed.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize="small")
    speed.invert_yaxis()
    memory.set(xlabel="peak memory in MiB")
    memory.legend()
    write_whole(target, lambda part: figure.savefig(part, format="png", dpi=110), overwrite=True)
    return True
