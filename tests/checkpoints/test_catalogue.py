"""Laws: a name means one model; what is listed is there or says why not; damage is noticed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moce_cli.checkpoints import catalogue, load
from moce_cli.checkpoints.entry import Entry, home
from moce_cli.errors import OutputExistsError, WeightsError


def ship(weights, places, name="photo-xs"):
    path = places["shipped"] / f"{name}.safetensors"
    shutil.copy(weights, path)
    catalogue.record_checksum(path)
    return path


def damage(path, at=-4):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_without_files_there_is_what_can_be_converted():
    assert {entry.kind for entry in catalogue.entries()} == {"convert"}
    assert catalogue.find(catalogue.DEFAULT_MODEL) is None


def test_the_papers_checkpoints_are_there_with_link_and_licence():
    entries = {entry.name: entry for entry in catalogue.CONVERTIBLE}
    assert {(name, entry.architecture) for name, entry in entries.items()} == {
        ("moce-ir-3task-s", "moce_ir_s"),
        ("moce-ir-3task", "moce_ir"),
        ("moce-ir-5task-s", "moce_ir_s"),
        ("moce-ir-5task", "moce_ir"),
        ("moce-ir-cdd11-s", "moce_ir_s"),
    }
    for entry in entries.values():
        assert entry.source == "https://github.com/eduardzamfir/MoCE-IR"
        assert "non-commercial" in entry.licence
        with pytest.raises(WeightsError, match="neither ships nor downloads") as caught:
            catalogue.file_of(entry)
        assert f"--preset {entry.architecture}" in caught.value.hint


def test_a_shipped_file_is_described_by_itself(weights, places, card):
    path = ship(weights, places)
    entry = catalogue.find("photo-xs")
    assert entry is not None
    assert (entry.kind, entry.path, entry.card) == ("shipped", path, card)
    assert (entry.summary, entry.licence) == (card.summary, card.licence)
    assert entry.sha256 == load(path).sha256 == catalogue.verify(entry)
    assert entry.size_bytes == path.stat().st_size


def test_every_flipped_bit_is_noticed(weights, places):
    path = ship(weights, places)
    damage(path)
    entry = catalogue.find("photo-xs")
    assert entry is not None
    with pytest.raises(WeightsError, match="SHA-256") as caught:
        catalogue.verify(entry)
    assert "install the package again" in caught.value.hint


def test_a_file_that_cannot_be_used_is_listed_with_the_reason(weights, places):
    path = ship(weights, places)
    path.write_bytes(path.read_bytes()[:1000])
    entry = catalogue.find("photo-xs")
    assert entry is not None
    assert "cut short" in (entry.problem or "")
    with pytest.raises(WeightsError, match=r"photo-xs can't be used: .*cut short"):
        catalogue.file_of(entry)


def test_a_missing_file_with_a_companion_is_listed_as_missing(weights, places):
    ship(weights, places).unlink()
    entry = catalogue.find("photo-xs")
    assert entry is not None
    assert entry.path is None
    with pytest.raises(WeightsError, match="there is no weights file"):
        catalogue.verify(entry)


def test_a_file_without_companion_works_but_does_not_verify(weights, places):
    path = ship(weights, places)
    catalogue.checksum_file(path).unlink()
    entry = catalogue.find("photo-xs")
    assert entry is not None
    assert catalogue.file_of(entry) == path
    with pytest.raises(WeightsError, match="no SHA-256 is recorded"):
        catalogue.verify(entry)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_companion_is_sha256sums(weights):
    catalogue.record_checksum(weights)
    command = ["sha256sum", "-c", f"{weights.name}.sha256"]
    assert subprocess.run(command, cwd=weights.parent, check=False).returncode == 0


def test_an_import_is_found_and_verified(weights, places, card):
    entry = catalogue.import_file(weights)
    assert entry == catalogue.find(card.name)
    assert entry.kind == "imported"
    assert entry.path == places["home"] / "models" / "tiny.safetensors"
    assert entry.path.read_bytes() == weights.read_bytes()
    assert catalogue.verify(entry) == load(weights).sha256
    assert catalogue.import_file(weights, "other").name == "other"


def test_an_import_replaces_only_where_that_is_wanted(weights):
    catalogue.import_file(weights)
    with pytest.raises(OutputExistsError, match="'tiny' already"):
        catalogue.import_file(weights)
    assert catalogue.import_file(weights, overwrite=True).sha256


@pytest.mark.parametrize("name", ["a/b", "..", "../../x", "a b", "con:"])
def test_an_import_stays_in_its_folder(weights, places, name):
    with pytest.raises(WeightsError, match="cannot be a model's name"):
        catalogue.import_file(weights, name)
    assert not places["home"].exists()


def test_an_import_does_not_hide_what_ships(weights, places):
    ship(weights, places)
    with pytest.raises(WeightsError, match="moce's own"):
        catalogue.import_file(weights, "photo-xs")


def test_what_cannot_be_used_is_not_imported(weights):
    damage(weights, at=100)
    with pytest.raises(WeightsError):
        catalogue.import_file(weights)
    assert all(entry.kind == "convert" for entry in catalogue.entries())


def test_export_and_import_carry_a_model_and_notice_damage_on_the_way(weights, places, tmp_path):
    ship(weights, places)
    entry = catalogue.find("photo-xs")
    assert entry is not None
    stick = tmp_path / "stick" / "w.safetensors"
    catalogue.export_file(entry, stick)
    assert catalogue.import_file(stick, "arrived").sha256 == entry.sha256
    damage(stick)
    with pytest.raises(WeightsError, match="SHA-256"):
        catalogue.import_file(stick, "again")
    with pytest.raises(OutputExistsError):
        catalogue.export_file(entry, stick)
    catalogue.export_file(entry, stick, overwrite=True)


def test_a_damaged_model_is_not_exported(weights, places, tmp_path):
    damage(ship(weights, places))
    entry = catalogue.find("photo-xs")
    assert entry is not None
    with pytest.raises(WeightsError, match="SHA-256"):
        catalogue.export_file(entry, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_removed_import_is_gone(weights):
    entry = catalogue.import_file(weights)
    assert len(catalogue.remove_imported(entry)) == 2
    assert catalogue.find("tiny") is None
    assert weights.exists()


def test_a_converted_and_imported_checkpoint_takes_its_place_in_the_list(weights):
    catalogue.import_file(weights, "moce-ir-5task")
    (found,) = (entry for entry in catalogue.entries() if entry.name == "moce-ir-5task")
    assert found.kind == "imported"


def test_a_name_is_listed_once(weights, places):
    catalogue.import_file(weights, "twice")
    ship(weights, places, "twice")
    (found,) = (entry for entry in catalogue.entries() if entry.name == "twice")
    assert found.kind == "shipped"


def test_a_hub_model_knows_its_source(monkeypatch):
    entry = Entry("photo-s", "hub", "s", "org/repo", "Apache-2.0", "moce_ir_s", "v1", "0" * 64)
    monkeypatch.setattr(catalogue, "HUB", (entry,))
    assert catalogue.find("photo-s") == entry
    with pytest.raises(WeightsError, match="not on this machine") as caught:
        catalogue.file_of(entry)
    assert "moce models pull photo-s" in caught.value.hint


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/moce"),
        ("linux", {}, "~/.local/share/moce"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "~/Library/Application Support/moce"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/moce"),
        ("win32", {}, "~/AppData/Local/moce"),
        ("linux", {"MOCE_HOME": "/mine"}, "/mine"),
        ("win32", {"MOCE_HOME": "~/mine"}, "~/mine"),
    ],
)
def test_the_users_folder_is_where_the_platform_has_it(monkeypatch, platform, variables, expected):
    for name in ("MOCE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert home() == Path(expected).expanduser()


def test_shipped_weights_are_found_in_a_wheel_and_in_a_checkout(monkeypatch, tmp_path):
    monkeypatch.delenv("MOCE_WEIGHTS")
    module = tmp_path / "root" / "moce_cli" / "checkpoints" / "catalogue.py"
    monkeypatch.setattr(catalogue, "__file__", str(module))
    assert catalogue.shipped_folder() == tmp_path / "root" / "weights"
    (tmp_path / "root" / "moce_cli" / "weights").mkdir(parents=True)
    assert catalogue.shipped_folder() == tmp_path / "root" / "moce_cli" / "weights"


def test_what_this_project_ships_is_as_recorded(monkeypatch):
    monkeypatch.delenv("MOCE_WEIGHTS")
    shipped = [entry for entry in catalogue.entries() if entry.kind == "shipped"]
    for entry in shipped:
        assert catalogue.verify(entry)
        assert entry.card is not None
        assert entry.card.name == entry.name
        assert load(catalogue.file_of(entry)).card == entry.card
    if not shipped:
        pytest.skip("no weights are there yet")


def test_listing_imports_neither_torch_nor_the_hubs_client(weights, places):
    ship(weights, places)
    code = (
        "import sys; from moce_cli.checkpoints import catalogue; "
        "assert catalogue.find('photo-xs').card.name == 'tiny'; "
        "print([m for m in ('torch', 'safetensors', 'huggingface_hub') if m in sys.modules])"
    )
    root = str(Path(catalogue.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
