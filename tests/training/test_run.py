"""Laws of a training run: repeatable, stoppable, resumable, never losing what it has."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks import checkpoint
from PIL import Image
from tiny_run import trainer, write_recipe

from moce_cli.checkpoints import load, save
from moce_cli.errors import InputError, OutputError, WeightsError
from moce_cli.network import MoCEIR
from moce_cli.training import loop, state
from moce_cli.training.loop import Trainer, TrainingError
from moce_cli.training.options import Options
from moce_cli.training.recipe import load_recipe, with_data
from moce_cli.training.record import plot, read_lines
from moce_cli.training.schedule import limited
from moce_cli.training.state import state_path


def weights_of(path):
    return load(path).state


def assert_same(a, b, tolerance=0.0):
    for name, value in a.items():
        assert (value - b[name]).abs().max() <= tolerance, name


def kept(run):
    """The state file's tensors."""
    content = torch.load(state_path(run.options.output), weights_only=True)
    return content["objective"], content["average"], content["counters"]


class CrashError(Exception):
    """As if the power had gone."""


def crash_at(step):
    def watch(moment):
        if moment.step == step:
            raise CrashError

    return watch


def test_two_runs_with_one_seed_give_the_same_weights(tmp_path):
    for name in ("a", "b"):
        trainer(tmp_path, steps=50, name=name).run()
    assert_same(weights_of(tmp_path / "a.safetensors"), weights_of(tmp_path / "b.safetensors"))


@pytest.mark.parametrize("crashes", [(3,), (7,), (2, 6, 11)])
def test_a_killed_run_ends_where_the_unbroken_one_ends(tmp_path, monkeypatch, crashes):
    monkeypatch.setattr(loop, "STATE_SECONDS", 0.0)
    whole = trainer(tmp_path, name="whole")
    whole.run()
    for number, step in enumerate(crashes):
        with pytest.raises(CrashError):
            trainer(tmp_path, name="broken", resume=number > 0, watch=crash_at(step)).run()
    ending = trainer(tmp_path, name="broken", resume=True).run()
    assert ending.counters.step == 12
    broken = tmp_path / "broken.safetensors"
    assert_same(weights_of(tmp_path / "whole.safetensors"), weights_of(broken), 1e-6)
    # the record, too, tells of one run
    lines = [
        [(line["kind"], line["step"]) for line in read_lines(tmp_path / f"{name}.jsonl")]
        for name in ("whole", "broken")
    ]
    assert lines[0] == lines[1]


def test_a_run_killed_by_the_system_is_resumed(tmp_path):
    write_recipe(tmp_path)
    code = f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from pathlib import Path
        import torch
        torch.set_num_threads({torch.get_num_threads()})  # sums of others differ in the last bits
        from tiny_run import trainer
        from moce_cli.training import loop
        loop.STATE_SECONDS = 0.0
        def watch(moment):
            if moment.step == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        trainer(Path({str(tmp_path)!r}), name="broken", watch=watch).run()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    trainer(tmp_path, name="whole").run()
    trainer(tmp_path, name="broken", resume=True).run()
    whole, broken = (weights_of(tmp_path / f"{n}.safetensors") for n in ("whole", "broken"))
    assert_same(whole, broken, 1e-6)


def test_batches_prepared_ahead_train_the_same_weights(tmp_path):
    trainer(tmp_path, name="here").run()
    trainer(tmp_path, name="ahead", workers=1).run()
    assert_same(
        weights_of(tmp_path / "here.safetensors"), weights_of(tmp_path / "ahead.safetensors")
    )


def test_it_learns(tmp_path):
    run = trainer(tmp_path, steps=60)
    before = run.validation.measure(run.average)
    after = run.run().psnr
    assert after["noise 25"] > before["noise 25"] + 1


def test_a_stop_leaves_usable_weights_and_a_state(tmp_path):
    run = trainer(tmp_path, stop=lambda: True)
    ending = run.run()
    assert ending.stopped
    assert ending.counters.step == 1
    assert load(tmp_path / "out.safetensors").card.facts["steps"] == 1
    resumed = trainer(tmp_path, resume=True).run()
    assert not resumed.stopped
    assert resumed.counters.step == 12


def test_time_ends_a_run(tmp_path):
    run = trainer(tmp_path, name="other")
    run.recipe = limited(run.recipe, steps=None, minutes=0.02)
    ending = run.run()
    assert ending.counters.step > 1
    assert 1.2 <= ending.counters.seconds < 5


def test_where_the_budget_is_spent_nothing_is_done(tmp_path, caplog):
    trainer(tmp_path).run()
    before = (tmp_path / "out.safetensors").read_bytes()
    ending = trainer(tmp_path, resume=True).run()
    assert (ending.counters.step, ending.stopped) == (12, False)
    assert "nothing to do: the budget was spent before, 12 steps" in caplog.text
    assert (tmp_path / "out.safetensors").read_bytes() == before


def test_the_same_recipe_elsewhere_with_a_longer_budget_is_no_other_one(tmp_path, caplog):
    run = trainer(tmp_path, steps=4)
    run.recipe = limited(run.recipe, steps=4, minutes=None)
    run.run()
    (tmp_path / "clean").rename(tmp_path / "moved")
    recipe = with_data(load_recipe(tmp_path / "tiny.toml"), [tmp_path / "moved"])
    options = Options(tmp_path / "out.safetensors", torch.device("cpu"), resume=True)
    Trainer(limited(recipe, steps=300, minutes=None), options)
    assert "another recipe" not in caplog.text
    assert "other pictures" not in caplog.text
    min((tmp_path / "moved").iterdir()).unlink()
    Trainer(limited(recipe, steps=300, minutes=None), options)
    assert "begun with other pictures" in caplog.text


def test_a_run_that_goes_on_by_another_recipe_says_so(tmp_path, caplog):
    trainer(tmp_path, steps=4).run()
    trainer(tmp_path, steps=6, resume=True).run()
    assert "another recipe" not in caplog.text  # the budget may change
    recipe = tmp_path / "tiny.toml"
    text = recipe.read_text().replace("ema = 0.9", "ema = 0.9\nweight_decay = 0.5")
    recipe.write_text(text.replace("steps = 6", "steps = 8"))
    options = Options(tmp_path / "out.safetensors", torch.device("cpu"), resume=True)
    run = Trainer(load_recipe(recipe), options)
    assert "was begun with another recipe" in caplog.text
    assert run.state.optimiser.param_groups[0]["weight_decay"] == 0.5


def test_a_new_run_keeps_no_line_of_an_older_record(tmp_path):
    trainer(tmp_path, name="first").run()
    trainer(tmp_path, name="second").run()
    trainer(tmp_path, name="second", warm_start=tmp_path / "first.safetensors").run()
    steps = [line["step"] for line in read_lines(tmp_path / "second.jsonl")]
    assert min(steps) > 12


def test_a_warm_start_takes_weights_and_step_count_alone(tmp_path):
    trainer(tmp_path, name="first").run()
    first = tmp_path / "first.safetensors"
    run = trainer(tmp_path, steps=20, name="second", warm_start=first)
    assert_same(weights_of(first), run.average.state_dict())
    assert run.counters.step == run.counters.started_at == 12
    assert not run.state.optimiser.state
    run.run()
    assert run.counters.step == 32
    facts = load(tmp_path / "second.safetensors").card.facts
    assert facts["steps"] == 32
    assert facts["warm_started_at_step"] == 12
    assert facts["hours"] >= load(first).card.facts["hours"]


def test_a_warm_start_from_another_architecture_is_refused(tmp_path):
    other = checkpoint()
    path = tmp_path / "other.safetensors"
    config = replace(other.config, latent_blocks=2)
    save(path, MoCEIR(config).state_dict(), config, other.card)
    with pytest.raises(WeightsError, match=r"another architecture .* latent_blocks, expert_ffn"):
        trainer(tmp_path, warm_start=path)


def poison(run, steps):
    """Make the loss NaN at these steps."""
    whole = run.objective.forward

    def forward(degraded, *others):
        if run.counters.step in steps:
            degraded = degraded * float("nan")
        return whole(degraded, *others)

    run.objective.forward = forward


def test_a_loss_that_is_no_number_skips_the_step(tmp_path, caplog):
    run = trainer(tmp_path)
    poison(run, {4, 5, 9})
    ending = run.run()
    assert ending.counters.skipped == 3
    assert ending.counters.step == 12
    assert "step 4 was skipped" in caplog.text
    facts = load(tmp_path / "out.safetensors").card.facts
    assert facts["skipped_steps"] == 3
    assert all(value.isfinite().all() for value in run.objective.state_dict().values())


def test_a_skipped_step_changes_nothing(tmp_path):
    run = trainer(tmp_path, stop=lambda: True)
    poison(run, {0})
    before = {k: v.clone() for k, v in run.objective.state_dict().items()}
    run.run()
    assert_same(before, run.objective.state_dict())


def test_ten_losses_in_a_row_that_are_no_numbers_end_the_run(tmp_path):
    run = trainer(tmp_path, steps=40)
    poison(run, set(range(6, 40)))
    with pytest.raises(TrainingError, match="not finite 10 times in a row, up to step 15"):
        run.run()
    facts = load(tmp_path / "out.safetensors").card.facts
    assert facts["steps"] == 5  # as it was measured, and kept, before the first of them
    assert trainer(tmp_path, steps=40, resume=True).run().counters.step == 40


def test_a_full_disk_keeps_the_old_state_and_the_run_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "STATE_SECONDS", 0.0)
    run = trainer(tmp_path)
    whole = state._write
    seen = []

    def full(content, part):
        step = content["counters"]["step"]
        if 3 <= step <= 8:
            part.write_bytes(b"half a st")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        seen.append(kept(run)[2]["step"] if state_path(run.options.output).exists() else 0)
        whole(content, part)

    monkeypatch.setattr(state, "_write", full)
    run.run()
    assert "No space left on device" in caplog.text
    assert seen[:3] == [0, 1, 2]  # at step 9 the state of step 2 was still there
    assert not list(tmp_path.glob(".*part"))


def test_a_disk_that_is_full_at_the_end_is_an_error(tmp_path, monkeypatch):
    def full(content, part):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = trainer(tmp_path)
    monkeypatch.setattr(state, "_write", full)
    with pytest.raises(OutputError, match="No space left"):
        run.run()


def test_a_state_that_is_missing_damaged_or_anothers_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no state"):
        trainer(tmp_path, resume=True)
    trainer(tmp_path).run()
    path = tmp_path / "out.state.pt"
    content = torch.load(path, weights_only=True)
    content["architecture"]["latent_blocks"] = 2
    torch.save(content, path)
    with pytest.raises(WeightsError, match="another architecture"):
        trainer(tmp_path, resume=True)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="is damaged"):
        trainer(tmp_path, resume=True)


def test_a_state_runs_no_code(tmp_path):
    class Bad:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "out.state.pt").write_bytes(pickle.dumps(Bad()))
    with pytest.raises(InputError, match="is damaged"):
        trainer(tmp_path, resume=True)
    assert not (tmp_path / "ran").exists()


def test_the_record_is_json_lines_and_survives_a_cut_one(tmp_path):
    trainer(tmp_path, steps=50).run()
    path = tmp_path / "out.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"step", "validation"}
    (step,) = [line for line in lines if line["kind"] == "step"]
    assert step["step"] == 50
    assert step["skipped"] == 0
    assert sum(step["shares"]) == pytest.approx(1)
    assert step["restoration"] > 0
    assert [line["step"] for line in lines if line["kind"] == "validation"][-1] == 50
    path.write_text(path.read_text() + '{"kind": "st')
    assert len(list(read_lines(path))) == len(lines)


def test_the_plot_shows_the_run(tmp_path):
    pytest.importorskip("matplotlib")
    trainer(tmp_path, steps=50).run()
    assert plot(tmp_path / "out.jsonl", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.width > 800
        assert len(image.convert("RGB").getcolors(10**6)) > 20
