"""Laws: a checkpoint's numbers arrive unchanged; nothing that it holds is run."""

import argparse
import json
import os
import pathlib
import pickle
import zlib
from pathlib import Path

import pytest
import torch

from moce_cli.checkpoints import build, convert, load, to_official
from moce_cli.checkpoints.resolution import random_state
from moce_cli.errors import OutputExistsError, WeightsError
from moce_cli.network import PRESETS

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


@pytest.fixture(scope="module")
def official():
    keys = json.loads((GOLDEN / "keys_moce_ir_s.json").read_text())
    state = {}
    for key, shape in keys.items():
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        state[key] = torch.randn(shape, generator=generator)
    state |= {
        key: value
        for key, value in to_official(random_state(PRESETS["moce_ir_s"])).items()
        if key.endswith("routing.complexity")
    }
    return state


def lightning(state, **more):
    """The contents of a Lightning checkpoint, as far as a reader meets them."""
    return {
        "epoch": 119,
        "global_step": 4242,
        "pytorch-lightning_version": "2.0.1",
        "state_dict": {f"net.{key}": value for key, value in state.items()}
        | {"loss_fn.window": torch.ones(3)},
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_path": "ckpt/last.ckpt"}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}],
        "lr_schedulers": [{"base_lrs": [2e-4], "last_epoch": 119}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"opt": argparse.Namespace(lr=2e-4, root=pathlib.Path("a/b"))},
        **more,
    }


@pytest.fixture(scope="module")
def tiny_official(config):
    return to_official(random_state(config))


@pytest.fixture
def tiny_ckpt(tmp_path, tiny_official):
    path = tmp_path / "last.ckpt"
    torch.save(lightning(tiny_official), path)
    return path


def test_the_numbers_arrive_unchanged(official, tmp_path):
    source, target = tmp_path / "last.ckpt", tmp_path / "moce-ir-5task-s.safetensors"
    torch.save(lightning(official), source)
    done = convert(source, target, "moce_ir_s")
    assert (done.preset, done.ignored, done.path) == ("moce_ir_s", 1, target)
    checkpoint = load(target)
    back = to_official(checkpoint.state)
    assert set(back) == set(official)
    assert all(torch.equal(back[key], official[key]) for key in official)
    card = checkpoint.card
    assert card == done.card
    assert card.name == "moce-ir-5task-s"
    assert "NC" in card.licence
    assert "non-commercial" in card.licence
    assert card.facts["epoch"] == 119
    assert "low light" in card.degradations[0]


def test_an_architecture_without_a_name_is_read_off_the_tensors(tiny_ckpt, tmp_path, config):
    done = convert(tiny_ckpt, tmp_path / "out.safetensors", name="mine", licence="MIT")
    assert (done.preset, done.config) == (None, config)
    checkpoint = load(done.path)
    assert (checkpoint.card.name, checkpoint.card.licence) == ("mine", "MIT")
    with torch.inference_mode():
        assert build(checkpoint)(torch.rand(1, 3, 9, 9)).shape == (1, 3, 9, 9)


def test_half_precision(tiny_ckpt, tmp_path):
    done = convert(tiny_ckpt, tmp_path / "out.safetensors", dtype=torch.float16)
    assert load(done.path).dtype == torch.float16


@pytest.mark.parametrize("prefix", ["", "net."])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_saved_alone_and_the_older_file_format(tiny_official, tmp_path, prefix, zipped):
    source = tmp_path / "state.pt"
    state = {prefix + key: value for key, value in tiny_official.items()}
    torch.save(state, source, _use_new_zipfile_serialization=zipped)
    assert convert(source, tmp_path / "out.safetensors").ignored == 0


def test_a_wrong_preset_is_told_the_right_one(official, tmp_path):
    source = tmp_path / "last.ckpt"
    torch.save(lightning(official), source)
    with pytest.raises(WeightsError, match="not of the architecture moce_ir, but moce_ir_s") as e:
        convert(source, tmp_path / "out.safetensors", "moce_ir")
    assert e.value.hint == "--preset moce_ir_s"
    assert not (tmp_path / "out.safetensors").exists()


def test_a_preset_for_a_network_without_one_and_a_preset_that_is_none(tiny_ckpt, tmp_path):
    with pytest.raises(WeightsError, match="but of none with a name"):
        convert(tiny_ckpt, tmp_path / "out.safetensors", "moce_ir")
    with pytest.raises(WeightsError, match="there is no preset 'huge'"):
        convert(tiny_ckpt, tmp_path / "out.safetensors", "huge")


class Creates:
    """A pickle that creates a file when it is read carelessly."""

    def __init__(self, path, how):
        self.path, self.how = str(path), how

    def __reduce__(self):
        if self.how == "system":
            return os.system, (f"touch {self.path}",)
        if self.how == "open":
            return open, (self.path, "w")
        if self.how == "exec":
            return exec, (f"open({self.path!r}, 'w')",)
        return pathlib.Path.touch, (pathlib.Path(self.path),)


@pytest.mark.parametrize("how", ["system", "open", "exec", "touch"])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "state"])
def test_a_malicious_pickle_does_not_run(tiny_official, tmp_path, how, form):
    mark, source = tmp_path / "mark", tmp_path / "last.ckpt"
    evil = Creates(mark, how)
    contents = lightning(tiny_official, extra=evil)
    if form == "state":
        contents["state_dict"]["net.evil"] = evil
    if form == "pickle":
        source.write_bytes(pickle.dumps(evil, protocol=2))
    else:
        torch.save(contents, source, _use_new_zipfile_serialization=form != "legacy")
    with pytest.raises(WeightsError, match="refused: it asks for ") as caught:
        convert(source, tmp_path / "out.safetensors")
    assert not mark.exists()
    assert not (tmp_path / "out.safetensors").exists()
    assert caught.value.exit_code == 4
    name = {"system": "system", "open": "open", "exec": "exec", "touch": "getattr"}[how]
    assert name in caught.value.message or "touch" in caught.value.message
    assert "\n" not in caught.value.message


def test_the_proof_is_one(tmp_path):
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Creates(mark, "open"))).close()
    assert mark.exists()


class Unknown:
    pass


def test_a_class_that_is_not_known_is_named(tiny_official, tmp_path):
    source = tmp_path / "last.ckpt"
    torch.save(lightning(tiny_official, extra=Unknown()), source)
    with pytest.raises(WeightsError, match=r"it asks for \S*Unknown,") as caught:
        convert(source, tmp_path / "out.safetensors")
    assert "state_dict" in caught.value.hint


def test_reading_leaves_no_class_allowed_for_others(tiny_ckpt, tmp_path):
    before = set(torch.serialization.get_safe_globals())
    convert(tiny_ckpt, tmp_path / "out.safetensors")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    "kind",
    [pathlib.PurePosixPath, pathlib.PureWindowsPath, type(pathlib.Path())],
)
def test_paths_of_every_system_are_harmless(tiny_official, tmp_path, kind):
    source = tmp_path / "last.ckpt"
    torch.save(lightning(tiny_official, where=kind("a/b")), source)
    assert convert(source, tmp_path / "out.safetensors").ignored == 1


@pytest.mark.parametrize("keep", [0, 10, 1000, -1000])
def test_a_checkpoint_cut_short_is_refused(tiny_ckpt, tmp_path, keep):
    tiny_ckpt.write_bytes(tiny_ckpt.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="damaged"):
        convert(tiny_ckpt, tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([1, 2], "holds a list"),
        ({"state_dict": 3}, "'state_dict' is no dictionary"),
        ({"state_dict": {}}, "no MoCE-IR network"),
        ({"state_dict": {"net.weight": torch.zeros(2)}}, "no MoCE-IR network"),
        ({"state_dict": {"net.weight": "text"}}, "is a str, not a tensor"),
    ],
)
def test_another_checkpoint_is_refused(tmp_path, contents, message):
    source = tmp_path / "last.ckpt"
    torch.save(contents, source)
    with pytest.raises(WeightsError, match=message) as caught:
        convert(source, tmp_path / "out.safetensors")
    assert str(source) in caught.value.message


def test_text_a_folder_and_nothing_are_refused(tmp_path):
    (tmp_path / "text.ckpt").write_text("hello")
    for name, message in (
        ("text.ckpt", "no checkpoint that can be read"),
        ("none.ckpt", "there is no checkpoint"),
        (".", "is a folder"),
    ):
        with pytest.raises(WeightsError, match=message):
            convert(tmp_path / name, tmp_path / "out.safetensors")


@pytest.mark.parametrize("key", ["patch_embed.proj.weight", "dec.0.1.weight"])
def test_a_missing_tensor_is_named(tiny_official, tmp_path, key):
    source = tmp_path / "last.ckpt"
    torch.save(lightning({k: v for k, v in tiny_official.items() if k != key}), source)
    with pytest.raises(WeightsError, match=str(source)):
        convert(source, tmp_path / "out.safetensors")


def test_values_that_are_no_numbers_are_refused(tiny_official, tmp_path):
    source = tmp_path / "last.ckpt"
    broken = {**tiny_official, "output.weight": tiny_official["output.weight"] * float("nan")}
    torch.save(lightning(broken), source)
    with pytest.raises(WeightsError, match="not finite"):
        convert(source, tmp_path / "out.safetensors")


def test_other_complexities_are_told(tiny_official, tmp_path, caplog):
    source = tmp_path / "last.ckpt"
    key = "dec.1.2.layers.0.adapter.routing.complexity"
    torch.save(lightning({**tiny_official, key: torch.rand(4)}), source)
    convert(source, tmp_path / "out.safetensors")
    assert key in caplog.text
    torch.save(lightning({**tiny_official, key: torch.rand(5)}), source)
    with pytest.raises(WeightsError, match=r"complexity' has shape \(5,\), it needs \(4,\)"):
        convert(source, tmp_path / "other.safetensors")


def test_nothing_is_replaced_unasked(tiny_ckpt, tmp_path):
    target = tmp_path / "out.safetensors"
    convert(tiny_ckpt, target)
    with pytest.raises(OutputExistsError):
        convert(tiny_ckpt, target)
    convert(tiny_ckpt, target, overwrite=True)


def test_the_same_checkpoint_is_the_same_file(tiny_ckpt, tmp_path):
    for name in ("a", "b"):
        convert(tiny_ckpt, tmp_path / name / "out.safetensors")
    first, second = ((tmp_path / n / "out.safetensors").read_bytes() for n in ("a", "b"))
    assert first == second
