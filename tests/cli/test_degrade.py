"""`moce degrade`, by exit code, stdout and stderr."""

import io
import json
import re

import numpy as np
import pytest
from cli_support import png_bytes
from PIL import Image

from moce_cli.pictures import read


def assert_sentence(result, code, *words):
    """One clear sentence on stderr, nothing on stdout, the promised code."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    assert "unexpected" not in result.stderr
    for word in words:
        assert str(word) in result.stderr


def smooth(path, height=48, width=64, mode="RGB"):
    """A picture without noise, so that damage shows."""
    y, x = np.mgrid[:height, :width]
    planes = [100 + 40 * np.sin(x / 9), 110 + 30 * np.cos(y / 7), 90 + 20 * np.sin((x + y) / 11)]
    image = Image.fromarray(np.stack(planes, axis=2).astype(np.uint8)).convert(mode)
    image.save(path)
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(np.float64)


def recorded(path):
    return json.loads(dict(read(path).source.text)["moce:degradations"])


def test_noise_and_jpeg_beside_the_input(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png", 128, 128)
    result = moce("degrade", clean, "--noise", 20)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "noise 20" in result.stderr
    made = tmp_path / "clean.degraded.png"
    assert (pixels(made) - pixels(clean)).std() == pytest.approx(20, rel=0.05)


def test_the_order_of_options_does_not_matter(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    one = ["--noise", 25, "--jpeg", 40, "--haze", 0.5]
    other = ["--haze", 0.5, "--jpeg", 40, "--noise", 25]
    assert moce("degrade", clean, *one, "-o", tmp_path / "a.png").exit_code == 0
    assert moce("degrade", clean, *other, "-o", tmp_path / "b.png").exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    kinds = [step["kind"] for step in recorded(tmp_path / "a.png")["moce:degradations"]]
    assert kinds == ["haze", "noise", "jpeg"]


def test_a_seed_repeats_and_another_differs(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    for name, seed in (("a", 3), ("b", 3), ("c", 4), ("d", 10**30)):
        words = ["--mix", "low,haze,rain", "--seed", seed, "-o", tmp_path / f"{name}.png"]
        assert moce("degrade", clean, *words).exit_code == 0
    a, b, c = (pixels(tmp_path / f"{name}.png") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_an_option_overrules_the_mixture(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    result = moce("degrade", clean, "--mix", "low, noise", "--noise", 7, "--json", "-q")
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    steps = {step["kind"]: step["strength"] for step in row["degradations"]}
    assert steps["noise"] == 7
    assert 0.7 <= steps["low"] <= 4.0


def test_what_was_drawn_is_told_and_written(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    made = tmp_path / "bad.png"
    result = moce("degrade", clean, "--mix", "rain,shake", "--seed", 5, "-o", made, "--json")
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (row["status"], row["output"], row["seed"]) == ("degraded", str(made), 5)
    assert (row["height"], row["width"], row["notes"]) == (48, 64, [])
    assert recorded(made) == {
        "moce:degradations": row["degradations"],
        "seed": 5,
        "picture": 0,
    }


@pytest.mark.parametrize("extension", ["jpg", "webp", "tif"])
def test_formats_without_text_hold_it_in_exif(moce, tmp_path, extension):
    clean = smooth(tmp_path / "clean.png")
    made = tmp_path / f"bad.{extension}"
    assert moce("degrade", clean, "--noise", 3, "-o", made).exit_code == 0
    with Image.open(made) as image:
        told = image.tag_v2[270] if extension == "tif" else image.getexif()[270]
    assert json.loads(told)["moce:degradations"] == [{"kind": "noise", "strength": 3.0}]


def test_what_the_source_says_stays(moce, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0a comment"
    described = Image.Exif()
    described[270] = "Grandmother"
    full = Image.Exif()
    full[270], full[40092] = "Grandmother", "in 1921".encode("utf-16-le")
    for name, block in (("plain", exif), ("described", described), ("full", full)):
        source = tmp_path / f"{name}.jpg"
        smooth(tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as image:
            image.save(source, exif=block, dpi=(300, 300), quality=95)
        result = moce("degrade", source, "--noise", 3, "-o", tmp_path / f"{name}2.jpg")
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / f"{name}2.jpg") as image:
            found = image.getexif()
            assert image.info["dpi"] == (300, 300)
        if name == "described":
            assert found[270] == "Grandmother"
            assert "noise" in found[40092].decode("utf-16-le")
            assert "EXIF" not in result.stderr
        elif name == "full":
            assert found[270] == "Grandmother"
            assert found[40092].decode("utf-16-le") == "in 1921"
            assert "no place left for the record" in result.stderr
        else:
            assert found[0x010F] == "Maker"
            assert found.get_ifd(0x8769)[0x9286] == b"ASCII\0\0\0a comment"
            assert "noise" in found[270]


def test_what_a_format_cannot_tell_or_keep_is_said(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    told = moce("degrade", clean, "--noise", 3, "-o", tmp_path / "a.bmp").stderr
    assert "can't say what was done" in told
    told = moce("degrade", clean, "--jpeg", 30, "-o", tmp_path / "a.jpg").stderr
    assert "compresses once more" in told
    assert moce("degrade", clean, "--jpeg", 30, "-o", tmp_path / "a.png").exit_code == 0
    result = moce("degrade", clean, "--jpeg", 30, "-o", tmp_path / "a.webp")
    assert "compresses" not in result.stderr
    assert np.array_equal(pixels(tmp_path / "a.webp"), pixels(tmp_path / "a.png"))


def test_a_measured_kernel(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    (tmp_path / "kernels").mkdir()
    np.save(tmp_path / "kernels" / "one.npy", np.ones((5, 1), np.float32) / 5)
    made = tmp_path / "b.png"
    result = moce("degrade", clean, "--kernels", tmp_path / "kernels", "-o", made, "--json")
    (step,) = json.loads(result.stdout)["degradations"]
    assert (step["kind"], step["strength"]) == ("kernel", 1.0)
    (written,) = recorded(made)["moce:degradations"]
    assert written["file"] == "one.npy", "a picture tells no folders"
    blurred = pixels(made)
    assert np.abs(np.diff(blurred, axis=0)).sum() < np.abs(np.diff(pixels(clean), axis=0)).sum()
    again = moce("degrade", clean, "--kernel", 0, "--kernels", tmp_path / "kernels", "-o", made)
    assert_sentence(again, 6, "--overwrite")
    words = ["--kernel", 0, "--kernels", tmp_path / "kernels", "--overwrite", "-o", made]
    assert moce("degrade", clean, *words).exit_code == 0
    assert np.array_equal(pixels(made), pixels(clean))


def test_a_sensors_noise_is_white_or_coloured_before_or_after_gamma(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    told = {}
    for words in ([], ["--sensor-noise", "white"], ["--sensor-noise", "coloured", "--after-gamma"]):
        made = tmp_path / f"{len(told)}.png"
        result = moce("degrade", clean, "--sensor", 3200, *words, "--json", "-o", made)
        assert result.exit_code == 0, result.output
        (step,) = json.loads(result.stdout)["degradations"]
        assert recorded(made)["moce:degradations"] == [step]
        told[len(told)] = step
    assert "encoded" not in told[0]
    assert (told[1]["pattern"], told[1]["chroma"], told[1]["grain"]) == ("white", 0, 0)
    assert (told[2]["pattern"], told[2]["encoded"]) == ("bayer", True)
    assert told[2]["shared"] >= 0.3
    words = ["--mix", "sensor,jpeg", "--after-gamma", "--json", "-o", tmp_path / "mixed.png"]
    drawn = json.loads(moce("degrade", clean, *words).stdout)["degradations"]
    assert [step.get("encoded") for step in drawn] == [True, None]


def test_grey_alpha_and_sixteen_bits(moce, tmp_path):
    grey = smooth(tmp_path / "grey.png", mode="L")
    assert moce("degrade", grey, "--noise", 10).exit_code == 0
    with Image.open(tmp_path / "grey.degraded.png") as image:
        assert image.mode == "L"
    clear = smooth(tmp_path / "clear.png", mode="RGBA")
    assert moce("degrade", clear, "--haze", 0.5).exit_code == 0
    with Image.open(tmp_path / "clear.degraded.png") as image:
        assert image.mode == "RGBA"
    deep = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert moce("degrade", tmp_path / "deep.png", "--low", 1).exit_code == 0
    assert read(tmp_path / "deep.degraded.png").depth == 16


def test_a_pipe(moce, tmp_path):
    result = moce("degrade", "-", "-o", "-", "--noise", 10, stdin=png_bytes())
    assert result.exit_code == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.size == (20, 16)


def test_a_folder_each_picture_with_damage_of_its_own(moce, tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png"):
        smooth(tmp_path / "photos" / name)
    result = moce("degrade", tmp_path / "photos", "-o", tmp_path / "out", "--mix", "noise,low")
    assert result.exit_code == 0, result.output
    made = [pixels(tmp_path / "out" / name) for name in ("a.png", "b.png", "sub/c.png")]
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_a_bad_file_among_good_ones(moce, tmp_path):
    good = smooth(tmp_path / "good.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    result = moce("degrade", bad, good, "-o", tmp_path / "out", "--noise", 5, "--json")
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["failed", "degraded"]
    assert rows[0]["error"]["exit_code"] == 3
    assert (tmp_path / "out" / "good.png").exists()
    alone = moce("degrade", bad, "--noise", 5)
    assert_sentence(alone, 3, "bad.png")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, ("no degradation",)),
        (("--mix", "fog"), 2, ("'fog'", "haze")),
        (("--mix", ""), 2, ("''", "--mix haze,rain")),
        (("--mix", "low,"), 2, ("'low,'", "a comma or nothing", "--mix haze,rain")),
        (("--mix", "low,,noise"), 2, ("'low,,noise'", "a comma or nothing")),
        (("--mix", "haze, haze"), 2, ("'haze, haze'", "haze twice", "once")),
        (("--kernel", "1"), 2, ("--kernels",)),
        (("--mix", "kernel,noise"), 2, ("--kernels",)),
        (("--kernels", "nowhere"), 3, ("nowhere",)),
        (("--sensor", "1600", "--sensor-noise", "pink"), 2, ("'pink'", "white, coloured")),
        (("--noise", "5", "--after-gamma"), 2, ("--after-gamma", "--sensor")),
        (("--noise", "5", "--sensor-noise", "white"), 2, ("--sensor-noise", "--sensor")),
        (("--noise", "5", "--json", "-o", "-"), 2, ("--json",)),
        (("--noise", "5", "-o", "x.pdf"), 6, (".pdf",)),
    ],
)
def test_what_makes_no_sense_is_one_sentence(moce, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    assert_sentence(moce("degrade", smooth(tmp_path / "clean.png"), *words), code, *said)
    assert [p.name for p in tmp_path.iterdir()] == ["clean.png"]


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("--noise", "101"), "101 is not a number from 0 to 100"),
        (("--noise", "nan"), "nan is not a number from 0 to 100"),
        (("--jpeg", "0"), "0 is not a number from 1 to 100"),
        (("--low", "inf"), "inf is not a number from 0 to 6"),
        (("--seed", "-1"), "0"),
    ],
)
def test_a_number_out_of_range_is_a_usage_error(moce, tmp_path, words, allowed):
    result = moce("degrade", smooth(tmp_path / "clean.png"), *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr
    assert allowed in result.stderr


def test_a_grey_picture_is_told_to_have_no_colour_cast(moce, tmp_path):
    grey = smooth(tmp_path / "grey.png", mode="L")
    result = moce("degrade", grey, "--low", 3, "--noise", 5, "--json", "-q")
    low, noise = json.loads(result.stdout)["degradations"]
    assert low["cast"] == [1.0, 1.0, 1.0]
    assert noise == {"kind": "noise", "strength": 5.0}
    assert recorded(tmp_path / "grey.degraded.png")["moce:degradations"] == [low, noise]


def test_where_outputs_would_go(moce, tmp_path):
    clean = smooth(tmp_path / "clean.png")
    assert moce("degrade", clean, "--noise", 5).exit_code == 0
    assert_sentence(moce("degrade", clean, "--noise", 5), 6, "clean.degraded.png", "--overwrite")
    assert "skip" not in moce("degrade", clean, "--noise", 5).stderr
    assert moce("degrade", clean, "--noise", 5, "--overwrite").exit_code == 0
    assert_sentence(moce("degrade", tmp_path, "--noise", 5), 2, "-o")
    Image.open(clean).save(tmp_path / "clean.bmp")
    words = ("--noise", 5, "--overwrite", "--format", "png")
    twice = moce("degrade", clean, tmp_path / "clean.bmp", *words)
    assert_sentence(twice, 2, "one file")
    assert_sentence(moce("degrade", tmp_path / "none.png", "--noise", 5), 3, "none.png")


def test_the_options_say_what_the_kinds_allow(moce):
    """The command line states the limits without importing the kinds."""
    from moce_cli.degradations import KINDS

    told = moce("degrade", "--help").stdout
    for name, kind in KINDS.items():
        found = re.search(rf"--{name}\s.*\[(\d+)<=x<=(\d+)\]", told)
        assert found, name
        assert tuple(float(end) for end in found.groups()) == kind.limits
