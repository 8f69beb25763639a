"""What the tests of batches share."""

import numpy as np
import pytest
from networks import restorer
from PIL import Image

from moce_cli.batch import Desk, Journal, Settings, Staging, Work

WORK = Work("small", "5" * 64, {"strength": 1.0})


@pytest.fixture
def picture():
    """Make a picture file: noise, so that nothing is flat."""

    def make(path, side=24, seed=0):
        rng = np.random.default_rng(seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side + 8, 3), np.uint8)).save(path)
        return path

    return make


@pytest.fixture(scope="session")
def network():
    """A restorer that is quick."""
    return restorer()


@pytest.fixture
def desk(tmp_path):
    """Where results go, with a journal."""
    path = tmp_path / "out" / ".moce-journal.jsonl"
    staging = Staging.of_journal(path)
    journal = Journal(path)
    yield Desk(Settings(), staging, WORK, journal)
    staging.close()
    journal.close()
