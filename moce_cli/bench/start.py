"""From the start of the process to the file: what one small picture costs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from moce_cli.bench.work import drawn_picture, with_noise
from moce_cli.errors import MoceError
from moce_cli.pictures import Picture, write

_IMPORT = "import torch; print(flush=True)"


@dataclass(frozen=True, slots=True)
class Start:
    """Medians over runs, in seconds; each run's parts were measured one after the other."""

    height: int
    width: int
    whole: float
    """`moce restore`, from the start of its process to its file in place."""
    importing: float
    """A Python process, from its start until it has imported torch."""
    network: float
    """What the report calls `seconds`: weights into the network, the picture through it."""
    rest: float
    """What is left of the whole: our own start, the weights, the files."""
    ending: float
    """From the file to the end of the process."""

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {"kind": "start", **asdict(self)}


def _timed(command: Sequence[str]) -> tuple[float, float, str]:
    """Seconds to the first line of standard output, seconds to the end, and that line."""
    # as where it is installed: modules are kept compiled
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        begun = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=kept
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            told = time.perf_counter() - begun
            process.stdout.read()
            code = process.wait()
        seconds = time.perf_counter() - begun
        errors.seek(0)
        if code:
            raise MoceError(
                f"{' '.join(command[-4:])} ended with code {code}: {errors.read().strip()}"
            )
    return told, seconds, line


def measure_start(
    model: str, *, height: int, width: int, runs: int, options: Sequence[str]
) -> Start:
    """Restore a picture by the command line, so many times.

    Args:
        model: name or file.
        height: of the picture.
        width: of the picture.
        runs: that count, after one that does not.
        options: further ones of `moce restore`.

    Raises:
        MoceError: the command failed.
    """
    wholes: list[float] = []
    imports: list[float] = []
    networks: list[float] = []
    rests: list[float] = []
    endings: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.png"), Path(folder, "out.png")
        write(Picture(with_noise(drawn_picture(height, width))), source)
        command = [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target)]
        command += ["--overwrite", "--json", "--model", model, *options]
        for run in range(runs + 1):
            importing, _, _ = _timed([sys.executable, "-c", _IMPORT])
            whole, ended, told = _timed(command)  # the line is written once the file is in place
            network = float(json.loads(told)["seconds"])
            if run:
                wholes.append(whole)
                imports.append(importing)
                networks.append(network)
                rests.append(whole - importing - network)
                endings.append(ended - whole)
    parts = map(statistics.median, (wholes, imports, networks, rests, endings))
    return Start(height, width, *parts)
