"""A run whose record can't be written, whose scores are no numbers, or that is killed."""

import errno
import json
import os
import pickle
import resource
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny_run import trainer, write_recipe

from moce_cli.checkpoints import load
from moce_cli.errors import InputError, OutputError
from moce_cli.training import keeping, loop, sources, watch
from moce_cli.training.loop import TrainingError
from moce_cli.training.record import Record, plot, read_lines
from moce_cli.training.state import State
from moce_cli.training.validate import FixedSet


class FullDisk:
    """Stands for a record's path; writing fails between `full` and `free`."""

    def __init__(self, path):
        self.path, self.is_full = path, False

    def open(self, *mode, **options):
        if self.is_full:
            with self.path.open(*mode, **options) as file:
                file.write('{"kind": "st')  # what still went in
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.path.open(*mode, **options)

    def __str__(self):
        return str(self.path)


def test_a_record_on_a_full_disk_loses_its_lines_and_no_others(tmp_path, caplog):
    record = Record(tmp_path / "run.jsonl", None)
    disk = record.path = FullDisk(record.path)
    record.add(kind="step", step=1)
    disk.is_full = True
    record.add(kind="step", step=2)
    assert "No space left on device; the run goes on" in caplog.text
    disk.is_full = False
    record.add(kind="step", step=3)
    assert [line["step"] for line in read_lines(disk.path)] == [1, 3]


def test_a_run_whose_record_is_refused_still_leaves_its_weights(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "RECORD_STEPS", 2)
    run = trainer(tmp_path)
    whole = Record.__init__

    def onto_a_full_disk(self, path, from_step):
        whole(self, path, from_step)
        self.path = FullDisk(path)
        self.path.is_full = True

    monkeypatch.setattr(Record, "__init__", onto_a_full_disk)
    assert run.run().counters.step == 12
    assert (tmp_path / "out.safetensors").exists()
    assert "out.jsonl cannot be written" in caplog.text


def test_weights_on_a_full_disk_do_not_end_the_run_before_its_end(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "STATE_SECONDS", 0.0)
    run = trainer(tmp_path)
    whole, refused = loop.weights.write, []

    def write(*given, **options):
        if run.counters.step < 9:
            refused.append(run.counters.step)
            raise OutputError("the weights cannot be written: no space")
        return whole(*given, **options)

    monkeypatch.setattr(loop.weights, "write", write)
    run.run()
    assert refused == list(range(1, 9))
    assert "the run goes on" in caplog.text


def test_a_score_that_is_no_number_is_null_in_the_record_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        FixedSet, "measure", lambda *_: {"noise 25": float("nan"), "undamaged": 40.0}
    )
    ending = trainer(tmp_path).run()
    assert ending.psnr == {"undamaged": 40.0}
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    measured = [line for line in lines if line["kind"] == "validation"]
    assert measured[-1]["psnr"] == {"noise 25": None, "undamaged": 40.0}
    pytest.importorskip("matplotlib")
    assert plot(tmp_path / "out.jsonl", tmp_path / "out.png")


def test_a_killed_run_loses_less_than_a_minute(tmp_path, monkeypatch):
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], process_time=lambda: 0.0)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(watch, "time", clock)
    saved = []

    def step_takes_seven_seconds(moment):
        now[0] += 7

    run = trainer(tmp_path, steps=40, watch=step_takes_seven_seconds)
    run.validation = None  # nor does it save because it measures
    save = State.save
    monkeypatch.setattr(State, "save", lambda self, path: (saved.append(now[0]), save(self, path)))
    run.run()
    gaps = [b - a for a, b in zip([1000.0, *saved], saved, strict=False)]
    assert len(saved) > 3
    assert max(gaps) < 60


def test_what_is_done_is_kept_before_it_is_measured_at_the_end(tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    run = trainer(tmp_path, steps=7)  # measured after five steps, and at the end

    def measure(*_):
        if run.counters.step == 7:
            raise KilledError
        return {"noise 25": 20.0, "undamaged": 40.0}

    monkeypatch.setattr(FixedSet, "measure", measure)
    with pytest.raises(KilledError):
        run.run()
    state = torch.load(tmp_path / "out.state.pt", weights_only=True)
    assert state["counters"]["step"] == 7


def diverging(folder, monkeypatch, **options):
    """A run that falls apart by its own rate, and is to be kept after every step."""
    monkeypatch.setattr(loop, "STATE_SECONDS", 0.0)
    run = trainer(folder, steps=60, **options)
    run.validation = None
    steps = replace(run.recipe.optimiser, learning_rate=1.0, warmup_steps=1, clip=0.0)
    run.recipe = replace(run.recipe, optimiser=steps)
    return run


def test_a_run_that_fell_apart_leaves_numbers_and_a_state_to_go_on_from(tmp_path, monkeypatch):
    trainer(tmp_path).run()
    with pytest.raises(TrainingError, match="of before are kept"):
        diverging(tmp_path, monkeypatch, resume=True).run()
    state = torch.load(tmp_path / "out.state.pt", weights_only=True)
    assert state["counters"]["skipped_in_a_row"] == 0
    for values in (state["average"], load(tmp_path / "out.safetensors").state):
        assert all(value.isfinite().all() for value in values.values())


@pytest.mark.parametrize("broken", ["weights", "state"])
def test_of_weights_and_state_the_one_that_can_be_written_is(tmp_path, monkeypatch, broken):
    def refuse(*_, **__):
        raise OutputError(f"the {broken} cannot be written: no space")

    where = {"weights": (keeping.weights, "write"), "state": (State, "save")}
    monkeypatch.setattr(*where[broken], refuse)
    with pytest.raises(OutputError, match=f"the {broken} cannot"):
        trainer(tmp_path).run()
    assert (tmp_path / "out.safetensors").exists() == (broken == "state")
    assert (tmp_path / "out.state.pt").exists() == (broken == "weights")


def test_a_state_that_finds_the_disk_full_gives_the_systems_reason(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    run = trainer(tmp_path)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        with pytest.raises(OutputError, match=r"out.state.pt cannot be written: File too large"):
            run.state.save(tmp_path / "out.state.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.glob("*.pt*"))


def test_a_score_says_after_which_step_it_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STATE_SECONDS", 0.0)
    seen = {}

    def look(moment):
        if (tmp_path / "out.safetensors").exists():
            facts = load(tmp_path / "out.safetensors").card.facts
            seen[facts["steps"]] = facts.get("validation_step", facts["steps"])

    trainer(tmp_path, watch=look).run()
    assert seen[8] == 5
    assert "validation_step" not in load(tmp_path / "out.safetensors").card.facts


def test_ten_losses_that_are_no_numbers_leave_the_record_of_the_steps_before(tmp_path):
    run = trainer(tmp_path, steps=40)
    whole = run.objective.forward
    run.objective.forward = lambda degraded, *others: whole(
        degraded * (float("nan") if run.counters.step >= 6 else 1), *others
    )
    with pytest.raises(TrainingError):
        run.run()
    steps = [line for line in read_lines(tmp_path / "out.jsonl") if line["kind"] == "step"]
    assert steps[-1]["skipped"] == 10


def test_time_in_which_nothing_was_trained_slows_no_rate(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    window = watch.Window()
    losses = SimpleNamespace(shares=torch.ones(4) / 4)
    for name in watch.Window.NAMES:
        setattr(losses, name, torch.tensor(1.0))
    window.add(losses, 8)
    now[0] = 12.0
    window.leave_out(10.0)
    assert window.line(loop.Place())["crops_per_second"] == pytest.approx(4)


def forgetful(folder, gone, **options):
    """A run that holds no picture in memory, and of whose pictures some are gone after 3 steps."""

    def forget():
        run.sampler.source.pictures = pickle.loads(pickle.dumps(run.sampler.source.pictures))

    def watch(moment):
        if moment.step == 3:
            forget()
            for name in gone:
                (folder / "clean" / name).unlink()

    run = trainer(folder, watch=watch, **options)
    forget()
    return run


@pytest.mark.parametrize("workers", [0, 1])
def test_for_a_picture_that_is_gone_another_is_taken(tmp_path, caplog, monkeypatch, workers):
    monkeypatch.setattr(sources, "RECENT_BYTES", 0)
    ending = forgetful(tmp_path, ["1.png"], workers=workers).run()
    assert ending.counters.step == 12
    told = [line for line in caplog.messages if "another picture is taken instead" in line]
    assert len(told) == 1
    assert "1.png: there is no such file" in told[0]


def test_where_all_pictures_are_gone_what_was_learned_is_kept(tmp_path):
    run = forgetful(tmp_path, ["0.png", "1.png", "2.png"])
    with pytest.raises(InputError, match=r"10 training pictures in a row .* no such file"):
        run.run()
    assert load(tmp_path / "out.safetensors").card.facts["steps"] == 3
    write_recipe(tmp_path)
    assert trainer(tmp_path, resume=True).run().counters.step == 12


def test_a_run_that_was_finished_is_written_in_parts_when_asked_again(tmp_path):
    trainer(tmp_path, steps=2).run()
    ending = trainer(tmp_path, steps=2, resume=True, in_parts=True).run()
    assert [part.name for part in ending.parts] == [
        part.name for part in tmp_path.glob("out.safetensors.part-*")
    ]
    assert ending.parts
