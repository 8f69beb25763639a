"""Laws of the journal: what it says is true or seen not to be; a torn line costs itself alone."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moce_cli.batch import Entry, Journal, Resume, Stamp, Wanted, Work, list_jobs, read_book
from moce_cli.errors import OutputError

WORK = Work("small", "5" * 64, {"strength": 1.0})
names = st.binary(min_size=1, max_size=40).filter(lambda b: b"/" not in b and b"\0" not in b)


def entry(source, target, **changes):
    made = Entry(
        "restored", str(source), str(target), Stamp.of(source), Stamp.of(target), WORK,
        "2026-01-01T00:00:00.000000+00:00", 0.5, 1.0, {"0": 3},
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def pair(tmp_path):
    """A picture, its result, their journal, and the job."""
    source, target = tmp_path / "in" / "a.png", tmp_path / "out" / "a.png"
    for path, data in ((source, b"before"), (target, b"after")):
        path.parent.mkdir()
        path.write_bytes(data)
    (job,) = list_jobs(Wanted((str(source.parent),)), str(target.parent))
    return job, tmp_path / "out" / ".moce-journal.jsonl"


def write(path, *entries):
    journal = Journal(path)
    for one in entries:
        journal.add(one)
    journal.close()


def settled(job, path, work=WORK, **options):
    return next(Resume(read_book(path), work, **options).settle([job]))


@given(names, names)
def test_any_name_survives_a_line(a, b):
    made = Entry("failed", os.fsdecode(a), os.fsdecode(b), None, None, WORK, "t", 0.0)
    line = made.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert Entry.from_line(line) == made


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"7", b"{}", b'{"status": "restored"}', b"\xff"]
)
def test_what_is_no_entry_is_none(line):
    assert Entry.from_line(line) is None


def test_what_is_done_and_still_true_is_left_alone(pair):
    job, path = pair
    write(path, entry(job.source, job.target))
    assert settled(job, path).skip == "done"


def test_a_copy_with_another_time_is_still_the_same(pair):
    job, path = pair
    write(path, entry(job.source, job.target))
    os.utime(job.source, (1, 1))
    os.utime(job.target, (2, 2))
    assert settled(job, path).skip == "done"


@pytest.mark.parametrize("what", ["input", "weights", "options", "gone"])
def test_what_is_no_longer_true_is_done_again(pair, what):
    job, path = pair
    write(path, entry(job.source, job.target))
    work = WORK
    if what == "input":
        job.source.write_bytes(b"beFore")
        os.utime(job.source, (1, 1))
    elif what == "weights":
        work = replace(WORK, sha256="6" * 64)
    elif what == "options":
        work = replace(WORK, options={"strength": 0.5})
    else:
        job.target.unlink()
    again = settled(job, path, work)
    assert again.skip == ""
    assert again.replace == (what != "gone"), "what this tool wrote it may replace"


def test_a_result_that_a_person_changed_is_not_ours_to_replace(pair):
    job, path = pair
    write(path, entry(job.source, job.target))
    job.target.write_bytes(b"painted over")
    again = settled(job, path)
    assert (again.skip, again.replace) == ("", False)


def test_the_same_weights_under_another_name_are_the_same(pair):
    job, path = pair
    write(path, entry(job.source, job.target))
    assert settled(job, path, replace(WORK, model="other")).skip == "done"


@pytest.mark.parametrize(("code", "again"), [(3, False), (1, False), (5, True), (6, True)])
def test_failures_of_the_picture_are_not_tried_again_unless_asked(pair, code, again):
    job, path = pair
    job.target.unlink()
    error = {"message": "no", "hint": None, "exit_code": code}
    made = Entry(
        "failed", "x", str(job.target), Stamp.of(job.source), None, WORK, "t", 0.0, error=error
    )
    write(path, made)
    assert (settled(job, path).skip == "") == again
    assert settled(job, path, retry_failed=True).skip == ""
    job.source.write_bytes(b"mended")
    assert settled(job, path).skip == ""


def test_the_latest_word_counts_over_all_journals_of_a_folder(pair):
    job, path = pair
    good = entry(job.source, job.target)
    bad = entry(job.source, job.target, status="failed", written=None, time="2026-02")
    write(path, good)
    write(path.with_name(".moce-journal.2-of-3.jsonl"), bad)
    assert read_book(path).latest(job.target) == bad
    write(path, entry(job.source, job.target, time="2026-03"))
    assert read_book(path).latest(job.target).status == "restored"


def test_a_torn_line_costs_itself_alone(pair):
    job, path = pair
    write(path, entry(job.source, job.target))
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        write(path, entry(job.source, job.target, time="2026-05"))
        assert read_book(path).latest(job.target).time == "2026-05"
        assert settled(job, path).skip == "done"


def test_two_runs_do_not_write_to_one_journal(tmp_path):
    first = Journal(tmp_path / "j.jsonl")
    with pytest.raises(OutputError, match="another run"):
        Journal(tmp_path / "j.jsonl")
    first.close()
    Journal(tmp_path / "j.jsonl").close()


def test_a_moved_tree_keeps_its_journal(pair, tmp_path):
    job, path = pair
    write(path, entry(job.source, job.target, output="a.png"))
    (tmp_path / "out").rename(tmp_path / "moved")
    (moved,) = list_jobs(Wanted((str(job.source.parent),)), str(tmp_path / "moved"))
    assert settled(moved, tmp_path / "moved" / path.name).skip == "done"
