"""The page in a real browser: the slider moves, and what is seen is what is in the files."""

import io

import browser
import numpy as np
import pytest
from networks import SMALL
from PIL import Image
from test_compare_experts import restored

from moce_cli.compare import compare, expert_map, look_page

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason="no Chromium here: name one in CHROMIUM, or install chromium"
)

HEIGHT, WIDTH = 90, 120
LEFT, RIGHT, THIRD = (200, 40, 40), (40, 90, 200), (180, 60, 60)


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """One browser for all tests."""
    opened = browser.Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def page(window, photo, tmp_path):
    """A page of three flat pictures with a map of experts, opened."""
    _, report = restored("tile", HEIGHT, WIDTH, tile=64, overlap=8)
    paths = [
        photo(f"{name}.png", np.full((HEIGHT, WIDTH, 3), colour, np.uint8))
        for name, colour in (("red", LEFT), ("blue", RIGHT), ("rose", THIRD))
    ]
    path = tmp_path / "look.html"
    path.write_text(look_page(compare(paths), expert_map(report, SMALL)), encoding="utf-8")
    window.open(path)
    window.until("[...document.images].every(i => i.complete && i.naturalWidth)")
    return window


def stage(window):
    """Left, top, width and height of what the pictures stand on."""
    return window.ask(
        "(r => [r.left, r.top, r.width, r.height])(document.getElementById('stage')"
        ".getBoundingClientRect())"
    )


def seen(window, **options):
    """What the window shows, as an array."""
    shot = window.screenshot(**options)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def is_colour(pixel, colour, near=3):
    return np.abs(np.asarray(pixel) - colour).max() <= near


def border(window):
    return int(window.ask("document.getElementById('handle').getAttribute('aria-valuenow')"))


def columns_of(shot, row):
    """How many pixels of a row are the left picture's, and how many the right one's."""
    line = shot[row]
    return tuple(int((np.abs(line - c).max(axis=1) <= 3).sum()) for c in (LEFT, RIGHT))


def test_the_slider_moves_and_shows_more_of_one_picture(page):
    left, top, width, height = stage(page)
    row = int(top + height / 2 - HEIGHT / 3)  # beside the handle's knob
    at_first = columns_of(seen(page), row)
    assert abs(at_first[0] - at_first[1]) <= 4
    assert WIDTH - 8 <= sum(at_first) <= WIDTH
    middle = (left + width / 2, top + height / 2)
    page.drag(middle, (middle[0] + WIDTH / 4, middle[1]))
    after = columns_of(seen(page), row)
    assert after[0] == pytest.approx(WIDTH * 3 / 4, abs=4)
    assert after[1] == pytest.approx(WIDTH / 4, abs=4)
    assert border(page) == pytest.approx(100 * (0.5 + WIDTH / 4 / width), abs=1)
    page.drag((middle[0] + WIDTH / 4, middle[1]), (left + 3, middle[1]))
    assert columns_of(seen(page), row)[0] == 0
    assert columns_of(seen(page), row)[1] == pytest.approx(WIDTH, abs=2)


def test_the_keyboard_moves_the_slider_within_its_bounds(page):
    for key, expected in (("ArrowRight", 51), ("End", 100), ("ArrowRight", 100), ("Home", 0)):
        page.key(key)
        assert border(page) == expected
    page.key("ArrowLeft")
    assert border(page) == 0


def test_zoom_reaches_single_pixels_and_comes_back(window, photo, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path / "look.html"
    paths = [photo("a.png", pixels), photo("b.png", pixels)]
    path.write_text(look_page(compare(paths)), encoding="utf-8")
    window.open(path)
    window.key("b")  # without the border
    left, top, width, height = stage(window)
    corner = (round(left + width / 2), round(top + height / 2))

    def under(x, y):
        """Column and row of the picture there, by the page's own account."""
        window.mouse("moved", x, y)
        window.until("document.getElementById('readout').textContent.includes('column')")
        seen(window)  # a frame goes by
        told = window.ask("document.getElementById('readout').textContent")
        column, row = (int(w.rstrip(",:")) for w in (told.split()[1], told.split()[3]))
        return column, row, told

    for _ in range(4):
        window.mouse("wheel", *corner, deltaX=0, deltaY=-240)
    shot = seen(window)
    for dx, dy in ((0, 0), (50, 30), (-70, 12)):
        x, y = corner[0] + dx, corner[1] + dy
        column, row, told = under(x, y)
        assert is_colour(shot[y, x], pixels[row, column], near=1), "each pixel is a sharp square"
        assert " ".join(map(str, pixels[row, column])) in told
    zoom = window.ask("document.getElementById('zoom').value")
    assert 800 < float(zoom.removesuffix(" %")) < 1300
    before = under(*corner)[:2]
    window.drag(corner, (corner[0] + 100, corner[1]))
    after = under(*corner)[:2]
    assert after[0] < before[0]
    assert after[1] == before[1]
    window.key("0")
    assert window.ask("document.getElementById('zoom').value") == "100 %"


def test_flicker_shows_one_then_the_other(page):
    left, top, width, height = stage(page)
    x, y = int(left + width / 2 - 30), int(top + height / 2)
    page.key(" ")  # by hand, so that no clock runs
    assert is_colour(seen(page)[y, x], RIGHT)
    page.key(" ")
    assert is_colour(seen(page)[y, x], LEFT)
    page.key("f")  # and now by the clock
    page.until("document.getElementById('stage').classList.contains('showsecond')")
    page.until("document.getElementById('stage').classList.contains('showfirst')")


def test_difference_is_amplified_and_black_where_there_is_none(page):
    left, top, width, height = stage(page)
    x, y = int(left + width / 2), int(top + height / 2)
    page.key("d")
    apart = np.abs(np.asarray(LEFT) - RIGHT)
    assert is_colour(seen(page)[y, x], (4 * apart).clip(0, 255), near=4)
    page.ask(
        "(s => { s.value = '1'; s.dispatchEvent(new Event('change')); })"
        "(document.getElementById('by'))"
    )
    assert is_colour(seen(page)[y, x], apart)


def test_equal_pictures_differ_nowhere_though_they_are_transparent(window, photo, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    paths = [photo("a.png", pixels), photo("b.png", pixels)]
    path = tmp_path / "look.html"
    path.write_text(look_page(compare(paths)), encoding="utf-8")
    window.open(path)
    left, top, width, height = stage(window)
    window.key("d")
    y, x = int(top + (height - HEIGHT) / 2), int(left + (width - WIDTH) / 2)
    assert seen(window)[y + 1 : y + HEIGHT - 1, x + 1 : x + WIDTH - 1].max() == 0


def test_the_keyboard_moves_the_picture_too(page):
    corner = "document.querySelector('#plane img').getBoundingClientRect()"
    place = f"[{corner}.left, {corner}.top]"
    for _ in range(4):
        page.key("+")
    before = page.ask(place)
    page.key("ArrowRight", shift=True)
    page.key("ArrowDown", shift=True)
    after = page.ask(place)
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert border(page) == 50
    page.ask("document.getElementById('handle').focus()")
    page.key("ArrowUp")
    assert border(page) == 51


def test_a_finger_slides_the_border_and_still_scrolls_the_page(page):
    def touch(start, *way):
        for kind, places in (("Start", [start]), *(("Move", [p]) for p in way), ("End", [])):
            points = [{"x": x, "y": y} for x, y in places]
            page.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points)
        seen(page)

    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=390, height=600, deviceScaleFactor=1, mobile=True,
    )  # fmt: skip
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        seen(page)
        _, top, _, height = stage(page)
        x, y = 100, round(top + height * 0.6)
        touch((x, y), *((x + 25 * step, y) for step in range(1, 9)))
        slid = border(page)
        assert slid == pytest.approx(100 * 300 / 390, abs=1)
        assert page.ask("scrollY") == 0
        touch((x, y), *((x, y - 25 * step) for step in range(1, 9)))
        page.until("scrollY > 50")
        assert border(page) == slid
    finally:
        page.call("Emulation.setTouchEmulationEnabled", enabled=False)
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=1200, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip


def test_flicker_goes_by_hand_without_a_keyboard(page):
    shown = "document.getElementById('stage').classList.contains('showsecond')"
    click = "document.querySelector('[data-mode=flicker]').click()"
    page.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )
    try:
        told = []
        for _ in range(4):
            page.ask(click)
            told.append(page.ask(shown))
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])
    assert told == [False, True, False, True]


def test_everything_has_a_name_for_who_does_not_see_it(page):
    """By the browser's own account of what it tells a screen reader."""
    page.key("e")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    told = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    operable = {"button", "checkbox", "combobox", "slider", "image", "region", "group"}
    unnamed = [role for role, name in told if role in operable and not name]
    assert unnamed == []
    assert ("slider", "Border between the pictures") in told
    assert ("button", "smaller (-)") in told
    assert ("image", "which expert worked where") in told
    assert {"main", "rowheader", "columnheader"} <= {role for role, _ in told}


def test_any_two_of_several_are_chosen_and_never_one_twice(page):
    left, top, width, height = stage(page)
    x, y = int(left + width / 2 + 30), int(top + height / 2 - 30)
    choose = (
        "(s => {{ s.value = '{}'; s.dispatchEvent(new Event('change')); }})"
        "(document.getElementById('pick-{}'))"
    )
    page.ask(choose.format(2, "b"))
    assert is_colour(seen(page)[y, x], THIRD)
    page.ask(choose.format(2, "a"))  # the other one takes its place
    assert page.ask("document.getElementById('pick-b').value") == "0"
    assert is_colour(seen(page)[y, x], LEFT)


def test_the_map_of_experts_lies_over_the_picture(page):
    left, top, width, height = stage(page)
    before = seen(page)
    assert page.ask("getComputedStyle(document.getElementById('legend')).display") == "none"
    page.key("e")
    shot = seen(page)
    y, x = int(top + height / 2 - HEIGHT / 2), int(left + width / 2 - WIDTH / 2)
    changed = np.abs(shot - before)[y + 2 : y + HEIGHT - 2, x + 2 : x + WIDTH - 2].max(axis=2)
    assert (changed > 10).mean() > 0.8  # but for the border and white numbers
    outside = np.abs(shot - before)[y : y + HEIGHT, x - 50 : x - 2]
    assert outside.max() == 0
    numbers = page.ask("[...document.querySelectorAll('#experts text')].map(t => t.textContent)")
    cells = page.ask("[...document.querySelectorAll('#experts g')].map(g => g.dataset.experts)")
    assert numbers == [cell.split()[0] for cell in cells]
    page.ask(
        "(s => { s.value = '1'; s.dispatchEvent(new Event('change')); })"
        "(document.getElementById('block'))"
    )
    numbers = page.ask("[...document.querySelectorAll('#experts text')].map(t => t.textContent)")
    assert numbers == [cell.split()[2] for cell in cells]
    assert "of the decisions" in page.ask("document.getElementById('legend').innerText")


def test_the_table_can_be_cut_to_what_changed(window, photo, tmp_path):
    path = tmp_path / "look.html"
    compared = compare([photo("a.png"), photo("b.jpg")])
    path.write_text(look_page(compared), encoding="utf-8")
    window.open(path)
    shown = "[...document.querySelectorAll('#facts tbody tr')].filter(r => r.offsetHeight).length"
    everything = window.ask(shown)
    window.ask("document.getElementById('only').click()")
    assert 0 < window.ask(shown) < everything
    assert "changed" in window.ask("document.getElementById('facts').innerText")


def test_nothing_is_asked_of_any_network_and_nothing_complains(page):
    page.key("f")
    page.key("d")
    assert all(url.startswith(("data:", "file:")) for url in page.requests())
    assert sum(url.startswith("file:") for url in page.requests()) == 1
    assert page.complaints() == []


def test_without_scripts_the_pictures_are_there(window, page, tmp_path):
    window.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.call("Page.reload")
        window.until("document.readyState === 'complete' && !document.body.className")
        shot = seen(window, settled=False).reshape(-1, 3)
    finally:
        window.call("Emulation.setScriptExecutionDisabled", value=False)
    for colour in (LEFT, RIGHT, THIRD):
        assert (np.abs(shot - colour).max(axis=1) <= 3).sum() >= HEIGHT * WIDTH - 4


def test_a_narrow_screen_holds_everything(page):
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=360, height=700, deviceScaleFactor=2, mobile=True,
    )  # fmt: skip
    try:
        seen(page)
        assert page.ask("document.documentElement.scrollWidth") <= 360
        box = stage(page)
        assert box[2] == 360
    finally:
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=1200, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
