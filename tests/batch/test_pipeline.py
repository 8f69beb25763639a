"""Laws of the pipeline: every job has one end, in order; nothing half done; steps overlap."""

import dataclasses
import os
import threading
import time

import pytest
from networks import restorer
from PIL import Image

from moce_cli.batch import (
    Began,
    Done,
    Pipeline,
    Resume,
    Settings,
    Tiles,
    Wanted,
    list_jobs,
    read_book,
)
from moce_cli.batch import loading as reading
from moce_cli.batch import run as steps
from moce_cli.errors import InputError, OutputError, OutputExistsError
from moce_cli.pictures.large.spool import Spool


def jobs_in(folder, out):
    return list(list_jobs(Wanted((str(folder),)), str(out)))


def ends(events):
    return [event for event in events if isinstance(event, Done)]


@pytest.fixture
def folder(tmp_path, picture):
    for i in range(8):
        picture(tmp_path / "in" / f"{i}.png", seed=i)
    return tmp_path / "in"


def test_every_job_ends_once_and_in_order(folder, tmp_path, network, desk):
    (folder / "3.png").write_bytes(b"no picture")
    jobs = jobs_in(folder, tmp_path / "out")
    events = list(Pipeline(network, desk, threading.Event()).run(jobs))
    done = ends(events)
    assert [d.job for d in done] == jobs
    assert [d.error is None for d in done] == [i != 3 for i in range(8)]
    assert [e.job for e in events if isinstance(e, Began)] == jobs[:3] + jobs[4:]
    assert sum(isinstance(e, Tiles) for e in events) >= 7
    made = sorted(p.name for p in (tmp_path / "out").glob("[!.]*"))
    assert made == [f"{i}.png" for i in range(8) if i != 3]
    book = read_book(desk.journal.path)
    assert [book.latest(j.target).status for j in jobs].count("restored") == 7


def test_the_result_is_that_of_one_alone(folder, tmp_path, network, desk):
    from moce_cli.pictures import read

    jobs = jobs_in(folder, tmp_path / "out")
    list(Pipeline(network, desk, threading.Event()).run(jobs))
    for job in jobs:
        alone = network.restore(read(job.source)).picture
        assert (read(job.target).pixels == alone.pixels).all()


def test_stopping_ends_after_the_tile_and_leaves_nothing_half_done(tmp_path, picture, desk):
    for i in range(4):
        picture(tmp_path / "in" / f"{i}.png", side=160, seed=i)
    slow, stop = restorer(tile=32), threading.Event()
    jobs = jobs_in(tmp_path / "in", tmp_path / "out")
    done, after = [], 0
    for event in Pipeline(slow, desk, stop).run(jobs):
        if isinstance(event, Done):
            done.append(event)
        elif stop.is_set() and isinstance(event, Tiles):
            after += 1
        elif isinstance(event, Tiles) and done:
            stop.set()  # in the middle of a later picture
    assert 1 <= len(done) < 4
    assert after <= 3, "those that were on their way"
    made = {p.name for p in (tmp_path / "out").glob("[!.]*")}
    assert made == {d.job.target.name for d in done}


@pytest.fixture
def banded(desk):
    pytest.importorskip("pyvips")
    return dataclasses.replace(desk, settings=Settings(bands="always"))


def test_a_picture_in_bands_that_changes_meanwhile_is_tried_again(
    tmp_path, picture, network, banded, monkeypatch
):
    picture(tmp_path / "in" / "0.png")
    jobs, through = jobs_in(tmp_path / "in", tmp_path / "out"), steps.restore_in_bands

    def meanwhile(*arguments):
        os.utime(jobs[0].source, (1, 1))
        return through(*arguments)

    monkeypatch.setattr(steps, "restore_in_bands", meanwhile)
    (done,) = ends(Pipeline(network, banded, threading.Event()).run(jobs))
    assert "changed while it was read" in done.error.message
    assert list((tmp_path / "out").glob("**/*.png")) == []
    (again,) = Resume(read_book(banded.journal.path), banded.work).settle(jobs)
    assert again.skip == "", "what failed is not what is there"


def test_files_that_are_open_in_bands_are_closed_when_all_stops(
    folder, tmp_path, network, banded, monkeypatch
):
    opened, stop, open_in_bands = [], threading.Event(), reading.open_in_bands

    def noted(*arguments):
        opened.append(open_in_bands(*arguments))
        return opened[-1]

    monkeypatch.setattr(reading, "open_in_bands", noted)
    for event in Pipeline(network, banded, stop).run(jobs_in(folder, tmp_path / "out")):
        if isinstance(event, Began):
            while len(opened) < 3:
                time.sleep(0.01)
            stop.set()
    assert all(reader._file.closed for reader in opened)


def test_a_stop_is_heard_while_a_picture_is_turned(tmp_path, picture, network, banded, monkeypatch):
    path = picture(tmp_path / "in" / "0.png", 300)
    exif = Image.Exif()
    exif[0x112] = 6  # on its side
    Image.open(path).save(path, exif=exif)
    stop, put, strips = threading.Event(), Spool._put, []

    def stopping(self, rows):
        stop.set()
        strips.append(len(rows))
        put(self, rows)

    monkeypatch.setattr(Spool, "_put", stopping)
    events = list(Pipeline(network, banded, stop).run(jobs_in(tmp_path / "in", tmp_path / "out")))
    assert ends(events) == []
    assert strips == [64]
    assert list((tmp_path / "out").glob("**/*.png")) == []


def test_an_endless_stream_of_jobs_is_taken_as_it_comes(folder, tmp_path, network, desk):
    jobs, stop, asked = jobs_in(folder, tmp_path / "out"), threading.Event(), []

    def slowly():
        for job in jobs:
            asked.append(job)
            yield job
        while not stop.is_set():
            time.sleep(0.01)

    seen = 0
    for event in Pipeline(network, desk, stop).run(slowly()):
        if isinstance(event, Done) and (seen := seen + 1) == len(jobs):
            stop.set()
    assert asked == jobs


def test_steps_overlap(folder, tmp_path, desk, monkeypatch):
    """Three steps of 50 ms each take the time of one, not of three."""

    class Sleeper:
        threads = 2

        def restore(self, picture, **options):
            time.sleep(0.05)
            return type("R", (), {"picture": picture, "report": report})

    report = restorer().restore(reading.open_picture(folder / "0.png", 10**6)).report
    for module, name in ((reading, "load"), (steps, "save")):
        step = getattr(module, name)

        def slow(*arguments, step=step):
            time.sleep(0.05)
            return step(*arguments)

        monkeypatch.setattr(module, name, slow)
    pipeline = Pipeline(Sleeper(), desk, threading.Event())
    begun = time.perf_counter()
    assert len(ends(pipeline.run(jobs_in(folder, tmp_path / "out")))) == 8
    assert time.perf_counter() - begun < 8 * 0.15 * 0.75
    assert pipeline.busy_seconds >= 8 * 0.05


def test_memory_bounds_what_is_under_way(folder, tmp_path, network, desk, monkeypatch):
    under_way, most, lock = set(), [0], threading.Lock()
    load, save = reading.load, steps.save

    def loading(job, desk):
        with lock:
            under_way.add(job)
            most[0] = max(most[0], len(under_way))
        return load(job, desk)

    def saving(restored, desk):
        done = save(restored, desk)
        with lock:
            under_way.discard(restored.job)
        return done

    monkeypatch.setattr(reading, "load", loading)
    monkeypatch.setattr(steps, "save", saving)
    tight = Pipeline(network, desk, threading.Event(), memory_bytes=1)
    assert len(ends(tight.run(jobs_in(folder, tmp_path / "out")))) == 8
    assert most[0] <= 1, "a picture alone may take more, two may not"


def test_a_consumer_that_goes_away_ends_all_threads(folder, tmp_path, network, desk):
    events = Pipeline(network, desk, threading.Event()).run(jobs_in(folder, tmp_path / "out"))
    next(events)
    events.close()
    assert not [t for t in threading.enumerate() if "moce" in t.name]


def test_a_step_that_breaks_is_told_and_ends_all(folder, tmp_path, network, desk, monkeypatch):
    def broken(*arguments):
        raise BrokenPipeError

    monkeypatch.setattr(steps, "save", broken)
    with pytest.raises(BrokenPipeError):
        list(Pipeline(network, desk, threading.Event()).run(jobs_in(folder, tmp_path / "out")))


def test_a_picture_that_changes_while_it_is_read_fails(folder, desk, tmp_path, monkeypatch):
    job = jobs_in(folder, tmp_path / "out")[0]
    opened = reading.open_picture

    def meanwhile(source, most, **options):
        made = opened(source, most, **options)
        os.utime(source, (5, 5))
        return made

    monkeypatch.setattr(reading, "open_picture", meanwhile)
    failed = reading.load(job, desk)
    assert isinstance(failed.error, InputError)
    assert "changed while it was read" in failed.error.message
    desk.note(failed)
    (again,) = Resume(read_book(desk.journal.path), desk.work).settle([job])
    assert again.skip == "", "the file that is there now has not failed"


@pytest.mark.parametrize("links", [True, False])
def test_what_came_meanwhile_is_not_replaced(folder, desk, tmp_path, network, monkeypatch, links):
    job = jobs_in(folder, tmp_path / "out")[0]
    if not links:  # as on some file systems
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no")))
    loaded = reading.load(job, desk)
    restored = steps.restore(loaded, network, desk, None)
    job.target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"0\.png is there already"):
        steps.save(restored, desk)
    assert job.target.read_bytes() == b"precious"
    job.target.unlink()
    assert steps.save(restored, desk).error is None


def test_a_link_out_of_the_outputs_made_meanwhile_is_not_followed(desk, tmp_path, picture, network):
    picture(tmp_path / "in" / "sub" / "a.png")
    (job,) = jobs_in(tmp_path / "in", tmp_path / "out")
    restored = steps.restore(reading.load(job, desk), network, desk, None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="leads out of"):
        steps.save(restored, desk)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_messages_name_the_target_not_the_staging(desk, tmp_path, picture, network, monkeypatch):
    picture(tmp_path / "in" / "a.png")
    (job,) = jobs_in(tmp_path / "in", tmp_path / "out")
    restored = steps.restore(reading.load(job, desk), network, desk, None)

    def full(picture, part, **options):
        raise OutputError(f"{part} can't be written: no space left")

    monkeypatch.setattr(steps, "write", full)
    with pytest.raises(OutputError) as caught:
        steps.save(restored, desk)
    assert caught.value.message == f"{job.target} can't be written: no space left"


def test_as_many_files_are_read_and_written_at_once_as_threads_were_allowed(desk):
    network = restorer()
    for threads, workers in ((1, 1), (3, 3), (64, 4)):
        network.threads = threads
        allowed = Pipeline(network, desk, threading.Event())
        assert allowed._readers._max_workers == allowed._writers._max_workers == workers
