"""Shared by all tests."""

import os
import signal

# before anything imports huggingface_hub: no test may reach the network by accident
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# a shell starts what it puts in the background with Ctrl-C ignored, and children inherit that:
# tests that send it must find the default
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
