"""The model, and what computes it: this machine, several devices of it, or a cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moce_cli.batch import Desk, Stop
    from moce_cli.batch.ray_engine import RayWorkers
    from moce_cli.restoration import Restorer

CLUSTER_THREADS = 4
"""Of a worker of a cluster, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """A Ray cluster, as the command line names it."""

    address: str
    workers: int | None

    @classmethod
    def parse(
        cls, engine: str | None, address: str | None, workers: int | None
    ) -> ClusterOptions | None:
        """None where no engine is named.

        Raises:
            UsageError: there is no such engine, or options want one.
        """
        from moce_cli.errors import UsageError

        for given, name in ((address, "--address"), (workers, "--workers")):
            if engine is None and given is not None:
                raise UsageError(
                    f"{name} {given} is of an engine, and none is named", "add --engine ray"
                )
        if engine not in (None, "ray"):
            raise UsageError(f"there is no engine {engine!r}", "--engine takes ray")
        return cls(address or os.environ.get("RAY_ADDRESS") or "local", workers) if engine else None


@dataclass(frozen=True, slots=True)
class Machine:
    """The model, and what computes it."""

    model: str
    device: str
    precision: str
    threads: int | None
    tile: str
    overlap: int | None
    batch: int | None
    routing: str
    cluster: ClusterOptions | None = None
    """Several machines instead of this one."""

    def facts(self) -> dict[str, object]:
        """What changes a result by more than rounding, or was chosen on purpose."""
        return {
            "precision": self.precision,
            "tile": self.tile,
            "overlap": self.overlap,
            "routing": self.routing,
        }

    def restorer(self) -> Restorer:
        """Read the weights; imports torch."""
        from moce_cli.restoration import Restorer
        from moce_cli.restoration.plan import parse_tile
        from moce_cli.runtime import use_threads

        use_threads(self.threads)  # also while the weights are read
        return Restorer.from_pretrained(
            self.model,
            device=self.device,
            precision=self.precision,
            tile=parse_tile(self.tile),
            overlap=self.overlap,
            batch=self.batch,
            routing=self.routing,
            threads=self.threads,
        )

    def each(self) -> list[Machine]:
        """One for each device of a list such as `cuda:0,cuda:1`.

        Raises:
            UsageError: a name is missing.
            DeviceError: one is not there.
        """
        from moce_cli import runtime
        from moce_cli.errors import UsageError

        names = self.device.split(",")
        if len(names) == 1:
            return [self]
        if "" in names or "auto" in names:
            raise UsageError(f"{self.device!r} is no list of devices", "name them: cuda:0,cuda:1")
        for name in names:
            runtime.choose_device(name)
        threads = self.threads or max(1, runtime.usable_cores() // len(names))
        return [replace(self, device=name, threads=threads) for name in names]

    def weights_sha256(self) -> str | None:
        """Of the file that the model's name stands for; None for a preset."""
        from moce_cli.checkpoints.header import sha256_of
        from moce_cli.checkpoints.resolution import resolve

        path = resolve(self.model).path
        return sha256_of(path) if path is not None else None

    def on_cluster(self, desk: Desk, stop: Stop) -> RayWorkers:
        """Workers of a Ray cluster.

        Raises:
            UsageError: Ray is not installed, or a device was named that is no worker's own.
        """
        from moce_cli import runtime
        from moce_cli.batch.ray_engine import Cluster, RayWorkers
        from moce_cli.errors import UsageError

        assert self.cluster is not None
        kinds: dict[str, bool | None] = {"auto": None, "cpu": False, "cuda": True}
        if self.device not in kinds:
            raise UsageError(
                f"--device {self.device} and --engine ray exclude each other",
                "name cpu, cuda or auto: each worker is given a device of its own",
            )
        threads = self.threads or min(CLUSTER_THREADS, runtime.usable_cores())
        cluster = Cluster(self.cluster.address, self.cluster.workers, threads, kinds[self.device])
        path = Path(self.model)  # workers have working folders of their own
        model = str(path.resolve()) if path.is_file() else self.model
        maker = replace(self, model=model, threads=threads, cluster=None)
        return RayWorkers(partial(maker.checked_restorer, desk.work.sha256), desk, stop, cluster)

    def checked_restorer(self, sha256: str | None) -> Restorer:
        """Read the weights on another machine.

        Raises:
            WeightsError: they are not those of the run.
        """
        from moce_cli.errors import WeightsError

        if sha256 is not None and self.weights_sha256() != sha256:
            raise WeightsError(
                f"a worker has other weights under the name {self.model}",
                "name a file that all machines share, or run moce models pull on each",
            )
        return self.restorer()
