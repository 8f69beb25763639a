"""Laws of `push`, with the real client against a server on loopback.

One commit holds the weights, the architecture and the card; what is there is not replaced unasked.
"""

import base64
import hashlib
import json

import pytest
from fake_hub import COMMIT, FakeHub, assert_fails

TOKEN = "hf_made_for_tests"


@pytest.fixture
def hub():
    with FakeHub(token=TOKEN) as server:
        yield server


@pytest.fixture
def push(moce, weights):
    def run(*args, **extra):
        # the upload by Xet needs a server of its own kind; the client falls back to plain HTTP
        return moce(
            "models",
            "push",
            str(weights),
            *args,
            **{"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN} | extra,
        )

    return run


def committed(hub):
    return {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]).decode()
        for line in hub.committed
        if line["key"] == "file"
    }


def test_a_push_makes_the_repository_and_one_commit(push, hub, weights, config, card):
    done = push("org/new", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.url}/org/new/commit/{COMMIT}"
    (created,) = hub.created
    assert (created["organization"], created["name"]) == ("org", "new")
    assert created.get("visibility") == "private" or created.get("private") is True

    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert hub.uploads == {digest: weights.read_bytes()}
    (large,) = (line["value"] for line in hub.committed if line["key"] == "lfsFile")
    assert (large["path"], large["oid"]) == ("model.safetensors", digest)
    assert len(hub.asked("POST", "/commit/")) == 1

    files = committed(hub)
    assert set(files) == {"config.json", "README.md"}
    values = json.loads(files["config.json"])
    assert values["architecture"] == config.to_dict()
    assert values["card"] == card.to_dict()
    page = files["README.md"]
    assert page.startswith("---\n")
    assert "license: apache-2.0" in page
    for text in (card.name, card.summary, card.version, card.training_data, *card.degradations):
        assert text in page
    assert "--model org/new" in page
    assert {r.token for r in hub.requests if r.method == "POST"} == {f"Bearer {TOKEN}"}


def test_weights_that_are_there_are_replaced_only_where_that_is_wanted(push, hub, weights):
    hub.add("org/new", b"older weights")
    assert_fails(push("org/new"), "has a model.safetensors already", "--overwrite", code=6)
    assert hub.uploads == {}
    assert push("org/new", "--overwrite").returncode == 0
    assert len(hub.uploads) == 1


def test_a_repository_without_weights_is_taken(push, hub):
    hub.add("org/new", b"# empty", name="README.md")
    done = push("org/new")
    assert done.returncode == 0, done.stderr
    assert len(hub.uploads) == 1


def test_without_a_token_the_error_says_how_to_log_in(push, hub):
    assert_fails(push("org/new", HF_TOKEN=""), "cannot be pushed", "hf auth login", code=6)
    assert hub.uploads == {}


def test_a_refusal_is_a_sentence(push, hub):
    hub.refuse_push = 403
    assert_fails(push("org/new"), f"cannot be pushed to {hub.url}/org/new", "403", code=6)


def test_no_network_is_a_sentence(push):
    done = push("org/new", HF_ENDPOINT="http://127.0.0.1:9")
    assert_fails(done, "cannot be pushed to http://127.0.0.1:9/org/new", code=6)


def test_only_weights_files_are_pushed(moce, hub, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    done = moce("models", "push", "text.safetensors", "org/new", HF_TOKEN=TOKEN)
    assert_fails(done, "no safetensors file")
    assert_fails(moce("models", "push", "nothing", "org/new"), "there is no model 'nothing'")
    assert hub.requests == []


def test_a_push_has_no_revision(push, hub):
    done = push("org/new@v1")
    assert done.returncode == 2
    assert hub.requests == []
