"""The whole command on files: how long, how much memory, and whether that was foretold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moce_cli import runtime
from moce_cli.bench.spread import Spread
from moce_cli.bench.work import noisy_strips
from moce_cli.errors import MoceError
from moce_cli.pictures import Picture, Source, Storage, write
from moce_cli.pictures.large import BandFacts, BandWriter

_HELD_PIXELS = 10_000_000
"""Larger pictures are written in bands, which needs the extra `large`."""
QUALITY = 92
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class FileRun:
    """The command once."""

    whole: float
    """Seconds from the start of the process to its end."""
    seconds: float
    """Of one picture those of them that reading, restoring and writing take,
    `seconds_with_files` of `--json`; of a folder the whole."""
    peak_bytes: int
    """The most memory the process held."""
    first: float
    """Seconds from the start of the process until the first result was written."""
    network_busy: float
    """Share of the time from the first picture to the last in which the network had work."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """`moce restore` from one JPEG to another, or from a folder of them to another."""

    model: str
    height: int
    width: int
    count: int
    """Pictures, all of the same size."""
    tiles: int
    """Of all pictures."""
    in_bands: bool
    foretold_seconds: float | None
    """What `--dry-run` said of the network's time, for all pictures."""
    foretold_bytes: int
    """What it said of memory, for one."""
    runs: tuple[FileRun, ...]

    def spread(self, part: str) -> Spread:
        """Of a field of the runs."""
        return Spread.of(getattr(run, part) for run in self.runs)

    @property
    def seconds(self) -> float:
        """The median."""
        return self.spread("seconds").median

    @property
    def seconds_per_megapixel(self) -> float:
        """The median; the process's start aside, if it is one picture."""
        return self.seconds / (self.count * self.height * self.width / 1e6)

    @property
    def peak_bytes(self) -> int:
        """The largest of all runs."""
        return max(run.peak_bytes for run in self.runs)

    @property
    def seconds_over_foretold(self) -> float | None:
        """The median over what was foretold; None where nothing was."""
        return self.seconds / self.foretold_seconds if self.foretold_seconds else None

    @property
    def bytes_over_foretold(self) -> float:
        """The largest peak over what was foretold."""
        return self.peak_bytes / self.foretold_bytes

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values: medians, the largest peak, and every run."""
        return {
            "kind": "file",
            **asdict(self),
            "runs": [asdict(run) for run in self.runs],
            "whole": self.spread("whole").median,
            "seconds": self.seconds,
            "seconds_per_megapixel": self.seconds_per_megapixel,
            "first": self.spread("first").median,
            "network_busy": self.spread("network_busy").median,
            "peak_bytes": self.peak_bytes,
            "seconds_over_foretold": self.seconds_over_foretold,
            "bytes_over_foretold": self.bytes_over_foretold,
        }


def measure_file(
    model: str, *, height: int, width: int, runs: int, options: Sequence[str], count: int = 1
) -> FileRow:
    """Write noisy JPEGs and restore them by the command line, so many times.

    Args:
        model: name or file.
        height: of each picture.
        width: of each picture.
        runs: that count, after a `--dry-run`.
        options: further ones of `moce restore`.
        count: of pictures; several are given as a folder.

    Raises:
        MoceError: the command failed, with its exit code; or a large picture can't be written, for
            want of the extra `large`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jpg"), Path(folder, "out.jpg")
        if count > 1:
            source, target = Path(folder, "in"), Path(folder, "out")
        _write_all(source, height, width, count)
        command = [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target)]
        command += ["--overwrite", "--json", "--model", model, *options]
        forecasts = [_forecast(told) for told in _run([*command, "--dry-run"]).lines]
        seen: list[FileRun] = []
        for _ in range(runs):
            ran = _run(command)
            last = ran.lines[-1]
            seconds = ran.whole if count > 1 else float(last["seconds_with_files"])
            seen.append(
                FileRun(ran.whole, seconds, ran.peak_bytes, ran.first, last["network_busy"])
            )
    timed = all(told["seconds"] is not None for told in forecasts)
    return FileRow(
        model,
        height,
        width,
        count,
        sum(told["tiles"] for told in forecasts),
        forecasts[0]["in_bands"],
        sum(told["seconds"] for told in forecasts) if timed else None,
        max(told["host_bytes"] for told in forecasts),
        tuple(seen),
    )


def _forecast(told: dict[str, Any]) -> dict[str, Any]:
    """Of a picture; one of several that can't be restored is told with exit code 0."""
    if error := told.get("error"):
        raise MoceError(error["message"], error["hint"])
    return told["forecast"]


def _write_all(source: Path, height: int, width: int, count: int) -> None:
    if count == 1:
        _write(source, height, width)
        return
    source.mkdir()
    names = [source / f"{number:06}.jpg" for number in range(count)]
    _write(names[0], height, width)
    for name in names[1:]:
        shutil.copyfile(names[0], name)


def _write(path: Path, height: int, width: int) -> None:
    strips = noisy_strips(height, width)
    storage = Storage(quality=QUALITY)
    if height * width <= _HELD_PIXELS:
        write(Picture(np.concatenate(list(strips))), path, storage=storage)
        return
    facts = BandFacts(Source(), height, width, 3, has_alpha=False, dtype=np.dtype(np.uint8))
    with BandWriter(path, facts, format="JPEG", storage=storage) as writer:
        for strip in strips:
            writer.write(strip, None)
        writer.finish()


@dataclass(slots=True)
class _Ran:
    """A command that ended well."""

    whole: float
    peak_bytes: int
    """0 where the system does not tell."""
    first: float
    """Seconds to the first line."""
    lines: list[dict[str, Any]]


def _run(command: Sequence[str]) -> _Ran:
    """The peak is asked for while it runs: what is told after its end may be its parent's.

    Raises:
        MoceError: it failed.
    """
    ran = _Ran(0.0, 0, 0.0, [])
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        begun = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            stdout = process.stdout
            assert stdout is not None

            def read() -> None:
                for line in stdout:  # a folder's lines are more than a pipe holds
                    ran.first = ran.first or time.perf_counter() - begun
                    ran.lines.append(json.loads(line))

            reader = threading.Thread(target=read)
            reader.start()
            while process.poll() is None:
                ran.peak_bytes = max(ran.peak_bytes, runtime.peak_memory_bytes_of(process.pid))
                time.sleep(_LOOK_SECONDS)
            ran.whole = time.perf_counter() - begun
            reader.join()
        errors.seek(0)
        if process.returncode:
            said = " ".join(errors.read().split())
            error = MoceError(f"moce restore ended with {process.returncode}: {said}")
            error.exit_code = max(1, process.returncode)  # below 0 is a signal
            raise error
    return ran
