"""Laws: `--model` means the same everywhere; what it can't mean is told with what it could."""

import os
import shutil

import pytest
import torch

from moce_cli.checkpoints import build, catalogue, load, load_model, resolve
from moce_cli.checkpoints.resolution import describe, parse_hub_name, random_checkpoint
from moce_cli.errors import DownloadError, WeightsError


@pytest.fixture
def shipped(weights, places):
    path = places["shipped"] / "photo-xs.safetensors"
    shutil.copy(weights, path)
    catalogue.record_checksum(path)
    return path


def test_a_catalogue_name(shipped):
    resolved = resolve("photo-xs")
    assert (resolved.kind, resolved.path) == ("catalogue", shipped)
    assert load_model("photo-xs").sha256 == resolved.sha256
    assert load_model().sha256 == resolved.sha256


def test_a_file_however_it_is_written(weights, monkeypatch, tmp_path):
    sha256 = load(weights).sha256
    monkeypatch.chdir(weights.parent)
    assert load_model(str(weights)).sha256 == sha256
    assert load_model("tiny.safetensors").sha256 == sha256
    assert load_model(f".{os.sep}tiny.safetensors").sha256 == sha256
    shutil.copy(weights, "no_ending")
    assert load_model("no_ending").sha256 == sha256


def test_a_cloned_repository(weights, tmp_path, monkeypatch):
    folder = tmp_path / "org" / "repo"
    folder.mkdir(parents=True)
    shutil.copy(weights, folder / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    assert resolve("org/repo").kind == "file"
    assert resolve(str(folder)).path == folder / "model.safetensors"


def test_the_catalogue_comes_before_a_file_of_that_name(shipped, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo-xs").write_text("something else")
    assert resolve("photo-xs").path == shipped


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nothing.safetensors", r"there is no weights file nothing\.safetensors"),
        ("a/b/c.safetensors", r"there is no weights file a/b/c\.safetensors"),
        ("/not/there", "there is no weights file /not/there"),
        ("./not-there", r"there is no weights file \./not-there"),
        ("nothing", "there is no model 'nothing'"),
        ("", "there is no model ''"),
        ("preset:huge", "there is no preset 'huge', only moce_ir_xs, moce_ir_s, moce_ir"),
        ("moce-ir-5task-s", "neither ships nor downloads"),
    ],
)
def test_what_is_not_there_is_named(model, message):
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(model)
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_a_name_nearly_right_is_suggested(shipped):
    with pytest.raises(WeightsError) as caught:
        resolve("Photo_xs")
    assert "photo-xs" in caught.value.hint
    assert "moce models ls" in caught.value.hint


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(WeightsError, match="is a folder without model"):
        resolve(str(tmp_path))


def test_a_damaged_shipped_file_is_not_loaded(shipped):
    data = bytearray(shipped.read_bytes())
    data[-4] ^= 1
    shipped.write_bytes(data)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_model("photo-xs")


def test_what_is_on_no_machine_is_a_download_error_when_offline():
    with pytest.raises(WeightsError, match="not on this machine"):
        load_model("org/repo", fetch=False)
    with pytest.raises(DownloadError, match="org/repo@v1 cannot be pulled"):
        load_model("org/repo@v1")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("org/repo", ("org/repo", None)),
        ("org/re.po-1@v1.0", ("org/re.po-1", "v1.0")),
        ("org/repo@refs/pr/1", ("org/repo", "refs/pr/1")),
        ("repo", None),
        ("a/b/c", None),
        ("org/", None),
        ("/repo", None),
        ("../repo", None),
        ("org/repo@", None),
        ("org\\repo", None),
        ("org/repo@a@b", None),
    ],
)
def test_names_of_repositories(name, parts):
    assert parse_hub_name(name) == parts


def test_a_preset_is_the_same_every_time_and_everywhere():
    before = torch.random.get_rng_state()
    one = load_model("preset:moce_ir_xs")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(123)
    two = load_model("preset:moce_ir_xs")
    torch.random.set_rng_state(before)
    assert one.sha256 is None
    assert all(torch.equal(one.state[key], two.state[key]) for key in one.state)
    other = random_checkpoint("moce_ir_xs", seed=1)
    assert not torch.equal(other.state["embed.weight"], one.state["embed.weight"])


def test_a_preset_leaves_a_picture_a_picture():
    model = build(load_model("preset:moce_ir_xs"))
    picture = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert (model(picture) - picture).std() < 0.1


def test_describe_tells_of_files_too(weights, card):
    entry = describe(str(weights))
    assert entry.card == card
    assert entry.path == weights
    with pytest.raises(WeightsError, match="has no file"):
        describe("preset:moce_ir_xs")
