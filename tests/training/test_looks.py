"""A set that was looked through is not decoded to be looked through again."""

import hashlib
import json
import os

import numpy as np
import pytest
from test_testsets import listing
from training_pictures import folder_of, picture, save

from moce_cli.errors import InputError
from moce_cli.training import sources
from moce_cli.training.looks import Looks, look_at
from moce_cli.training.sources import Pictures, find_pictures
from moce_cli.training.testsets import TestSets

SIDE = 96 * 112 * 3
"""Bytes of a picture."""


def aged(folder, seconds=100):
    """Every file as if nobody had touched it for a while."""
    for path in [folder] if folder.is_file() else folder.rglob("*"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOCE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path, home):
    return aged(folder_of(tmp_path / "data", 4))


@pytest.fixture
def decoded(monkeypatch):
    """The names of what is decoded, in the order in which it happens."""
    names = []
    whole = sources.decode_rgb

    def decode(path, name=None):
        names.append(path.name)
        return whole(path, name)

    monkeypatch.setattr(sources, "decode_rgb", decode)
    return names


def scan(folder, *, kept=0, refuse=lambda seen: None):
    found = Pictures(find_pictures([folder]), budget_bytes=kept * SIDE)
    found.check(refuse)
    return found


def facts(found):
    return found.paths, found.sizes, found.left_out


def the_file(home):
    (path,) = (home / "looks").iterdir()
    return path


def test_the_second_scan_decodes_nothing_and_finds_the_same(data, decoded):
    first = scan(data)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]
    decoded.clear()
    second = scan(data)
    assert decoded == []
    assert facts(second) == facts(first)
    np.testing.assert_array_equal(second[2], picture(2))


@pytest.mark.parametrize("kept", [1, 3, 9])
def test_what_is_to_stay_in_memory_is_decoded(data, decoded, kept):
    scan(data, kept=kept)
    decoded.clear()
    found = scan(data, kept=kept)
    assert len(decoded) == min(kept, 4)
    for number in range(4):
        np.testing.assert_array_equal(found[number], picture(number))
    with pytest.raises(ValueError, match="read-only"):
        found[0][0, 0, 0] = 1


def test_a_changed_file_is_looked_at_again(data, decoded):
    scan(data)
    status = (data / "1.png").stat()
    save(data / "1.png", picture(8, 64, 80))  # another size, the same time
    os.utime(data / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    content = bytearray((data / "2.png").read_bytes())
    (data / "2.png").write_bytes(content)  # the same size, another time
    aged(data / "2.png", 50)
    decoded.clear()
    assert scan(data).sizes[data / "1.png"] == (64, 80)
    assert sorted(decoded) == ["1.png", "2.png"]
    decoded.clear()
    scan(data)
    assert decoded == []


def test_a_fresh_file_is_not_trusted(data, decoded, home):
    save(data / "4.png", picture(4))
    scan(data)
    decoded.clear()
    scan(data)
    assert decoded == ["4.png"]


def test_an_unreadable_file_is_tried_again(data, decoded, monkeypatch):
    (data / "4.png").write_text("no picture")
    aged(data / "4.png")
    first = scan(data)
    decoded.clear()
    assert facts(scan(data)) == facts(first)
    assert decoded == ["4.png"]
    (data / "0.png").rename(data / "5.png")
    (data / "0.png").mkdir()  # it was a picture, and can no longer be opened
    with Looks() as looks, pytest.raises(InputError):
        looks.of(data / "0.png", sources.decode_rgb)


def test_a_test_picture_is_refused_by_what_was_kept(data, decoded):
    listed = [picture(2), picture(77, 200, 240)]
    save(data / "near.jpg", listed[1][2:-2, 2:-2], quality=70)
    aged(data / "near.jpg")
    known = TestSets(listing(*listed))
    first = scan(data, refuse=known.refuse)
    assert {(one.path.name, one.why) for one in first.left_out} == {
        ("2.png", "it is the test picture made/0"),
        ("near.jpg", "it looks like the test picture made/1"),
    }
    decoded.clear()
    assert facts(scan(data, refuse=known.refuse)) == facts(first)
    # what is refused depends on this run, not on the one that kept the looks
    assert len(scan(data).paths) == 5
    assert decoded == []


def test_pictures_that_are_held_back_are_not_decoded_again(data, decoded, monkeypatch):
    from moce_cli.training import testsets

    monkeypatch.setattr(testsets, "decode_rgb", sources.decode_rgb)
    refused = []
    for _ in range(2):
        decoded.clear()
        known = TestSets(listing(picture(70)))
        known.hold_back([data])
        refused.append(known.refuse(look_at(picture(3))))
    assert decoded == []
    assert refused == [f"it is a validation picture, {data / '3.png'}"] * 2


def signed(content):
    body = json.dumps(content)
    return f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n".encode()


DAMAGES = {
    "empty": lambda kept: b"",
    "cut": lambda kept: kept[: len(kept) // 2],
    "one digit": lambda kept: kept.replace(b"96, 112", b"97, 112"),
    "no text": lambda kept: bytes(range(256)),
    "of another format": lambda kept: signed({"format": 99, "looks": {}}),
    "a list": lambda kept: signed([1, 2]),
    "short rows": lambda kept: signed({"format": 1, "looks": {"0.png": [1, 2]}}),
    "no hashes": lambda kept: signed({"format": 1, "looks": {"0.png": [1, 2, 3, 4, "", "zz"]}}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_kept_and_is_damaged_counts_as_nothing(data, decoded, home, damage):
    first = scan(data)
    whole = the_file(home).read_bytes()
    the_file(home).write_bytes(DAMAGES[damage](whole))
    decoded.clear()
    assert facts(scan(data)) == facts(first)
    assert len(decoded) == 4
    assert the_file(home).read_bytes() == whole, "it is mended"


def test_a_place_that_cannot_be_written_to_is_no_error(data, decoded, home, monkeypatch):
    first = scan(data)
    for place in ("a file", "a file/below"):
        (home.parent / "a file").touch()
        monkeypatch.setenv("MOCE_HOME", str(home.parent / place))
        decoded.clear()
        assert facts(scan(data)) == facts(first)
        assert len(decoded) == 4


def test_a_disk_that_is_full_or_only_to_be_read_is_no_error(data, decoded, monkeypatch):
    def mkstemp(*args, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", mkstemp)
    for _ in range(2):
        decoded.clear()
        assert len(scan(data).paths) == 4
        assert len(decoded) == 4


def test_nothing_is_written_beside_the_pictures(data, home):
    before = {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]}
    for _ in range(2):
        scan(data)
    assert {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]} == before
    assert the_file(home).name.endswith(".json")


def test_each_folder_has_its_file_and_forgets_what_is_gone(data, decoded, home):
    aged(folder_of(data / "deep", 2, 80, 90))
    first = scan(data)
    assert len(list((home / "looks").iterdir())) == 2
    decoded.clear()
    assert facts(scan(data)) == facts(first)
    assert decoded == []
    (data / "0.png").unlink()
    aged(save(data / "7.png", picture(7)))
    scan(data)
    rows = [json.loads(p.read_text().splitlines()[1])["looks"] for p in (home / "looks").iterdir()]
    assert {"1.png", "2.png", "3.png", "7.png"} in [set(names) for names in rows]


def test_scans_of_one_folder_at_once_keep_what_either_saw(data, decoded):
    with Looks() as one, Looks() as other:
        one.of(data / "0.png", sources.decode_rgb)
        other.of(data / "1.png", sources.decode_rgb)
    decoded.clear()
    with Looks() as looks:
        assert [looks.of(data / f"{i}.png", sources.decode_rgb)[1] for i in (0, 1)] == [None, None]
    assert decoded == []


def test_a_scan_that_is_broken_off_keeps_what_it_saw(data, decoded):
    def refuse(seen):
        if len(decoded) == 4:
            raise KeyboardInterrupt
        return None

    with pytest.raises(KeyboardInterrupt):
        scan(data, refuse=refuse)
    decoded.clear()
    scan(data)
    assert decoded == []
