"""Batches of tiles on their way: up to a device, through the network, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moce_cli.network import Each, MoCEIR, Restoration, Routing
from moce_cli.restoration.canvas import Float
from moce_cli.restoration.replay import Passes, record_on
from moce_cli.runtime import whole_float32

IN_FLIGHT = 2
"""Batches that CUDA computes while the host blends and reads others."""
_TURNS = [(turns, flip) for flip in (False, True) for turns in range(4)]
"""Eight ways to look at a picture; the first leaves it as it is."""


class NotFiniteError(Exception):
    """The network returned NaN or infinity."""


@dataclass(slots=True)
class Flight:
    """Batches that were started.

    Attributes:
        pieces: `(B, h, w, C)` each, on the host; theirs to read after `done`.
        finite: `()` bool for each, likewise.
        routing: that they followed.
        done: when all is on the host; None where it is already.
    """

    pieces: list[Tensor]
    finite: list[Tensor]
    routing: Routing
    done: torch.cuda.Event | None = None

    def land(self) -> tuple[list[Float], Routing]:
        """Wait for them; `(h, w, C)` for each tile, and the routing.

        Raises:
            NotFiniteError: the network's output is not finite.
        """
        if self.done is not None:
            self.done.synchronize()
        if not all(bool(finite) for finite in self.finite):
            raise NotFiniteError
        return [tile for piece in self.pieces for tile in piece.numpy()], self.routing


class Runway:
    """Where flights start: a network on its device.

    On CUDA, copies go through pinned memory on streams of their own, beside the work, and nothing
    waits before `Flight.land` unless a router must be asked; passes that repeat are replayed.

    Args:
        network: on the device.
        device: that computes.
    """

    def __init__(self, network: MoCEIR, device: torch.device) -> None:
        self._network, self._device = network, device
        self._pass = Passes(network, record_on(device))
        on_cuda = device.type == "cuda"
        self._up = torch.cuda.Stream(device) if on_cuda else None
        self._down = torch.cuda.Stream(device) if on_cuda else None

    @torch.inference_mode()
    def start(
        self,
        seen: Sequence[Float],
        pinned: Routing | None,
        scene: Tensor | None = None,
        *,
        turns: int = 1,
        together: int = 0,
        each: Each = map,
    ) -> Flight:
        """Send tiles through the network.

        Args:
            seen: tiles of one size, `(h, w, C)`.
            pinned: what they follow.
            scene: of the picture; None takes each tile for a whole one.
            turns: of each, which follow the decisions for the first.
            together: decide once for all, in batches of so many.
            each: does a step for each of such batches.
        """
        with whole_float32(self._device):
            return self._started(seen, pinned, scene, turns, together, each)

    def _started(
        self,
        seen: Sequence[Float],
        pinned: Routing | None,
        scene: Tensor | None,
        turns: int,
        together: int,
        each: Each,
    ) -> Flight:
        size = together or len(seen)
        batches = [self._lift(seen[at : at + size]) for at in range(0, len(seen), size)]
        if together:
            results = self._network.restore_together(batches, each, scene)
        else:
            results = [self._pass(batch, pinned, scene) for batch in batches]
        grey = seen[0].shape[2] == 1

        def finish(pair: tuple[Tensor, Restoration]) -> tuple[Tensor, Tensor]:
            restored = self._turned(*pair, scene, turns)
            finite = torch.isfinite(restored).all()
            if grey:
                restored = restored.mean(dim=1, keepdim=True)
            return self._lower(restored.permute(0, 2, 3, 1)), self._lower(finite)

        pairs = list(each(finish, list(zip(batches, results, strict=True))))
        done = None
        if self._down is not None:
            done = torch.cuda.Event()
            done.record(self._down)
        return Flight([p for p, _ in pairs], [f for _, f in pairs], results[0].routing, done)

    def forget(self) -> bool:
        """Give back what is kept for passes that repeat; tells whether that was anything."""
        return self._pass.forget()

    def _lift(self, seen: Sequence[Float]) -> Tensor:
        """`(B, 3, h, w)` on the device."""
        if self._up is None:
            batch = torch.from_numpy(np.stack(seen)).to(self._device)
        else:
            work = torch.cuda.current_stream(self._device)
            with torch.cuda.stream(self._up):
                host = torch.empty((len(seen), *seen[0].shape), pin_memory=True)
                np.stack(seen, out=host.numpy())
                batch = host.to(self._device, non_blocking=True)
            work.wait_stream(self._up)
            batch.record_stream(work)  # its memory is not the other stream's before the work ends
        return batch.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)

    def _lower(self, made: Tensor) -> Tensor:
        """To the host; on CUDA it is there when the stream has come so far."""
        if self._down is None:
            return made.cpu()
        made = made.contiguous()
        self._down.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._down):
            host = torch.empty(made.shape, dtype=made.dtype, pin_memory=True)
            host.copy_(made, non_blocking=True)
        made.record_stream(self._down)
        return host

    def _turned(
        self, batch: Tensor, result: Restoration, scene: Tensor | None, turns: int
    ) -> Tensor:
        """The mean over so many turns of which the first was made: `(B, 3, h, w)`."""
        restored = result.restored
        for quarter, flip in _TURNS[1:turns]:
            turned = torch.rot90(batch.flip(-1) if flip else batch, quarter, (-2, -1))
            back = self._pass(turned, result.routing, scene).restored
            back = torch.rot90(back, -quarter, (-2, -1))
            restored = restored + (back.flip(-1) if flip else back)
        return restored / turns if turns > 1 else restored
