"""TIFF's 16-bit and floating-point pixels, which Pillow would cut or refuse.

Such a page is described anew as a wider 8-bit grey one without a predictor. Its packed bytes mean
the same in both, so Pillow unpacks them whatever the compression, and the samples are put together
here.

Source: TIFF 6.0; Adobe's technical notes 1 and 3 (predictors).
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image

from moce_cli.pictures.decode import Samples, UnsupportedError
from moce_cli.pictures.ifd import LONG, SHORT, DamagedError, entry, pack
from moce_cli.pictures.picture import Pixels
from moce_cli.pictures.tiff import (
    BITS,
    COMPRESSION,
    FILL_ORDER,
    HEIGHT,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    STRIP_ROWS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    Tiff,
)
from moce_cli.pictures.tiff_predict import join

# none, LZW, Deflate (both numbers), PackBits, LZMA, Zstandard: they know bytes, not samples
_BYTE_COMPRESSIONS = (1, 5, 8, 32946, 32773, 34925, 50000)
_PREDICTED = (5, 8, 32946, 34925, 50000)


def decode_wide(file: BinaryIO, tiff: Tiff, icc: bytes | None) -> Samples:
    """The pixels of a page of 16-bit or floating-point samples, grey or RGB, as stored.

    Raises:
        DamagedError: tables that do not fit together, or pixels that are missing.
        UnsupportedError: a compression that knows samples.
    """
    compression, photometric = tiff.value(COMPRESSION, 1), tiff.value(PHOTOMETRIC)
    if compression not in _BYTE_COMPRESSIONS:
        raise UnsupportedError(f"{tiff.depth}-bit samples in compression {compression}")
    predictors = (1, 2, 3) if tiff.is_float else (1, 2)
    if tiff.value(PREDICTOR, 1) not in predictors or tiff.value(FILL_ORDER, 1) != 1:
        raise UnsupportedError(f"{tiff.depth}-bit samples in an unusual bit order or predictor")
    channels, colours = tiff.value(SAMPLES, 1), 3 if photometric == 2 else 1
    if set(tiff.values(BITS)) != {tiff.depth} or not colours <= channels <= 64:
        raise DamagedError(f"{channels} samples of {tiff.values(BITS)} bits make no picture")
    file.seek(0)
    stored = file.read()
    if tiff.value(PLANAR, 1) == 2:
        planes = [_unpack(stored, tiff, 1, plane, channels) for plane in range(channels)]
        array = np.concatenate(planes, axis=2)
    else:
        array = _unpack(stored, tiff, channels, 0, 1)
    if tiff.is_float:
        array = finite(array)
    pixels = np.ascontiguousarray(array[:, :, :colours])
    if photometric == 0:
        pixels = 1 - pixels if tiff.is_float else ~pixels
    kind = tiff.alpha_kind
    alpha = array[:, :, colours].copy() if kind else None
    if alpha is not None and kind == 1:
        pixels = _unmultiply(pixels, alpha)
    return Samples(pixels, alpha, icc)


def finite(array: Pixels) -> Pixels:
    """Floats of any size as float32.

    Raises:
        UnsupportedError: some are none, or too large.
    """
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UnsupportedError("samples that are infinite or no numbers")
    return array


def _unpack(stored: bytes, tiff: Tiff, channels: int, plane: int, planes: int) -> Pixels:
    """The samples of all channels, or of one plane, (H, W, channels), 16-bit or floats."""
    height, width, order = tiff.value(HEIGHT), tiff.value(WIDTH), tiff.tables.order
    size = tiff.depth // 8
    sample_bytes = size * channels
    tiled = TILE_OFFSETS in tiff.tags
    offsets = tiff.values(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    lengths = tiff.values(TILE_BYTES if tiled else STRIP_BYTES)
    each = len(offsets) // planes
    part = slice(plane * each, (plane + 1) * each)
    block_width = tiff.value(TILE_WIDTH) if tiled else width
    rows = tiff.value(TILE_HEIGHT) if tiled else min(tiff.value(STRIP_ROWS, height), height)
    if not each or len(lengths) != len(offsets) or block_width < 1 or rows < 1:
        raise DamagedError("its strips or tiles are missing")
    blocks = -(-height // rows) * -(-width // block_width)
    if each < blocks:
        raise DamagedError(f"it has {each} of {blocks} strips or tiles")
    spans = zip(offsets[part], lengths[part], strict=True)
    if any(at + length > len(stored) for at, length in spans):
        raise DamagedError("it is cut short")
    predictor = tiff.value(PREDICTOR, 1) if tiff.value(COMPRESSION, 1) in _PREDICTED else 1
    # the predictor of floats runs over whole rows of a tile, what lies beyond the edge included
    padded = -(-width // block_width) * block_width if predictor == 3 else width
    names = (TILE_OFFSETS, TILE_BYTES) if tiled else (STRIP_OFFSETS, STRIP_BYTES)
    tags = [
        entry(order, WIDTH, LONG, padded * sample_bytes),
        entry(order, HEIGHT, LONG, height),
        entry(order, BITS, SHORT, 8),
        entry(order, COMPRESSION, SHORT, tiff.value(COMPRESSION, 1)),
        entry(order, PHOTOMETRIC, SHORT, 1),
        entry(order, SAMPLES, SHORT, 1),
        entry(order, names[0], LONG, *offsets[part]),
        entry(order, names[1], LONG, *lengths[part]),
    ]
    if tiled:
        tags += [entry(order, TILE_WIDTH, LONG, block_width * sample_bytes)]
        tags += [entry(order, TILE_HEIGHT, LONG, rows)]
    else:
        tags += [entry(order, STRIP_ROWS, LONG, rows)]
    at = len(stored) + len(stored) % 2
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "I", at)
    described = head + stored[8:].ljust(at - 8, b"\0") + pack(tags, order, at)
    with Image.open(io.BytesIO(described), formats=["TIFF"]) as image:
        image.load()
        raw = np.asarray(image)
    if predictor == 3:
        row_bytes = block_width * sample_bytes
        parts = [
            join(raw[:, left : left + row_bytes], block_width, channels, size)
            for left in range(0, raw.shape[1], row_bytes)
        ]
        return np.concatenate(parts, axis=1)[:, :width]
    samples = raw.view(f"{order}u{size}").astype(f"=u{size}").reshape(height, width, channels)
    if predictor == 2:
        for left in range(0, width, block_width):
            block = samples[:, left : left + block_width]
            np.cumsum(block, axis=1, dtype=block.dtype, out=block)
    return samples.view(f"=f{size}") if tiff.is_float else samples


def _unmultiply(pixels: Pixels, alpha: Pixels) -> Pixels:
    if pixels.dtype.kind == "f":
        return pixels / np.where(alpha > 0, alpha, 1)[:, :, None]
    divisor = np.maximum(alpha, 1).astype(np.uint64)[:, :, None]
    restored = (pixels.astype(np.uint64) * 65535 + divisor // 2) // divisor
    return np.minimum(restored, 65535).astype(np.uint16)
