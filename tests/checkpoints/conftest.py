"""Small weights, and folders of the test's own for everything that is kept on a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moce_cli.checkpoints import ModelCard, save
from moce_cli.checkpoints.resolution import random_state
from moce_cli.network import MoCEIRConfig

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the hub's client is imported

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
    return folders


@pytest.fixture
def environment(places, hub):
    names = ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN")
    kept = {k: v for k, v in os.environ.items() if k not in names and "proxy" not in k.lower()}
    return kept | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONWARNINGS": "error::UserWarning",
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # whatever asks another host fails
        "NO_PROXY": "127.0.0.1",
        "NO_COLOR": "1",
    }


@pytest.fixture
def moce(environment, tmp_path):
    def run(*args, **extra):
        return subprocess.run(
            [sys.executable, "-m", "moce_cli", *args],
            env=environment | extra,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
