"""The plain network beside ours: at its best, and where it does not fit, told and scaled."""

import numpy as np
import pytest
import torch

from moce_cli.bench import Case, Floor, Measured, Operation, Row, measure, pairs, work
from moce_cli.bench.contender import Facts
from moce_cli.bench.profiling import MOST_NAMED, profiled
from moce_cli.bench.work import DoesNotFitError, serve
from moce_cli.errors import DeviceError

MODEL = "preset:moce_ir_xs"
CASE = Case(MODEL, 256, 512, device="cpu", threads=4)
OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
]


def facts(**changed):
    usual = {"load_seconds": 0.1, "idle_bytes": 10, "peak_bytes": 100, "device_peak_bytes": 0}
    usual |= {"macs": 500, "picture_macs": 400, "threads": 1, "precision": "fp32", "psnr": 30.0}
    return Facts(**(usual | changed))


class Pretended:
    """In place of a contender: a second a picture, unless a test says otherwise."""

    most_pixels = 10**9
    seconds = None
    made = None

    def __init__(self, case):
        self.case = case
        self.ran = []
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        pass

    def run(self, threads=None):
        self.ran.append(threads)
        if self.case.plain and self.case.height * self.case.width > self.most_pixels:
            raise DoesNotFitError("the plain network does not fit")
        return self.seconds(threads, len(self.ran)) if self.seconds else 1.0

    def facts(self):
        return facts()

    def picture(self):
        return np.zeros((self.case.height, self.case.width, 3), np.uint8)

    def profile(self):
        return (Operation("aten::mm", 3, 0.5, 1.0),)


@pytest.fixture
def pretended(monkeypatch):
    class Mine(Pretended):
        made = []  # noqa: RUF012 -- of this test alone

    monkeypatch.setattr(pairs, "Contender", Mine)
    monkeypatch.setattr(pairs, "_too_large", lambda case, width: None)
    return Mine


def test_the_first_run_does_not_decide_the_threads(pretended):
    # four threads are the best; the run that warms up is slow
    pretended.seconds = lambda self, threads, ran: 9.0 if ran == 1 else 4.0 / (threads or 4)
    row = measure(CASE, runs=2, baseline=True, width=16)
    assert pretended.made[1].ran == [4, 4, 2, 4, 4]
    assert row.plain.seconds == (1.0, 1.0)


def test_fewer_threads_are_taken_while_they_help(pretended):
    pretended.seconds = lambda self, threads, ran: abs((threads or 4) - 1.5)
    measure(CASE, runs=1, baseline=True, width=16)
    assert pretended.made[1].ran == [4, 4, 2, 1, 2]


def test_what_does_not_fit_is_scaled_from_the_largest_half_that_does(pretended):
    pretended.most_pixels = 64 * 128
    row = measure(CASE, runs=2, baseline=True, width=16)
    assert [m.case.height for m in pretended.made] == [256, 256, 128, 64]
    assert row.scaled_from == (64, 128)
    assert row.plain.seconds == (1.0, 1.0)
    assert row.plain_seconds == (16.0, 16.0)
    assert row.speedup == 16
    assert (row.memory_share, row.psnr_from_float32, row.psnr_gained) == (None, None, None)
    told = row.to_dict()
    assert told["plain_scaled"] | {"seconds": None} == {
        "from_height": 64, "from_width": 128, "seconds": None, "median": 16.0
    }  # fmt: skip
    assert told["why_no_plain"] == "the plain network does not fit"


def test_where_no_half_fits_there_is_no_baseline(pretended):
    pretended.most_pixels = 0
    row = measure(CASE, runs=1, baseline=True, width=16)
    assert (row.plain, row.speedup) == (None, None)
    assert row.why_no_plain == "the plain network does not fit"


def test_memory_that_ends_in_a_later_run_ends_the_baseline_alone(pretended):
    def seconds(self, threads, ran):
        if self.case.plain and ran > 3:
            raise DoesNotFitError("the plain network does not fit")
        return float(ran)

    pretended.seconds = seconds
    row = measure(CASE, runs=3, baseline=True, width=16)
    assert (row.plain, len(row.ours.seconds)) == (None, 3)
    assert row.why_no_plain == "the plain network does not fit"


def test_what_is_foretold_not_to_fit_is_scaled(monkeypatch):
    too_large = lambda case, width: "too large" if case.height > 64 else None  # noqa: E731 -- short
    monkeypatch.setattr(pairs, "_too_large", too_large)
    case = Case(MODEL, 128, 128, device="cpu", precision="fp32", threads=1)
    row = measure(case, runs=1, baseline=True, width=16, profile=True)
    assert row.scaled_from == (64, 64)
    assert row.plain_seconds == (pytest.approx(4 * row.plain.seconds[0]),)
    assert 0 < len(row.profile) <= MOST_NAMED
    assert "convolution" in row.profile[0].name


class Line:
    """In place of a connection: what is asked, and what was answered."""

    def __init__(self, *asked):
        self.asked, self.answers = list(asked), []

    def recv(self):
        if not self.asked:
            raise EOFError
        return self.asked.pop(0)

    def send(self, answer):
        self.answers.append(answer)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", ["load", "restore"])
def test_too_little_memory_is_an_answer(error, step, monkeypatch):
    def fails(self, *_):
        raise error

    monkeypatch.setattr(work.Plain, step, fails)
    line = Line(("run", 1), ("run", 1))
    serve(Case(MODEL, 8, 9, device="cpu", threads=1, plain=True), line)
    assert len(line.answers) == 2
    for answer in line.answers:
        assert isinstance(answer, DoesNotFitError)
        assert isinstance(answer, DeviceError)
        assert "the plain network does not fit at 9 x 8" in answer.message


def test_other_errors_of_torch_are_no_lack_of_memory(monkeypatch):
    def fails(self):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(work.Plain, "restore", fails)
    with pytest.raises(RuntimeError, match="shapes differ"):
        serve(Case(MODEL, 8, 8, device="cpu", threads=1, plain=True), Line(("run", 1)))


def test_shares_of_operations_add_up_and_the_longest_comes_first():
    x = torch.ones(64, 64)

    def several():
        for _ in range(3):
            (x @ x).sin()

    seen = profiled(several, torch.device("cpu"), 1)
    calls = {operation.name: operation.calls for operation in seen}
    assert calls["aten::mm"] == calls["aten::sin"] == 3
    assert sum(operation.share for operation in seen) == pytest.approx(1, abs=0.01)
    assert list(seen) == sorted(seen, key=lambda operation: -operation.seconds)


def test_quality_against_float32_is_that_of_pictures_and_its_gain_that_of_weights():
    case = Case("photo-xs", 8, 8)
    ours, plain = Measured((1.0,), facts(psnr=30.5)), Measured((2.0,), facts(psnr=30.75))
    floor = Floor("cpu", "fp32", 1, 1.0, 1.0)
    row = Row(case, ours, plain, None, floor, psnr_from_float32=50.0)
    assert row.psnr_gained == -0.25
    told = row.to_dict()
    assert (told["psnr_from_float32"], told["psnr_gained"]) == (50.0, -0.25)
    assert Row(Case(MODEL, 8, 8), ours, plain, None, floor).psnr_gained is None
