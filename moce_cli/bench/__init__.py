"""Speed and memory, measured beside the plain network."""

from __future__ import annotations

from moce_cli.bench.contender import Case
from moce_cli.bench.files import FileRow, measure_file
from moce_cli.bench.floor import Floor, measure_floor
from moce_cli.bench.pairs import Measured, Row, measure
from moce_cli.bench.plot import plot
from moce_cli.bench.start import Start, measure_start

__all__ = [
    "Case",
    "FileRow",
    "Floor",
    "Measured",
    "Row",
    "Start",
    "measure",
    "measure_file",
    "measure_floor",
    "measure_start",
    "plot",
]
