"""From what `--model` says to weights."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from moce_cli.checkpoints import catalogue, hub
from moce_cli.checkpoints.card import ModelCard
from moce_cli.checkpoints.entry import Entry, describe_file
from moce_cli.checkpoints.hub import HUB_FILE
from moce_cli.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from moce_cli.checkpoints.files import Checkpoint
    from moce_cli.network import MoCEIRConfig

PRESET_PREFIX = "preset:"
RANDOM_SEED = 0
_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([^@\s]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """Where the weights are that a person asked for."""

    name: str
    """As it was asked for."""
    kind: Literal["catalogue", "file", "hub", "preset"]
    path: Path | None = None
    """The file; None for a preset."""
    sha256: str | None = None
    """What the file must have, where that is recorded."""
    preset: str | None = None
    """The preset's name, where no file is meant."""


def parse_hub_name(name: str) -> tuple[str, str | None] | None:
    """`org/repo[@revision]` as its repository and revision; None if it is no such name."""
    match = _HUB_NAME.fullmatch(name)
    return (match[1], match[2]) if match else None


def resolve(model: str, *, fetch: bool = True) -> ResolvedModel:
    """Find the weights that `--model` names.

    Args:
        model: a name of the catalogue, a file, a folder that holds `model.safetensors`,
            `org/repo[@revision]` of the hub, or `preset:NAME`.
        fetch: whether what is on the hub and not on this machine may be pulled.

    Raises:
        WeightsError: there is no such model, or its file can't be used.
        DownloadError: it had to be pulled, and that failed.
    """
    if model.startswith(PRESET_PREFIX):
        return ResolvedModel(model, "preset", preset=model.removeprefix(PRESET_PREFIX))
    entry = catalogue.find(model)
    if entry is not None:
        return _resolve_entry(model, entry, fetch=fetch)
    path = Path(model).expanduser()
    if path.is_file():
        return ResolvedModel(model, "file", path)
    if (path / HUB_FILE).is_file():
        return ResolvedModel(model, "file", path / HUB_FILE)
    hub_name = parse_hub_name(model)
    if model and path.is_dir() and hub_name is None:
        raise WeightsError(f"{model} is a folder without {HUB_FILE}")
    if model.endswith(catalogue.SUFFIX) or ((hub_name is None) and ("/" in model or "\\" in model)):
        raise WeightsError(f"there is no weights file {model}", hint=_suggest(path.stem))
    if hub_name is None:
        raise WeightsError(f"there is no model {model!r}", hint=_suggest(model))
    return _resolve_hub(model, *hub_name, fetch=fetch)


def describe(model: str) -> Entry:
    """What is known of the weights that `--model` names; fetches nothing.

    Raises:
        WeightsError: there is no such model, or no file of it.
    """
    if (entry := catalogue.find(model)) is not None:
        return entry
    resolved = resolve(model, fetch=False)
    if resolved.path is None:
        raise WeightsError(f"{model} has no file: it is made when it is used")
    sha256 = resolved.sha256 or catalogue.recorded_checksum(resolved.path)
    kind = "pulled" if resolved.kind == "hub" else "imported"
    entry = Entry(model, kind, "", str(resolved.path), "", sha256=sha256)
    return describe_file(resolved.path, entry)


def load_model(model: str = catalogue.DEFAULT_MODEL, *, fetch: bool = True) -> Checkpoint:
    """Find weights and read them.

    Args:
        model: as for `resolve`.
        fetch: as for `resolve`.

    Raises:
        WeightsError: there is no such model, its file can't be used, or it is not the file whose
            SHA-256 was recorded.
        DownloadError: it had to be pulled, and that failed.
    """
    from moce_cli.checkpoints import files

    resolved = resolve(model, fetch=fetch)
    if resolved.preset is not None:
        return random_checkpoint(resolved.preset)
    assert resolved.path is not None
    checkpoint = files.load(resolved.path)
    if resolved.sha256 is not None and checkpoint.sha256 is not None:
        catalogue.check_sha256(
            checkpoint.sha256, resolved.sha256, resolved.path, hint=f"moce models verify {model}"
        )
    return checkpoint


def random_checkpoint(preset: str, seed: int = RANDOM_SEED) -> Checkpoint:
    """Random weights of a preset, always the same, to measure speed with.

    Raises:
        WeightsError: there is no such preset.
    """
    import torch

    from moce_cli.checkpoints.files import Checkpoint
    from moce_cli.network import PRESETS

    if preset not in PRESETS:
        raise WeightsError(
            f"there is no preset {preset!r}, only {', '.join(PRESETS)}",
            hint=f"--model {PRESET_PREFIX}{next(iter(PRESETS))}",
        )
    card = ModelCard(
        name=preset,
        version="0",
        summary="Random weights, to measure speed with: they restore nothing.",
        degradations=("none",),
        training_data="none",
        licence="Apache-2.0",
        facts={"seed": seed},
    )
    config = PRESETS[preset]
    return Checkpoint(config, random_state(config, seed), card, None, torch.float32)


def random_state(config: MoCEIRConfig, seed: int = RANDOM_SEED) -> dict[str, Tensor]:
    """Random parameters of an architecture that leave a picture nearly as it is.

    The global random state is neither used nor changed.
    """
    import torch

    from moce_cli.checkpoints.files import expected_shapes

    generator = torch.Generator().manual_seed(seed)

    def values(name: str, shape: tuple[int, ...]) -> Tensor:
        if name.endswith(("temperature", "norm.weight")):
            return torch.ones(shape)
        if len(shape) == 1:
            return torch.zeros(shape)
        scale = 1 / math.sqrt(math.prod(shape[1:]))
        if name == "output.weight":
            scale /= 100
        return torch.randn(shape, generator=generator) * scale

    return {name: values(name, shape) for name, shape in expected_shapes(config).items()}


def _resolve_entry(model: str, entry: Entry, *, fetch: bool) -> ResolvedModel:
    if entry.kind == "hub" and entry.path is None:
        found = _resolve_hub(model, entry.source, entry.revision, fetch=fetch, sha256=entry.sha256)
        return ResolvedModel(model, "catalogue", found.path, entry.sha256)
    kind = "hub" if entry.kind == "pulled" else "catalogue"
    return ResolvedModel(model, kind, catalogue.file_of(entry), entry.sha256)


def _resolve_hub(
    model: str, repo: str, revision: str | None, *, fetch: bool, sha256: str | None = None
) -> ResolvedModel:
    if (found := hub.cached(repo, revision)) is None:
        if not fetch:
            raise WeightsError(
                f"{model} is not on this machine", hint=f"fetch it: moce models pull {model}"
            )
        found = hub.pull(repo, revision, sha256)
    return ResolvedModel(model, "hub", Path(found.path), sha256 or found.sha256 or None)


def _suggest(name: str) -> str:
    names = [entry.name for entry in catalogue.entries()]
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    known = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{known}list the known models: moce models ls"
