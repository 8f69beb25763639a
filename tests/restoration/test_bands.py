"""Three stages and what waits between them: never more than a few bands, however slow one is."""

import threading
import time

import numpy as np
import pytest

from moce_cli.pictures import Source
from moce_cli.restoration.bands import AHEAD, ROWS, BandView, written_behind
from moce_cli.restoration.where import How

HEIGHT = 40 * ROWS


class Reader:
    """A picture of 40 bands whose rows hold their number; counts what was read."""

    height, width, channels, dtype, source = HEIGHT, 8, 3, np.dtype(np.uint16), Source()

    def __init__(self, fails_at=None):
        self.read, self.fails_at = 0, fails_at

    def rows(self, top, bottom):
        if self.fails_at is not None and bottom > self.fails_at:
            raise OSError("the disk is gone")
        self.read = bottom
        column = np.arange(top, bottom, dtype=np.uint16)[:, None, None]
        return np.broadcast_to(column, (bottom - top, 8, 3)).copy(), None


def settled(count):
    """A number once it has stopped growing."""
    before = -1
    while before != (before := count()):
        time.sleep(0.05)
    return before


def test_reading_goes_on_meanwhile_but_only_some_bands_ahead():
    reader = Reader()
    with BandView(reader, How()) as view:
        for top in range(0, HEIGHT, 4 * ROWS):
            canvas = view.rows(top, top + ROWS)
            assert canvas.pixels[:, 0, 0].tolist() == list(range(top, top + ROWS))
            ahead = settled(lambda: reader.read) - (top + ROWS)
            # what waits, and the band that the thread holds in its hand
            assert min(AHEAD * ROWS, HEIGHT - top - ROWS) <= ahead <= (AHEAD + 1) * ROWS
    assert not [t for t in threading.enumerate() if t.name == "moce-decode"]


def test_a_view_that_is_left_early_leaves_no_thread():
    reader = Reader()
    with BandView(reader, How()) as view:
        view.rows(0, ROWS)
    assert settled(lambda: reader.read) < HEIGHT / 2
    assert not [t for t in threading.enumerate() if t.name == "moce-decode"]


def test_what_fails_while_reading_ahead_comes_when_it_is_its_turn():
    reader = Reader(fails_at=3 * ROWS)
    with BandView(reader, How()) as view:
        view.rows(0, 2 * ROWS)
        with pytest.raises(OSError, match="the disk is gone"):
            view.rows(2 * ROWS, 4 * ROWS)


class Writer:
    """Holds its first rows until it may go on."""

    def __init__(self):
        self.may_go_on, self.rows = threading.Event(), []

    def write(self, pixels, alpha):
        self.may_go_on.wait(10)
        self.rows.append(pixels)


class Band:
    alpha = None


def test_rows_wait_for_a_slow_writer_but_only_a_few_bands():
    writer, given = Writer(), []

    def restore():
        with written_behind(writer) as sink:
            for number in range(3 * AHEAD):
                sink(np.full((1, 1, 3), number), Band())
                given.append(number)

    worker = threading.Thread(target=restore)
    worker.start()
    assert settled(lambda: len(given)) == AHEAD + 1, "those that wait, and the one in its hand"
    writer.may_go_on.set()
    worker.join(10)
    assert [int(rows[0, 0, 0]) for rows in writer.rows] == list(range(3 * AHEAD))


def test_what_fails_while_writing_is_told_to_whoever_restores():
    class Full:
        def write(self, pixels, alpha):
            raise OSError("no space")

    def restore():
        with written_behind(Full()) as sink:
            for _ in range(3 * AHEAD):
                sink(np.zeros((1, 1, 3)), Band())
                time.sleep(0.01)

    with pytest.raises(OSError, match="no space"):
        restore()
