"""A worker of a cluster: an actor that holds the network, and is given portions of paths."""

# pyright: reportMissingImports=false
# ray is an extra, half a gigabyte with what it needs: types are checked without it too
from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moce_cli.batch.desk import Desk, Done, Settings
from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Book, Entry, Journal, Work
from moce_cli.batch.pipeline import Began, Pipeline
from moce_cli.batch.ray_ledger import Past
from moce_cli.batch.resume import Resume
from moce_cli.batch.staging import Staging
from moce_cli.errors import DeviceError, MoceError

if TYPE_CHECKING:
    from moce_cli.restoration import Restorer

ASK_SECONDS = 0.3
"""Between two questions whether to stop."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A desk that can be sent to another machine."""

    settings: Settings
    tag: str
    work: Work
    journal: Path | None


class _Posted(Journal):
    """A journal that another machine keeps: its lines go there, and are there before it returns."""

    def __init__(self, path: Path, post: Callable[[Entry], MoceError | None]) -> None:
        self.path, self._post = path, post

    def add(self, entry: Entry) -> None:
        error = self._post(entry)
        if error is not None:
            raise error

    def close(self) -> None:
        pass


class RayWorker:
    """Lives as long as its process; the network is read once, with the first portion.

    Args:
        make: makes the restorer.
        recipe: how pictures are done, and where results go.
        ledger: the handle of the `Ledger` actor.
    """

    def __init__(self, make: Callable[[], Restorer], recipe: Recipe, ledger: Any) -> None:  # noqa: ANN401 -- Ray makes the class of a handle as it runs
        import ray

        self._make, self._recipe, self._ledger = make, recipe, ledger
        node = str(ray.get_runtime_context().get_node_id())[:8]
        # process ids repeat on other machines, which may share the folder
        self._staging = Staging(f"{recipe.tag}-{node}")
        self._restorer: Restorer | None = None

    def __call__(self, rows: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, list[bytes]]]:
        """Do a portion; a row for each picture, in their order, as it is done."""
        number = int(rows["portion"][0])
        jobs: list[Job] = [pickle.loads(bytes(job)) for job in rows["job"]]
        for told in self._portion(number, jobs):
            yield {"done": [pickle.dumps(told)]}

    def _portion(self, number: int, jobs: list[Job]) -> Iterator[Done | MoceError | int]:
        import ray

        if ray.get(self._ledger.stopping.remote()):
            yield number
            return
        past: Past = ray.get(self._ledger.begin.remote(number, [str(j.target) for j in jobs]))
        try:
            self._restorer = self._restorer or self._make()
        except MoceError as error:
            yield error
            return
        stop, over = threading.Event(), threading.Event()
        asking = threading.Thread(target=self._ask, args=(stop, over), daemon=True)
        asking.start()
        try:
            desk = self._desk(number)
            settled = self._settled(jobs, past)
            for event in Pipeline(self._restorer, desk, stop).run(settled):
                if isinstance(event, Began):
                    self._ledger.at.remote(number, str(event.job.target))
                elif isinstance(event, Done):
                    done = self._as_made(event, past, desk)
                    self._ledger.made.remote(number, str(done.job.target), done)
                    yield done
            yield number
        finally:
            over.set()
            asking.join()
            self._staging.close()

    def _desk(self, number: int) -> Desk:
        recipe, ledger = self._recipe, self._ledger

        def post(entry: Entry) -> MoceError | None:
            import ray

            return ray.get(ledger.note.remote(number, entry))

        journal = _Posted(recipe.journal, post) if recipe.journal is not None else None
        return Desk(recipe.settings, self._staging, recipe.work, journal)

    def _settled(self, jobs: list[Job], past: Past) -> Iterator[Job]:
        """What a worker that died had done is left alone; the same jobs in the same order."""
        folder = self._recipe.journal.parent if self._recipe.journal else Path()
        entries = ((folder, entry) for entry in past.noted.values())
        resume = Resume(Book(entries), self._recipe.work)
        for job in jobs:
            if str(job.target) in past.made or str(job.target) in past.guilty:
                yield replace(job, skip="done")
            else:
                yield next(iter(resume.settle([job])))

    @staticmethod
    def _as_made(done: Done, past: Past, desk: Desk) -> Done:
        name = str(done.job.target)
        if name in past.made:
            return past.made[name]
        if name not in past.guilty:
            return done
        job = replace(done.job, skip="")
        died = DeviceError(f"{job.name}: its worker died twice", "use a smaller --tile")
        failed = Done(job, error=died)
        desk.note(failed)
        return failed

    def _ask(self, stop: threading.Event, over: threading.Event) -> None:
        import ray

        while not over.wait(ASK_SECONDS):
            try:
                if ray.get(self._ledger.stopping.remote()):
                    stop.set()
            except Exception:  # the run that began this is no more
                stop.set()
                return
