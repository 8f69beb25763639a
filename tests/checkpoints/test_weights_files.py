"""Laws: what is saved is what is loaded; what does not fit is refused, and the misfit named."""

import json
import os
import struct
import sys

import pytest
import safetensors.torch
import torch

from moce_cli.checkpoints import build, load, save
from moce_cli.checkpoints.header import read_header
from moce_cli.errors import ConfigError, WeightsError
from moce_cli.network import MoCEIR


def rewrite(path, change):
    """Let `change(metadata, tensors)` edit a weights file."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    tensors = safetensors.torch.load_file(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(metadata, tensors)
    safetensors.torch.save_file(tensors, path, metadata)


def raw_file(path, table, data=b""):
    head = json.dumps(table).encode() if not isinstance(table, bytes) else table
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_saved_is_loaded(tmp_path, state, config, card, dtype):
    path = tmp_path / "new" / "folder" / "w.safetensors"
    save(path, state, config, card, dtype=dtype)
    checkpoint = load(path)
    assert checkpoint.config == config
    assert checkpoint.card == card
    assert checkpoint.dtype == dtype
    assert set(checkpoint.state) == set(state)
    for name, tensor in state.items():
        assert torch.equal(checkpoint.state[name], tensor.to(dtype)), name
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_sha256_is_the_files(weights):
    import hashlib

    assert load(weights).sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_the_same_weights_are_the_same_file(tmp_path, state, config, card, weights):
    save(tmp_path / "again.safetensors", state, config, card)
    assert (tmp_path / "again.safetensors").read_bytes() == weights.read_bytes()


def test_building_draws_no_first_values(weights, config, monkeypatch):
    def never(*_, **__):
        raise AssertionError("values are drawn that are replaced at once")

    with monkeypatch.context() as patched:
        for name in ("kaiming_uniform_", "uniform_", "normal_"):
            patched.setattr(torch.nn.init, name, never)
        build(load(weights))
        with pytest.raises(AssertionError, match="replaced at once"):
            MoCEIR(config)


def test_a_built_network_computes_with_the_weights(weights, config, state):
    model = build(load(weights))
    reference = MoCEIR(config)
    reference.load_state_dict(state)
    reference.eval()
    picture = torch.rand(1, 3, 17, 24, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(model(picture), reference(picture))
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_a_built_network_owns_its_weights(weights):
    checkpoint = load(weights)
    with torch.no_grad():
        build(checkpoint).embed.weight.zero_()
    assert checkpoint.state["embed.weight"].abs().sum() > 0


def test_half_precision_builds_in_float32(tmp_path, state, config, card):
    save(tmp_path / "h.safetensors", state, config, card, dtype=torch.float16)
    assert build(load(tmp_path / "h.safetensors")).embed.weight.dtype == torch.float32


def test_the_header_tells_without_torch(weights, config, card):
    header = read_header(weights)
    assert header.card == card
    assert header.architecture == config.to_dict()
    assert header.preset is None
    assert header.parameters == sum(p.numel() for p in MoCEIR(config).parameters())
    assert header.dtype == "F32"
    assert header.size_bytes == weights.stat().st_size


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 5000, -1, -100_000])
def test_a_file_cut_short_is_refused(weights, keep):
    data = weights.read_bytes()
    weights.write_bytes(data[:keep])
    with pytest.raises(WeightsError, match=r"empty|no safetensors|cut short"):
        load(weights)


def test_a_file_with_more_at_the_end_is_refused(weights):
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="longer than its contents"):
        load(weights)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is a text file and no weights",
        b"\x80\x02}q\x00.",
        b"PK\x03\x04" + bytes(200),
        bytes(64),
        bytes.fromhex("ffffffffffffffff") + b"{}",
    ],
)
def test_garbage_is_refused(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError):
        load(path)


@pytest.mark.parametrize(
    "table",
    [
        [],
        {"a": 1},
        {"a": {}},
        {"a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
        {"a": {"dtype": "\x1b[2J", "shape": [1], "data_offsets": [0, 4]}},
        {"__metadata__": [1]},
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_nonsense_header_is_refused(tmp_path, table):
    with pytest.raises(WeightsError, match="no safetensors file"):
        load(raw_file(tmp_path / "w.safetensors", table))


def test_a_checkpoint_of_another_kind_gets_a_hint(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert "models convert" in caught.value.hint


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no weights file .*nothing\.safetensors"):
        load(tmp_path / "nothing.safetensors")
    with pytest.raises(WeightsError, match="is a folder"):
        load(tmp_path)


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="needs a user whom permissions bind",
)
def test_an_unreadable_file_is_named(weights):
    weights.chmod(0)
    with pytest.raises(WeightsError, match="cannot be read: Permission denied"):
        load(weights)


def test_a_preset_is_a_word_or_none(weights):
    rewrite(weights, metadata_with(preset="\x1b[2J"))
    assert read_header(weights).preset is None
    rewrite(weights, metadata_with(preset="moce_ir_s"))
    assert read_header(weights).preset == "moce_ir_s"


def drop(metadata, tensors):
    del tensors["decoder.1.0.mixture.router.gate.weight"]


def add(metadata, tensors):
    tensors["decoder.9.weight"] = torch.zeros(1)


def reshape(metadata, tensors):
    tensors["output.weight"] = torch.zeros(3, 8, 3, 5)


def one_in_half(metadata, tensors):
    tensors["output.weight"] = tensors["output.weight"].half()


def whole_numbers(metadata, tensors):
    tensors["output.weight"] = tensors["output.weight"].int()


def not_a_number(metadata, tensors):
    tensors["latent.0.ffn.project.weight"][3, 1] = float("nan")


def infinite(metadata, tensors):
    tensors["latent.0.ffn.project.weight"][3, 1] = float("inf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, r"lacks 'decoder\.1\.0\.mixture\.router\.gate\.weight', which"),
        (add, r"has 'decoder\.9\.weight', unknown"),
        (reshape, r"'output\.weight' has shape \(3, 8, 3, 5\), it needs \(3, 8, 3, 3\)"),
        (one_in_half, r"'output\.weight' is F16, but 'embed\.weight' is F32"),
        (whole_numbers, r"'output\.weight' is I32, it needs one of F32, F16, BF16"),
        (not_a_number, r"'latent\.0\.ffn\.project\.weight' holds values that are not finite"),
        (infinite, r"'latent\.0\.ffn\.project\.weight' holds values that are not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(weights, change, message):
    rewrite(weights, change)
    with pytest.raises(WeightsError, match=message) as caught:
        load(weights)
    assert str(weights) in caught.value.message
    assert caught.value.exit_code == 4


def metadata_without(key):
    def change(metadata, tensors):
        del metadata[key]

    return change


def metadata_with(**values):
    def change(metadata, tensors):
        metadata.update(values)

    return change


def architecture_with(**values):
    def change(metadata, tensors):
        metadata["architecture"] = json.dumps(json.loads(metadata["architecture"]) | values)

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (metadata_without("moce_format"), WeightsError, "lack 'moce_format'"),
        (metadata_with(moce_format="7"), WeightsError, "has format '7', this version reads '1'"),
        (metadata_without("architecture"), ConfigError, "states no architecture"),
        (metadata_with(architecture="{"), ConfigError, "states no architecture"),
        (metadata_with(architecture="[1]"), ConfigError, "no JSON object"),
        (architecture_with(width=12), ConfigError, "width is 12"),
        (architecture_with(width="wide"), ConfigError, "width"),
        (architecture_with(depth=3), ConfigError, "unknown architecture key 'depth'"),
        (architecture_with(width=10**30), ConfigError, "absurd"),
        (architecture_with(latent_blocks=10**9), ConfigError, "absurd"),
        (architecture_with(latent_blocks=60_000), WeightsError, "too few for 600"),
        (architecture_with(num_experts=60_000), ConfigError, "at most 8"),
        (architecture_with(num_experts=5), ConfigError, "width is 8"),
        (architecture_with(latent_blocks=2), WeightsError, r"lacks 'latent\.1\."),
        (architecture_with(width=16), WeightsError, r"'embed\.weight' has shape \(8, 3, 3, 3\)"),
        (metadata_without("card"), WeightsError, "no model card"),
        (metadata_with(card="nothing"), WeightsError, "no model card"),
        (metadata_with(card="{}"), WeightsError, "model card lacks 'degradations'"),
    ],
)
def test_metadata_that_does_not_fit_are_named(weights, change, error, message):
    rewrite(weights, change)
    with pytest.raises(error, match=message) as caught:
        load(weights)
    assert str(weights) in caught.value.message
    assert caught.value.exit_code == 4
