"""The page: one file, every picture in it, nothing from outside."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from eval_files import clean_folder, pair_folder, restorer, smooth
from PIL import Image

from moce_cli.evaluation import find_rows, score_row, suite_rows
from moce_cli.evaluation.datasets import unit
from moce_cli.evaluation.maps import draw_experts, error_map, tile_experts, to_8_bit
from moce_cli.evaluation.page import page


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.sources, self.tags, self.captions, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        if given.get("src"):
            self.sources.append(given["src"])

    def handle_data(self, data):
        self.text.append(data)
        if self.tags[-1:] == ["figcaption"]:
            self.captions.append(data)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = clean_folder(tmp_path_factory.mktemp("a") / "<clean & neat>", 3, 80, 96)
    return suite_rows(folder, ["noise 50", "undamaged"])


def pictures(text):
    sources = Reader(text).sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        for source in sources
    ]


def test_a_page_with_one_decision_for_each_picture(rows):
    model = restorer()
    results = [score_row(row, [("m<1>", model)], show=2) for row in rows]
    text = page(results, "moce eval: m<1>")
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"@import|url\(|<link|<iframe|src=[\"']?(?!data:)\w", text)
    assert "m<1>" not in text
    assert "<clean" not in text
    reader = Reader(text)
    assert any("<clean & neat>" in part for part in reader.text)
    shown = pictures(text)
    assert len(shown) == 2 * 2 * 4  # rows, samples; degraded, restored, clean, error
    degraded, clean = rows[0].samples[0].load()
    assert np.abs(shown[0].astype(int) - degraded).mean() < 8  # through JPEG
    assert np.abs(shown[2].astype(int) - clean).mean() < 6
    blocks = results[0].shown[0].report.blocks
    numbers = re.findall(r'title="block \d">(\d)</span>', text)
    assert [int(n) for n in numbers[:3]] == [block.expert for block in blocks]
    assert "one decision for the whole picture" in text
    assert "prefers-color-scheme: dark" in text
    assert any("no error" in caption for caption in reader.captions)


def test_a_page_with_a_map_of_tiles(rows):
    model = restorer(routing="tile", tile=32, overlap=8)
    text = page([score_row(rows[0], [("m", model)], show=1)], "t")
    assert len(pictures(text)) == 5
    assert "experts by tile" in text


def test_a_row_without_pictures_is_in_the_table_alone(rows):
    text = page([score_row(rows[0], [("m", restorer(identity=True))])], "t")
    assert pictures(text) == []
    assert "noise 50" in text


def test_the_map_says_which_expert_the_nearest_tile_took():
    model = restorer(routing="tile", tile=32, overlap=8)
    report = model.restore(smooth(80, 96)).report
    grid = report.plan.grid(80, 96)
    assert len(report.tile_experts) == len(grid) > 4
    for block in (0, 2):
        seen = tile_experts(report, block)
        assert seen.shape == (80, 96)
        for tile, experts in zip(grid, report.tile_experts, strict=True):
            middle = (tile.top + tile.height // 2, tile.left + tile.width // 2)
            assert seen[middle] == experts[block]
    most = tile_experts(report)
    first = report.tile_experts[0]
    assert most[0, 0] == max(sorted(set(first)), key=first.count)
    assert tile_experts(restorer().restore(smooth(80, 96)).report) is None


def test_the_error_map_is_dark_where_nothing_is_wrong():
    clean = smooth(20, 30)
    wrong = unit(clean).copy()
    wrong[:, 15:] = np.abs(wrong[:, 15:] - 0.2)
    drawn = error_map(wrong, clean)
    assert drawn.dtype == np.uint8
    assert drawn[:, :15].max() < 10
    assert drawn[:, 15:].mean() > 100


def test_experts_are_told_apart_by_number_as_well_as_colour():
    experts = np.zeros((60, 80), np.uint8)
    experts[:, 40:] = 2
    grey = np.full((60, 80, 3), 128, np.uint8)
    drawn = draw_experts(experts, grey)
    left, right = drawn[5, 5].astype(int), drawn[5, 75].astype(int)
    assert np.abs(left - right).max() > 60
    flat = draw_experts(np.zeros((10, 10), np.uint8), grey[:10, :10])  # too small for a number
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 2


def test_pictures_of_any_depth_become_eight_bits():
    picture = smooth(10, 10)
    assert np.array_equal(to_8_bit(picture.astype(np.uint16) * 257), picture)
    assert np.array_equal(to_8_bit(unit(picture)), picture)


def test_pairs_are_named_after_their_folder(tmp_path):
    assert find_rows(pair_folder(tmp_path / "mine"))[0].dataset == "mine"
