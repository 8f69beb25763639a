"""Laws of names: every input gets one output, nothing is met twice, nothing outside is touched."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moce_cli.batch import MARK, plan_jobs
from moce_cli.errors import InputError, OutputExistsError, UsageError
from moce_cli.pictures import EXTENSIONS

names = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "a/b", "ü ñ"]),
        st.sampled_from(["x", "y", "z z", "写真", "n\nl"]),
        st.sampled_from([".png", ".jpg", ".JPG", ".tif", ".gif"]),
    ),
    min_size=1,
    unique=True,
)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names)
def test_a_folder_keeps_its_tree(tmp_path_factory, files):
    root = tmp_path_factory.mktemp("tree")
    expected = {touch(root / "in" / a / (b + c)) for a, b, c in files}
    try:
        jobs = plan_jobs([str(root / "in")], str(root / "out"))
    except UsageError as error:  # x.gif becomes x.png, which may be there as well
        if "both become" not in error.message:
            raise
        return
    assert {job.source for job in jobs} == expected
    assert len({job.target for job in jobs}) == len(jobs)
    for job in jobs:
        assert job.target.parent == root / "out" / job.source.parent.relative_to(root / "in")
        assert job.target.stem == job.source.stem
        writable = EXTENSIONS[job.source.suffix.lower()].writable
        same = job.source.suffix if writable else ".png"
        assert job.target.suffix == same


def test_without_an_output_the_mark_goes_before_the_extension(tmp_path):
    source = touch(tmp_path / "rainy.day.jpg")
    (job,) = plan_jobs([str(source)], None)
    assert job.target == tmp_path / f"rainy.day{MARK}.jpg"


def test_one_file_into_a_file_a_folder_or_what_looks_like_one(tmp_path):
    source = touch(tmp_path / "a.png")
    (tmp_path / "there.png").mkdir()
    for output, expected in (
        ("b.tif", "b.tif"),
        ("out/", "out/a.png"),
        ("out", "out/a.png"),
        ("there.png", "there.png/a.png"),
    ):
        (job,) = plan_jobs([str(source)], f"{tmp_path}/{output}")
        assert job.target == tmp_path / expected


def test_a_file_named_twice_is_done_once(tmp_path):
    source = touch(tmp_path / "a.png")
    link = tmp_path / "sub"
    link.mkdir()
    jobs = plan_jobs([str(source), str(tmp_path), f"{link}/../a.png"], str(tmp_path / "out"))
    assert [job.source for job in jobs] == [source]


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    jobs = plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"))
    assert len(jobs) == 1


def test_names_that_are_no_text(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    try:
        with open(name, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes only text")
    (job,) = plan_jobs([str(tmp_path)], str(tmp_path / "out"))
    assert os.fsencode(job.target).endswith(b"/\xff\xfe.png")


@pytest.mark.parametrize(("platform", "collide"), [("linux", False), ("darwin", True)])
def test_names_that_differ_only_in_case_collide_where_they_do(
    tmp_path, monkeypatch, platform, collide
):
    touch(tmp_path / "x" / "A.png")
    touch(tmp_path / "y" / "a.png")
    monkeypatch.setattr("sys.platform", platform)
    folders = [str(tmp_path / "x"), str(tmp_path / "y")]
    if collide:
        with pytest.raises(UsageError, match="both become"):
            plan_jobs(folders, str(tmp_path / "out"))
    else:
        assert len(plan_jobs(folders, str(tmp_path / "out"))) == 2


def test_a_folder_that_cannot_be_read_is_not_skipped_in_silence(tmp_path, monkeypatch):
    touch(tmp_path / "in" / "a.png")
    touch(tmp_path / "in" / "locked" / "b.png")
    scandir = os.scandir

    def failing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", failing)
    with pytest.raises(InputError, match="locked cannot be read: permission denied"):
        plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"))


def test_a_folder_whose_only_pictures_are_outputs_of_before_holds_none(tmp_path):
    touch(tmp_path / "in" / f"a{MARK}.png")
    touch(tmp_path / "in" / ".b.png")
    with pytest.raises(InputError, match="holds no pictures"):
        plan_jobs([str(tmp_path / "in")], None)
    # into another folder a person's own a.restored.png is a picture like any other
    assert len(plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"))) == 1


def test_how_many_outputs_are_there_is_said(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        touch(tmp_path / "in" / name)
        touch(tmp_path / "out" / name)
    with pytest.raises(OutputExistsError, match="and 2 more outputs are there already"):
        plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"))
    jobs = plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"), skip_existing=True)
    assert all(job.exists for job in jobs)
    jobs = plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"), overwrite=True)
    assert not any(job.exists for job in jobs)


def test_a_broken_link_at_the_output_counts_as_there(tmp_path):
    source = touch(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(OutputExistsError):
        plan_jobs([str(source)], str(tmp_path / "b.png"))
