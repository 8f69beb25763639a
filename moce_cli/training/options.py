"""What goes into a run beside its recipe, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from moce_cli.errors import UsageError
from moce_cli.runtime import Precision, choose_precision
from moce_cli.training.state import Counters

PRECISIONS = ("auto", "fp32", "bf16")
"""In fp16 small gradients vanish, unless losses are scaled, which no run does."""


def training_precision(wanted: str, device: torch.device) -> Precision:
    """What a run computes in; where `auto` would restore in fp16, it trains in fp32.

    Raises:
        UsageError: none of `PRECISIONS`.
    """
    if wanted not in PRECISIONS:
        raise UsageError(
            f"training in {wanted!r} is not supported", "use --precision auto, fp32 or bf16"
        )
    chosen = choose_precision(wanted, device)
    return "fp32" if chosen == "fp16" else chosen


@dataclass(frozen=True, slots=True)
class Options:
    """How a recipe is run on this machine.

    Attributes:
        output: the weights file; state, record and plot lie beside it.
        device: what computes.
        precision: of the forward pass; parameters and moments are float32.
        workers: processes that prepare batches; 0 is this one.
        compiled: whether the blocks are compiled first.
        resume: go on from the state beside the output.
        warm_start: weights to begin from, with their step count.
        half: write 16-bit weights.
        in_parts: write the weights once more in parts under 16 MB.
    """

    output: Path
    device: torch.device
    precision: Precision = "fp32"
    workers: int = 0
    compiled: bool = False
    resume: bool = False
    warm_start: Path | None = None
    half: bool = False
    in_parts: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What a run came to."""

    output: Path
    counters: Counters
    psnr: Mapping[str, float]
    stopped: bool
    """Whether it was asked to stop before its budget was spent."""
    parts: tuple[Path, ...] = ()
