"""Weights files at both ends of a run."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from moce_cli import runtime
from moce_cli.checkpoints import ModelCard, save
from moce_cli.checkpoints.card import Fact
from moce_cli.checkpoints.catalogue import record_checksum
from moce_cli.checkpoints.files import Checkpoint, load
from moce_cli.degradations import KINDS
from moce_cli.errors import WeightsError
from moce_cli.network import MoCEIR
from moce_cli.training.growing import can_grow, grow
from moce_cli.training.parts import is_part, join
from moce_cli.training.recipe import Recipe
from moce_cli.training.state import Counters, plain_names


def begin_from(path: Path, network: MoCEIR) -> Counters:
    """Load weights into a network; returns what they have cost so far.

    Args:
        path: a weights file, or any part of one.
        network: of the same architecture, or of one that the file's can grow to; see `growing`.

    Raises:
        WeightsError: the file is damaged, missing, or of another architecture.
        InputError: a part is missing.
    """
    checkpoint = _load(path)
    state = {name: value.float() for name, value in checkpoint.state.items()}
    if can_grow(checkpoint.config, network.config):
        state = grow(state, checkpoint.config, network.config)
    elif checkpoint.config != network.config:
        differing = [
            key
            for key, value in checkpoint.config.to_dict().items()
            if value != network.config.to_dict()[key]
        ]
        raise WeightsError(
            f"{path} has another architecture than the recipe: they differ in "
            f"{', '.join(differing)}",
            "warm-start from weights that this recipe made, or from smaller ones",
        )
    network.load_state_dict(state)

    def fact(name: str) -> float:
        value = checkpoint.card.facts.get(name)
        return value if isinstance(value, int | float) and value > 0 else 0.0

    steps = int(fact("steps"))
    return Counters(
        step=steps,
        started_at=steps,
        seconds_before=3600 * fact("hours"),
        cpu_seconds_before=3600 * fact("cpu_hours"),
    )


def _load(path: Path) -> Checkpoint:
    """The weights in a file, or in all parts of one; messages name what was given."""
    if not is_part(path):
        return load(path)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "weights.safetensors")
        join(path, whole)
        try:
            return load(whole)
        except WeightsError as error:
            message = error.message.replace(str(whole), str(path))
            raise type(error)(message, error.hint) from error


def write(
    path: Path,
    network: nn.Module,
    recipe: Recipe,
    counters: Counters,
    device: torch.device,
    validation: tuple[Mapping[str, float], int],
    *,
    half: bool,
) -> None:
    """Write a weights file with its model card, and its checksum beside it.

    Args:
        path: the file.
        network: its values.
        recipe: what it was trained by.
        counters: what it has cost.
        device: what it was trained on.
        validation: PSNR in dB by row, and after which step that was measured.
        half: 16-bit values.

    Raises:
        OutputError: it can't be written.
    """
    facts: dict[str, Fact] = {
        "recipe": recipe.name,
        "steps": counters.step,
        "hours": round((counters.seconds_before + counters.seconds) / 3600, 3),
        "cpu_hours": round((counters.cpu_seconds_before + counters.cpu_seconds) / 3600, 3),
        "machine": _machine(device),
        "torch": torch.__version__,
        "crops": [
            f"{s.batch} of {s.crop} x {s.crop} px" for s in recipe.stages[: counters.stage + 1]
        ],
    }
    if counters.started_at:
        facts["warm_started_at_step"] = counters.started_at
    if counters.skipped:
        facts["skipped_steps"] = counters.skipped
    psnr, measured_at = validation
    if psnr:
        facts["validation_psnr_db"] = {row: round(value, 3) for row, value in psnr.items()}
        if measured_at != counters.step:
            facts["validation_step"] = measured_at
    card = ModelCard(
        name=recipe.name,
        version=str(counters.step),
        summary=recipe.summary,
        degradations=degradations_of(recipe),
        training_data=recipe.credits,
        licence=recipe.licence,
        facts=facts,
    )
    state = plain_names(network.state_dict())
    dtype = torch.float16 if half else torch.float32
    cpu = {name: value.detach().cpu() for name, value in state.items()}
    save(path, cpu, recipe.network, card, dtype=dtype, overwrite=True)
    record_checksum(path)


def degradations_of(recipe: Recipe) -> tuple[str, ...]:
    """What a recipe trains against, in words: of a mixture, kinds are joined by " + "."""
    if recipe.data.sets:
        return tuple(dict.fromkeys(used.name for used in recipe.data.sets))
    mixtures: list[str] = []
    for damage in recipe.data.damage:
        words = [f"{s.kind} {s.low:g} to {s.high:g} ({KINDS[s.kind].unit})" for s in damage.kinds]
        mixtures.append(" + ".join(words) or "none")
    return tuple(dict.fromkeys(mixtures))


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{runtime.usable_cores()} cores, {platform.machine()}"
