"""Contenders in turn: A B A B, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace

from moce_cli import runtime
from moce_cli.bench.contender import Case, Contender, Facts
from moce_cli.bench.floor import Floor

PLAIN_BYTES_PER_PIXEL_AND_CHANNEL = 140
"""Measured: peak of the plain forward pass in float32 over pixels and the network's width."""

Tick = Callable[[str], None]
"""Called before each run with what is about to run."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender's runs."""

    seconds: tuple[float, ...]
    facts: Facts

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """A case, and the plain network beside it where it was asked for and fits."""

    case: Case
    ours: Measured
    plain: Measured | None
    why_no_plain: str | None
    """Where it was asked for and does not fit."""
    floor: Floor | None

    @property
    def speedup(self) -> float | None:
        """How often ours runs while the plain network runs once: the median over pairs."""
        if self.plain is None:
            return None
        pairs = zip(self.plain.seconds, self.ours.seconds, strict=True)
        return statistics.median(plain / ours for plain, ours in pairs)

    @property
    def memory_share(self) -> float | None:
        """Our process's peak memory over the plain one's, on the device that computes."""
        if self.plain is None:
            return None
        ours, plain = self.ours.facts, self.plain.facts
        if plain.device_peak_bytes:
            return ours.device_peak_bytes / plain.device_peak_bytes
        return ours.peak_bytes / plain.peak_bytes

    @property
    def floor_share(self) -> float | None:
        """Of the machine's speed at large products, what the network's arithmetic reaches."""
        if self.floor is None:
            return None
        return 2 * self.ours.facts.macs / self.ours.median / self.floor.flops

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""

        def told(measured: Measured) -> dict[str, object]:
            runs = {"seconds": measured.seconds, "median": measured.median}
            return {**runs, **asdict(measured.facts)}

        case = {k: None if v is None else str(v) for k, v in asdict(self.case).items()}
        return {
            "kind": "row",
            "model": self.case.model,
            "height": self.case.height,
            "width": self.case.width,
            "case": case,
            "ours": told(self.ours),
            "seconds_per_megapixel": self.ours.median / self.case.megapixels,
            "floor_share": self.floor_share,
            "plain": None if self.plain is None else told(self.plain),
            "why_no_plain": self.why_no_plain,
            "speedup": self.speedup,
            "memory_share": self.memory_share,
        }


def measure(
    case: Case,
    *,
    runs: int,
    baseline: bool,
    width: int,
    floor: Floor | None = None,
    tick: Tick | None = None,
) -> Row:
    """Measure a case, in turn with the plain network.

    The plain network runs at its best number of threads: all, or half as many and so on for as long
    as that was quicker in a first run each, which is not counted.

    Args:
        case: not a plain one.
        runs: counted runs of each, after one that is not.
        baseline: whether the plain network runs beside it.
        width: of the network, from which the plain one's memory is foretold.
        floor: of the device in the case's precision.
        tick: told what runs.

    Raises:
        MoceError: the case cannot run.
    """
    why = _too_large(case, width) if baseline else None
    with ExitStack() as stack:
        ours = stack.enter_context(Contender(case))
        _say(tick, case, "first run")
        ours.run()
        rival, rival_threads = None, 0
        if baseline and why is None:
            rival = stack.enter_context(Contender(replace(case, plain=True)))
            rival_threads = _best_threads(rival, case, tick)
        seconds: list[float] = []
        rivals: list[float] = []
        for run in range(runs):
            _say(tick, case, f"run {run + 1} of {runs}")
            seconds.append(ours.run())
            if rival is not None:
                _say(tick, case, f"plain, run {run + 1} of {runs}")
                rivals.append(rival.run(rival_threads))
        measured = Measured(tuple(seconds), ours.facts())
        plain = None if rival is None else Measured(tuple(rivals), rival.facts())
    return Row(case, measured, plain, why, floor)


def _say(tick: Tick | None, case: Case, what: str) -> None:
    if tick:
        tick(f"{case.model}, {case.width} x {case.height}: {what}")


def _best_threads(rival: Contender, case: Case, tick: Tick | None) -> int:
    """How many threads suit the plain network: all, or half of them for as long as that helps."""
    threads = case.threads or runtime.usable_cores()
    if runtime.choose_device(case.device).type != "cpu":
        rival.run(threads)
        return threads
    best, chosen = float("inf"), threads
    while threads:
        _say(tick, case, f"plain, first run, {threads} threads")
        seconds = rival.run(threads)
        if seconds >= best:
            break
        best, chosen, threads = seconds, threads, threads // 2
    return chosen


def _too_large(case: Case, width: int) -> str | None:
    """Why the plain network cannot take this picture, if it cannot."""
    needed = PLAIN_BYTES_PER_PIXEL_AND_CHANNEL * width * case.height * case.width
    there = runtime.device_memory_bytes(runtime.choose_device(case.device))
    if needed < 0.8 * there:
        return None
    return f"the plain network needs {needed / 2**30:.0f} GiB, of {there / 2**30:.0f} there are"
