"""The oracle: prescribed routings are what runs, and a router that knows is found out."""

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from eval_files import clean_folder, smooth
from networks import SMALL, checkpoint
from torch import nn

from moce_cli.checkpoints import build
from moce_cli.errors import InputError
from moce_cli.evaluation import oracle as module
from moce_cli.evaluation.datasets import Row, Sample, unit
from moce_cli.evaluation.oracle import ask_oracle, draw_partners, most_frequent, passes_needed
from moce_cli.evaluation.oracle_tables import oracle_csv, oracle_objects, oracle_tables
from moce_cli.evaluation.passes import Case, Choice, Passes
from moce_cli.evaluation.suites import suite_rows
from moce_cli.network import decide, force
from moce_cli.network.cost import forward_cost
from moce_cli.psnr import MOST_DB, psnr

CPU = torch.device("cpu")


def cases(count=5, height=24, width=32):
    rng = np.random.default_rng(0)
    made = []
    for i in range(count):
        clean = smooth(height, width if i % 2 else width - 8, i)
        noisy = (clean + 20 * rng.standard_normal(clean.shape)).clip(0, 255).astype(np.uint8)
        made.append(Case(i % 2, i, noisy, clean))
    return made


@pytest.fixture(scope="module")
def network():
    return build(checkpoint()).eval()


def test_the_routers_own_choice_prescribed_is_the_same_pass(network):
    some = cases()
    ticks = []
    passes = Passes(network, CPU, some, batch=2, tick=ticks.append)
    choice, routed = passes.routed()
    assert choice.experts.shape == (5, 3, 1)
    again = passes.chosen(choice)
    assert again.psnr == pytest.approx(routed.psnr, abs=1e-4)
    assert np.array_equal(again.macs, routed.macs)
    assert sum(ticks) == 10
    alone, _ = Passes(network, CPU, some, batch=1).routed()
    assert np.array_equal(alone.experts, choice.experts)


def test_psnr_and_cost_are_those_of_the_network(network):
    some = cases(2)
    for expert in range(4):
        passes = Passes(network, CPU, some)
        choice = passes.routed()[0].replaced(np.full((1, 1, 1), expert))
        outcome = passes.chosen(choice)
        for at, case in enumerate(some):
            height, width = case.clean.shape[:2]
            degraded = torch.from_numpy(unit(case.degraded)).permute(2, 0, 1)[None]
            with torch.inference_mode():  # the paper's gate does not reach the picture
                made = network.restore(degraded, [force(expert, 4)] * 3).restored
            expected = psnr(made[0].clamp(0, 1).permute(1, 2, 0).numpy(), unit(case.clean))
            assert outcome.psnr[at] == pytest.approx(expected, abs=2e-3)
            cost = forward_cost(SMALL, height, width).run([(expert,)] * 3)
            assert outcome.macs[at] == cost / (height * width)


def test_replaced_experts_keep_the_routers_gates():
    choice = Choice(np.array([[[1, 0]], [[2, 3]]]), np.array([[[0.5, 0.25]], [[0.75, 0.125]]]))
    one = choice.replaced(np.full((1, 1, 1), 3))
    assert one.experts.tolist() == [[[3]], [[3]]]
    assert one.gates.tolist() == [[[0.75]], [[0.875]]]
    two = choice.replaced(np.array([[[2, 1]]]))
    assert two.experts.tolist() == [[[2, 1]], [[2, 1]]]
    assert two.gates is choice.gates
    assert choice.of(np.array([1, 1])).experts.tolist() == [[[2, 3]], [[2, 3]]]


def test_the_most_frequent_and_the_partners():
    experts = np.array([[[0], [3]], [[2], [1]], [[2], [1]], [[0], [1]]])
    assert most_frequent(experts).tolist() == [[[0], [1]]]  # of equals the cheaper
    of_row = np.array([0, 0, 1, 1, 2])
    partners = draw_partners(of_row, np.random.default_rng(0))
    assert (of_row[partners] != of_row).all()


class Known(nn.Module):
    """Adds an error to the clean picture that is least for the expert that the damage needs.

    The degraded picture's red value at the top left says which that is; so does the router.
    """

    def __init__(self, *, blind=False):
        super().__init__()
        self.config, self.blind = SMALL, blind

    def compute_in(self, dtype):
        return self

    def restore(self, degraded, routing=None):
        needed = (degraded[:, 0, 0, 0] * 255).round().long()
        if routing is None:
            chosen = torch.zeros_like(needed) if self.blind else needed
            logits = 5.0 * nn.functional.one_hot(chosen, 4).float()
            routing = [decide(logits, 1) for _ in range(3)]
        error = torch.zeros(len(degraded))
        for block in routing:
            experts = torch.tensor([row[0] for row in block.chosen]).expand(len(degraded))
            error += 0.01 * (1 + (experts - needed).abs())
        restored = torch.full_like(degraded, 0.5) + error[:, None, None, None]
        return SimpleNamespace(restored=restored, routing=tuple(routing))


@pytest.fixture
def known_rows():
    """Row r needs expert r; the clean picture is grey."""

    def pair(needed):
        degraded = np.full((16, 16, 3), 100, np.uint8)
        degraded[0, 0, 0] = needed
        return degraded, np.full((16, 16, 3), 128, np.uint8)

    return [
        Row("d", f"needs {r}", tuple(Sample(f"{i}", f"{i}", lambda r=r: pair(r)) for i in range(4)))
        for r in range(4)
    ]


def test_a_router_that_knows_is_found_out(known_rows, monkeypatch):
    monkeypatch.setattr(module, "build", lambda _: Known())
    report = ask_oracle("known", checkpoint(), known_rows, device=CPU, side=16)
    gains = {rival.name: rival.gain for rival in report.rivals}
    assert list(gains) == [
        "expert 0", "expert 1", "expert 2", "expert 3", module.BEST_FORCED, module.RANDOM,
        module.MOST_FREQUENT, module.SWAPPED,
    ]  # fmt: skip
    assert gains.pop(module.BEST_FORCED) == pytest.approx(0, abs=1e-6)
    assert all(gain > 1 for gain in gains.values())
    assert report.pictures == 4
    for index, row in enumerate(report.rows):
        assert row.experts == tuple(float(e == index) for e in range(4))
        forced = [row.psnr[f"expert {e}"] for e in range(4)]
        assert forced.index(max(forced)) == index
        assert row.psnr["router"] == pytest.approx(forced[index])
        assert row.macs["router"] == pytest.approx(row.macs[f"expert {index}"])
    assert report.information.joint.bits == pytest.approx(2)
    assert report.information.damage_entropy == pytest.approx(2)
    assert report.largest_expert.name == "expert 3"


def test_a_blind_router_is_found_out_too(known_rows, monkeypatch):
    monkeypatch.setattr(module, "build", lambda _: Known(blind=True))
    report = ask_oracle("blind", checkpoint(), known_rows, device=CPU, side=16)
    gains = {rival.name: rival.gain for rival in report.rivals}
    assert gains["expert 0"] == gains[module.MOST_FREQUENT] == gains[module.SWAPPED] == 0
    assert gains[module.BEST_FORCED] < -1
    assert report.information.joint.bits == 0
    assert report.cost_correlation is None


def test_errors_are_of_pictures_and_not_of_samples(monkeypatch):
    monkeypatch.setattr(module, "build", lambda _: Known())

    def pair(picture):
        degraded = np.full((16, 16, 3), 100, np.uint8)
        degraded[0, 0, 0] = picture  # what is needed depends on the picture alone
        return degraded, np.full((16, 16, 3), 128, np.uint8)

    samples = tuple(Sample(str(p), str(p), lambda p=p: pair(p)) for p in range(3))
    one, many = (
        ask_oracle("m", checkpoint(), [Row("d", str(r), samples) for r in range(n)], device=CPU)
        for n in (1, 8)
    )
    for a, b in zip(one.rivals[:4], many.rivals[:4], strict=True):
        assert (a.gain, a.error) == (pytest.approx(b.gain), pytest.approx(b.error))
    assert [rival.name for rival in one.rivals][-1] == module.MOST_FREQUENT  # nobody to swap with
    assert many.pictures == 3


def test_a_small_network_end_to_end(tmp_path):
    rows = suite_rows(clean_folder(tmp_path, 3), ["undamaged", "noise 50", "jpeg 20"])
    made = checkpoint()
    ticks = []
    report = ask_oracle("small", made, rows, device=CPU, side=32, batch=4, tick=ticks.append)
    assert sum(ticks) == 9 * passes_needed(4, 3)
    assert report == ask_oracle("small", made, rows, device=CPU, side=32, batch=4)  # seeded
    best = next(rival for rival in report.rivals if rival.name == module.BEST_FORCED)
    assert all(best.psnr >= r.psnr - 1e-9 for r in report.rivals if r.name.startswith("expert"))
    assert report.rows[0].input_psnr == np.inf
    for row in report.rows:
        assert sum(row.experts) == pytest.approx(1)
        assert row.gain["expert 0"][0] == pytest.approx(row.psnr["router"] - row.psnr["expert 0"])
    mean = np.mean([row.psnr["router"] for row in report.rows])
    assert report.router_psnr == pytest.approx(mean)
    for rival in report.rivals:
        assert rival.gain == pytest.approx(report.router_psnr - rival.psnr)
        assert report.macs_range[0] <= rival.macs <= report.macs_range[1]
    objects = [json.loads(json.dumps(o, allow_nan=False)) for o in oracle_objects(report)]
    assert [o["kind"] for o in objects] == ["oracle"] + ["oracle-rival"] * 8 + ["oracle-row"] * 3
    assert objects[-3]["input_equal"] is True
    assert len(oracle_csv([report]).splitlines()) == 1 + 3 * 9
    tables = oracle_tables(report)
    assert [len(table.rows) for table in tables] == [9, 3, 4]
    assert tables[0].headers[-1] == "damaged rows alone"
    assert all(len(row) == len(t.headers) for t in tables for row in t.rows)


def test_what_an_undamaged_row_brings_is_told_apart(known_rows, monkeypatch):
    monkeypatch.setattr(module, "build", lambda _: Known())
    grey = np.full((16, 16, 3), 128, np.uint8)
    grey[0, 0, 0] = 0  # needs expert 0
    perfect = Row("d", "clean", tuple(Sample(i, i, lambda: (grey, grey)) for i in "01"))

    def asked(*rows):
        return ask_oracle("m", checkpoint(), rows, device=CPU, side=16)

    alone, both = asked(*known_rows[1:]), asked(perfect, *known_rows[1:])
    told = {rival.name: rival for rival in both.rivals}
    for rival in alone.rivals:
        assert rival.damaged is None  # there is nothing else
        if rival.name in (module.RANDOM, module.MOST_FREQUENT, module.SWAPPED):
            continue  # drawn from all rows
        assert told[rival.name].damaged == (pytest.approx(rival.gain), pytest.approx(rival.error))
    assert {rival.damaged for rival in asked(perfect).rivals} == {None}
    assert oracle_tables(alone)[0].headers[-1] == "z"
    table = oracle_tables(both)[0]
    gain, error = told["expert 3"].damaged
    line = next(line for line in table.rows if line[0] == "expert 3")
    assert line[-1] == f"{gain:+.4f} ± {error:.4f}"
    assert "over the 3 of 4 rows" in table.notes[1]
    assert "over the damaged rows alone)" in table.notes[2]
    objects = {o.get("rival", o["kind"]): o for o in oracle_objects(both)}
    assert objects["expert 3"]["router_gain_damaged"] == pytest.approx(gain, abs=1e-6)
    assert objects["oracle"]["rows_damaged"] == 3
    lines = list(csv.DictReader(io.StringIO(oracle_csv([both, alone]))))
    of_3 = [line["router_gain_damaged"] for line in lines if line["way"] == "expert 3"]
    assert of_3 == [str(round(gain, 6))] * 4 + [""] * 3
    assert {line["error_damaged"] for line in lines if line["way"] == "router"} == {""}


@pytest.mark.parametrize(
    "fields", [{"top_k": 2}, {"expert_ffn": True, "unshuffle": 2}, {"num_experts": 2}]
)
def test_networks_of_other_shapes(fields, tmp_path):
    rows = suite_rows(clean_folder(tmp_path, 2), ["noise 50", "jpeg 20"])
    made = checkpoint(replace(SMALL, **fields))
    report = ask_oracle("other", made, rows, device=CPU, side=32)
    experts = fields.get("num_experts", 4)
    assert [len(row.experts) for row in report.rows] == [experts] * 2
    assert len(report.rivals) == experts + 4
    assert report.macs_range[0] < report.router_macs
    assert np.isfinite([rival.psnr for rival in report.rivals]).all()


def test_equal_pictures_have_a_finite_score(tmp_path):
    rows = suite_rows(clean_folder(tmp_path, 1), ["undamaged"])
    report = ask_oracle("idle", checkpoint(identity=True), rows, device=CPU, side=32)
    assert report.router_psnr == pytest.approx(MOST_DB)
    assert {rival.gain for rival in report.rivals} == {0}
    assert {rival.z for rival in report.rivals} == {None}


def test_what_cannot_be_read_is_left_out(known_rows):
    def broken():
        raise InputError("x.png is damaged")

    row = Row("d", "r", (Sample("x.png", "x", broken),))
    gathered, inputs, failed = module.gather([*known_rows, row])
    assert len(gathered) == len(inputs) == 16
    assert [name for name, _ in failed] == ["x.png"]
    with pytest.raises(InputError, match=r"x.png is damaged"):
        module.gather([row])


def test_pictures_are_told_apart_by_their_files(tmp_path):
    one, other = (clean_folder(tmp_path / part / "same", 2) for part in "ab")
    rows = [suite_rows(folder, ["noise 50"])[0] for folder in (one, other)]
    (tmp_path / "link").symlink_to(one)
    rows += suite_rows(tmp_path / "link", ["jpeg 20"])
    found = [case.picture for case in module.gather(rows)[0]]
    assert found == [0, 1, 2, 3, 0, 1]
