"""Laws of `pull`, with the real client against a server on loopback.

What is pulled is whole and is what was asked for, or it is an error that tells the address, the
target and what to do; a retry can always succeed; nothing but 127.0.0.1 is spoken to.
"""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, assert_fails

from moce_cli.checkpoints import catalogue, load, save
from moce_cli.checkpoints.resolution import random_state
from moce_cli.network import MoCEIRConfig

REPO = "org/repo"


@pytest.fixture
def hub(weights):
    with FakeHub() as server:
        server.add(REPO, weights.read_bytes())
        yield server


@pytest.fixture
def pull(moce):
    def run(name=REPO, *args, **extra):
        return moce("models", "pull", name, *args, **extra)

    return run


def cached_files(places):
    folder = places["hf"] / "hub"
    return [p for p in folder.rglob("*") if p.is_file() and "blobs" in p.parts]


def assert_tells_how_to_go_on(done, hub, places, revision="main"):
    url = f"{hub.url}/org/repo/resolve/{revision}/model.safetensors"
    assert_fails(done, url, str(places["hf"] / "hub"), "browser", "moce models import")


def test_a_pull_and_what_follows(pull, moce, hub, places, weights):
    done = pull()
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.read_bytes() == weights.read_bytes()
    assert path.is_relative_to(places["hf"])
    assert "%" not in done.stderr  # no bar where there is no terminal
    asked = len(hub.requests)

    entry = catalogue.find(REPO)
    assert entry is not None
    assert (entry.kind, entry.path, entry.revision) == ("pulled", path, COMMIT)
    assert catalogue.verify(entry) == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert moce("models", "path", REPO).stdout.strip() == str(path)
    assert len(hub.requests) == asked  # none of this asks the network

    assert moce("models", "rm", REPO).returncode == 0
    assert cached_files(places) == []
    assert_fails(moce("models", "rm", REPO), "not on this machine")
    assert catalogue.find(REPO) is None
    assert pull().returncode == 0


def test_a_second_pull_transfers_nothing(pull, hub):
    assert pull().returncode == 0
    assert pull().returncode == 0
    assert len(hub.asked("GET", "/cdn/")) == 1


@pytest.mark.parametrize("revision", ["v1.0", COMMIT])
def test_a_pinned_revision(pull, hub, places, state, config, card, weights, revision, tmp_path):
    newer = tmp_path / "newer.safetensors"
    state["embed.weight"] = state["embed.weight"] * 2
    save(newer, state, config, card)
    hub.add(REPO, newer.read_bytes(), commit="d" * 40)
    hub.add(REPO, weights.read_bytes(), revision="v1.0", commit=COMMIT)
    done = pull(f"{REPO}@{revision}", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["name"] == f"{REPO}@{revision}"
    assert values["commit"] == COMMIT
    assert Path(values["path"]).read_bytes() == weights.read_bytes()
    assert Path(pull().stdout.strip()).read_bytes() == newer.read_bytes()


def test_a_small_transfer_broken_midway_is_made_good(pull, hub, weights):
    hub.break_after = 50_000
    done = pull()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == weights.read_bytes()
    assert len(hub.asked("GET", "/cdn/")) == 2


def test_a_large_transfer_broken_midway_goes_on_where_it_was(pull, hub, card, tmp_path):
    large = MoCEIRConfig(32, (1, 1, 1), 1, (1, 1, 1), 1, (1, 1, 2, 2))
    path = tmp_path / "large.safetensors"
    save(path, random_state(large), large, card)
    content = path.read_bytes()
    assert len(content) > 12e6  # the client writes ten mebibytes at a time
    hub.add(REPO, content)
    hub.break_after = 11_000_000
    done = pull()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == content
    first, second = hub.asked("GET", "/cdn/")
    assert first.range is None
    assert second.range == f"bytes={10 * 2**20}-"


def test_a_killed_pull_leaves_nothing_that_harms_the_next(
    pull, hub, environment, places, weights, tmp_path
):
    hub.stall_after = 50_000
    command = [sys.executable, "-m", "moce_cli", "models", "pull", REPO]
    killed = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        assert hub.stalled.wait(30)
        time.sleep(0.1)
    finally:
        killed.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        killed.communicate(timeout=30)
    assert not list((places["hf"] / "hub").rglob("model.safetensors"))
    assert not places["home"].exists()
    done = pull()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == weights.read_bytes()
    assert [asked.range for asked in hub.asked("GET", "/cdn/")] == [None, None]


def test_a_wrong_checksum_is_an_error_and_the_next_pull_can_succeed(pull, hub, places, weights):
    good = hashlib.sha256(weights.read_bytes()).hexdigest()
    done = pull(REPO, "--sha256", "0" * 64)
    assert_fails(done, good, "0" * 64, f"{hub.url}/org/repo/resolve/main/model.safetensors")
    assert cached_files(places) == []
    assert catalogue.find(REPO) is None
    assert pull(REPO, "--sha256", good).returncode == 0


def test_contents_unlike_what_the_hub_says_are_refused(pull, hub, places):
    hub.declared_sha256 = "ab" * 32
    assert_fails(pull(), "ab" * 32, "removed again")
    assert cached_files(places) == []
    hub.declared_sha256 = None
    assert pull().returncode == 0


def test_a_copy_damaged_in_the_cache_is_noticed_and_pulled_again(pull, moce, weights):
    path = Path(pull().stdout.strip())
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)
    assert "SHA-256" in moce("models", "verify", REPO).stderr
    done = pull()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == weights.read_bytes()
    assert moce("models", "verify", REPO).returncode == 0


def test_a_blob_that_is_a_link_itself_is_still_known_by_its_checksum(pull, hub, places):
    path = Path(pull().stdout.strip())
    if not path.is_symlink():
        pytest.skip("the cache holds no links on this system")
    (blob,) = cached_files(places)
    store = places["hf"] / ("5" * 64)  # as the client shares large files between repositories
    blob.rename(store)
    blob.symlink_to(store)
    assert pull().returncode == 0
    assert len(hub.asked("GET", "/cdn/")) == 1


def test_a_home_that_cannot_be_written_is_no_obstacle(pull, tmp_path):
    (tmp_path / "file").write_text("")
    done = pull(MOCE_HOME=str(tmp_path / "file"))
    assert done.returncode == 0, done.stderr


def test_a_missing_repository(pull, hub, places):
    hub.files.clear()
    done = pull()
    assert_tells_how_to_go_on(done, hub, places)
    assert_fails(done, "no such repository, or it is private")


def test_a_missing_revision_and_a_missing_file(pull, hub, places, weights):
    done = pull(f"{REPO}@v9")
    assert_tells_how_to_go_on(done, hub, places, revision="v9")
    assert_fails(done, "no revision 'v9'")
    hub.add("org/text", b"hello", name="notes.txt")
    assert_fails(pull("org/text"), "it holds no model.safetensors")


def test_a_gated_repository(pull, hub, places):
    hub.gated.add(REPO)
    done = pull()
    assert_tells_how_to_go_on(done, hub, places)
    assert_fails(done, f"terms accepted at {hub.url}/{REPO}", "hf auth login")


def test_a_repository_of_something_else(pull, hub):
    hub.add("org/other", b"this is no weights file")
    assert_fails(pull("org/other"), "org/other holds no model for moce", "no safetensors file")
    assert catalogue.find("org/other") is None


def test_no_network_and_no_copy(pull, hub, places):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
    hub.url = dead
    done = pull(HF_ENDPOINT=dead)
    assert_tells_how_to_go_on(done, hub, places)
    assert_fails(done, "the hub cannot be reached", "not in the cache")


def test_no_network_but_a_copy(pull, weights):
    assert pull().returncode == 0
    done = pull(HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "cannot be reached" in done.stderr
    assert "the copy in the cache is used" in done.stderr
    assert Path(done.stdout.strip()).read_bytes() == weights.read_bytes()


def test_offline_mode_with_and_without_a_copy(pull, hub, places):
    done = pull(HF_HUB_OFFLINE="1")
    assert_tells_how_to_go_on(done, hub, places)
    assert_fails(done, "offline mode is on (HF_HUB_OFFLINE)")
    assert hub.requests == []
    assert pull().returncode == 0
    asked = len(hub.requests)
    assert pull(HF_HUB_OFFLINE="1").returncode == 0
    assert len(hub.requests) == asked


def test_a_model_of_ours_on_the_hub_is_pinned_and_checked(environment, hub, weights, tmp_path):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    hub.add(REPO, weights.read_bytes(), revision="v1")
    code = (
        "import sys\n"
        "from moce_cli.checkpoints import catalogue, resolve\n"
        "from moce_cli.checkpoints.entry import Entry\n"
        "entry = Entry('photo-z', 'hub', 's', 'org/repo', 'Apache-2.0', None, 'v1', sys.argv[1])\n"
        "catalogue.HUB = (entry,)\n"
        "assert catalogue.find('photo-z').path is None\n"
        "assert resolve('photo-z').path.exists()\n"
        "found = catalogue.find('photo-z')\n"
        "assert found.kind == 'hub' and found.path is not None, found\n"
        "print(resolve('photo-z', fetch=False).sha256, catalogue.verify(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, digest],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [digest, digest], done.stderr


def test_load_takes_what_was_pulled(pull, weights):
    assert load(pull().stdout.strip()).sha256 == load(weights).sha256
