"""The page, as a file: one, whole, nothing from outside, nothing let in."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from test_compare_files import full_exif

from moce_cli.compare import compare, look_page
from moce_cli.compare.page import embedded
from moce_cli.pictures import Picture, Source


class Reader(HTMLParser):
    """Tags that open and close, sources, and text."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.said, self.ids = [], [], [], []
        self.feed(text)
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.sources += [given[name] for name in ("src", "href", "srcset") if name in given]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass  # of SVG

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.said.append(data)


def pictures(reader):
    return [
        Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        for source in reader.sources
    ]


def test_it_holds_the_very_pixels_and_asks_for_nothing(photo):
    paths = [photo("a.png"), photo("b.png", seed=1), photo("c.png", seed=2)]
    text = look_page(compare(paths))
    reader = Reader(text)
    assert all(source.startswith("data:image/") for source in reader.sources)
    for image, path in zip(pictures(reader), paths, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(path)))
    assert "://" not in text
    assert not re.search(r"@import|url\(|<link|<iframe|fetch\(|XMLHttpRequest|import ", text)
    assert "default-src 'none'" in text
    assert len(set(reader.ids)) == len(reader.ids)


def test_names_and_values_are_shown_as_text(photo):
    info = PngImagePlugin.PngInfo()
    info.add_text("<b>x", "<script>alert(1)</script>")
    first = photo("<img src=x onerror=alert(1)>.png", pnginfo=info)
    text = look_page(compare([first, photo("b&\"'.png")]))
    reader = Reader(text)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert any("<img src=x onerror=alert(1)>.png" in said for said in reader.said)
    assert any("<script>alert(1)</script>" in said for said in reader.said)


def test_nobody_learns_where_a_picture_was_taken_or_kept(photo, tmp_path):
    first = photo("a.jpg", exif=full_exif())
    text = look_page(compare([first, photo("b.jpg", exif=full_exif())]))
    shown = re.sub(r"base64,[^\"]*", "", text)
    assert "47" not in re.sub(r"<style>.*?</style>|<script>.*?</script>", "", shown, flags=re.S)
    assert str(tmp_path) not in text
    for image in pictures(Reader(text)):
        assert not image.getexif()


def test_the_table_says_what_was_kept_and_lost(photo):
    text = look_page(compare([photo("a.jpg", exif=full_exif()), photo("b.png")]))
    rows = dict(re.findall(r"<tr[^>]*><th scope=.row.>([^<]*)</th>.*?<td class=\"(\w+)\">", text))
    assert rows["Make"] == "lost"
    assert rows["GPSLatitude"] == "lost"
    assert rows["size"] == "kept"
    assert rows["format"] == "changed"
    assert re.search(r"b\.png: \d+ kept, 1 changed, \d+ lost", text)


def test_it_says_what_differs_and_what_is_not_as_in_the_files(photo):
    same = look_page(compare([photo("a.png"), photo("b.png")]))
    assert "equals a.png in every pixel" in same
    larger = compare([photo("a.png"), photo("c.png", height=120, width=160)])
    small = look_page(larger, quality=60)
    assert "of another size (160 x 120)" in small
    assert "at quality 60" in small
    assert len(small) < len(look_page(larger))
    deep = np.random.default_rng(0).integers(0, 65536, (60, 80)).astype(np.uint16)
    assert "16 bits are shown in 8" in look_page(compare([photo("d.png", deep), photo("e.png")]))


@pytest.mark.parametrize("quality", [None, 90])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pictures_of_every_kind_are_embedded(quality, channels, alpha, dtype):
    rng = np.random.default_rng(0)
    most = 1 if dtype == np.float32 else np.iinfo(dtype).max
    y, x = np.mgrid[0:20, 0:30] / 30
    samples = (np.stack([x, y, x * y], axis=2) * most).astype(dtype)[:, :, :channels]
    picture = Picture(samples, (rng.random((20, 30)) * most).astype(dtype) if alpha else None)
    data, kind = embedded(picture, quality)
    image = Image.open(io.BytesIO(data))
    assert f"image/{image.format.lower()}" == kind
    assert image.size == (30, 20)
    assert ("A" in image.mode) == alpha
    if dtype != np.float32 and quality is None:
        seen = np.asarray(image).astype(int)[:, :, :channels]
        assert np.abs(seen - samples.astype(float) / most * 255).max() <= 0.5


def test_a_profile_goes_with_the_pixels_and_a_browser_makes_of_it_what_it_can():
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Picture(np.zeros((8, 8, 3), np.uint8), source=Source(icc=wide, xmp=b"<x/>"))
    image = Image.open(io.BytesIO(embedded(picture, None)[0]))
    assert image.info["icc_profile"] == wide
    assert "xmp" not in image.info
