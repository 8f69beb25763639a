"""What `moce train` shows while it runs."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console as RichConsole

from moce_cli.cli import train_run
from moce_cli.cli.train_run import LINE_SECONDS, Bar

RECIPE = SimpleNamespace(name="tiny")
PSNR = {"noise 25": 28.12, "low 3": 20.17, "low 3+sensor 3200+jpeg 70": 19.5, "haze 0.6": 17.0}
ROWS = "noise 25 28.1 · low 3 20.2 · low 3+sensor 3200+jpeg 70 19.5 · haze 0.6 17.0"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def moment(step, seconds, psnr=PSNR):
    return SimpleNamespace(
        step=step,
        spent=step / 100,
        seconds=seconds,
        loss=0.03125,
        crops_per_second=12.0,
        shares=(0.5, 0.25, 0.15, 0.1),
        psnr=psnr,
    )


@pytest.fixture
def shown_on(monkeypatch):
    """Put stderr on this file, of so many columns."""

    def show(file, width=80):
        err = RichConsole(file=file, width=width, force_terminal=file.isatty(), highlight=False)
        monkeypatch.setattr(train_run.console, "err", err)
        monkeypatch.setattr(train_run.console, "quiet", False)
        return file

    return show


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_shows_each_row_as_far_as_it_is_wide(shown_on, width):
    file = shown_on(Terminal(), width)
    with Bar(RECIPE, hidden=False) as bar:
        bar.update(moment(1, 1.0))
        bar.update(moment(2, 61.0))
        bar._live.refresh()
        *_, rows = [line for line in file.getvalue().splitlines() if line.startswith("dB: ")]
    assert rows.rstrip() == (f"dB: {ROWS}" if width == 200 else f"dB: {ROWS}"[:59] + "…")


def test_a_terminal_shows_no_rows_before_they_are_measured(shown_on):
    file = shown_on(Terminal(), 200)
    with Bar(RECIPE, hidden=False) as bar:
        bar.update(moment(1, 1.0, psnr={}))
        bar._live.refresh()
    assert "step 1  loss 0.0312  experts 50%/25%/15%/10%  12 crops/s" in file.getvalue()
    assert "dB" not in file.getvalue()


def test_a_log_file_gets_a_plain_line_a_minute(shown_on):
    file = shown_on(io.StringIO())
    with Bar(RECIPE, hidden=False) as bar:
        for step in range(1, 31):
            bar.update(moment(step, 20.0 * step, psnr=PSNR if step > 3 else {}))
    lines = file.getvalue().splitlines()
    assert len(lines) == 1 + (600 - 20) // LINE_SECONDS
    assert lines[0] == "tiny: step 1, loss 0.0312, experts 50%/25%/15%/10%, 12 crops/s"
    assert lines[1] == (
        f"tiny: step 4, loss 0.0312, {ROWS} dB, experts 50%/25%/15%/10%, 12 crops/s, 32 min left"
    )
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize("file", [io.StringIO, Terminal])
def test_nothing_is_shown_where_it_is_hidden(shown_on, file):
    seen = shown_on(file())
    with Bar(RECIPE, hidden=True) as bar:
        bar.update(moment(1, 1.0))
        bar.update(moment(2, 100.0))
    assert seen.getvalue() == ""
