"""Laws: a card that exists is complete and printable; it survives being written and read."""

import json

import pytest

from moce_cli.checkpoints import ModelCard
from moce_cli.errors import WeightsError

GOOD = {
    "name": "photo-xs",
    "version": "1",
    "summary": "Noise and compression.",
    "degradations": ["Gaussian noise", "JPEG"],
    "training_data": "photographs",
    "licence": "Apache-2.0",
    "facts": {"steps": 1000, "nested": {"psnr": [30.5, None]}},
}


def test_a_card_survives_json():
    card = ModelCard.from_dict(GOOD)
    assert card.degradations == ("Gaussian noise", "JPEG")
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert card.to_dict() == GOOD


@pytest.mark.parametrize("key", [key for key in GOOD if key != "facts"])
def test_every_key_but_facts_is_needed(key):
    with pytest.raises(WeightsError, match=f"lacks '{key}'"):
        ModelCard.from_dict({k: v for k, v in GOOD.items() if k != key})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "cannot be a model's name"),
        ({"name": "../evil"}, "cannot be a model's name"),
        ({"name": "-rf"}, "cannot be a model's name"),
        ({"name": "x" * 97}, "cannot be a model's name"),
        ({"name": 3}, "needs a text"),
        ({"summary": "  "}, "needs a text"),
        ({"licence": None}, "needs a text"),
        ({"summary": "\x1b[2Jgone"}, "control characters"),
        ({"degradations": []}, "at least one"),
        ({"degradations": "noise"}, "at least one"),
        ({"degradations": [1]}, "needs a text"),
        ({"facts": ["steps"]}, "no JSON object"),
        ({"facts": {"loss": float("nan")}}, "no JSON object"),
        ({"facts": {"x": object()}}, "no JSON object"),
        ({"facts": {"x": "\x1b[2J"}}, "control characters"),
        ({"facts": {"x": "\x9b2J"}}, "control characters"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_card_is_named(change, message):
    with pytest.raises(WeightsError, match=message):
        ModelCard.from_dict(GOOD | change)


def test_line_breaks_are_no_control_characters():
    card = ModelCard.from_dict(GOOD | {"summary": "one\ntwo", "facts": {"note": "one\ntwo\tthree"}})
    assert card.summary == "one\ntwo"


@pytest.mark.parametrize("values", [None, [], "card", 1])
def test_what_is_no_object_is_no_card(values):
    with pytest.raises(WeightsError, match="no JSON object"):
        ModelCard.from_dict(values)
