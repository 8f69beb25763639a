"""Speed and memory, measured beside the plain network."""

from __future__ import annotations

from moce_cli.bench.contender import Case
from moce_cli.bench.files import FileRow, FileRun, measure_file
from moce_cli.bench.floor import Floor, measure_floor
from moce_cli.bench.pairs import measure
from moce_cli.bench.plot import plot
from moce_cli.bench.profiling import Operation
from moce_cli.bench.rows import Measured, Row
from moce_cli.bench.spread import Spread
from moce_cli.bench.start import Start, StartRun, measure_start

__all__ = [
    "Case",
    "FileRow",
    "FileRun",
    "Floor",
    "Measured",
    "Operation",
    "Row",
    "Spread",
    "Start",
    "StartRun",
    "measure",
    "measure_file",
    "measure_floor",
    "measure_start",
    "plot",
]
