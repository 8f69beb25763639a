"""From the start of the process to the file: what one small picture costs."""

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

from moce_cli.bench.work import drawn_picture, with_noise
from moce_cli.errors import MoceError
from moce_cli.pictures import Picture, write

_IMPORT = "import torch"


@dataclass(frozen=True, slots=True)
class Start:
    """Medians over runs, in seconds; each run's parts were measured one after the other."""

    height: int
    width: int
    whole: float
    """`moce restore`, from the start of its process to its end."""
    importing: float
    """A Python process that imports torch and does nothing."""
    network: float
    """What the report calls `seconds`."""
    rest: float
    """What is left of the whole: our own start, the weights, the files."""

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {"kind": "start", **asdict(self)}


def _timed(command: Sequence[str]) -> tuple[float, str]:
    begun = time.perf_counter()
    seen = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if seen.returncode:
        raise MoceError(
            f"{' '.join(command[-4:])} ended with code {seen.returncode}: {seen.stderr.strip()}"
        )
    return seconds, seen.stdout


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
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.png"), Path(folder, "out.png")
        write(Picture(with_noise(drawn_picture(height, width))), source)
        command = [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target)]
        command += ["--overwrite", "--json", "--model", model, *options]
        for run in range(runs + 1):
            importing, _ = _timed([sys.executable, "-c", _IMPORT])
            whole, told = _timed(command)
            network = float(json.loads(told.splitlines()[0])["seconds"])
            if run:
                wholes.append(whole)
                imports.append(importing)
                networks.append(network)
                rests.append(whole - importing - network)
    middle = statistics.median
    return Start(height, width, middle(wholes), middle(imports), middle(networks), middle(rests))
