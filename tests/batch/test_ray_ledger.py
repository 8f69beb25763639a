"""The ledger of a cluster: who is to blame for a dead worker, and what it had done."""

import json

from moce_cli.batch import Done, Entry, Job, Work
from moce_cli.batch.ray_ledger import Ledger

NAMES = ["a.png", "b.png", "c.png"]


def done(name):
    return Done(Job(None, None, None, below=name))


def test_what_a_dead_worker_had_done_is_known_to_the_next():
    ledger = Ledger(None)
    assert not ledger.begin(0, NAMES).made
    ledger.at(0, "a.png")
    ledger.made(0, "a.png", done("a.png"))
    past = ledger.begin(0, NAMES)
    assert past.made == {"a.png": done("a.png")}
    assert not past.guilty, "one death may be chance"


def test_the_picture_at_which_two_workers_died_is_guilty_and_no_other():
    ledger = Ledger(None)
    ledger.begin(0, NAMES)
    for _ in range(2):
        ledger.at(0, "b.png")
        past = ledger.begin(0, NAMES)
    assert past.guilty == {"b.png"}


def test_who_dies_before_the_network_begins_died_at_the_first_that_is_left():
    ledger = Ledger(None)
    ledger.begin(0, NAMES)
    ledger.made(0, "a.png", done("a.png"))
    ledger.begin(0, NAMES)
    assert ledger.begin(0, NAMES).guilty == {"b.png"}
    assert not ledger.begin(1, NAMES).guilty, "another portion has nothing to do with it"


def test_lines_go_to_the_journal_and_come_back(tmp_path):
    path = tmp_path / "journal.jsonl"
    ledger = Ledger(path)
    ledger.begin(0, NAMES)
    work = Work("small", None)
    entry = Entry("restored", "a.png", "a.png", None, None, work, "2026-01-01T00:00:00", 1.0)
    assert ledger.note(0, entry) is None
    assert json.loads(path.read_text())["output"] == "a.png"
    assert ledger.begin(0, NAMES).noted == {"a.png": entry}


def test_it_passes_on_that_all_should_stop():
    ledger = Ledger(None)
    assert not ledger.stopping()
    ledger.stop()
    assert ledger.stopping()
