"""Which pictures, and what they become: patterns, lists, templates, shares."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moce_cli.batch import Job, Shard, Wanted, list_jobs, plan_jobs, read_list
from moce_cli.errors import InputError, OutputError, UsageError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Some pictures, seen from the folder above."""
    for name in ("a.png", "b.jpg", "raw/a.png", "raw/thumbs/a.png", ".hidden/x.png", "notes.txt"):
        touch(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources(*inputs, output="out", **options):
    return [str(j.source) for j in list_jobs(Wanted(inputs, **options), output)]


def targets(inputs, output, **options):
    return [str(j.target) for j in list_jobs(Wanted(tuple(inputs)), output, **options)]


def test_include_and_exclude(tree):
    assert sources("in", include=("*.jpg",)) == ["in/b.jpg"]
    assert sources("in", include=("raw/*",)) == ["in/raw/a.png", "in/raw/thumbs/a.png"]
    assert sources("in", exclude=("thumbs",)) == ["in/a.png", "in/b.jpg", "in/raw/a.png"]
    assert sources("in", exclude=("raw/thumbs/",)) == ["in/a.png", "in/b.jpg", "in/raw/a.png"]
    assert sources("in", include=("*.png",), exclude=("raw",)) == ["in/a.png"]
    assert sources("in", recursive=False) == ["in/a.png", "in/b.jpg"]


def test_a_pattern_that_the_shell_left_alone_keeps_its_tree(tree):
    assert targets(["in/**/*.png"], "out") == [
        "out/a.png", "out/raw/a.png", "out/raw/thumbs/a.png",
    ]  # fmt: skip
    assert targets(["in/*/a.png"], "out") == ["out/raw/a.png"]
    with pytest.raises(InputError, match="matches no pictures"):
        sources("in/*.tif")


def test_a_name_with_brackets_that_is_there_is_no_pattern(tree):
    touch(tree / "x[1].png")
    assert sources("x[1].png") == ["x[1].png"]


@given(st.lists(st.binary(min_size=1).filter(lambda b: not set(b) & set(b"\0\n\r"))))
def test_a_list_gives_its_names_back(names):
    expected = tuple(os.fsdecode(n) for n in names)
    assert read_list(b"\n".join(names)) == expected
    assert read_list(b"".join(n + b"\r\n" for n in names)) == expected
    assert read_list(b"".join(n + b"\0" for n in names)) == expected


def test_names_with_line_breaks_fit_a_list_with_zero_bytes():
    assert read_list(b"a\nb.png\0c.png\0") == ("a\nb.png", "c.png")


def test_what_a_list_names_and_is_not_there_fails_when_its_turn_comes(tree):
    assert sources(listed=("in/a.png", "in/gone.png")) == ["in/a.png", "in/gone.png"]
    with pytest.raises(InputError, match=r"gone\.png is not there"):
        sources("in/a.png", "in/gone.png")


def test_templates(tree):
    assert targets(["in"], "out/{parent}/{stem}_restored{ext}") == [
        "out/a_restored.png", "out/b_restored.jpg", "out/raw/a_restored.png",
        "out/raw/thumbs/a_restored.png",
    ]  # fmt: skip
    assert targets(["in/a.png", "in/raw/a.png"], "{parent}-{stem}{ext}", format="webp") == [
        "in-a.webp", "raw-a.webp",
    ]  # fmt: skip
    assert targets(["in/a.png"], "o/{name}/{{x}}.tif") == ["o/a.png/{x}.tif"]
    assert targets(["in/a.png"], "../o/{name}") == ["../o/a.png"], "the fixed part is the person's"


@pytest.mark.parametrize(
    "output", ["o/{parent}/../../{name}", "{stem}/../x{ext}", "o/{stem}{ext}/.."]
)
def test_a_template_that_climbs_is_refused(tree, output):
    with pytest.raises((UsageError, OutputError)):
        targets(["in/a.png"], output)


@pytest.mark.parametrize(
    "output", ["{nope}.png", "{stem", "{}", "{stem!r}.png", "{stem:>9}.png", "{0}.png"]
)
def test_a_template_that_is_none_is_refused(tree, output):
    with pytest.raises(UsageError, match=r"template|field"):
        targets(["in/a.png"], output)


def test_templates_that_meet_are_found_before_anything_runs(tree):
    with pytest.raises(UsageError, match="both become"):
        plan_jobs(["in"], "out/{stem}{ext}")


def test_a_link_out_of_the_output_tree_is_refused(tree):
    (tree / "out").mkdir()
    (tree / "elsewhere").mkdir()
    (tree / "out" / "raw").symlink_to(tree / "elsewhere")
    for output in ("out", "out/{parent}/{name}"):
        with pytest.raises(OutputError, match="leads out of"):
            targets(["in"], output)
    (tree / "linked").symlink_to(tree / "elsewhere")
    assert targets(["in/a.png"], "linked/") == ["linked/a.png"], "the folder itself may be a link"


def test_links_to_themselves_are_pictures_that_fail_later(tree):
    (tree / "in" / "loop.png").symlink_to(tree / "in" / "loop.png")
    assert "in/loop.png" in sources("in")


def test_earlier_results_in_the_tree_are_not_picked_up(tree):
    from moce_cli.batch.finding import location

    touch(tree / "in" / "a_restored.png")
    known = frozenset({location(tree / "in" / "a_restored.png")})
    jobs = list_jobs(Wanted(("in",)), "in/{parent}/{stem}_restored{ext}", known=known)
    assert "in/a_restored.png" not in [str(j.source) for j in jobs]


@given(st.integers(1, 12), st.lists(st.text(min_size=1, max_size=9), min_size=1))
def test_shares_cover_all_and_do_not_overlap(count, names):
    jobs = [Job(None, None, None, name) for name in names]
    for job in jobs:
        takers = [i for i in range(1, count + 1) if Shard(i, count).takes(job)]
        assert len(takers) == 1


def test_shares_are_the_same_for_ever():
    """Machines of different versions may work on one folder."""
    jobs = [Job(None, None, None, f"{i}.png") for i in range(12)]
    taken = [[i for i, job in enumerate(jobs) if Shard(s, 3).takes(job)] for s in (1, 2, 3)]
    assert taken == [[3, 9, 11], [0, 1, 2, 5, 7, 8], [4, 6, 10]]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "1/3/5", "\u00b2/3", ""])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UsageError):
        Shard.parse(text)
