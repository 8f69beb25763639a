"""Repositories that are not what they say: one sentence, exit code 4, nothing kept or run."""

import json
import os
import pickle
import struct

import numpy as np
import pytest
from fake_hub import FakeHub, assert_fails
from PIL import Image
from safetensors.numpy import save as pack

from moce_cli.checkpoints import catalogue

REPO = "org/repo"


@pytest.fixture
def hub():
    with FakeHub() as server:
        yield server


class Runs:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def another_network(_mark):
    return pack({"layer.weight": np.zeros((4, 4), np.float32)}, {"format": "pt"})


def header(table, data=b""):
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def stating(mark, **architecture):
    """It says that it is one of ours."""
    words = {"moce_format": "1", "architecture": json.dumps(architecture), "card": "{}"}
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return header({"__metadata__": words, "a": tensor}, bytes(4))


HOSTILE = {
    "a pickle that runs code": lambda mark: pickle.dumps(Runs(mark)),
    "a page": lambda _: b"<!doctype html><title>Sign in</title>",
    "another network": another_network,
    "a network without end": lambda mark: stating(mark, width=10**9),
    "a network of nothing": lambda mark: stating(mark, experts="many"),
    "a header without end": lambda _: struct.pack("<Q", 2**63) + b"{}",
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_contents_that_are_no_model(moce, hub, places, tmp_path, what):
    mark = tmp_path / "mark"
    hub.add(REPO, HOSTILE[what](mark))
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    assert_fails(moce("models", "pull", REPO), f"the repository {REPO} holds no model for moce")
    assert catalogue.find(REPO) is None
    if b"system" in HOSTILE[what](mark):
        assert_fails(moce("restore", "a.png", "--model", REPO), REPO)
    assert not mark.exists()
    assert not (tmp_path / "a.restored.png").exists()
    assert not list((places["hf"] / "hub").rglob("blobs/*")), "nothing of it is kept"


@pytest.mark.parametrize("field", ["commit", "checksum"])
@pytest.mark.parametrize("name", ["../../../../../stray", "/{}/stray"])
def test_names_of_the_hub_that_lead_out_of_the_cache(
    moce, hub, places, weights, tmp_path, field, name
):
    name = name.format(tmp_path)
    if field == "commit":
        hub.add(REPO, weights.read_bytes(), commit=name)
    else:
        hub.add(REPO, weights.read_bytes())
        hub.declared_sha256 = name
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(places["hf"])}
    assert_fails(moce("models", "pull", REPO), REPO, f"the hub calls its {field}", "is no name")
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(places["hf"])}
    assert after - before <= {places["home"]}
    assert catalogue.find(REPO) is None
