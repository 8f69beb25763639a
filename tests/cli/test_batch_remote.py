"""Pictures of other stores, by URL: the same results, journal and codes; nothing half there."""

import json

import fsspec
import pytest

JOURNAL = ".moce-journal.jsonl"


@pytest.fixture(params=["memory", "file"])
def store(request, picture, tmp_path):
    """A file system, and the URL of a folder with pictures in it and below it."""
    base = "memory://bucket" if request.param == "memory" else f"file://{tmp_path}/bucket"
    system, root = fsspec.core.url_to_fs(base)
    if system.exists(root):
        system.rm(root, recursive=True)
    for name in ("a.png", "b.png", "deep/c.png", ".hidden/d.png", "notes.txt"):
        local = picture(tmp_path / "made" / f"{name}.png", seed=len(name))
        system.makedirs(f"{root}/photos/{name}".rpartition("/")[0], exist_ok=True)
        system.put_file(str(local), f"{root}/photos/{name}")
    return system, root, base


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Listings of other tests are no longer true."""
    from moce_cli.batch import remote

    monkeypatch.setattr(remote, "LISTED_SECONDS", 1e-3)


def files(system, folder):
    return sorted(str(p).removeprefix(folder + "/") for p in system.find(folder))


def rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_goes_to_a_folder_and_is_resumed(moce, store, picture, tmp_path):
    system, root, base = store
    words = ("restore", f"{base}/photos", "-o", f"{base}/out", "--json")
    result = moce(*words)
    assert result.exit_code == 0, result.output
    assert [r["input"] for r in rows(result)] == [
        f"{base}/photos/{n}" for n in ("a.png", "b.png", "deep/c.png")
    ]
    assert [r["output"] for r in rows(result)][2] == f"{base}/out/deep/c.png"
    assert files(system, f"{root}/out") == [JOURNAL, "a.png", "b.png", "deep/c.png"]

    alone = tmp_path / "alone"
    assert moce("restore", f"{base}/photos", "-o", alone).exit_code == 0
    for name in ("a.png", "b.png", "deep/c.png"):
        assert system.cat_file(f"{root}/out/{name}") == (alone / name).read_bytes()

    assert moce(*words).exit_code == 6, "outputs are there"
    assert {r["status"] for r in rows(moce(*words, "--resume"))} == {"skipped"}
    system.rm_file(f"{root}/out/b.png")
    system.put_file(str(picture(tmp_path / "new.png", seed=99)), f"{root}/photos/a.png")
    again = moce(*words, "--resume")
    assert [r["status"] for r in rows(again)] == ["restored", "restored", "skipped"], again.output


def test_another_machine_resumes_by_the_journal_beside_the_outputs(
    moce, store, tmp_path, monkeypatch
):
    system, root, base = store
    words = ("restore", f"{base}/photos", "-o", f"{base}/out", "--json", "--resume")
    assert moce(*words).exit_code == 0
    lines = system.cat_file(f"{root}/out/{JOURNAL}").splitlines()
    assert f"{base}/out/a.png" in [json.loads(line)["output"] for line in lines]
    monkeypatch.setenv("MOCE_HOME", str(tmp_path / "another"))
    assert {r["status"] for r in rows(moce(*words))} == {"skipped"}


def test_a_bad_picture_is_named_by_its_url_and_the_rest_goes_on(moce, store):
    system, root, base = store
    system.pipe_file(f"{root}/photos/b.png", b"no picture")
    result = moce("restore", f"{base}/photos", "-o", f"{base}/out", "--json")
    assert result.exit_code == 1
    failed = rows(result)[1]
    assert failed["error"]["exit_code"] == 3
    assert f"{base}/photos/b.png" in failed["error"]["message"]
    assert files(system, f"{root}/out") == [JOURNAL, "a.png", "deep/c.png"]
    again = moce("restore", f"{base}/photos", "-o", f"{base}/out", "--json", "--resume")
    assert [r["status"] for r in rows(again)] == ["skipped", "failed", "skipped"]


def test_a_picture_in_bands_that_is_damaged_is_named_by_its_url(moce, store):
    pytest.importorskip("pyvips")
    system, root, base = store
    whole = system.cat_file(f"{root}/photos/b.png")
    system.pipe_file(f"{root}/photos/b.png", whole[:900] + bytes(900) + whole[1800:])
    result = moce("restore", f"{base}/photos", "-o", f"{base}/out", "--json", "--bands", "always")
    assert result.exit_code == 1
    message = rows(result)[1]["error"]["message"]
    assert message.startswith(f"{base}/photos/b.png")
    assert ".moce-" not in message


def test_one_file_a_pattern_a_template_and_a_local_folder(moce, store, picture, tmp_path):
    system, root, base = store
    assert moce("restore", f"{base}/photos/a.png", "-o", f"{base}/one/x.png").exit_code == 0
    assert moce("restore", f"{base}/photos/*.png", "-o", f"{base}/some").exit_code == 0
    assert (
        moce("restore", f"{base}/photos", "-o", base + "/t/{parent}/{stem}_r{ext}").exit_code == 0
    )
    picture(tmp_path / "local" / "l.png")
    assert moce("restore", tmp_path / "local", "-o", f"{base}/from").exit_code == 0
    assert moce("restore", f"{base}/photos/b.png").exit_code == 0
    found = [n for n in files(system, root) if not n.endswith((JOURNAL, ".txt"))]
    assert [n for n in found if not n.startswith("photos/")] == [
        "from/l.png", "one/x.png", "some/a.png", "some/b.png",
        "t/a_r.png", "t/b_r.png", "t/deep/c_r.png",
    ]  # fmt: skip
    assert "photos/b.restored.png" in found


def test_an_upload_that_fails_leaves_nothing_and_is_told(moce, store, monkeypatch):
    system, root, base = store

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(system), "mv", full)
    result = moce("restore", f"{base}/photos/a.png", "-o", f"{base}/out/a.png")
    assert result.exit_code == 6
    assert f"{base}/out/a.png cannot be written: no space left on device" in result.stderr
    assert not system.exists(f"{root}/out") or files(system, f"{root}/out") == []


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("s3://bucket/a.png", 2, "s3:// needs the package s3fs, which is not installed"),
        ("qqq://bucket/a.png", 2, "qqq:// is no protocol that fsspec knows"),
        ("memory://nowhere/a.png", 3, "memory://nowhere/a.png is not there"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence(moce, tmp_path, name, code, sentence):
    if name.startswith("s3") and __import__("importlib").util.find_spec("s3fs"):
        pytest.skip("s3fs is installed")
    result = moce("restore", name, "-o", tmp_path / "out.png")
    assert result.exit_code == code, result.output
    assert sentence in result.stderr


def test_a_local_folder_that_looks_like_a_protocol_is_local(moce, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "memory:" / "a.png")
    assert moce("restore", "memory:", "-o", "out").exit_code == 0
    assert (tmp_path / "out" / "a.png").exists()
