"""Laws of tiles: they cover, their ramps sum to one, their borders don't show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moce_cli.errors import UsageError
from moce_cli.tiling import (
    MULTIPLE,
    BandBlender,
    SeamMeter,
    plan_axis,
    plan_tiles,
    ramps,
    sample_tiles,
)


@st.composite
def axes(draw):
    size = draw(st.integers(4, 40)) * 8
    overlap = draw(st.integers(0, size // 2))
    return draw(st.integers(1, 2000)), size, overlap


@given(axes())
def test_intervals_cover_overlap_and_stay_inside(axis):
    length, size, overlap = axis
    planned = plan_axis(length, size, overlap)
    assert planned.starts[0] == 0
    assert planned.starts[-1] + planned.size == length
    assert planned.size <= max(size, 0) or length <= size
    for a, b in zip(planned.starts, planned.starts[1:], strict=False):
        assert a < b
        assert a + planned.size - b >= overlap
    if len(planned.starts) > 1:
        assert planned.size % MULTIPLE == 0


@given(axes())
def test_no_more_intervals_than_needed(axis):
    length, size, overlap = axis
    count = len(plan_axis(length, size, overlap).starts)
    if count > 1:
        assert size + (count - 2) * (size - overlap) < length


@given(axes())
def test_ramps_sum_to_one(axis):
    planned = plan_axis(*axis)
    total = np.zeros(planned.length)
    for start, weights in ramps(planned).items():
        assert (weights >= 0).all()
        total[start : start + planned.size] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_tile_of_zero_is_the_whole_picture():
    grid = plan_tiles(31, 4000, tile_size=0, overlap=0)
    assert [(t.top, t.left, t.height, t.width) for t in grid] == [(0, 0, 31, 4000)]


@pytest.mark.parametrize(
    ("tile", "overlap", "sentence"),
    [
        (33, 0, "tile of 33 px"),
        (24, 0, "tile of 24 px"),
        (64, 33, "overlap of 33 px"),
        (64, -1, "overlap of -1"),
    ],
)
def test_sizes_out_of_range_are_refused(tile, overlap, sentence):
    with pytest.raises(UsageError, match=sentence):
        plan_tiles(100, 100, tile_size=tile, overlap=overlap)


def blend(picture, grid, change=lambda pixels, _: pixels, step=1000):
    blender, rows = BandBlender(grid, picture.shape[2]), []
    for i, top in enumerate(grid.rows.starts):
        for tile in grid.row(top):
            cut = picture[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
            blender.add(tile, change(cut, tile))
        starts = grid.rows.starts
        until = starts[i + 1] if i + 1 < len(starts) else picture.shape[0]
        rows += [blender.finish(min(at + step, until)) for at in range(top, until, step)]
    return np.concatenate(rows)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(4, 8),
    st.integers(0, 16),
    st.integers(1, 80),
)
def test_tiles_that_are_not_changed_blend_to_the_picture(height, width, eighths, overlap, step):
    """However many rows are taken at a time."""
    picture = np.random.default_rng(0).random((height, width, 3), np.float32)
    grid = plan_tiles(height, width, tile_size=8 * eighths, overlap=overlap)
    made = blend(picture, grid, step=step)
    np.testing.assert_allclose(made, picture, atol=1e-6)
    np.testing.assert_array_equal(made, blend(picture, grid))


def test_between_tiles_of_different_brightness_the_blend_is_smooth():
    grid = plan_tiles(64, 160, tile_size=64, overlap=16)
    flat = np.zeros((64, 160, 1), np.float32)
    row = blend(flat, grid, lambda p, t: p + t.left % 7)[0, :, 0]
    steps = np.abs(np.diff(row))
    assert steps.max() > 0
    assert steps.max() < 1.0, "without a ramp the whole difference falls on one pixel"


def texture(height, width):
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def score(picture, grid, band=16, degraded=None):
    meter = SeamMeter()
    meter.follow(grid)
    before = texture(*picture.shape[:2]) if degraded is None else degraded
    for top in range(0, len(picture), band):
        meter.add(picture[top : top + band], before[top : top + band], top)
    return meter.score


@pytest.mark.parametrize("band", [3, 16, 200])
def test_seam_is_one_where_nothing_shows(band):
    grid = plan_tiles(200, 240, tile_size=64, overlap=16)
    assert score(texture(200, 240), grid, band) == pytest.approx(1, abs=0.02)
    assert score(np.full((200, 240, 3), 0.5, np.float32), grid, band) == pytest.approx(1)


@pytest.mark.parametrize("axis", [0, 1])
def test_seam_grows_with_a_step_at_the_borders(axis):
    grid = plan_tiles(200, 200, tile_size=64, overlap=0)
    scores = []
    for step in (0, 0.1, 0.4):
        picture = texture(200, 200)
        edges = (grid.rows if axis == 0 else grid.columns).starts
        for i, edge in enumerate(edges):
            index = (slice(edge, None), slice(None))
            picture[index if axis == 0 else index[::-1]] += step * (-1) ** i
        scores.append(score(picture, grid))
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 1.02


def test_steps_that_were_there_before_are_no_seams():
    grid = plan_tiles(200, 200, tile_size=64, overlap=0)
    blocks = np.kron(np.random.default_rng(0).random((25, 25, 3)), np.ones((8, 8, 1)))
    blocks = (texture(200, 200) * 0.1 + blocks).astype(np.float32)
    assert score(blocks, grid) > 1.5, "judged alone, a JPEG's blocks look like seams"
    assert score(blocks, grid, degraded=blocks) == pytest.approx(1)


def test_a_score_does_not_depend_on_how_the_rows_come():
    grid = plan_tiles(200, 240, tile_size=64, overlap=16)
    scores = {round(score(texture(200, 240), grid, band), 6) for band in (5, 64, 200)}
    assert len(scores) == 1


def test_a_single_tile_has_no_seam():
    assert score(texture(40, 40), plan_tiles(40, 40, tile_size=64, overlap=16)) == 1


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 16))
@settings(deadline=None)
def test_a_sample_of_tiles_is_spread_and_of_the_grid(height, width, most):
    grid = plan_tiles(height, width, tile_size=32, overlap=8)
    sample = sample_tiles(grid, most)
    assert 1 <= len(sample) <= max(most, 1)
    assert set(sample) <= set(grid)
    assert len(set(sample)) == len(sample)
    if len(grid) >= 4 * most >= 16:
        assert len(sample) > most / 2
