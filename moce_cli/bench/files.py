"""The whole command on a file: how long, how much memory, and whether that was foretold."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moce_cli import runtime
from moce_cli.bench.work import noisy_strips
from moce_cli.errors import MoceError
from moce_cli.pictures import Picture, Source, Storage, write
from moce_cli.pictures.large import BandFacts, BandWriter

_HELD_PIXELS = 10_000_000
"""Larger pictures are written in bands, which needs the extra `large`."""
QUALITY = 92
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class FileRow:
    """`moce restore` from one JPEG to another; medians over runs."""

    model: str
    height: int
    width: int
    whole: float
    """Seconds from the start of the process to its end."""
    seconds: float
    """Those of them that reading, restoring and writing take: `seconds_with_files` of `--json`."""
    peak_bytes: int
    """The most memory the process held; the largest of all runs."""
    tiles: int
    in_bands: bool
    foretold_seconds: float
    """What `--dry-run` said of the network's time."""
    foretold_bytes: int
    """What it said of memory."""

    @property
    def seconds_per_megapixel(self) -> float:
        """The process's start aside."""
        return self.seconds / (self.height * self.width / 1e6)

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        megapixel = {"seconds_per_megapixel": self.seconds_per_megapixel}
        return {"kind": "file", **asdict(self), **megapixel}


def measure_file(
    model: str, *, height: int, width: int, runs: int, options: Sequence[str]
) -> FileRow:
    """Write a noisy JPEG and restore it by the command line, so many times.

    Args:
        model: name or file.
        height: of the picture.
        width: of the picture.
        runs: that count, after a `--dry-run`.
        options: further ones of `moce restore`.

    Raises:
        MoceError: the command failed, with its exit code; or a large picture can't be written, for
            want of the extra `large`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jpg"), Path(folder, "out.jpg")
        _write(source, height, width)
        command = [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target)]
        command += ["--overwrite", "--json", "--model", model, *options]
        _, _, told = _run([*command, "--dry-run"])
        forecast = told["forecast"]
        wholes: list[float] = []
        inner: list[float] = []
        peaks: list[int] = []
        for _ in range(runs):
            whole, peak, told = _run(command)
            wholes.append(whole)
            inner.append(float(told["seconds_with_files"]))
            peaks.append(peak)
    return FileRow(
        model,
        height,
        width,
        statistics.median(wholes),
        statistics.median(inner),
        max(peaks),
        forecast["tiles"],
        forecast["in_bands"],
        forecast["seconds"],
        forecast["host_bytes"],
    )


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


def _run(command: Sequence[str]) -> tuple[float, int, dict[str, Any]]:
    """Seconds, peak memory in bytes (0 where the system does not tell), the line of JSON.

    The peak is asked for while the command runs: what is told after its end may be its parent's.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        begun, peak = time.perf_counter(), 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            while process.poll() is None:
                peak = max(peak, runtime.peak_memory_bytes_of(process.pid))
                time.sleep(_LOOK_SECONDS)
            seconds = time.perf_counter() - begun
            line = process.stdout.read()  # one line fits a pipe
        errors.seek(0)
        if process.returncode:
            said = " ".join(errors.read().split())
            error = MoceError(f"moce restore ended with {process.returncode}: {said}")
            error.exit_code = max(1, process.returncode)  # below 0 is a signal
            raise error
    return seconds, peak, json.loads(line)
