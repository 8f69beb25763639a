"""Everything a run needs to go on where it was stopped."""

from __future__ import annotations

import io
import logging
import pickle
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from moce_cli.checkpoints.atomic import write_whole
from moce_cli.errors import InputError, WeightsError
from moce_cli.network import MoCEIR, MoCEIRConfig
from moce_cli.training.objective import Objective
from moce_cli.training.recipe import Recipe
from moce_cli.training.settings import Budget

log = logging.getLogger(__name__)

SUFFIX = ".state.pt"
_FORMAT = 1


def state_path(output: Path) -> Path:
    """Where the state of a run lies: beside the weights it makes."""
    return output.with_name(output.name.removesuffix(".safetensors") + SUFFIX)


@dataclass(slots=True)
class Counters:
    """What a run has spent so far."""

    step: int = 0
    """Steps that the weights have seen, those before a warm start too."""
    started_at: int = 0
    """The step at which the optimiser's moments began."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    skipped: int = 0
    """Steps whose loss or gradient was not finite."""
    skipped_in_a_row: int = 0
    seconds_before: float = 0.0
    """What the weights had cost before a warm start."""
    cpu_seconds_before: float = 0.0
    stage: int = 0
    """The last that was reached."""

    @property
    def steps_here(self) -> int:
        """Steps since the start or the warm start."""
        return self.step - self.started_at


@dataclass(slots=True)
class State:
    """The parts that are kept, by reference."""

    config: MoCEIRConfig
    objective: Objective
    average: nn.Module
    optimiser: Optimizer
    counters: Counters = field(default_factory=Counters)
    psnr: dict[str, float] = field(default_factory=dict[str, float])
    """The last validation, by row."""
    psnr_step: int = 0
    """When that was."""
    recipe: str = ""
    """Its settings, to tell when another one goes on."""
    pictures: str = ""
    """A digest of what is drawn from, to tell when that is other pictures; none was taken yet."""

    @property
    def network(self) -> MoCEIR:
        """What is trained, not averaged."""
        return self.objective.network

    def save(self, path: Path) -> None:
        """Write beside the place, then rename: the old state stays until the new one is whole.

        Raises:
            OutputError: it can't be written.
        """
        content = {
            "format": _FORMAT,
            "architecture": self.config.to_dict(),
            "objective": plain_names(self.objective.state_dict()),
            "average": plain_names(self.average.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "psnr": self.psnr,
            "psnr_step": self.psnr_step,
            "recipe": self.recipe,
            "pictures": self.pictures,
            "counters": {
                name: getattr(self.counters, name) for name in Counters.__dataclass_fields__
            },
        }
        write_whole(path, lambda part: _write(content, part), overwrite=True)

    def load(self, path: Path) -> None:
        """Take what a file holds.

        Raises:
            InputError: there is none, or it is damaged.
            WeightsError: it is of another architecture.
        """
        if not path.is_file():
            raise InputError(
                f"there is no state at {path} to resume", "start without --resume, or name its -o"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is odd about a file; the error tells
                content = torch.load(path, map_location="cpu", weights_only=True)
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']}")
            if content["architecture"] != self.config.to_dict():
                raise WeightsError(
                    f"{path} is the state of another architecture than the recipe's",
                    "use the recipe it was begun with",
                )
            counters = Counters(**content["counters"])
            self.objective.load_state_dict(content["objective"])
            self.average.load_state_dict(content["average"])
            groups = [
                {key: group[key] for key in ("betas", "weight_decay")}
                for group in self.optimiser.param_groups
            ]
            self.optimiser.load_state_dict(content["optimiser"])
            for group, asked in zip(self.optimiser.param_groups, groups, strict=True):
                group.update(asked)
            if content["recipe"] != self.recipe:
                log.warning(
                    "%s was begun with another recipe; it goes on with this one's settings", path
                )
            self.pictures = str(content.get("pictures", ""))
            self.psnr = dict(content["psnr"])
            self.psnr_step = int(content.get("psnr_step", 0))
        except (
            OSError,
            RuntimeError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            pickle.PickleError,
        ) as e:
            reason = str(e).splitlines()[0] if str(e) else type(e).__name__
            raise InputError(f"{path} is damaged: {reason}", "start anew without --resume") from e
        self.counters = counters

    def take_pictures(self, digest: str) -> None:
        """Say what is drawn from; a state that was loaded may be of other pictures."""
        if self.pictures not in ("", digest):
            log.warning(
                "it was begun with other pictures; what comes now is drawn from those that are here"
            )
        self.pictures = digest


def settings_of(recipe: Recipe) -> str:
    """What decides how a recipe trains, but for its budget and where its pictures lie."""
    data, here = recipe.data, Path()
    return repr(
        replace(
            recipe,
            data=replace(data, clean=data.clean and (here,), root=data.root and here),
            optimiser=replace(recipe.optimiser, warmup_steps=0),  # a short budget shortens it
            budget=Budget(minutes=1.0),
            validation=None,
        )
    )


def _write(content: dict[str, Any], part: Path) -> None:
    whole = io.BytesIO()  # torch's own writer hides why a file can't be written
    torch.save(content, whole)
    part.write_bytes(whole.getvalue())


def plain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the marks that compilation leaves in its names."""
    return {name.replace("_orig_mod.", ""): value for name, value in state.items()}
