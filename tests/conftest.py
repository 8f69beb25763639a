"""Shared by all tests."""

import logging
import os
import random
import signal
import sys

import hypothesis
import pytest

# a change is judged by the same examples as the one before; MOCE_TEST_SEED asks for others
hypothesis.settings.register_profile(
    "moce", derandomize="MOCE_TEST_SEED" not in os.environ, database=None
)
hypothesis.settings.load_profile("moce")

# before anything imports huggingface_hub: no test may reach the network by accident
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# before torch is loaded: several test processes share the cores, and threads that spin while they
# wait would stop each other
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# a shell starts what it puts in the background with Ctrl-C ignored, and children inherit that:
# tests that send it must find the default
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    """What a test draws without a seed of its own; MOCE_TEST_SEED draws other numbers."""
    seed = int(os.environ.get("MOCE_TEST_SEED", "0"))
    random.seed(seed)
    # neither is loaded for tests that do without
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@pytest.fixture(autouse=True)
def _usual_log_level():
    """A command leaves the next test's warnings alone, and no stream that is closed by then."""
    ours, root = logging.getLogger("moce_cli"), logging.getLogger()
    level, handlers = ours.level, list(root.handlers)
    yield
    ours.setLevel(level)
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)


@pytest.fixture(autouse=True, scope="session")
def _no_home_of_libvips():
    """Test modules import pyvips, whose libvips tells children where its own modules are."""
    if "VIPSHOME" not in os.environ:
        os.unsetenv("VIPSHOME")


@pytest.fixture(autouse=True, scope="session")
def _a_home_of_our_own(tmp_path_factory):
    """No test finds what a person keeps, or leaves anything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCE_HOME", str(tmp_path_factory.mktemp("home")))
        yield
