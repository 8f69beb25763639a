"""Recipes: read whole, or refused in one sentence that says where and what."""

from pathlib import Path

import pytest
from training_pictures import RECIPE

from moce_cli.degradations import SUITE
from moce_cli.network import PRESETS
from moce_cli.training.recipe import RecipeError, load_recipe, with_data, with_validation
from moce_cli.training.schedule import learning_rate

SHIPPED = sorted((Path(__file__).parents[2] / "examples/recipes").glob("*.toml"))
SETS = """
[data]
root = "sets"
[[data.set]]
name = "BSD400+WED"
sigma = 25
repeat = 3
"""
CLEAN = '[data]\nclean = ["clean"]\n'
ALL_DAMAGE = RECIPE[RECIPE.index("[[damage]]") : RECIPE.index("[[stage]]")]


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    return load


def test_what_a_recipe_says_is_what_is_read(load, tmp_path):
    recipe = load(RECIPE + '[validation]\nfolders = ["held"]\nrows = ["noise 25"]\nevery_steps = 5')
    assert recipe.network == PRESETS["moce_ir_xs"]
    assert recipe.data.clean == (tmp_path / "clean",)
    assert [d.share for d in recipe.data.damage] == [0.25, 0.5, 0.25]
    noise = recipe.data.damage[1].kinds[0]
    assert (noise.kind, noise.low, noise.high, noise.probability) == ("noise", 5, 50, 1)
    assert [(s.crop, s.batch) for s in recipe.stages] == [(32, 8), (48, 4)]
    assert recipe.validation.folders == (tmp_path / "held",)
    assert recipe.validation.rows == ("noise 25",)
    assert (recipe.seed, recipe.budget.steps, recipe.loss.router_gradient) == (3, 10, "none")


@pytest.mark.parametrize(
    ("written", "low", "high", "probability"),
    [
        ("25", 25, 25, 1),
        ("[5, 50]", 5, 50, 1),
        ("{ range = 25 }", 25, 25, 1),
        ("{ range = [5, 50], probability = 0.5 }", 5, 50, 0.5),
    ],
)
def test_strengths_are_written_in_four_ways(load, written, low, high, probability):
    kinds = load(RECIPE.replace("noise = [5, 50]", f"noise = {written}")).data.damage[1].kinds
    assert (kinds[0].low, kinds[0].high, kinds[0].probability) == (low, high, probability)


def test_a_sensors_noise_may_lie_after_gamma(load):
    written = "sensor = { range = [800, 3200], probability = 0.5, after_gamma = 0.3 }"
    (found,) = load(RECIPE.replace("noise = [5, 50]", written)).data.damage[1].kinds[:1]
    assert (found.kind, found.probability, found.after_gamma) == ("sensor", 0.5, 0.3)


def test_a_network_may_differ_from_its_preset(load):
    text = RECIPE.replace('"moce_ir_xs"', '"moce_ir_xs"\nlatent_blocks = 7')
    assert load(text).network.latent_blocks == 7
    assert load(text).network.width == PRESETS["moce_ir_xs"].width


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seed = 3", "seed = 3\ncolour = 1", "the recipe has the unknown key 'colour'"),
        ("seed = 3", "seed = -1", "seed is -1, it needs a whole number from 0"),
        ("seed = 3", f"seed = {2**32}", "seed is 4294967296, it needs a whole number from 0 to"),
        ("seed = 3", "seed = true", "seed is true, it needs a whole number"),
        ('name = "test"', "", "the recipe lacks 'name'"),
        ('name = "test"', 'name = "A b"', "name is 'A b', it needs small letters"),
        ('licence = "CC0-1.0"', 'licence = ""', "licence is '', it needs a text"),
        ('"moce_ir_xs"', '"xl"', r"\[network\] preset is 'xl', it needs one of moce_ir_xs"),
        (
            '"moce_ir_xs"',
            '"moce_ir_xs"\nwidht = 8',
            r"\[network\].*unknown architecture key 'widht'",
        ),
        ('"moce_ir_xs"', '"moce_ir_xs"\nwidth = 9', r"\[network\] does not fit: width is 9"),
        ('["clean"]', '"clean"', r"\[data\] clean is 'clean', it needs a list of folders"),
        ('["clean"]', "[]", r"\[data\] clean is \[\], it needs a list of folders"),
        ('["clean"]', "[7]", r"\[data\] clean is 7, it needs the name of a folder"),
        ('["clean"]', '["clean"]\nroot = "x"', r"\[data\] has a root, but no \[\[data.set\]\]"),
        ('["clean"]', '["clean"]\nmemory_gb = -1', r"\[data\] memory_gb is -1, .* from 0 on"),
        ('["clean"]', '["clean"]\nglints = -1', r"\[data\] glints is -1, .* from 0 to 1"),
        ('["clean"]', '["clean"]\ncolor_jitter = 2', r"\[data\] color_jitter is 2, .* from 0 to 1"),
        (CLEAN, CLEAN + SETS.removeprefix("\n[data]"), "either clean folders or"),
        (CLEAN, SETS, r"standard sets, which take no \[\[damage\]\]"),
        (ALL_DAMAGE, "", r"there is no \[\[damage\]\] table"),
        ("share = 0.25\nkinds = {}", "share = 0.3\nkinds = {}", r"\[\[damage\]\].* sum to 1.05"),
        ("share = 0.25\nkinds = {}", "kinds = {}", r"\[\[damage\]\] number 1 lacks 'share'"),
        (
            "share = 0.25\nkinds = {}",
            "share = 0\nkinds = {}",
            "share is 0, it needs a number above 0",
        ),
        ("kinds = {}", "kinds = 3", r"\[\[damage\]\] number 1 kinds is 3, it needs a table"),
        (
            "noise = [5, 50]",
            "dust = 1",
            r"number 2 the kind of damage is 'dust', .*one of haze, rain",
        ),
        (
            "noise = [5, 50]",
            "noise = [5, 500]",
            r"noise: .*is 500, it needs a number from 0 to 100",
        ),
        ("noise = [5, 50]", "noise = [50, 5]", r"noise: the range \[50, 5\] runs backwards"),
        (
            "noise = [5, 50]",
            "noise = [1, 2, 3]",
            r"noise is \[1, 2, 3\], it needs a number, a range",
        ),
        ("noise = [5, 50]", 'noise = "much"', "noise: .*is 'much', it needs a number"),
        ("noise = [5, 50]", "noise = { rang = 3 }", "noise: has the unknown key 'rang'"),
        (
            "noise = [5, 50]",
            "noise = { range = 5, after_gamma = 0.5 }",
            "noise: takes no after_gamma",
        ),
        (
            "noise = [5, 50]",
            "sensor = { after_gamma = 2 }",
            "sensor: after_gamma is 2, it needs a number from 0 to 1",
        ),
        (
            "probability = 1.0",
            "probability = 0",
            "jpeg: probability is 0, it needs a number above 0",
        ),
        ("noise = [5, 50]", "kernel = [1, 1]", r"\[data\] lacks 'kernels'"),
        ("crop = 32", "crop = 36", r"\[\[stage\]\] number 1 crop is 36, it needs a multiple of 8"),
        ("crop = 32", "crop = 16", "crop is 16, it needs a whole number from 32 to 1024"),
        ("batch = 8", "batch = 0", "batch is 0"),
        ("batch = 8", "", r"\[\[stage\]\] number 1 lacks 'batch'"),
        (
            "crop = 48\nbatch = 4\nshare = 0.5",
            "crop = 48\nbatch = 4",
            r"\[\[stage\]\].* sum to 1.5",
        ),
        (CLEAN, "[data]\nset = [1]\n", r"\[\[data.set\]\] is \[1\], it needs to be tables"),
        ("steps = 10", "", r"\[budget\] needs steps, minutes, or both"),
        ("steps = 10", "minutes = 0", r"\[budget\] minutes is 0, it needs a number above 0"),
        ("steps = 10", "steps = 1.5", r"\[budget\] steps is 1.5, it needs a whole number"),
        ("[budget]", "[optimiser]\nlearning_rate = nan\n[budget]", "learning_rate is nan"),
        ("[budget]", '[optimiser]\nlearning_rate = "1e-3"\n[budget]', "learning_rate is '1e-3'"),
        ("[budget]", "[optimiser]\nlr = 1\n[budget]", r"\[optimiser\] has the unknown key 'lr'"),
        ("[budget]", "[optimiser]\nbetas = [0.9]\n[budget]", r"betas is \[0.9\], .*two numbers"),
        ("[budget]", "[optimiser]\nbetas = [0.9, 1]\n[budget]", "betas is 1, it needs"),
        (
            "[budget]",
            "[optimiser]\nwarmup_steps = 11\n[budget]",
            "warmup_steps is 11, .*at most.*10",
        ),
        ("[budget]", "[optimiser]\nema = 1\n[budget]", "ema is 1, it needs a number from 0"),
        ("seed = 3", "seed = 3\nloss = 3", r"loss is 3, it needs to be the table \[loss\]"),
        (
            "[budget]",
            '[loss]\nrouter_gradient = "magic"\n[budget]',
            "needs one of none, gate, compare",
        ),
        (
            "[budget]",
            "[loss]\ncomplexity_bias = 1\n[budget]",
            "complexity_bias is 1, .*true or false",
        ),
        ("[budget]", "[loss]\nexpert_dropout = 1\n[budget]", "expert_dropout is 1"),
        ("[budget]", "[loss]\nfrequency_weight = -0.1\n[budget]", "frequency_weight is -0.1"),
        ("[budget]", "[loss]\nknee = -1\n[budget]", "knee is -1"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(load, old, new, sentence):
    assert old in RECIPE
    with pytest.raises(RecipeError, match=sentence) as caught:
        load(RECIPE.replace(old, new, 1))
    message = caught.value.message
    assert caught.value.exit_code == 2
    assert "recipe.toml: " in message
    assert not message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ('rows = ["noise 25"]\nevery_steps = 1', "lacks 'folders'"),
        ('folders = ["a"]\nevery_steps = 1', "lacks 'rows'"),
        ('folders = ["a"]\nrows = ["noise 26"]\nevery_steps = 1', "rows is 'noise 26', .*one of"),
        ('folders = ["a"]\nrows = ["low 3", "low 3"]\nevery_steps = 1', "one row twice"),
        ('folders = ["a"]\nrows = ["low 3"]', "either every_steps or every_seconds"),
        ('folders = ["a"]\nrows = ["low 3"]\nevery_steps = 0', "every_steps is 0"),
        ('folders = ["a"]\nrows = ["low 3"]\nevery_seconds = 9\ncrop = 8', "crop is 8"),
    ],
)
def test_a_validation_is_checked_too(load, values, sentence):
    with pytest.raises(RecipeError, match=rf"\[validation\] .*{sentence}"):
        load(f"{RECIPE}\n[validation]\n{values}")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"BSD400+WED"', '"ImageNet"', "number 1 name is 'ImageNet', .*one of BSD400.WED, Rain"),
        ("sigma = 25\n", "", "number 1 BSD400.WED lacks 'sigma'"),
        ("sigma = 25", "sigma = 300", "number 1 sigma is 300"),
        ('"BSD400+WED"', '"GoPro"', "GoPro takes no sigma"),
        ("repeat = 3", "repeat = 0", "repeat is 0"),
        ("repeat = 3", "repaet = 3", r"\[\[data.set\]\] number 1 has the unknown key 'repaet'"),
        ('root = "sets"\n', "", r"\[data\] lacks 'root'"),
    ],
)
def test_standard_sets_are_checked_too(load, old, new, sentence):
    text = RECIPE.replace(CLEAN, SETS).replace(ALL_DAMAGE, "")
    assert load(text).data.sets[0].repeat == 3
    assert old in text
    with pytest.raises(RecipeError, match=sentence):
        load(text.replace(old, new, 1))


def test_files_that_are_no_recipes(tmp_path):
    with pytest.raises(RecipeError, match="there is no such recipe"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="can't be read: is a directory"):
        load_recipe(tmp_path)
    for content in (b"a = = 1", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(RecipeError, match=r"bad.toml is no TOML: "):
            load_recipe(tmp_path / "bad.toml")


def test_pictures_can_be_had_elsewhere(load):
    recipe = load(RECIPE)
    assert with_data(recipe, []) == recipe
    assert with_data(recipe, [Path("a"), Path("b")]).data.clean == (Path("a"), Path("b"))
    assert recipe.validation is None
    measured = with_validation(recipe, [Path("held")]).validation
    assert measured.folders == (Path("held"),)
    assert measured.rows == tuple(SUITE)
    assert with_validation(with_validation(recipe, [Path("held")]), []).validation is None

    sets = load(RECIPE.replace(CLEAN, SETS).replace(ALL_DAMAGE, ""))
    assert with_data(sets, [Path("a")]).data.root == Path("a")
    with pytest.raises(RecipeError, match="2 folders were given, but test reads standard sets"):
        with_data(sets, [Path("a"), Path("b")])


def test_stages_follow_their_shares(load):
    recipe = load(RECIPE)
    assert [recipe.stage_at(step) for step in range(12)] == [0] * 5 + [1] * 7
    assert [recipe.stage_at_progress(p) for p in (0.0, 0.49, 0.5, 1.0, 1.5)] == [0, 0, 1, 1, 1]
    assert load(RECIPE.replace("steps = 10", "minutes = 10")).stage_at(10**6) == 0


def test_seven_recipes_are_shipped():
    names = {path.stem for path in SHIPPED}
    assert names == {"photo-xs", "photo-s", "aio3-s", "aio3", "aio5-s", "aio5", "cdd11-s"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    if recipe.name.startswith("photo-"):
        clean = [damage.share for damage in recipe.data.damage if not damage.kinds]
        assert sum(clean) >= 0.1
        drawn = {s.kind for damage in recipe.data.damage for s in damage.kinds}
        assert drawn >= {"noise", "sensor", "jpeg", "webp", "blur", "haze", "rain", "snow", "low"}
        return
    width = 32 if recipe.name.endswith("-s") else 48
    assert recipe.network == PRESETS["moce_ir_s" if width == 32 else "moce_ir"]
    assert [(s.crop, s.batch) for s in recipe.stages] == [(128, 32)]
    assert recipe.optimiser.learning_rate == 2e-4
    steps, warm = recipe.budget.steps, recipe.optimiser.warmup_steps
    assert warm / steps == 15 / 120
    before, top, after = (
        learning_rate(recipe.optimiser, recipe.budget, step / steps, step)
        for step in (warm - 1, warm, warm + 1)
    )
    assert before < top == 2e-4 > after
    loss = recipe.loss
    assert (loss.frequency_weight, loss.balance_weight) == (0.1, 0.01)
    assert loss.complexity_bias
    assert loss.router_gradient == "none"
