"""Weights made to harm: one sentence, exit code 4, and nothing run or written."""

import os
import pickle
import struct

import pytest


class Runs:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def hostile_weights(tmp_path):
    """Files that create `mark` when they are unpickled carelessly."""
    import torch

    evil = Runs(tmp_path / "mark")
    torch.save({"state_dict": {"net.x": evil}}, tmp_path / "evil.ckpt")
    torch.save(evil, tmp_path / "older.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(evil))
    (tmp_path / "renamed.safetensors").write_bytes(pickle.dumps(evil))
    torch.save({"state_dict": {"net.x": evil}}, tmp_path / "zipped.safetensors")
    return sorted(path for path in tmp_path.iterdir() if path.is_file())


def test_weights_that_run_code(refused, picture, tmp_path):
    files = hostile_weights(tmp_path)
    source = picture(tmp_path / "in" / "a.png")
    for path in files:
        for command in ("restore", "info"):
            assert path.name in refused(4, command, source, "--model", path)
        out = tmp_path / "out.safetensors"
        assert path.name in refused(4, "models", "convert", path, "-o", out)
        assert path.name in refused(4, "models", "import", path)
    assert not (tmp_path / "mark").exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert (tmp_path / "mark").exists(), "they would have"


def header(text, data=b""):
    return struct.pack("<Q", len(text)) + text + data


LYING = {
    "a header without end": struct.pack("<Q", 2**63) + b"{}",
    "a header of a gigabyte": struct.pack("<Q", 2**30) + b"{}",
    "no JSON": header(b"\x80\x04os.system"),
    "deep JSON": header(b"[" * 100_000),
    "tensors outside": header(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(4)),
    "a tensor without end": header(
        b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}', bytes(4)
    ),
    "an architecture without end": header(
        b'{"__metadata__":{"moce_format":"1","architecture":"{\\"width\\":1000000000}","card":"{}"},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        bytes(4),
    ),
}


@pytest.mark.parametrize("what", LYING)
def test_weights_that_are_not_what_they_say(refused, picture, tmp_path, what):
    path = tmp_path / "lying.safetensors"
    path.write_bytes(LYING[what])
    source = picture(tmp_path / "in" / "a.png")
    assert "lying.safetensors" in refused(4, "restore", source, "--model", path)
    said = refused(4, "models", "import", path)
    assert "lying.safetensors" in said
    assert ("absurd" in said) == (what == "an architecture without end")
