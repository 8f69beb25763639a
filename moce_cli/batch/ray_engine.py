"""A Ray cluster: Ray Data with long-lived actors, paths in, rows of results out.

Pixels never enter Ray's object store: each worker reads and writes the files itself. The journal is
kept by one actor on the machine where the run began, so that its lines come before their results
as in any other batch, wherever the workers are.
"""

# pyright: reportMissingImports=false
# ray is an extra, half a gigabyte with what it needs: types are checked without it too
from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import queue
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moce_cli.batch.desk import Desk, Done
from moce_cli.batch.jobs import Job
from moce_cli.batch.pipeline import POLL_SECONDS, Event, Stop
from moce_cli.batch.ray_ledger import Ledger
from moce_cli.batch.ray_worker import RayWorker, Recipe
from moce_cli.batch.remote import url_of
from moce_cli.batch.workers import Maker
from moce_cli.errors import DeviceError, MoceError, UsageError

log = logging.getLogger(__name__)

MOST_PORTION = 32
"""Pictures that a worker is given at once."""
PORTIONS = 4
"""That each worker gets at least, so that none waits long for the last one."""
END_SECONDS = 60
"""For so long workers may take to stop."""
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers are, and what each is given.

    Attributes:
        address: HOST:PORT, `auto` for the one that runs here, or `local` for one of this run's own.
        workers: how many; None is as many as there is room for.
        threads: that each worker uses.
        gpu: each worker has a GPU of its own; None is where the cluster has any.

    Raises:
        UsageError: an address of Ray Client.
    """

    address: str = LOCAL
    workers: int | None = None
    threads: int = 1
    gpu: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot keep a journal."""
        if self.address.startswith("ray://"):
            raise UsageError(
                f"{self.address} is an address of Ray Client, which cannot keep the journal",
                "run it on a machine of the cluster, with --address auto or HOST:PORT",
            )


class RayWorkers:
    """Runs jobs on a cluster; results come as they are made.

    What a worker held that dies is done by another; a picture whose workers died twice fails.

    Args:
        make: makes a restorer on the worker's machine.
        desk: where results go.
        stop: asks to stop.
        cluster: that does it.

    Raises:
        UsageError: Ray is not installed.
    """

    def __init__(self, make: Maker, desk: Desk, stop: Stop, cluster: Cluster) -> None:
        self._make, self._desk, self._stop, self._cluster = make, desk, stop, cluster
        _quiet()
        try:
            importlib.import_module("ray.data")
        except ImportError as error:
            raise UsageError(
                f"--engine ray needs the package {(error.name or 'ray').partition('.')[0]}, "
                "which is not installed",
                "pip install 'moce-cli[ray]'",
            ) from error

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Do all jobs.

        Raises:
            MoceError: the cluster, or the network on it, cannot be used.
        """
        todo: list[Job] = []
        for job in jobs:
            if not job.skip:
                todo.append(job)
                continue
            earlier = job.earlier.failure() if job.skip == "failed" and job.earlier else None
            yield Done(job, error=earlier)
        if not todo:
            return
        with _connected(self._cluster):
            try:
                yield from self._listen(todo)
            finally:
                folders = {job.target.parent for job in todo if job.target}
                self._desk.staging.sweep(folders)  # also what the dead have left
        return

    def _listen(self, todo: list[Job]) -> Iterator[Done]:
        left = {str(_absolute(job).target): job for job in todo}
        ledger = self._ledger()
        rows: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        flow = threading.Thread(target=self._flow, args=(todo, ledger, rows), daemon=True)
        flow.start()
        try:
            yield from self._sort(ledger, rows, left)
        finally:
            if flow.is_alive():
                self._stop.set()
                ledger.stop.remote()
                flow.join(END_SECONDS)

    def _sort(
        self,
        ledger: Any,  # noqa: ANN401 -- Ray makes the class of a handle as it runs
        rows: queue.SimpleQueue[bytes | Exception | None],
        left: dict[str, Job],
    ) -> Iterator[Done]:
        import ray

        said = False
        while True:
            if self._stop.is_set() and not said:
                said = True
                ray.get(ledger.stop.remote())
            try:
                row = rows.get(timeout=POLL_SECONDS)  # so that signals are seen
            except queue.Empty:
                continue
            if row is None:
                break
            if isinstance(row, Exception):
                raise DeviceError(
                    f"the Ray cluster failed: {_first_line(row)}", "run again with --resume and -v"
                ) from row
            told: Done | MoceError | int = pickle.loads(row)
            if isinstance(told, MoceError):
                raise told
            if isinstance(told, int):
                ledger.forget.remote(told)
                continue
            if (job := left.pop(str(told.job.target), None)) is not None:
                skip, earlier = told.job.skip, told.job.earlier
                yield replace(told, job=replace(job, skip=skip, earlier=earlier))
        if died := ray.get(ledger.deaths.remote()):
            log.warning("deaths of workers: %d; what they held was done by others", died)
        for job in [] if self._stop.is_set() else left.values():
            lost = DeviceError(f"{job.name}: the cluster lost it", "run again with --resume")
            yield Done(job, error=lost)

    def _ledger(self) -> Any:  # noqa: ANN401 -- Ray makes the class of a handle as it runs
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        journal = self._desk.journal
        actor: Any = ray.remote(Ledger).options(num_cpus=0, scheduling_strategy=here)
        return actor.remote(journal.path.resolve() if journal is not None else None)

    def _flow(
        self, todo: list[Job], ledger: object, rows: queue.SimpleQueue[bytes | Exception | None]
    ) -> None:
        """The stream of Ray Data, in a thread: waiting for it would keep signals away."""
        try:
            for row in self._dataset(todo, ledger).iter_rows():
                rows.put(row["done"])
        except Exception as error:
            rows.put(error)
        rows.put(None)

    def _dataset(self, todo: list[Job], ledger: object) -> Any:  # noqa: ANN401 -- no types in Ray's
        import ray.data

        context: Any = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = 1  # a row comes when its picture is done
        desk, cluster = self._desk, self._cluster
        count, gpu = self._workers()
        size = max(1, min(MOST_PORTION, len(todo) // (count * PORTIONS)))
        items = [
            {"portion": i // size, "job": pickle.dumps(_absolute(job))}
            for i, job in enumerate(todo)
        ]
        journal = Path(os.path.abspath(desk.journal.path)) if desk.journal else None
        recipe = Recipe(desk.settings, desk.staging.tag, desk.work, journal)
        made: Any = ray.data.from_items(items, override_num_blocks=-(-len(items) // size))
        return made.map_batches(
            RayWorker,
            batch_size=size,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
            fn_constructor_args=(self._make, recipe, ledger),
            num_cpus=cluster.threads,
            num_gpus=1 if gpu else None,
        )

    def _workers(self) -> tuple[int, bool]:
        """How many there are, and whether each has a GPU.

        Raises:
            DeviceError: the cluster has no room for one.
        """
        import ray

        has: Any = ray.cluster_resources()
        gpus, cores = int(has.get("GPU", 0)), int(has.get("CPU", 0))
        gpu = gpus > 0 if self._cluster.gpu is None else self._cluster.gpu
        room = min(gpus if gpu else cores, cores // self._cluster.threads)
        wanted = self._cluster.workers or room
        if room < 1 or wanted > room:
            raise DeviceError(
                f"the cluster has {cores} cores and {gpus} GPUs: no room for {max(1, wanted)} "
                f"workers of {self._cluster.threads} threads{' and a GPU' if gpu else ''}",
                "use fewer --workers or --threads",
            )
        return wanted, gpu


def _absolute(job: Job) -> Job:
    """Workers have working folders of their own."""
    places = (job.source, job.target, job.root)
    source, target, root = (
        p if p is None or url_of(p) else Path(os.path.abspath(p)) for p in places
    )
    return replace(job, source=source, target=target, root=root)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"


def _quiet() -> None:
    """Before Ray is imported: nothing is sent anywhere, and only we speak."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a late call must not begin a cluster of its own
    os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters comes as an exception
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # what Ray will do, without its warning


@contextlib.contextmanager
def _connected(cluster: Cluster) -> Generator[None, None, None]:
    """Ray for the time of a batch.

    Raises:
        DeviceError: the cluster is not there.
    """
    import ray

    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if cluster.address == LOCAL:
        from moce_cli import runtime

        cores = max(runtime.usable_cores(), (cluster.workers or 1) * cluster.threads)
        options |= {"num_cpus": cores, "include_dashboard": False}
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=cluster.address, **options)
    except Exception as error:
        raise DeviceError(
            f"the Ray cluster {cluster.address} is not there: {_first_line(error)}",
            "give --address HOST:PORT, or leave it out for one on this machine",
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with contextlib.suppress(ImportError):  # Ray writes what happens to its workers to our stdout
        setattr(importlib.import_module("ray._private.worker"), "_worker_logs_enabled", False)  # noqa: B010 -- no part of its interface does this
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in ours.items():  # Ray puts its own in their place
                signal.signal(number, handler)
        yield
    finally:
        ray.shutdown()
