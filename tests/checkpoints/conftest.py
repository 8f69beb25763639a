"""Small weights, and folders of the test's own for everything that is kept on a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from moce_cli.checkpoints import ModelCard, save
from moce_cli.checkpoints.files import expected_shapes
from moce_cli.checkpoints.resolution import random_state
from moce_cli.network import MoCEIRConfig

TINY = MoCEIRConfig(
    width=8,
    encoder_blocks=(1, 1, 1),
    latent_blocks=1,
    decoder_blocks=(1, 1, 1),
    refinement_blocks=1,
    heads=(1, 1, 2, 2),
)
CARD = ModelCard(
    name="tiny",
    version="1.2",
    summary="Made for tests.",
    degradations=("nothing at all",),
    training_data="none",
    licence="Apache-2.0",
    facts={"steps": 0, "scores": {"sigma 25": 20.5}},
)


@pytest.fixture(scope="session")
def config():
    return TINY


@pytest.fixture(scope="session")
def card():
    return CARD


@pytest.fixture
def state():
    return random_state(TINY)


@pytest.fixture(scope="session")
def _tiny_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(path, random_state(TINY), TINY, CARD)
    return path.read_bytes()


@pytest.fixture
def weights(tmp_path, _tiny_bytes) -> Path:
    """A weights file that the test may damage."""
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(_tiny_bytes)
    return path


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No test sees, or touches, what the machine holds."""
    folders = {name: tmp_path / name for name in ("shipped", "home", "hf")}
    folders["shipped"].mkdir()
    monkeypatch.setenv("MOCE_WEIGHTS", str(folders["shipped"]))
    monkeypatch.setenv("MOCE_HOME", str(folders["home"]))
    monkeypatch.setenv("HF_HOME", str(folders["hf"]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folders


@pytest.fixture(scope="session")
def shapes():
    return expected_shapes(TINY)
