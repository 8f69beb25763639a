"""From the start of the process to the file: what one small picture costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from moce_cli.bench.contender import Case
from moce_cli.bench.spread import Spread
from moce_cli.bench.work import clean_picture, with_noise
from moce_cli.errors import MoceError
from moce_cli.pictures import Picture, write

_IMPORT = "import torch; print(flush=True)"


@dataclass(frozen=True, slots=True)
class StartRun:
    """Seconds; the parts were measured one after the other."""

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


PARTS = tuple(field.name for field in fields(StartRun))


@dataclass(frozen=True, slots=True)
class Start:
    """Several runs."""

    height: int
    width: int
    runs: tuple[StartRun, ...]

    def spread(self, part: str) -> Spread:
        """Of one of `PARTS`, in seconds."""
        return Spread.of(getattr(run, part) for run in self.runs)

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values: each part's median, and every run."""
        medians = {part: self.spread(part).median for part in PARTS}
        runs = [asdict(run) for run in self.runs]
        return {
            "kind": "start",
            "height": self.height,
            "width": self.width,
            **medians,
            "runs": runs,
        }


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
    model: str,
    *,
    height: int,
    width: int,
    runs: int,
    options: Sequence[str],
    picture: Path | None = None,
) -> Start:
    """Restore a picture by the command line, so many times.

    Args:
        model: name or file.
        height: of the picture.
        width: of the picture.
        runs: that count, after one that does not.
        options: further ones of `moce restore`.
        picture: a clean one, mirrored to the size; else a drawn one.

    Raises:
        MoceError: the command failed.
    """
    seen: list[StartRun] = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.png"), Path(folder, "out.png")
        clean = clean_picture(Case(model, height, width, picture=picture))
        write(Picture(with_noise(clean)), source)
        command = [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target)]
        command += ["--overwrite", "--json", "--model", model, *options]
        for _ in range(runs + 1):
            importing, _, _ = _timed([sys.executable, "-c", _IMPORT])
            whole, ended, told = _timed(command)  # the line is written once the file is in place
            network = float(json.loads(told)["seconds"])
            rest = whole - importing - network
            seen.append(StartRun(whole, importing, network, rest, ended - whole))
    return Start(height, width, tuple(seen[1:]))
