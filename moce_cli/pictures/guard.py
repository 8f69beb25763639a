"""Pillow, kept quiet and without limits of its own while we use it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from PIL import Image, ImageFile

_lock = threading.Lock()
_inside = 0
_outer: tuple[int | None, bool] = (None, False)
_filters = warnings.catch_warnings()


@contextmanager
def pillow_guard() -> Generator[None, None, None]:
    """No warning, no size limit, no forgiving of truncated files, until the last thread leaves.

    Sizes are checked by us before anything is decoded. These three are settings of the whole
    process; they are changed for as long as any thread is inside, and restored then, so another
    user of Pillow in the same process has its own again afterwards. Threads do not wait for each
    other.
    """
    global _inside, _outer, _filters
    with _lock:
        if _inside == 0:
            _outer = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _filters.__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = _outer
