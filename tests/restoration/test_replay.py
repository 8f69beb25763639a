"""A pass that repeats is recorded, and a replay answers what the pass would have."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import SMALL, noise, restorer

from moce_cli.network import SCENE_SIZE, MoCEIR, force
from moce_cli.restoration import flight, replay
from moce_cli.restoration.plan import why_not_compiled
from moce_cli.restoration.replay import ENOUGH, MOST, Passes


class Tape:
    """Records on a CPU as a CUDA graph does: the same memory is read, and written, each time."""

    def __init__(self, fault=None):
        self.recorded = self.replayed = 0
        self.fault = fault

    def __call__(self, run):
        if isinstance(self.fault, Exception):
            raise self.fault
        self.recorded += 1
        made = run().clone()

        def again():
            self.replayed += 1
            if self.fault == "empty":  # as of a graph that was recorded on another device
                return
            made.copy_(run())
            if self.fault == "wrong":
                made.add_(0.5)

        return again, made


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = MoCEIR(replace(SMALL, scene=True)).eval()
    for p in made.parameters():  # where training begins, a scene adds nothing
        if not p.any():
            p.normal_(0, 0.1)
    return made


def routing(*experts, gate=1.0):
    return [replace(force(e, 4), gates=torch.full((1, 1), gate)) for e in experts]


def batch(size=2, side=32, seed=0):
    return torch.rand(size, 3, side, side, generator=torch.Generator().manual_seed(seed))


def scene(seed):
    return torch.rand(1, SCENE_SIZE, generator=torch.Generator().manual_seed(seed))


def test_replays_answer_what_passes_do(network):
    """Also with other pixels, another scene, and gates of another picture that chose the same."""
    tape = Tape()
    passes = Passes(network, tape)
    kept = []
    for seed in range(ENOUGH + 4):
        given = batch(seed=seed), routing(1, 0, 3, gate=0.5 + seed / 20), scene(seed)
        found, expected = passes(*given), network.restore(*given)
        torch.testing.assert_close(found.restored, expected.restored)
        assert list(found.routing) == given[1]
        kept.append((found.restored, found.restored.clone()))
    assert tape.recorded == 1
    assert tape.replayed == 1 + 4, "once to be checked"
    assert all(torch.equal(one, then) for one, then in kept), "no replay writes over an answer"


def test_each_shape_and_choice_has_its_own(network):
    tape = Tape()
    passes = Passes(network, tape)
    variants = [
        (batch(), routing(1, 0, 3), scene(0)),
        (batch(size=1), routing(1, 0, 3), scene(0)),
        (batch(side=40), routing(1, 0, 3), scene(0)),
        (batch(), routing(1, 1, 3), scene(0)),
    ]
    for _ in range(ENOUGH + 1):
        for given in variants:
            expected = network.restore(*given).restored
            torch.testing.assert_close(passes(*given).restored, expected)
    assert tape.recorded == passes.recorded == len(variants)
    another = batch(side=48), routing(1, 0, 3), scene(0)
    for _ in range(ENOUGH + 1):
        torch.testing.assert_close(passes(*another).restored, network.restore(*another).restored)
    assert tape.recorded == len(variants) + 1
    assert passes.recorded == MOST, "the oldest made room"


def test_what_is_rare_or_chooses_for_itself_is_not_recorded(network):
    tape = Tape()
    passes = Passes(network, tape)
    for _ in range(ENOUGH - 1):
        passes(batch(), routing(1, 0, 3), scene(0))
    own = network.restore(batch()).routing
    for _ in range(ENOUGH + 2):
        passes(batch(), None)
        passes(batch(), own, scene(0))
        passes(batch(), routing(1, 0, 3), None)  # the network looks at the scene itself
    assert tape.recorded == 0
    sceneless = Passes(MoCEIR(SMALL).eval(), tape)
    for _ in range(ENOUGH):
        sceneless(batch(), routing(1, 0, 3))
    assert tape.recorded == 1


@pytest.mark.parametrize("fault", [RuntimeError("not while capturing"), "wrong", "empty"])
def test_a_recording_that_fails_or_errs_is_never_used(network, fault, caplog):
    tape = Tape(fault)
    passes = Passes(network, tape)
    given = batch(), routing(1, 0, 3), scene(0)
    expected = network.restore(*given).restored
    for _ in range(ENOUGH + 3):
        torch.testing.assert_close(passes(*given).restored, expected)
    assert passes.recorded == 0
    assert tape.recorded <= 1, "it is not tried again"
    if fault == "wrong":
        assert "a replay was 0.5 off" in caplog.text


def test_a_picture_of_nan_proves_nothing(network):
    passes = Passes(network, Tape())
    broken = batch() * float("nan")
    for _ in range(ENOUGH + 1):
        passes(broken, routing(1, 0, 3), scene(0))
    assert passes.recorded == 0
    for _ in range(ENOUGH):
        passes(batch(), routing(1, 0, 3), scene(0))
    assert passes.recorded == 1, "the next picture does"


def test_too_little_memory_ends_it(network):
    tape = Tape()
    passes = Passes(network, tape)
    for _ in range(ENOUGH):
        passes(batch(), routing(1, 0, 3), scene(0))
    assert passes.recorded == 1
    assert passes.forget()
    for _ in range(ENOUGH + 1):
        passes(batch(), routing(1, 0, 3), scene(0))
    assert passes.recorded == 0
    assert tape.recorded == 1
    assert not passes.forget(), "there is nothing more to give back"


def test_the_engine_makes_the_same_picture_of_replays(monkeypatch):
    picture = noise(200, 260)
    options = {"tile": 64, "overlap": 16, "batch": 2}
    plain = restorer(**options).restore(picture)
    tape = Tape()
    monkeypatch.setattr(flight, "record_on", lambda device: tape)
    recording = restorer(**options)
    for ensemble in (False, True):
        found = recording.restore(picture, ensemble=ensemble)
        if not ensemble:
            np.testing.assert_allclose(found.picture.astype(int), plain.picture.astype(int), atol=1)
            assert found.report.tiles == plain.report.tiles
    assert tape.replayed > tape.recorded > 0


def test_the_engine_gives_memory_back_first(monkeypatch):
    """Out of memory: recordings are the first to go, then it is tried as before."""
    picture = noise(200, 160)
    expected = restorer(tile=64, overlap=16, routing="0").restore(picture)
    made = restorer(tile=64, overlap=16, routing="0")
    engine = made._passage.engine("fp32")
    kept, start = [True], engine.start
    monkeypatch.setattr(engine, "_forget", lambda: bool(kept) and kept.pop())

    def failing(*given, **options):
        if kept:
            raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")
        return start(*given, **options)

    monkeypatch.setattr(engine, "start", failing)
    result = made.restore(picture)
    assert result.report.plan == expected.report.plan, "nothing else had to change"
    assert any("no pass recorded" in note for note in result.report.notes)
    np.testing.assert_array_equal(result.picture, expected.picture)


def test_it_is_for_cuda_and_can_be_switched_off(monkeypatch):
    cuda = torch.device("cuda")
    monkeypatch.delenv(replay.SWITCH, raising=False)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    assert replay.record_on(torch.device("cpu")) is None
    assert replay.record_on(cuda) is not None
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    assert replay.record_on(cuda) is None
    monkeypatch.setenv(replay.SWITCH, "1")
    assert replay.record_on(cuda) is not None
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.setenv(replay.SWITCH, "0")
    assert replay.record_on(cuda) is None
    assert "CUDA graphs" not in why_not_compiled(cuda)
    monkeypatch.setenv(replay.SWITCH, "1")
    assert "CUDA graphs" in why_not_compiled(cuda)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_replays_what_it_computes(precision, monkeypatch):
    monkeypatch.setenv(replay.SWITCH, "1")
    picture, options = noise(900, 1100), {"tile": 128, "overlap": 16, "batch": 2}
    used = restorer(device="cuda", precision=precision, **options)
    with_graphs = used.restore(picture).picture
    assert used._passage.engine(precision).start.__self__._pass.recorded, "something was"
    monkeypatch.setenv(replay.SWITCH, "0")
    without = restorer(device="cuda", precision=precision, **options).restore(picture).picture
    assert np.abs(with_graphs.astype(int) - without.astype(int)).max() <= 1


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_second_cuda_device_replays_its_own(monkeypatch):
    monkeypatch.setenv(replay.SWITCH, "1")
    picture, options = noise(900, 1100), {"tile": 128, "overlap": 16, "batch": 2}
    first = restorer(device="cuda:0", **options).restore(picture).picture
    second = restorer(device="cuda:1", **options)
    assert np.abs(second.restore(picture).picture.astype(int) - first.astype(int)).max() <= 1
    assert second._passage.engine("fp32").start.__self__._pass.recorded
