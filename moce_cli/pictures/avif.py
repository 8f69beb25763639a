"""AVIF of more than 8 bits, which Pillow would cut: through OpenCV, which keeps 10 and 12.

Source: ISO/IEC 14496-12 (boxes); AV1-ISOBMFF 2.3 (`av1C`); ISO/IEC 23091-2 (`colr` of type nclx).
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from moce_cli.pictures.decode import Samples
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.opencv import opencv
from moce_cli.pictures.picture import Picture, Pixels

HEAD_BYTES = 2**16  # the boxes that describe come first
_PLAIN = ((1, 13), (2, 2), (1, 1), (1, 2), (2, 13), (1, 6), (5, 6), (6, 6))


def depth_stated(head: bytes) -> int:
    """Bits per sample by the first AV1 configuration in a file's head: 8, 10 or 12."""
    at = head.find(b"av1C")
    if at < 0 or at + 7 > len(head):
        return 8
    flags = head[at + 6]
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def is_grey(head: bytes) -> bool:
    """Whether the first AV1 configuration in a file's head has no colour planes."""
    at = head.find(b"av1C")
    return 0 <= at < len(head) - 6 and bool(head[at + 6] & 0x10)


def coded_colours(head: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """What a file's head says of its colours without a profile, as PNG's cICP chunk.

    Empty where it says sRGB, BT.709 (which viewers take for it) or nothing.
    """
    at = head.find(b"colrnclx")
    if at < 0 or at + 14 > len(head):
        return ()
    primaries = int.from_bytes(head[at + 8 : at + 10], "big")
    transfer = int.from_bytes(head[at + 10 : at + 12], "big")
    if (primaries, transfer) in _PLAIN or max(primaries, transfer) > 255:
        return ()
    return ((b"cICP", bytes((primaries, transfer, 0, 1))),)


def widened(samples: Pixels, depth: int) -> Pixels:
    """10-bit or 12-bit samples as 16-bit ones: white becomes white, exactly upwards."""
    return samples << (16 - depth) | samples >> (2 * depth - 16)


def decode_deep(file: BinaryIO, depth: int, icc: bytes | None) -> Samples | None:
    """The first frame's pixels at their depth, 16 bits; None if this OpenCV can't.

    Raises:
        DamagedError: they make no sense.
    """
    file.seek(0)
    pixels = opencv().imdecode(np.frombuffer(file.read(), np.uint8), -1)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if int(pixels.max()) >= 1 << depth:
        raise DamagedError(f"its samples are more than {depth} bits")
    pixels = widened(pixels, depth)
    if pixels.ndim == 2:
        return Samples(pixels[:, :, None].copy(), icc=icc)
    alpha = pixels[:, :, 3].copy() if pixels.shape[2] == 4 else None
    return Samples(np.ascontiguousarray(pixels[:, :, 2::-1]), alpha, icc)


def encode_deep(picture: Picture, quality: int) -> bytes | None:
    """A 16-bit picture with 12 bits (10 if its source had no more); None if this OpenCV can't."""
    cv2 = opencv()
    if not hasattr(cv2, "imencodeWithMetadata"):
        return None
    depth = stored_depth(picture)
    samples = picture.pixels
    samples = samples[:, :, ::-1]
    if picture.alpha is not None:
        samples = samples if samples.shape[2] == 3 else samples.repeat(3, axis=2)
        samples = np.concatenate([samples, picture.alpha[:, :, None]], axis=2)
    most = 2**depth - 1
    narrow = ((samples.astype(np.uint32) * most + 32767) // 65535).astype(np.uint16)
    source = picture.source
    kinds: list[int] = []
    blocks: list[Pixels] = []
    for kind, data in (
        (cv2.IMAGE_METADATA_EXIF, source.exif),
        (cv2.IMAGE_METADATA_XMP, source.xmp),
        (cv2.IMAGE_METADATA_ICCP, source.icc),
    ):
        if data:
            kinds.append(kind)
            blocks.append(np.frombuffer(data, np.uint8))
    options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, quality]
    done, data = cv2.imencodeWithMetadata(".avif", narrow, kinds, blocks, options)
    return data.tobytes() if done else None


def lost_deep(picture: Picture, quality: int, subsampling: str | None) -> tuple[str, ...]:
    """A sentence for each thing that `encode_deep` can't keep, or can't do as asked."""
    notes: list[str] = []
    depth = stored_depth(picture)
    if not 8 < picture.source.depth <= depth:
        notes.append(f"AVIF was stored with {depth} bits: 16-bit values were rounded")
    if picture.channels == 1 and picture.alpha is not None:
        notes.append(f"AVIF of {depth} bits holds no grey with alpha: it was stored as RGB")
    halved = picture.channels == 3 and quality < 100 and subsampling != "420"
    if halved and (subsampling or picture.source.format not in ("AVIF", "HEIC")):
        notes.append(f"AVIF of {depth} bits was stored with half the colour detail (4:2:0)")
    return tuple(notes)


def stored_depth(picture: Picture) -> int:
    """10 if the source had no more, else 12."""
    return 10 if picture.source.depth == 10 else 12
