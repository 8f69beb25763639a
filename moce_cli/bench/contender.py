"""One way to restore one picture, in a process of its own, so that its memory is its own."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moce_cli.bench.profiling import Operation
from moce_cli.bench.work import Bytes, DoesNotFitError, serve
from moce_cli.errors import DeviceError, MoceError

_KILLED = -9
"""The exit code of a process that Linux ends for want of memory."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured; None and `auto` leave the choice to the plan."""

    model: str
    height: int
    width: int
    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    overlap: int | None = None
    batch: int | None = None
    threads: int | None = None
    picture: Path | None = None
    """A clean picture, repeated to the size; else a drawn one."""
    plain: bool = False
    """The plain network: whole picture, float32, channels first."""

    @property
    def megapixels(self) -> float:
        """In millions."""
        return self.height * self.width / 1e6

    @property
    def trained(self) -> bool:
        """Whether it restores anything: a preset has random weights."""
        return not self.model.startswith("preset:")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a contender says of itself after its last run."""

    load_seconds: float
    """Weights read and network built."""
    idle_bytes: int
    """Host memory before the first run: Python, torch, the network, the picture."""
    peak_bytes: int
    """The most host memory it ever held."""
    device_peak_bytes: int
    """The same of a CUDA device; 0 elsewhere."""
    macs: int
    """Multiply-accumulates that were done, overlaps and the look at sample tiles included."""
    picture_macs: int
    """Those of the picture in one piece, with the same experts."""
    threads: int
    precision: str
    psnr: float
    """Of the 8-bit output against the clean picture, dB."""
    plan: dict[str, Any] = field(default_factory=dict[str, Any])
    """Empty for the plain network, which has none."""


class Contender:
    """A case in a process that is kept, and restores its picture whenever it is asked."""

    def __init__(self, case: Case) -> None:
        self.case = case
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(case, other), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *reason: object) -> None:
        self._connection.close()
        if reason[0] is not None:  # it may be in the middle of a long run
            self._process.kill()
        self._process.join()

    def run(self, threads: int | None = None) -> float:
        """Seconds for the picture once more, with as many threads as before if none are given.

        Raises:
            MoceError: what went wrong there.
            DoesNotFitError: it ran out of memory.
            DeviceError: the process has ended.
        """
        return float(self._ask(("run", threads)))

    def facts(self) -> Facts:
        """What is known after at least one run.

        Raises:
            DeviceError: the process has ended.
        """
        return Facts(**self._ask(("facts", None)))

    def picture(self) -> Bytes:
        """What the last run made, `(H, W, 3)`; asked for after `facts`, as it takes memory.

        Raises:
            DeviceError: the process has ended.
        """
        return self._ask(("picture", None))

    def profile(self) -> tuple[Operation, ...]:
        """The operations of one more run that took most.

        Raises:
            MoceError: what went wrong there.
        """
        return self._ask(("profile", None))

    def _ask(self, question: tuple[str, int | None]) -> Any:  # noqa: ANN401 -- any kind of answer
        try:
            self._connection.send(question)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(timeout=10)
            killed = self._process.exitcode == _KILLED
            raise (DoesNotFitError if killed else DeviceError)(
                f"measuring {self.case.model} at {self.case.width} x {self.case.height} ended "
                f"with code {self._process.exitcode}",
                "it may have run out of memory: use a smaller --size",
            ) from error
        if isinstance(answer, MoceError):
            raise answer
        return answer
