"""The machine: cores and memory under affinity and control groups; how many threads compute."""

import contextlib
import json
import os
import subprocess
import sys

import pytest
import torch

from moce_cli import runtime
from moce_cli.errors import UsageError
from moce_cli.training.options import training_precision


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Eight cores, 8 GiB and control groups that are files of the test's own."""
    monkeypatch.setattr(runtime, "_CGROUP", tmp_path / "groups")
    monkeypatch.setattr(runtime, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 2**21))

    def make(own, files):
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return make


CORES = [
    pytest.param("", {}, 8, id="no groups"),
    pytest.param("0::/\n", {"cpu.max": "max 100000"}, 8, id="no quota"),
    pytest.param("0::/\n", {"cpu.max": "300000 100000"}, 3, id="a container"),
    pytest.param("0::/\n", {"cpu.max": "150000 100000"}, 2, id="a core and a half"),
    pytest.param("0::/\n", {"cpu.max": "1000 100000"}, 1, id="never none"),
    pytest.param("0::/\n", {"cpu.max": "1600000 100000"}, 8, id="more than there are"),
    pytest.param("0::/a/b\n", {"a/b/cpu.max": "200000 100000"}, 2, id="the process's own group"),
    pytest.param(
        "0::/a/b\n",
        {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000"},
        4,
        id="the group above it",
    ),
    pytest.param(
        "0::/a/b\n",
        {"a/b/cpu.max": "500000 100000", "a/cpu.max": "400000 100000", "c/cpu.max": "1 100000"},
        4,
        id="the least of those it is in",
    ),
    pytest.param("0::/../x\n", {"cpu.max": "200000 100000"}, 2, id="a path out of the container"),
    pytest.param(
        "4:cpu,cpuacct:/a\n1:memory:/m\n",
        {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"},
        3,
        id="version 1",
    ),
    pytest.param(
        "4:cpu,cpuacct:/a\n",
        {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        2,
        id="version 1, seen from within",
    ),
    pytest.param(
        "4:cpu:/a\n",
        {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
        8,
        id="version 1 without a quota",
    ),
    pytest.param("nonsense\n::\n", {"cpu.max": "what"}, 8, id="nonsense"),
]


@pytest.mark.parametrize(("own", "files", "cores"), CORES)
def test_cores_are_those_of_affinity_and_quotas(groups, own, files, cores):
    groups(own, files)
    assert runtime.usable_cores() == cores


@pytest.mark.parametrize(
    ("own", "files", "gib"),
    [
        ("0::/\n", {"memory.max": "max"}, 8),
        ("0::/a/b\n", {"a/memory.max": str(2**31), "memory.max": "max"}, 2),
        ("1:memory:/m\n", {"memory/m/memory.limit_in_bytes": str(2**30)}, 1),
        ("1:memory:/m\n", {"memory/m/memory.limit_in_bytes": str(2**63 - 4096)}, 8),
    ],
)
def test_memory_is_that_of_the_machine_and_its_groups(groups, own, files, gib):
    groups(own, files)
    assert runtime.memory_bytes() == gib * 2**30


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_process_on_one_core_takes_one_thread():
    core = min(os.sched_getaffinity(0))
    code = (
        "import json, torch; from moce_cli import runtime; from moce_cli.pictures.opencv import "
        "opencv; runtime.use_threads(None); print(json.dumps([runtime.usable_cores(), "
        "torch.get_num_threads(), opencv().getNumThreads()]))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(seen.stdout) == [1, 1, 1]


@pytest.mark.parametrize("threads", [0, -1, 513])
def test_threads_that_cannot_work_never_reach_torch(threads, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda _: pytest.fail("it was told"))
    with pytest.raises(UsageError, match="threads cannot work"):
        runtime.use_threads(threads)


def test_threads_are_obeyed_beyond_the_cores():
    before = torch.get_num_threads()
    try:
        runtime.use_threads(3)
        assert torch.get_num_threads() == 3
        runtime.use_threads(None)
        assert torch.get_num_threads() == runtime.usable_cores()
    finally:
        torch.set_num_threads(before)


def test_cuda_computes_float32_whole_for_a_while():
    places = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]

    def allowed():
        return [place.allow_tf32 for place in places]

    try:
        for user in ([True, True], [True, False], [False, True], [False, False]):
            for place, yes in zip(places, user, strict=True):
                place.allow_tf32 = yes
            with runtime.whole_float32(torch.device("cuda")):
                assert not any(allowed())
            assert allowed() == user
            with runtime.whole_float32(torch.device("cpu")):
                assert allowed() == user
    finally:
        for place, yes in zip(places, before, strict=True):
            place.allow_tf32 = yes


@pytest.mark.parametrize(
    ("bfloat16", "capability", "expected"),
    [
        (True, (8, 0), "bf16"),
        (False, (7, 5), "fp16"),
        (False, (7, 0), "fp16"),
        (False, (6, 1), "fp32"),
    ],
)
def test_a_card_takes_the_precision_that_its_tensor_cores_have_and_trains_in_no_fp16(
    bfloat16, capability, expected, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert runtime.choose_precision("auto", torch.device("cuda")) == expected
    trained = "fp32" if expected == "fp16" else expected
    assert training_precision("auto", torch.device("cuda")) == trained
