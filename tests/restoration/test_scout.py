"""A tile is told of the whole picture, in one piece as in bands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import SMALL, checkpoint, noise
from PIL import Image

from moce_cli import Restorer
from moce_cli.network import MoCEIR, block_means, scene_of
from moce_cli.pictures.large import open_bands
from moce_cli.restoration.flight import Runway
from moce_cli.restoration.scout import scout
from moce_cli.restoration.view import Work
from moce_cli.tiling import plan_tiles

TOLD = replace(SMALL, embed_bias=True, scene=True)


def told_restorer(**options):
    """A network whose answer depends on the scene alone, but for its routing."""
    made = checkpoint(TOLD, seed=1)
    for name, value in made.state.items():
        if name.startswith("scene.heads"):
            value.normal_(0, 0.5, generator=torch.Generator().manual_seed(3))
    return Restorer(made, device="cpu", precision="fp32", threads=2, **options)


def split_picture():
    """Dark at the left, bright at the right."""
    picture = noise(96, 192) // 8
    picture[:, 96:] += 180
    return picture


@pytest.fixture
def scenes(monkeypatch):
    """What the network is told, tile by tile."""
    seen, restore = [], MoCEIR.restore

    def noted(self, degraded, routing=None, scene=None):
        seen.append(scene)
        return restore(self, degraded, routing, scene)

    monkeypatch.setattr(MoCEIR, "restore", noted)
    return seen


@pytest.mark.parametrize("routing", ["image", "tile", "1"])
def test_every_tile_is_told_of_the_whole(scenes, routing, monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.engine.sample_size", lambda *_: 2)
    picture = split_picture()
    report = told_restorer(tile=64, overlap=0, routing=routing).restore(picture).report
    assert report.tiles == 6
    assert len(scenes) >= 4
    whole = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    for scene in scenes:
        assert torch.equal(scene, scenes[0])
    # tiles may overlap, so that some squares count twice
    assert (scenes[0] - scene_of(block_means(whole))).abs().max() < 0.1


def test_a_picture_of_one_tile_is_its_own_scene(scenes):
    told_restorer(tile=256).restore(split_picture())
    assert scenes == [None]


def test_the_same_tile_in_another_picture_is_another_result():
    """Unlike for a network that sees no more than the tile."""
    picture = split_picture()
    bright = picture.copy()
    bright[:, :96] = 255 - bright[:, :96]

    def right_half(restorer):
        a, b = (restorer.restore(p).picture[:, 128:].astype(int) for p in (picture, bright))
        return np.abs(a - b).max()

    options = {"tile": 32, "overlap": 0, "routing": "1"}
    assert right_half(told_restorer(**options)) > 0
    unlike = Restorer(checkpoint(), device="cpu", precision="fp32", threads=2, **options)
    assert right_half(unlike) == 0


def test_the_flips_of_an_ensemble_are_told_too(scenes):
    told_restorer(tile=64, overlap=0, routing="1").restore(split_picture(), ensemble=True)
    assert len(scenes) == 8 * 6
    assert all(torch.equal(scene, scenes[0]) for scene in scenes)


def test_smaller_tiles_after_too_little_memory_are_told_the_same(scenes, monkeypatch):
    start, calls = Runway.start, []

    def failing(self, seen, *given, **options):
        calls.append(len(seen[0]))
        if len(calls) == 6:
            raise torch.OutOfMemoryError
        return start(self, seen, *given, **options)

    monkeypatch.setattr(Runway, "start", failing)
    made = told_restorer(tile=64, overlap=0, routing="2")
    made.threads = 1
    report = made.restore(split_picture()).report
    assert report.notes
    assert all(torch.equal(scene, scenes[0]) for scene in scenes)


@pytest.mark.parametrize("routing", ["image", "1"])
def test_in_bands_as_in_one_piece(tmp_path, routing):
    pytest.importorskip("pyvips")
    picture = np.concatenate([split_picture(), noise(300, 192)])
    Image.fromarray(picture).save(tmp_path / "a.png")
    made, rows = told_restorer(tile=64, overlap=8, routing=routing), []

    class Rows:
        def write(self, pixels, alpha):
            rows.append(pixels.copy())

    with open_bands(tmp_path / "a.png") as reader:
        made.restore_bands(reader, Rows)
    np.testing.assert_array_equal(np.concatenate(rows), made.restore(picture).picture)


def test_what_is_not_asked_for_is_not_looked_at():
    class Strips:
        """A view that knows which rows were taken."""

        height, width, channels = 128, 128, 3

        def __init__(self):
            self.taken = []

        def rows(self, top, bottom):
            self.taken.append(top)
            return self

        def seen(self, tile):
            return np.full((tile.height, tile.width, 3), 0.5, np.float32)

    view, grid = Strips(), plan_tiles(128, 128, tile_size=32, overlap=0)
    asked = {tile for tile in grid if tile.top >= 64 and tile.left == 0}
    found = scout(Work(view, 0, grid, asked, 1), 1, scene=True)
    assert view.taken == [64, 96], "each row of tiles once, from the top"
    assert len(found.tiles) == len(found.seen) == 1
    assert found.scene.eq(0.5).all()
    assert scout(Work(view, 0, grid, asked, 1), 0, scene=False).scene is None
