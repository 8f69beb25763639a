"""Weights: which are known, where they are, what is in them, and how they come and go."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moce_cli.checkpoints.architecture import infer_config, infer_config_official
    from moce_cli.checkpoints.card import ModelCard
    from moce_cli.checkpoints.catalogue import DEFAULT_MODEL, entries, find
    from moce_cli.checkpoints.conversion import convert
    from moce_cli.checkpoints.entry import Entry
    from moce_cli.checkpoints.files import Checkpoint, build, load, save
    from moce_cli.checkpoints.hub import pull, push
    from moce_cli.checkpoints.official import from_official, to_official
    from moce_cli.checkpoints.resolution import ResolvedModel, load_model, resolve

_HOMES = {
    "architecture": ("infer_config", "infer_config_official"),
    "card": ("ModelCard",),
    "catalogue": ("DEFAULT_MODEL", "entries", "find"),
    "conversion": ("convert",),
    "entry": ("Entry",),
    "files": ("Checkpoint", "build", "load", "save"),
    "hub": ("pull", "push"),
    "official": ("from_official", "to_official"),
    "resolution": ("ResolvedModel", "load_model", "resolve"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "DEFAULT_MODEL",
    "Checkpoint",
    "Entry",
    "ModelCard",
    "ResolvedModel",
    "build",
    "convert",
    "entries",
    "find",
    "from_official",
    "infer_config",
    "infer_config_official",
    "load",
    "load_model",
    "pull",
    "push",
    "resolve",
    "save",
    "to_official",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: the catalogue alone needs no torch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
