"""What a run writes down: one JSON object a line, and a plot of it all."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from moce_cli.checkpoints.atomic import write_whole

log = logging.getLogger(__name__)


class Record:
    """A file of JSON lines that a resumed run continues.

    Args:
        path: where; its folder is made.
        from_step: what a run wrote beyond this step is dropped, as it is done again; None begins
            a new record.

    Raises:
        OutputError: it can't be written.
    """

    def __init__(self, path: Path, from_step: int | None) -> None:
        self.path = path
        self._cut = False
        lines = [] if from_step is None else list(read_lines(path))
        kept = [line for line in lines if line.get("step", 0) <= (from_step or 0)]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), overwrite=True)

    def add(self, **values: object) -> None:
        """Write one line; where it can't be written, a run goes on without it.

        Numbers that are not finite become null, which JSON has a word for.
        """
        line = json.dumps(_finite(values), allow_nan=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" * self._cut + line)
            self._cut = False
        except OSError as error:
            self._cut = True  # what was written of it may lack its end
            reason = error.strerror or error
            log.warning("%s cannot be written: %s; the run goes on", self.path, reason)


def _finite(value: object) -> object:
    """The same without numbers that are not finite."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in cast("list[object]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a record; one that a crash cut short is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            value: object = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield cast("dict[str, Any]", value)


def plot(record: Path, target: Path) -> bool:
    """Draw losses, learning rate, validation, expert shares, speed and skipped steps over steps.

    Args:
        record: of a run.
        target: a PNG file, replaced.

    Returns:
        whether it was drawn: matplotlib must be installed, and there must be something to draw.

    Raises:
        OutputError: it can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("no plot: matplotlib is not installed (pip install 'moce-cli[train]')")
        return False
    lines = list(read_lines(record))
    steps = [line for line in lines if line.get("kind") == "step"]
    measured = [line for line in lines if line.get("kind") == "validation"]
    if not steps:
        return False
    figure = Figure(figsize=(11, 11), layout="constrained")
    (losses, rates), (scores, shares), (speed, skipped) = figure.subplots(3, 2)
    x = [line["step"] for line in steps]
    for name in ("restoration", "balance", "cost", "degradation"):
        values = [line[name] for line in steps]
        if any(values):
            losses.plot(x, values, label=name)
    losses.set(title="losses", xlabel="step", yscale="log")
    losses.legend()
    rates.plot(x, [line["learning_rate"] for line in steps])
    rates.set(title="learning rate", xlabel="step")
    if measured:
        x_measured = [line["step"] for line in measured]
        last = measured[-1]["psnr"]
        rows = sorted(last, key=lambda row: -(last[row] or 0.0))
        for row in rows:
            values = [_number(line["psnr"].get(row)) for line in measured]
            scores.plot(x_measured, values, marker=".", label=row)
        scores.legend(fontsize="xx-small", ncols=2)
    scores.set(title="validation PSNR in dB (averaged weights)", xlabel="step")
    by_expert = list(zip(*(line["shares"] for line in steps), strict=True))
    shares.stackplot(x, *by_expert, labels=[f"expert {e}" for e in range(len(by_expert))])
    shares.set(title="who ran", xlabel="step", ylim=(0, 1))
    shares.legend(loc="lower left")
    speed.plot(x, [_number(line.get("crops_per_second")) for line in steps])
    speed.set(title="crops a second", xlabel="step", ylim=(0, None))
    skipped.plot(x, [_number(line.get("skipped")) for line in steps])
    skipped.set(title="skipped steps, all in all", xlabel="step")
    write_whole(target, lambda part: figure.savefig(part, format="png", dpi=110), overwrite=True)
    return True


def _number(value: float | None) -> float:
    """For a plot, which leaves a gap where there is no number."""
    return float("nan") if value is None else value
