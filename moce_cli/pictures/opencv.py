"""OpenCV, imported when it is first needed: it is slow to load and may lack a system library."""

from __future__ import annotations

import functools
from types import ModuleType

from moce_cli.errors import MoceError
from moce_cli.runtime import usable_cores


@functools.cache
def opencv() -> ModuleType:
    """The cv2 module, its own log silenced, on the cores that may be used.

    Raises:
        MoceError: it can't be loaded.
    """
    try:
        import cv2
    except ImportError as error:
        raise MoceError(
            f"OpenCV can't be loaded: {error}",
            hint="Replace it: pip uninstall opencv-python; pip install opencv-python-headless",
        ) from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(usable_cores())
    return cv2
