"""Shared by all tests."""

import logging
import os
import signal

import pytest

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
def _usual_log_level():
    """A command that was told to be quiet leaves the next test's warnings alone."""
    ours = logging.getLogger("moce_cli")
    level = ours.level
    yield
    ours.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def _a_home_of_our_own(tmp_path_factory):
    """No test finds what a person keeps, or leaves anything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCE_HOME", str(tmp_path_factory.mktemp("home")))
        yield
