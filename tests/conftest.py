"""Shared by all tests."""

import os

# before anything imports huggingface_hub: no test may reach the network by accident
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
