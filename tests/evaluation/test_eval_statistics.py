"""Statistics, against numbers worked out by hand or by laws."""

import math

import numpy as np
import pytest

from moce_cli.evaluation.information import routing_information
from moce_cli.evaluation.statistics import (
    clustered,
    entropy,
    mean_and_error,
    mutual_information,
    rank_correlation,
    shuffled_information,
    z_score,
)


def test_mean_and_error():
    assert mean_and_error([1, 3]) == (2, pytest.approx(1))
    assert mean_and_error([5]) == (5, None)
    assert mean_and_error([1, math.inf]) == (math.inf, None)


def test_rows_of_one_picture_count_once():
    differences, pictures = [1, 1, 1, 3, 3, 3], [0, 0, 0, 7, 7, 7]
    assert clustered(differences, pictures) == (2, pytest.approx(1))
    # six that are independent would have a smaller error
    assert mean_and_error(differences)[1] < 1
    mean, error = clustered([1, 2, 6], [0, 0, 1])
    assert (mean, error) == (3.75, pytest.approx(2.25))
    assert z_score(mean, error) == pytest.approx(3.75 / 2.25)
    assert z_score(1, None) is z_score(1, 0.0) is None


def test_entropy_and_information():
    assert entropy([1, 2, 3, 4]) == pytest.approx(2)
    assert entropy(["a"] * 5) == 0
    labels = [0, 1, 2, 3] * 25
    assert mutual_information(labels, labels) == pytest.approx(2)
    assert mutual_information([x % 2 for x in labels], labels) == pytest.approx(1)
    assert mutual_information([7] * 100, labels) == pytest.approx(0, abs=1e-12)


def test_shuffled_labels_tell_what_small_samples_pretend():
    rng = np.random.default_rng(0)
    few, many = rng.integers(0, 4, 24), rng.integers(0, 4, 4000)
    rows_few, rows_many = np.arange(24) % 6, np.arange(4000) % 6
    bias = shuffled_information(few.tolist(), rows_few.tolist(), [0] * 24).mean()
    assert bias > 0.25  # nothing is told, and it looks like this much
    assert bias == shuffled_information(few.tolist(), rows_few.tolist(), [0] * 24).mean()
    assert abs(mutual_information(few.tolist(), rows_few.tolist()) - bias) < 0.25
    chance = shuffled_information(many.tolist(), rows_many.tolist(), [0] * 4000, shuffles=5)
    assert chance.max() < 0.01


def test_a_routing_that_follows_the_damage_tells_all_of_it():
    rows = np.repeat(np.arange(4), 50)
    experts = np.stack([rows, np.zeros_like(rows), rows % 2], axis=1)[..., None]
    told = routing_information(experts, rows, np.tile(np.arange(50), 4))
    assert told.damage_entropy == pytest.approx(2)
    assert told.blocks[0].bits == told.joint.bits == pytest.approx(2)
    assert told.blocks[1].bits == told.blocks[1].entropy == 0
    assert told.blocks[2].bits == pytest.approx(1)
    assert told.best_block == 0
    assert told.joint.shuffled < 0.1
    assert told.joint.beyond_chance > 1.9


def test_a_routing_that_follows_the_picture_alone_tells_nothing_beyond_chance():
    rng = np.random.default_rng(0)
    pictures = np.tile(np.arange(20), 5)
    rows = np.repeat(np.arange(5), 20)
    kept = np.sort(rng.permutation(100)[:70])  # not every picture is in every row
    experts = rng.integers(0, 4, 20)[pictures][:, None, None]
    told = routing_information(experts[kept], rows[kept], pictures[kept])
    assert told.within_pictures
    assert told.joint.bits > 0.005
    assert told.joint.beyond_chance == pytest.approx(0, abs=1e-9)
    assert told.joint.shuffled_95 >= told.joint.shuffled - 1e-9
    alone = routing_information(rows[:, None, None], rows, np.arange(100))
    assert not alone.within_pictures  # else its labels could not be shuffled at all
    assert alone.joint.bits > alone.joint.shuffled_95 + 1


def test_rank_correlation():
    assert rank_correlation([1, 2, 3, 10], [5, 6, 7, 8]) == pytest.approx(1)
    assert rank_correlation([1, 2, math.inf], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2], [1, 2]) is None
