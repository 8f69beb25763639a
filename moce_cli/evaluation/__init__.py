"""How good a model is: measures, benchmarks, suites, rivals, tables and a page.

Convention: pictures are `(H, W, C)` arrays, height before width; measures take floats in [0, 1].
"""

from __future__ import annotations

from moce_cli.evaluation.datasets import Row, RowError, Sample
from moce_cli.evaluation.metrics import Scores, measure, ssim_gaussian, ssim_uniform
from moce_cli.evaluation.oracle import OracleReport, ask_oracle
from moce_cli.evaluation.score import RowResult, WayResult, score_row
from moce_cli.evaluation.suites import find_rows, suite_rows
from moce_cli.psnr import psnr

__all__ = [
    "OracleReport",
    "Row",
    "RowError",
    "RowResult",
    "Sample",
    "Scores",
    "WayResult",
    "ask_oracle",
    "find_rows",
    "measure",
    "psnr",
    "score_row",
    "ssim_gaussian",
    "ssim_uniform",
    "suite_rows",
]
