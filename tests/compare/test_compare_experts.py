"""The map of experts: as data, drawn, and in a terminal."""

from dataclasses import replace

import numpy as np
import pytest
from networks import SMALL, checkpoint
from rich.color import Color

from moce_cli.cli.experts import colour_lines, number_lines
from moce_cli.compare import compare, expert_map, map_sheet, side_by_side
from moce_cli.compare.drawing import MAIN_SIDE, coarse, tinted
from moce_cli.evaluation.maps import tile_experts
from moce_cli.pages import COLOURS
from moce_cli.pictures import Picture
from moce_cli.restoration import Restorer


def restored(routing, height=90, width=120, **options):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, width)[None, :, None] * rng.random((height, width, 3))
    picture = Picture((ramp * 255).astype(np.uint8))
    restorer = Restorer(
        checkpoint(), device="cpu", precision="fp32", threads=1, routing=routing, **options
    )
    return picture, restorer.restore(picture).report


@pytest.fixture(scope="module")
def tiles():
    picture, report = restored("tile", tile=32, overlap=8)
    return picture, expert_map(report, SMALL)


def test_every_pixel_lies_in_the_cell_of_the_nearest_tile(tiles):
    _, found = tiles
    assert found.rows * found.columns == len(found.cells) > 4
    rows, columns = found.places(90, 120)
    for block in (None, 0, 2):
        expected = tile_experts(found.report, block)
        seen = np.asarray(found.experts(block)).reshape(found.rows, found.columns)
        assert np.array_equal(seen[np.ix_(rows, columns)], expected)
    covered = np.zeros((90, 120), int)
    for top, left, bottom, right in found.boxes():
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


def test_shares_are_those_of_the_report(tiles):
    _, found = tiles
    total = sum(found.report.experts.values())
    assert found.shares() == tuple(found.report.experts[e] / total for e in range(4))
    assert sum(found.shares()) == pytest.approx(1)
    assert f"{found.shares()[0]:.0%} of the decisions" in found.legend()[0]


def test_a_higher_expert_costs_more_and_the_cheapest_one(tiles):
    _, found = tiles
    assert found.work[0] == 1
    assert list(found.work) == sorted(found.work)
    assert found.work[3] > 3
    macs = found.report.macs
    assert f"{macs.saved_of_experts:.0%} of the experts" in found.saved


@pytest.mark.parametrize(("routing", "words"), [("image", "whole picture"), ("2", "was forced")])
def test_one_decision_is_one_cell(routing, words):
    _, report = restored(routing, tile=64, overlap=8)
    found = expert_map(report, SMALL)
    assert found.cells == (tuple(block.expert for block in report.blocks),)
    assert found.boxes() == [(0, 0, 90, 120)]
    assert words in found.decided


def test_there_is_no_map_where_the_tiles_changed_on_the_way(tiles):
    _, found = tiles
    changed = replace(found.report, tile_experts=found.report.tile_experts[1:])
    assert expert_map(changed, SMALL) is None


def test_the_drawing_has_each_experts_colour_in_its_place(tiles):
    picture, found = tiles
    grey = Picture(np.full_like(picture.pixels, 128))
    drawn = np.asarray(coarse(found, grey, 90, 120)).astype(int)
    rows, columns = found.places(90, 120)
    chosen = np.asarray(found.experts()).reshape(found.rows, found.columns)[np.ix_(rows, columns)]
    assert len(np.unique(chosen)) > 1
    for expert in np.unique(chosen):
        colour = COLOURS[expert]
        rgb = np.asarray([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        expected = 0.55 * rgb + 0.45 * 128
        assert np.abs(drawn[chosen == expert] - expected).max() <= 1
    assert coarse(found, grey, 7, 9).shape == (7, 9, 3)


def test_a_line_parts_cells_of_one_colour_where_there_is_room(tiles):
    from PIL import Image

    _, found = tiles
    same = replace(found, cells=tuple((0,) * len(found.levels) for _ in found.cells))
    for scale, lined in ((8, True), (0.5, False)):
        size = round(found.lefts[-1] * scale), round(found.tops[-1] * scale)
        drawn = np.asarray(tinted(same, Image.new("RGB", size, (128, 128, 128)))).astype(int)
        x = round(found.lefts[1] * scale)
        assert (drawn[0, x] > drawn[0, x - 3]).all() == lined


def test_numbers_are_on_the_drawing_however_small_the_cells(tiles):
    from PIL import Image

    _, found = tiles
    for side in (120, 240, 1200):
        photo = Image.new("RGB", (side, side * 3 // 4), (128, 128, 128))
        seen = np.asarray(tinted(found, photo)).reshape(-1, 3)
        assert (seen >= 235).all(axis=1).any(), "a white rim"
        assert (seen <= 90).all(axis=1).any(), "around black ink"
        tint = coarse(found, Picture(np.asarray(photo)), 30, 40).reshape(-1, 3)
        assert not (tint >= 235).all(axis=1).any()
        assert not (tint <= 90).all(axis=1).any()


@pytest.mark.parametrize(("height", "width"), [(90, 120), (300, 40), (40, 700)])
def test_the_sheet_holds_map_legend_and_blocks_for_any_shape(height, width):
    picture, report = restored("tile", height, width, tile=64, overlap=8)
    sheet = map_sheet(expert_map(report, SMALL), picture, "a name " * 40)
    assert sheet.dtype == np.uint8
    assert 500 < sheet.shape[1] <= MAIN_SIDE + 1200
    seen = set(np.unique(sheet.astype(int) @ (0x10000, 0x100, 1)).tolist())
    for colour in COLOURS[:4]:  # the legend names each expert, also one that never ran
        assert int(colour[1:], 16) in seen
    assert (sheet[:, -8:] == sheet[0, 0]).all(), "nothing runs over the edge"
    assert (sheet[-4:] == sheet[0, 0]).all()


def test_side_by_side_shows_each_picture_untouched(photo, tiles):
    paths = [photo(f"{i}.png", height=90, width=120, seed=i) for i in range(5)]
    compared = compare(paths)
    for count, (rows, columns) in ((2, (1, 2)), (3, (1, 3)), (5, (2, 3))):
        sheet = side_by_side(compared[:count])
        gap = sheet.shape[1] - columns * 120
        assert 0 < gap < 120
        assert rows * 90 < sheet.shape[0] < rows * 190
        for one in compared[:count]:
            pixels = one.picture.pixels
            tops, lefts = np.nonzero((sheet == pixels[0, 0]).all(axis=2))
            found = [
                np.array_equal(sheet[t : t + 90, left : left + 120], pixels)
                for t, left in zip(tops, lefts, strict=True)
            ]
            assert any(found)
    with_map = side_by_side(compared[:2], tiles[1])
    assert with_map.shape == side_by_side(compared[:3]).shape


def test_side_by_side_enlarges_a_smaller_picture(photo):
    compared = compare([photo("a.png", height=90, width=120), photo("b.png", height=45, width=60)])
    alike = compare([photo("a.png", height=90, width=120), photo("c.png", height=90, width=120)])
    assert side_by_side(compared).shape == side_by_side(alike).shape


def test_in_a_terminal_colours_follow_the_cells_and_each_has_its_number(tiles):
    picture, found = tiles
    lines = colour_lines(found, picture, 60)
    assert all(len(line) == 60 for line in lines)
    assert len(lines) == round(60 * 90 / 120 / 2)
    expected = coarse(found, picture, len(lines), 60)
    for y, line in enumerate(lines):
        for x, span in enumerate(line.spans):
            assert Color.parse(span.style.bgcolor.name).triplet == tuple(expected[y, x])
    told = "".join(line.plain.replace(" ", "") for line in lines)
    assert told == "".join(map(str, found.experts()))
    narrow = number_lines(found, 3)
    assert all(len(line) <= 3 for line in narrow)
