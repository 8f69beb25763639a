"""Passes through the network that are the same again and again: on CUDA recorded once, replayed.

A pass launches hundreds of kernels one by one, and a fast device waits for the host that launches
them. A CUDA graph is launched as one. Tiles of one size with one routing launch the same kernels,
so a large picture repeats one pass, or two where its rows end.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from moce_cli.network import MoCEIR, Restoration, Routing

log = logging.getLogger(__name__)

ENOUGH = 4
"""Times that a pass was made before it is recorded: a small picture never waits for that."""
MOST = 4
"""Recordings that are kept; each holds its own input and answer, and all share the rest."""
_MOST_COUNTED = 1000
TOLERANCE = 1e-3
"""Between the first replay and the pass itself, in units of the picture's range."""
SWITCH = "MOCE_CUDA_GRAPHS"
_SINCE = (2, 13)
"""Of torch: before, a recording that failed left traces in the allocator."""
_NO_ANSWER = 1e4

Key = tuple[object, ...]
Replay = Callable[[], object]
Record = Callable[[Callable[[], Tensor]], tuple[Replay, Tensor]]
"""Takes a pass; returns what makes it anew from the same memory, and where its answer lies then."""


def record_on(device: torch.device) -> Record | None:
    """How passes are recorded on a device; None where they are not.

    The environment's `MOCE_CUDA_GRAPHS` forbids it with 0, and with 1 allows it with any torch.
    """
    switch = os.environ.get(SWITCH, "")
    major, minor = torch.__version__.split(".")[:2]
    new = (int(major), int(minor)) >= _SINCE
    if device.type != "cuda" or switch == "0" or not (new or switch == "1"):
        return None
    return _CudaGraphs(device)


class _CudaGraphs:
    """Records on one device. All recordings share memory: none runs beside another."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None  # torch names the type of a pool nowhere in public

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            self._stream = self._stream or torch.cuda.Stream(self._device)
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            # the outer stream's end brings the thread back to its own if a recording fails; other
            # threads, which encode and decode, may go on
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",
                ),
            ):
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
        self._lock = threading.Lock()
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
            scene: of the picture, `(1, SCENE_SIZE)`; without, nothing is recorded where the network
                must look for one.
        """
        told, record = scene is not None, self._record
        if (
            record is None
            or not routing
            or any(len(block.chosen) != 1 for block in routing)
            or (self._network.scene is not None and not told)
        ):
            return self._network.restore(batch, routing, scene)
        key: Key = (batch.shape, batch.dtype, told, *(block.chosen for block in routing))
        with self._lock:  # the memory is one call's at a time
            recording = self._recordings.get(key)
            if recording is not None:
                return _replayed(recording, batch, routing, scene)
        result = self._network.restore(batch, routing, scene)
        with self._lock:
            if len(self._made) >= _MOST_COUNTED:
                self._made.clear()
            self._made[key] += 1
            if self._made[key] >= ENOUGH:
                self._try(record, key, batch, routing, scene, result.restored)
        return result

    def forget(self) -> bool:
        """Record no more, there is too little memory; tells whether any came back."""
        with self._lock:
            return self._forget()

    def _forget(self) -> bool:
        freed = bool(self._recordings)
        self._recordings.clear()
        self._record = None
        return freed

    def _try(
        self,
        record: Record,
        key: Key,
        batch: Tensor,
        routing: Routing,
        scene: Tensor | None,
        expected: Tensor,
    ) -> None:
        if len(self._recordings) >= MOST:  # the oldest goes first
            oldest = next(iter(self._recordings))
            del self._recordings[oldest], self._made[oldest]
        try:
            recording = self._recorded(record, batch, routing, scene)
            recording.made.fill_(_NO_ANSWER)  # a replay that does nothing must not pass
            first = _replayed(recording, batch, routing, scene).restored
            error = float((first - expected).abs().max())
        except RuntimeError as failure:
            self._forget()
            log.info("passes are not recorded: %s", failure)
            return
        if error <= TOLERANCE:
            self._recordings[key] = recording
        elif error > TOLERANCE:
            self._forget()
            log.warning("passes are not recorded: a replay was %.3g off", error)
        else:  # a picture of NaN tells nothing
            del self._made[key]

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
