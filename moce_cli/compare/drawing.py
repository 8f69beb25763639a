"""Pictures with words on them: side by side, and the map of experts with its legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from moce_cli.compare.comparison import Compared, as_srgb
from moce_cli.compare.experts import ExpertMap
from moce_cli.pages import COLOURS
from moce_cli.pictures import Picture

Array = npt.NDArray[Any]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

BACK, INK, SOFT = "#fbfbfa", "#1d1d1b", "#6b6b66"
MAIN_SIDE = 1200
"""Pixels that the longer side of a map has at most; small pictures are enlarged towards it."""
_SMALL_SIDE = 240
_TINT = 0.55
"""How much of an expert's colour covers the grey picture."""
_LINE = (255, 255, 255, 110)
_LEAST_CELL = 20
"""Pixels of a cell's side below which lines would hide the picture."""
_LEAST_NUMBER = 11
"""Pixels of a number's height; cells too small for one share it with their neighbours."""


def side_by_side(compared: Sequence[Compared], experts: ExpertMap | None = None) -> Array:
    """The pictures beside each other with their names, all as large as the first.

    Args:
        compared: up to three in a row, more in a square.
        experts: shown as one more picture.

    Returns:
        `(H, W, 3)` uint8, sRGB.
    """
    first = compared[0].picture
    size = (first.width, first.height)
    panels = [(_fitted(_rgb(c.picture), size), c.label, c.described) for c in compared]
    if experts is not None:
        drawn = tinted(experts, _rgb(first))
        panels.append((drawn, "experts", f"{experts.decided}; the one that most blocks took"))
    unit = max(13, min(64, first.width // 30))
    gap, band = unit, unit * 4
    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    rows = -(-len(panels) // columns)
    whole = (
        columns * (first.width + gap) + gap,
        rows * (first.height + gap + band) + gap,
    )
    sheet = Image.new("RGB", whole, BACK)
    pen = ImageDraw.Draw(sheet)
    for index, (panel, name, described) in enumerate(panels):
        left = gap + index % columns * (first.width + gap)
        top = gap + index // columns * (first.height + gap + band)
        sheet.paste(panel, (left, top))
        under = top + first.height + unit // 2
        pen.text((left, under), _short(name, unit, first.width), INK, _font(unit))
        described = _short(described, round(unit * 0.8), first.width)
        pen.text((left, under + unit * 1.5), described, SOFT, _font(round(unit * 0.8)))
    return np.asarray(sheet)


def map_sheet(experts: ExpertMap, picture: Picture, title: str) -> Array:
    """The map of who worked where, its legend, what was saved, and a small map of each block.

    Args:
        experts: of the picture.
        picture: that was restored.
        title: such as its name.

    Returns:
        `(H, W, 3)` uint8, sRGB.
    """
    photo = _scaled(_rgb(picture), MAIN_SIDE)
    edge, side, line = 32, 500, 26
    small = _scaled(photo, _SMALL_SIDE)
    blocks = len(experts.levels)
    width = max(photo.width, 3 * (small.width + 16)) + 3 * edge + side
    per_row = max(1, (width - 2 * edge + 16) // (small.width + 16))
    rows = -(-blocks // per_row)
    legend = 4 * line + experts.num_experts * 46 + 4 * line
    below = 84 + max(photo.height, legend) + edge
    sheet = Image.new("RGB", (width, below + 34 + rows * (small.height + 42) + edge // 2), BACK)
    pen = ImageDraw.Draw(sheet)
    report = experts.report
    pen.text((edge, 22), _short(title, 26, width - 2 * edge), INK, _font(26))
    told = f"{report.width} x {report.height}, {report.model}, routing by {report.routing}"
    pen.text((edge, 54), _short(told, 16, width - 2 * edge), SOFT, _font(16))
    sheet.paste(tinted(experts, photo), (edge, 90))
    _legend(pen, experts, left=width - edge - side, top=90, line=line)
    pen.text((edge, below), "Block by block, in the order in which they run", INK, _font(18))
    for block in range(blocks):
        left = edge + block % per_row * (small.width + 16)
        top = below + 32 + block // per_row * (small.height + 42)
        sheet.paste(tinted(experts, small, block), (left, top))
        name = _short(experts.block_name(block), 14, small.width)
        pen.text((left, top + small.height + 4), name, SOFT, _font(14))
    return np.asarray(sheet)


def _legend(
    pen: ImageDraw.ImageDraw, experts: ExpertMap, *, left: int, top: int, line: int
) -> None:
    pen.text((left, top), "The expert that most blocks took", INK, _font(18))
    pen.text((left, top + line), experts.decided, SOFT, _font(15))
    top += 3 * line
    for expert, told in enumerate(experts.legend()):
        pen.rounded_rectangle((left, top, left + 34, top + 34), 5, COLOURS[expert % len(COLOURS)])
        pen.text((left + 17, top + 17), str(expert), "#111111", _font(20), anchor="mm")
        pen.text((left + 48, top + 8), told, INK, _font(16))
        top += 46
    pen.text((left, top + line // 2), "Cost saved", INK, _font(18))
    macs = experts.report.macs
    words = (
        experts.saved,
        f"{macs.run / 1e9:.2f} GMAC of {macs.all_experts / 1e9:.2f} with all experts",
    )
    for number, told in enumerate(words):
        pen.text((left, top + line // 2 + (number + 1) * line), told, SOFT, _font(15))


def tinted(experts: ExpertMap, photo: Image.Image, block: int | None = None) -> Image.Image:
    """A grey picture under the colours and numbers of experts.

    Args:
        experts: of the picture.
        photo: the picture at any scale.
        block: of the network; None shows the expert that most blocks took.
    """
    image = Image.fromarray(_tint(experts, photo, block))
    _line_cells(image, experts)
    _number_cells(image, experts, block)
    return image


def coarse(experts: ExpertMap, picture: Picture, height: int, width: int) -> Array:
    """The colours of `tinted` in so few places that each can be a character.

    Args:
        experts: of the picture.
        picture: that was restored.
        height: places from top to bottom.
        width: places from left to right.

    Returns:
        `(height, width, 3)` uint8.
    """
    return _tint(experts, _rgb(picture).resize((width, height), Image.Resampling.BOX), None)


def _tint(experts: ExpertMap, photo: Image.Image, block: int | None) -> Array:
    rgb = np.asarray([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS], np.float32)
    chosen = _table(experts, block)
    colours = rgb[chosen % len(COLOURS)][np.ix_(*experts.places(photo.height, photo.width))]
    grey = np.asarray(photo.convert("L"), np.float32)[:, :, None]
    return (_TINT * colours + (1 - _TINT) * grey).round().astype(np.uint8)


def _table(experts: ExpertMap, block: int | None) -> Array:
    return np.asarray(experts.experts(block)).reshape(experts.rows, experts.columns)


def _line_cells(image: Image.Image, experts: ExpertMap) -> None:
    """A thin light line between cells that are large enough for one."""
    if min(image.height / experts.rows, image.width / experts.columns) < _LEAST_CELL:
        return
    pen = ImageDraw.Draw(image, "RGBA")
    for top in experts.tops[1:-1]:
        y = top * image.height / experts.tops[-1]
        pen.line((0, y, image.width, y), _LINE)
    for left in experts.lefts[1:-1]:
        x = left * image.width / experts.lefts[-1]
        pen.line((x, 0, x, image.height), _LINE)


def _number_cells(image: Image.Image, experts: ExpertMap, block: int | None) -> None:
    """Each cell's number in its middle; where cells are too small, every second's, third's ..."""
    chosen = _table(experts, block)
    scale = image.height / experts.tops[-1], image.width / experts.lefts[-1]
    height, width = image.height / experts.rows, image.width / experts.columns
    size = max(_LEAST_NUMBER, min(30, round(min(height, width) * 0.35)))
    step = math.ceil(1.6 * size / height), math.ceil(1.6 * size / width)
    pen, font = ImageDraw.Draw(image), _font(size)
    for index, (top, left, bottom, right) in enumerate(experts.boxes()):
        row, column = divmod(index, experts.columns)
        middle = (row % step[0] == step[0] // 2, column % step[1] == step[1] // 2)
        if not all(middle):
            continue
        at = ((left + right) / 2 * scale[1], (top + bottom) / 2 * scale[0])
        told = str(chosen[row, column])
        pen.text(
            at, told, "#000000", font, "mm", stroke_width=max(1, size // 10), stroke_fill="#ffffff"
        )


def _rgb(picture: Picture) -> Image.Image:
    return Image.fromarray(as_srgb(picture, chequers(picture.height, picture.width)))


def chequers(height: int, width: int, side: int = 8) -> Array:
    """What shines through where a picture is transparent: `(H, W, 3)` uint8."""
    light = (np.arange(height)[:, None] // side + np.arange(width)[None] // side) % 2
    return np.repeat(np.where(light, 204, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _scaled(image: Image.Image, side: int) -> Image.Image:
    """Its longer side as near to `side` as it can come: whole times larger, or any smaller."""
    longest = max(image.size)
    factor = side / longest if longest > side else max(1, side // longest)
    kind = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST
    return image.resize(
        (max(1, round(image.width * factor)), max(1, round(image.height * factor))), kind
    )


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _short(told: str, size: int, width: int) -> str:
    """Cut in the middle until it is no wider than `width` pixels."""
    font = _font(size)
    if font.getlength(told) <= width:
        return told
    keep = len(told)
    while keep > 2:
        keep -= 1
        cut = f"{told[: keep - keep // 2]}…{told[len(told) - keep // 2 :]}"
        if font.getlength(cut) <= width:
            return cut
    return ""
