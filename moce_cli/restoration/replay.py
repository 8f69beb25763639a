"""Passes through the network that are the same again and again: on CUDA recorded once, replayed.

A pass launches hundreds of kernels one by one, and a fast device waits for the host that launches
them. A CUDA graph is launched as one. Tiles of one size with one routing launch the same kernels,
so a large picture repeats one pass, or two where its rows end.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moce_cli.network import MoCEIR, Restoration, Routing

log = logging.getLogger(__name__)

ENOUGH = 3
"""Times that a pass was made before it is recorded: a small picture never waits for that."""
MOST = 4
"""Recordings that are kept; each holds the memory of a pass."""
_MOST_COUNTED = 1000
TOLERANCE = 0.01
"""Between the first replay and the pass itself, in units of the picture's range."""
SWITCH = "MOCE_CUDA_GRAPHS"

Key = tuple[object, ...]
Replay = Callable[[], object]
Record = Callable[[Callable[[], Tensor]], tuple[Replay, Tensor]]
"""Takes a pass; returns what makes it anew from the same memory, and where its answer lies then."""


def record_on(device: torch.device) -> Record | None:
    """How passes are recorded on a device; None where they are not, or the user forbids it."""
    return _record if device.type == "cuda" and os.environ.get(SWITCH, "1") != "0" else None


def _record(run: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
    graph = torch.cuda.CUDAGraph()
    # other threads, which encode and decode, may go on
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = run()
    return graph.replay, made


@dataclass(slots=True)
class _Recording:
    """A recorded pass with the memory that it reads and writes."""

    batch: Tensor
    gates: Tensor
    scene: Tensor | None
    replay: Replay
    made: Tensor


class Passes:
    """A network's passes over batches of tiles.

    A recording is used only if its first answer is that of the pass itself; where recording fails,
    or the answers differ, all passes are made as ever.

    Args:
        network: on its device.
        record: how passes are recorded; None for never.
    """

    def __init__(self, network: MoCEIR, record: Record | None = None) -> None:
        self._network, self._record = network, record
        self._made = Counter[Key]()
        self._recordings: dict[Key, _Recording] = {}

    @property
    def recorded(self) -> int:
        """Recordings that are in use."""
        return len(self._recordings)

    def __call__(
        self, batch: Tensor, routing: Routing | None, scene: Tensor | None = None
    ) -> Restoration:
        """What `MoCEIR.restore` returns for the same, in inference mode.

        Args:
            batch: `(B, 3, H, W)`.
            routing: pinned, for all samples; None or one a sample is never recorded.
            scene: of the picture, `(1, SCENE_SIZE)`.
        """
        if self._record is None or not routing or any(len(b.chosen) != 1 for b in routing):
            return self._network.restore(batch, routing, scene)
        told = scene is not None
        key: Key = (batch.shape, batch.dtype, told, *(block.chosen for block in routing))
        recording = self._recordings.get(key)
        if recording is not None:
            return _replayed(recording, batch, routing, scene)
        result = self._network.restore(batch, routing, scene)
        if len(self._made) >= _MOST_COUNTED:
            self._made.clear()
        self._made[key] += 1
        if self._made[key] >= ENOUGH:
            self._try(key, batch, routing, scene, result.restored)
        return result

    def forget(self) -> None:
        """Give back the memory of all recordings, and record no more: there is too little."""
        self._recordings.clear()
        self._record = None

    def _try(
        self, key: Key, batch: Tensor, routing: Routing, scene: Tensor | None, expected: Tensor
    ) -> None:
        assert self._record is not None
        if len(self._recordings) >= MOST:  # the oldest goes first
            oldest = next(iter(self._recordings))
            del self._recordings[oldest], self._made[oldest]
        try:
            recording = self._recorded(self._record, batch, routing, scene)
            first = _replayed(recording, batch, routing, scene).restored
            error = float((first - expected).abs().max())
        except RuntimeError as failure:
            self.forget()
            log.info("passes are not recorded: %s", failure)
            return
        if error <= TOLERANCE:
            self._recordings[key] = recording
        elif error > TOLERANCE:  # a picture of NaN tells nothing
            self.forget()
            log.warning("passes are not recorded: a replay was %.3g off", error)

    def _recorded(
        self, record: Record, batch: Tensor, routing: Routing, scene: Tensor | None
    ) -> _Recording:
        still = batch.clone()
        gates = _gates(routing).to(batch.device)
        pinned = [replace(block, gates=gates[i : i + 1]) for i, block in enumerate(routing)]
        told = None if scene is None else scene.to(batch.device, copy=True)
        replay, made = record(lambda: self._network.restore(still, pinned, told).restored)
        return _Recording(still, gates, told, replay, made)


def _replayed(
    recording: _Recording, batch: Tensor, routing: Routing, scene: Tensor | None
) -> Restoration:
    recording.batch.copy_(batch)
    recording.gates.copy_(_gates(routing))
    if recording.scene is not None and scene is not None:
        recording.scene.copy_(scene)
    recording.replay()
    made = recording.made.clone()  # the next replay writes there
    return Restoration(made, tuple(routing), made.new_empty(0))


def _gates(routing: Routing) -> Tensor:
    """`(blocks, k)` of a routing for all samples."""
    return torch.cat([block.gates for block in routing])
