"""Batches of `moce restore`: resumed, shared, listed, watched; by exit code and files."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_support import png_bytes
from PIL import Image

MOCE = [sys.executable, "-m", "moce_cli"]
JOURNAL = ".moce-journal.jsonl"


@pytest.fixture
def photos(picture, tmp_path):
    for i in range(5):
        picture(tmp_path / "photos" / f"{i}.png", seed=i)
    return tmp_path / "photos"


def made(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("[!.]*.*"))


def statuses(result):
    return [json.loads(line)["status"] for line in result.stdout.splitlines()]


def test_a_batch_is_resumed(moce, photos, picture, tmp_path):
    out = tmp_path / "out"
    words = ("restore", photos, "-o", out, "--json", "--resume")
    assert statuses(moce(*words)) == ["restored"] * 5
    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    again = moce(*words)
    assert again.exit_code == 0
    assert statuses(again) == ["skipped"] * 5
    assert {json.loads(line)["reason"] for line in again.stdout.splitlines()} == {"done before"}
    assert {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")} == before
    (out / "1.png").unlink()
    picture(photos / "3.png", seed=33)
    assert statuses(moce(*words)) == ["skipped", "restored", "skipped", "restored", "skipped"]
    assert statuses(moce(*words, "--strength", "0.5")) == ["restored"] * 5


def test_the_journal_says_what_was_done(moce, photos, model_file, tmp_path):
    import hashlib

    assert moce("restore", photos, "-o", tmp_path / "out").exit_code == 0
    lines = [json.loads(x) for x in (tmp_path / "out" / JOURNAL).read_text().splitlines()]
    # each is written down when it is saved, and several are saved at once
    by_output = {line["output"]: line for line in lines}
    assert sorted(by_output) == [f"{i}.png" for i in range(5)]
    assert len(lines) == 5
    line = by_output["0.png"]
    assert line["input"] == str(photos / "0.png")
    assert line["read"]["size_bytes"] == (photos / "0.png").stat().st_size
    for name, path in (("read", photos / "0.png"), ("written", tmp_path / "out" / "0.png")):
        assert line[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert line["work"]["sha256"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert line["work"]["options"]["strength"] == 1.0
    assert {"time", "seconds", "seam", "experts", "status"} <= set(line)


def test_what_the_journal_does_not_know_stops_a_resumed_batch(moce, photos, picture, tmp_path):
    out = tmp_path / "out"
    foreign = picture(out / "2.png", seed=9)
    before = foreign.read_bytes()
    result = moce("restore", photos, "-o", out, "--resume")
    assert result.exit_code == 6
    assert made(out) == ["2.png"]
    rest = moce("restore", photos, "-o", out, "--resume", "--skip-existing", "--json")
    assert statuses(rest) == [
        "restored", "restored", "skipped", "restored", "restored",
    ]  # fmt: skip
    assert foreign.read_bytes() == before


def test_failures_stay_failures_until_asked_for(moce, photos, tmp_path):
    good = (photos / "2.png").read_bytes()
    (photos / "2.png").write_bytes(good[:300])
    words = ("restore", photos, "-o", tmp_path / "out", "--json")
    first = moce(*words)
    assert first.exit_code == 1
    again = moce(*words, "--resume")
    assert again.exit_code == 1, "a script must still be able to tell"
    assert statuses(again) == ["skipped", "skipped", "failed", "skipped", "skipped"]
    assert "in an earlier run: --retry-failed" in again.stderr
    assert statuses(moce(*words, "--retry-failed")).count("failed") == 1
    (photos / "2.png").write_bytes(good)
    mended = moce(*words, "--resume")
    assert mended.exit_code == 0
    assert statuses(mended)[2] == "restored"


def test_a_dry_run_writes_nothing(moce, photos, picture, tmp_path):
    out = tmp_path / "out"
    result = moce("restore", photos, "-o", out, "--dry-run")
    assert result.exit_code == 0
    *lines, total = result.stdout.splitlines()
    assert [line.split(" -> ")[1].partition(": ")[0] for line in lines] == [
        str(out / f"{i}.png") for i in range(5)
    ]
    assert all(": 1 tile, about " in line and " of memory" in line for line in lines)
    assert total.startswith("5 pictures: 5 tiles, about ")
    assert not out.exists()
    picture(out / "1.png")
    rows = moce("restore", photos, "-o", out, "--dry-run", "--json", "--skip-existing")
    assert statuses(rows) == ["planned", "skipped", "planned", "planned", "planned"]
    told = [json.loads(line).get("forecast", {}).get("tiles") for line in rows.stdout.splitlines()]
    assert told == [1, None, 1, 1, 1]
    assert moce("restore", photos, "-o", out, "--dry-run").exit_code == 6
    assert made(out) == ["1.png"]
    for i in (0, 2, 3, 4):
        picture(out / f"{i}.png")
    nothing = moce("restore", photos, "-o", out, "--dry-run", "--skip-existing")
    assert len(nothing.stdout.splitlines()) == 5, "no sum of nothing"


def test_fail_fast_stops_at_the_first_failure(moce, photos, picture, tmp_path):
    for i in range(10, 40):
        picture(photos / f"{i}.png", seed=i)
    (photos / "0.png").write_bytes(b"no picture")
    result = moce("restore", photos, "-o", tmp_path / "out", "--fail-fast")
    assert result.exit_code == 1
    assert "not begun" in result.stderr
    assert len(made(tmp_path / "out")) < 34
    rest = moce("restore", photos, "-o", tmp_path / "out", "--resume")
    assert rest.exit_code == 1
    assert len(made(tmp_path / "out")) == 34


def test_shards_share_the_work(moce, photos, tmp_path):
    out = tmp_path / "out"
    for i in (1, 2, 3):
        assert moce("restore", photos, "-o", out, "--shard", f"{i}/3").exit_code == 0
    assert made(out) == [f"{i}.png" for i in range(5)]
    # whoever resumes knows what all of them did
    whole = moce("restore", photos, "-o", out, "--resume", "--json")
    assert statuses(whole) == ["skipped"] * 5


def test_a_list_from_standard_input(moce, photos, tmp_path):
    names = b"".join(os.fsencode(photos / f"{i}.png") + b"\0" for i in (0, 3))
    result = moce("restore", "--files-from", "-", "-o", tmp_path / "out", stdin=names)
    assert result.exit_code == 0, result.output
    assert made(tmp_path / "out") == ["0.png", "3.png"]
    missing = tmp_path / "list.txt"
    missing.write_text(f"{photos}/1.png\n{photos}/gone.png\n")
    result = moce("restore", "--files-from", missing, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert made(tmp_path / "out") == ["0.png", "1.png", "3.png"]
    assert moce("restore", "-o", tmp_path / "out").exit_code == 2


def test_times_and_permissions_are_kept_when_asked_for(moce, photos, tmp_path):
    source = photos / "0.png"
    source.chmod(0o640)
    os.utime(source, ns=(10**18, 10**18))
    assert moce("restore", source, "-o", tmp_path / "b.png", "--preserve").exit_code == 0
    kept = (tmp_path / "b.png").stat()
    assert stat.S_IMODE(kept.st_mode) == 0o640
    assert kept.st_mtime_ns == 10**18
    assert moce("restore", source, "-o", tmp_path / "c.png").exit_code == 0
    assert (tmp_path / "c.png").stat().st_mtime_ns != 10**18


def test_outputs_beside_their_inputs_are_resumed_too(moce, photos):
    assert moce("restore", photos).exit_code == 0
    again = moce("restore", photos, "--resume", "--json")
    assert statuses(again) == ["skipped"] * 5
    assert len(made(photos)) == 10
    template = f"{photos}/{{parent}}/{{stem}}_x{{ext}}"
    assert moce("restore", photos, "-o", template, "--exclude", "*.restored.*").exit_code == 0
    assert len(made(photos)) == 15
    again = moce(
        "restore", photos, "-o", template, "--exclude", "*.restored.*", "--resume", "--json"
    )
    assert statuses(again) == ["skipped"] * 5, "results are no inputs"


def test_options_that_exclude_each_other(moce, photos, tmp_path):
    for words in (
        (photos, "--shard", "4/3"),
        (photos, "--shard", "0/3"),
        ("-", "-o", "-", "--resume"),
        ("-", "-o", "x.png", "--shard", "1/2"),
        (photos / "0.png", "--watch"),
        (photos, "-o", tmp_path / "{what}.png"),
        (photos, "-o", f"{tmp_path}/{{stem}}/../../{{name}}"),
    ):
        result = moce("restore", *words)
        assert result.exit_code == 2, (words, result.output)
    assert made(tmp_path) == made_before(photos, tmp_path)


def made_before(photos, tmp_path):
    return sorted(str(p.relative_to(tmp_path)) for p in photos.iterdir())


def test_a_watched_folder(model_file, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    words = ["restore", photos, "-o", out, "--watch", "--model", model_file, "--threads", "1"]
    process = subprocess.Popen(
        [*MOCE, *map(str, words)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        data = png_bytes(40, 40)
        (photos / "whole.png").write_bytes(data)
        (photos / "meets.png").write_bytes(data)
        out.mkdir()
        (out / "meets.png").write_bytes(b"another's")
        slow = (photos / "slow.png").open("wb")
        begun = time.monotonic()
        while time.monotonic() - begun < 4:  # longer than a file must rest
            slow.write(data[: len(data) // 16])
            data = data[len(data) // 16 :]
            slow.flush()
            assert not (out / "slow.png").exists(), "it is not whole yet"
            time.sleep(0.5)
        slow.write(data)
        slow.close()
        wait_for(lambda: (out / "slow.png").exists() and (out / "whole.png").exists())
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.count(": failed") == 1, "what meets an output fails, the rest goes on"
    assert (out / "meets.png").read_bytes() == b"another's"
    with Image.open(out / "slow.png") as image:
        assert np.asarray(image).shape == (40, 40, 3)


def wait_for(what, seconds=40):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)
