"""What a run leaves on the disk while it goes on and at its end: weights, and the state."""

from __future__ import annotations

import logging

import torch

from moce_cli.errors import OutputError
from moce_cli.training import weights
from moce_cli.training.options import Options
from moce_cli.training.recipe import Recipe
from moce_cli.training.state import State, state_path

log = logging.getLogger(__name__)


class Keeper:
    """Writes weights and state of steps that went well over those of earlier steps.

    While steps are skipped because their loss is not finite, and where weights are no numbers that
    the file can hold, what was written before stays: it may be the last that is any good.

    Args:
        state: of the run.
        recipe: of the run.
        options: where to, and in which form.
    """

    def __init__(self, state: State, recipe: Recipe, options: Options) -> None:
        self._state, self._recipe, self._options = state, recipe, options

    def keep(self) -> bool:
        """Write both; where one can't be written its old file stays, and the run goes on.

        Returns:
            whether there was something good to write.
        """
        if not self._is_good():
            return False
        for error in self._failures():
            log.warning("%s; the run goes on, with what was kept before", error.message)
        return True

    def finish(self) -> None:
        """Write both at the end of a run.

        Raises:
            OutputError: one can't be written; the other was, if it could be.
        """
        if not self._is_good():
            log.warning("the last steps went wrong: the files of earlier steps are kept")
            return
        for error in self._failures():
            raise error

    def _is_good(self) -> bool:
        most = torch.finfo(torch.float16 if self._options.half else torch.float32).max
        if not all(bool((p.abs() <= most).all()) for p in self._state.average.parameters()):
            return False
        there = self._options.output.exists() and state_path(self._options.output).exists()
        return not (self._state.counters.skipped_in_a_row and there)

    def _failures(self) -> list[OutputError]:
        """Write what can be written, the weights first: they are what a run is for."""
        failures: list[OutputError] = []
        for write in (self._write_weights, self._write_state):
            try:
                write()
            except OutputError as error:
                failures.append(error)
        return failures

    def _write_state(self) -> None:
        self._state.save(state_path(self._options.output))

    def _write_weights(self) -> None:
        state, options = self._state, self._options
        weights.write(
            options.output,
            state.average if self._recipe.optimiser.ema else state.network,
            self._recipe,
            state.counters,
            options.device,
            (state.psnr, state.psnr_step),
            half=options.half,
        )
