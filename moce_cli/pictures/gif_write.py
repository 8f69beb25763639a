"""GIF written: a palette of up to 256 colours for each frame."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from moce_cli.pictures.gif_blocks import with_carried
from moce_cli.pictures.picture import Picture

_COLOURS = 255
_CLEAR = 255  # the entry of what is transparent
_HALF = 128  # alpha from which on a pixel is there
_CENTISECOND = 10  # milliseconds
_EVEN = 0.01  # of a hundredth of a second


def encode(
    frames: tuple[Picture, ...],
) -> tuple[bytes, tuple[Picture, ...], tuple[str, ...]]:
    """The frames as a GIF, with the alpha that it holds of them, and what it could not hold."""
    notes: list[str] = []
    images: list[Image.Image] = []
    for frame in frames:
        image, more = _image(frame)
        images.append(image)
        notes += more
    source = frames[0].source
    options: dict[str, object] = {}
    if len(frames) > 1:
        ends = np.cumsum([frame.source.duration_ms or 0 for frame in frames]) / _CENTISECOND
        if np.abs(ends - ends.round()).max() > _EVEN:
            notes.append("GIF counts hundredths of a second: the frames' times were rounded")
        options = {
            "save_all": True,
            "append_images": images[1:],
            "duration": (np.diff(ends.round(), prepend=0) * _CENTISECOND).astype(int).tolist(),
            "disposal": 2,
        }
        if source.loops != 1:
            options["loop"] = min(max(0, (source.loops or 0) - 1), 65535)  # GIF counts the repeats
    if source.text:
        options["comment"] = "\n".join(text for _, text in source.text).encode("utf-8")
    if any(frame.alpha is not None for frame in frames):
        options["transparency"] = _CLEAR
    out = io.BytesIO()
    images[0].save(out, "GIF", optimize=False, **options)
    clear = tuple(
        frame
        if frame.alpha is None
        else replace(frame, alpha=np.where(frame.alpha < _HALF, 0, 255).astype(np.uint8))
        for frame in frames
    )
    data = with_carried(out.getvalue(), source.xmp, source.icc)
    return data, clear, tuple(dict.fromkeys(notes))


def _image(frame: Picture) -> tuple[Image.Image, list[str]]:
    """A frame with its palette."""
    notes: list[str] = []
    samples = frame.pixels.repeat(3, axis=2) if frame.channels == 1 else frame.pixels
    plain = Image.fromarray(samples)
    colours = plain.getcolors(_COLOURS)
    if colours is None:
        notes.append("GIF holds 256 colours: others were mixed from dots of those")
        image = plain.quantize(
            _COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG
        )
    else:
        image = _exact(samples, [colour for _, colour in colours])
    if frame.alpha is not None:
        if ((frame.alpha > 0) & (frame.alpha < 255)).any():
            notes.append("GIF holds no half transparency: alpha became all or nothing")
        indices = np.asarray(image).copy()
        indices[frame.alpha < _HALF] = _CLEAR
        palette = image.getpalette() or []
        image = Image.fromarray(indices, "P")
        image.putpalette(palette + [0] * (768 - len(palette)))
    return image, notes


def _exact(samples: np.ndarray, colours: list[object]) -> Image.Image:
    """A frame of few colours, each of them kept."""
    table = np.array(colours, np.uint8).reshape(-1, 3)
    keys = table.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    order = np.argsort(keys)
    wanted = samples.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    indices = order[np.searchsorted(keys[order], wanted)].astype(np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(table.ravel().tolist() + [0] * (768 - table.size))
    return image
