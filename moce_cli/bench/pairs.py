"""Contenders in turn: A B A B, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from moce_cli import runtime
from moce_cli.bench.contender import Case, Contender
from moce_cli.bench.floor import Floor
from moce_cli.bench.rows import Measured, Row
from moce_cli.bench.work import DoesNotFitError
from moce_cli.psnr import MOST_DB, psnr

PLAIN_BYTES_PER_PIXEL_AND_CHANNEL = 140
"""Measured: peak of the plain forward pass in float32 over pixels and the network's width."""
_SMALLEST_SIDE = 64
"""Of a picture that the plain network's time is scaled from."""

Tick = Callable[[str], None]
"""Called before each run with what is about to run."""


@dataclass(frozen=True, slots=True)
class _Rival:
    """The plain network, ready to run; or why it is not, or not at the case's own size."""

    contender: Contender | None
    threads: int
    why: str | None


def measure(
    case: Case,
    *,
    runs: int,
    baseline: bool,
    width: int,
    floor: Floor | None = None,
    profile: bool = False,
    tick: Tick | None = None,
) -> Row:
    """Measure a case, in turn with the plain network.

    The plain network runs at its best number of threads: all, or half as many and so on for as long
    as that was quicker in a run each, which is not counted, and after one that warms up. Where it
    does not fit, it runs on a picture of half the sides and so on, and its time is scaled.

    Args:
        case: not a plain one.
        runs: counted runs of each, after one that is not.
        baseline: whether the plain network runs beside it.
        width: of the network, from which the plain one's memory is foretold.
        floor: of the device in the case's precision.
        profile: whether our way runs once more for its operations.
        tick: told what runs.

    Raises:
        MoceError: the case cannot run.
    """
    with ExitStack() as stack:
        ours = stack.enter_context(Contender(case))
        _say(tick, case, "first run")
        ours.run()
        rival = _rival(stack, case, width, tick) if baseline else _Rival(None, 0, None)
        seconds: list[float] = []
        rivals: list[float] = []
        for run in range(runs):
            _say(tick, case, f"run {run + 1} of {runs}")
            seconds.append(ours.run())
            if rival.contender is not None:
                _say(tick, case, f"plain, run {run + 1} of {runs}")
                try:
                    rivals.append(rival.contender.run(rival.threads))
                except DoesNotFitError as error:
                    rival = _Rival(None, 0, error.message)
        measured = Measured(tuple(seconds), ours.facts())
        plain = smaller = alike = None
        if rival.contender is not None:
            plain = Measured(tuple(rivals), rival.contender.facts())
            smaller = rival.contender.case if rival.why else None
            if smaller is None:
                alike = min(psnr(ours.picture(), rival.contender.picture()), MOST_DB)
        operations = ()
        if profile:
            _say(tick, case, "once more for its operations")
            operations = ours.profile()
    return Row(case, measured, plain, rival.why, floor, smaller, alike, operations)


def _say(tick: Tick | None, case: Case, what: str) -> None:
    if tick:
        tick(f"{case.model}, {case.width} x {case.height}: {what}")


def _rival(stack: ExitStack, case: Case, width: int, tick: Tick | None) -> _Rival:
    """The plain network on the case's picture, or on the largest of its halves that fits."""
    why = None
    tried = replace(case, plain=True)
    while True:
        told = _too_large(tried, width)
        if told is None:
            with ExitStack() as held:
                contender = held.enter_context(Contender(tried))
                try:
                    threads = _best_threads(contender, tried, tick)
                except DoesNotFitError as error:
                    told = error.message
                else:
                    stack.enter_context(held.pop_all())
                    return _Rival(contender, threads, why)
        why = why or told
        tried = replace(tried, height=tried.height // 2, width=tried.width // 2)
        if min(tried.height, tried.width) < _SMALLEST_SIDE:
            return _Rival(None, 0, why)


def _best_threads(rival: Contender, case: Case, tick: Tick | None) -> int:
    """How many threads suit the plain network: all, or half of them for as long as that helps."""
    threads = case.threads or runtime.usable_cores()
    _say(tick, case, "plain, first run")
    rival.run(threads)  # the first is slower, however many threads it has
    if runtime.choose_device(case.device).type != "cpu":
        return threads
    best, chosen = float("inf"), threads
    while threads:
        _say(tick, case, f"plain, {threads} threads")
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
