"""Laws: what is written can be read; a place holds the old file or the new one, never a part."""

import pytest
import torch

from moce_cli.checkpoints import load, save
from moce_cli.errors import OutputError, OutputExistsError, WeightsError


def test_another_architectures_state_is_not_saved(tmp_path, state, config, card):
    del state["embed.weight"]
    with pytest.raises(WeightsError, match=r"lacks 'embed\.weight'"):
        save(tmp_path / "w.safetensors", state, config, card)
    assert list(tmp_path.glob("*.safetensors")) == []


def test_numbers_too_large_for_the_dtype_are_not_saved(tmp_path, state, config, card):
    state["embed.weight"] = state["embed.weight"] + 70_000
    with pytest.raises(WeightsError, match=r"as F16: 'embed\.weight' holds values .* not finite"):
        save(tmp_path / "w.safetensors", state, config, card, dtype=torch.float16)
    save(tmp_path / "w.safetensors", state, config, card)


def test_only_float_files_are_saved(tmp_path, state, config, card):
    with pytest.raises(WeightsError, match=r"not written as torch\.float64"):
        save(tmp_path / "w.safetensors", state, config, card, dtype=torch.float64)


def test_a_file_is_replaced_only_where_that_is_wanted(weights, state, config, card):
    before = weights.read_bytes()
    state["embed.weight"] = state["embed.weight"] * 2
    with pytest.raises(OutputExistsError):
        save(weights, state, config, card, overwrite=False)
    assert weights.read_bytes() == before
    save(weights, state, config, card)
    assert torch.equal(load(weights).state["embed.weight"], state["embed.weight"])


def test_a_failed_write_leaves_what_was_there(weights, state, config, card, monkeypatch):
    before = weights.read_bytes()

    def full(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(weights), "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save(weights, state, config, card)
    assert weights.read_bytes() == before
    assert [p.name for p in weights.parent.iterdir() if p.is_file()] == [weights.name]


def test_a_place_that_cannot_be_written_is_named(tmp_path, state, config, card):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save(tmp_path / "file" / "w.safetensors", state, config, card)
