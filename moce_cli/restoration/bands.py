"""A picture in a file, restored in bands: decoded ahead, written behind, never whole in memory."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Generator
from typing import Protocol

import numpy as np

from moce_cli.pictures import Picture, encoding_of
from moce_cli.pictures.large import BandReader
from moce_cli.restoration.canvas import Array, Canvas
from moce_cli.restoration.view import Sink
from moce_cli.restoration.where import How, Wanted
from moce_cli.tiling import Tile

ROWS = 64
"""Rows that are decoded together."""
AHEAD = 4
"""How many such bands wait before the network, and behind it, at most."""

_Rows = tuple[Array, Array | None]


class RowWriter(Protocol):
    """Takes rows in order; a `BandWriter` is one."""

    def write(self, pixels: Array, alpha: Array | None) -> None:
        """The next rows."""
        ...


class _Pass:
    """Reads from a row on to the end, in a thread, a few bands ahead."""

    def __init__(self, reader: BandReader, start: int) -> None:
        self._reader, self._top = reader, start
        self._bands: queue.Queue[_Rows | BaseException] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="moce-decode", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        height = self._reader.height
        for top in range(self._top, height, ROWS):
            if self._stopped.is_set():
                return
            try:
                self._bands.put(self._reader.rows(top, min(top + ROWS, height)))
            except BaseException as error:
                self._bands.put(error)
                return

    def next(self) -> tuple[int, Array, Array | None]:
        """The next band, and where it begins."""
        band = self._bands.get()
        if isinstance(band, BaseException):
            raise band
        top = self._top
        self._top += len(band[0])
        return top, *band

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._bands.get_nowait()
            self._thread.join(0.01)


class BandView:
    """What the network sees of a file; memory follows width x tile.

    Colours under full transparency are carried on within the rows that are asked for together.

    Args:
        reader: of the file.
        how: it is restored. A mask is held in memory.

    Raises:
        InputError: region or mask do not fit, or keep all of the picture.
    """

    def __init__(self, reader: BandReader, how: How) -> None:
        self._reader, self._how = reader, how
        self.height, self.width, self.channels = reader.height, reader.width, reader.channels
        one = Picture(np.zeros((1, 1, reader.channels), reader.dtype), None, reader.source)
        self._encoding, self.note = encoding_of(one)
        self._wanted = Wanted(how, self.height, self.width)
        self._pass: _Pass | None = None
        self._kept: deque[tuple[int, Array, Array | None]] = deque()
        self._bottom = 0  # of what was read in this pass

    def rows(self, top: int, bottom: int) -> Canvas:
        """Rows of the picture; what begins above what is kept begins a new pass over the file."""
        kept = self._kept
        if self._pass is None or (kept[0][0] if kept else self._bottom) > top:
            self._restart(top)
        while kept and kept[0][0] + len(kept[0][1]) <= top:
            kept.popleft()
        assert self._pass is not None
        while self._bottom < bottom:
            band = self._pass.next()
            if band[0] + len(band[1]) > top:
                kept.append(band)
            self._bottom = band[0] + len(band[1])
        first = kept[0][0]
        cut = slice(top - first, bottom - first)
        pixels = np.concatenate([band for _, band, _ in kept])[cut]
        alphas = [alpha for _, _, alpha in kept if alpha is not None]
        return Canvas.of(
            pixels,
            alpha=np.concatenate(alphas)[cut] if alphas else None,
            encoding=self._encoding,
            weight=self._how.weight(self.height, self.width, top, bottom),
            strength=self._how.strength,
        )

    def _restart(self, top: int) -> None:
        self.close()
        self._kept.clear()
        self._bottom = top
        self._pass = _Pass(self._reader, top)

    def asks_for(self, tile: Tile) -> bool:
        """Whether anything in the tile is to be restored."""
        return self._wanted(tile)

    def close(self) -> None:
        """End the thread that reads."""
        if self._pass is not None:
            self._pass.stop()
            self._pass = None

    def __enter__(self) -> BandView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def written_behind(writer: RowWriter) -> Generator[Sink, None, None]:
    """A sink whose rows are written by another thread, a few bands behind.

    All are written when the context ends. What goes wrong there is raised by the sink, or at the
    end.
    """
    waiting: queue.Queue[_Rows | None] = queue.Queue(AHEAD)
    failures: list[BaseException] = []

    def write() -> None:
        while (rows := waiting.get()) is not None:
            if not failures:
                try:
                    writer.write(*rows)
                except BaseException as error:
                    failures.append(error)

    def sink(rows: Array, band: Canvas) -> None:
        if failures:
            raise failures[0]
        waiting.put((rows, band.alpha))

    thread = threading.Thread(target=write, name="moce-encode", daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        waiting.put(None)
        thread.join()
    if failures:
        raise failures[0]
