"""What is written in bands is what `write` would have written."""

import functools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from picture_files import exif_of, noise, smooth, srgb_icc, xmp_of
from picture_profiles import rgb_icc
from PIL import Image

from moce_cli.errors import OutputError, OutputExistsError, UsageError
from moce_cli.pictures import Picture, Source, Storage, exif, read, tiff_write, write
from moce_cli.pictures.large import BandFacts, BandWriter, disk_bytes, encoders, open_bands, writer

pytest.importorskip("pyvips")

HEIGHT, WIDTH = 141, 83
EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif"}
FULL = {
    "icc": srgb_icc(),
    "exif": exif_of(height=23, width=17),
    "xmp": xmp_of(),
    "iptc": b"\x1c\x02\x05\0\x05title",
    "dpi": (150.0, 300.0),
    "text": (("Comment", "grüße"), ("Author", "日本")),
}


def picture_of(channels=3, alpha=False, dtype=np.uint8, size=(HEIGHT, WIDTH), **source):
    samples = noise(*size, channels + 1, np.uint8 if dtype == np.uint8 else np.uint16)
    if dtype == np.float32:
        samples = (samples / 50000).astype(np.float32)
    given = samples[:, :, channels] if alpha else None
    return Picture(samples[:, :, :channels], given, Source(**source))


def facts_of(picture):
    has_alpha = picture.alpha is not None
    size = picture.height, picture.width
    return BandFacts(picture.source, *size, picture.channels, has_alpha, picture.pixels.dtype)


def write_bands(picture, path, kind, step=37, **storage):
    with BandWriter(path, facts_of(picture), format=kind, storage=Storage(**storage)) as out:
        for top in range(0, picture.height, step):
            rows = slice(top, top + step)
            out.write(picture.pixels[rows], None if picture.alpha is None else picture.alpha[rows])
        return out.finish()


def exiftool(path):
    if not shutil.which("exiftool"):
        return None
    command = ["exiftool", "-a", "-G1", "-s", "--System:all", "--ExifTool:all", "-json", path]
    (told,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    places = ("SourceFile", "IFD0:StripOffsets", "IFD0:StripByteCounts")
    return {name: value for name, value in told.items() if name not in places}


def check_like_write(picture, kind, folder, step=37, **storage):
    whole, bands = folder / f"whole.{EXTENSIONS[kind]}", folder / f"bands.{EXTENSIONS[kind]}"
    notes = write(picture, whole, format=kind, storage=Storage(**storage))
    assert write_bands(picture, bands, kind, step, **storage) == notes
    wanted, found = read(whole, whole=True), read(bands, whole=True)
    assert found.source == wanted.source
    np.testing.assert_array_equal(found.pixels, wanted.pixels)
    assert found.pixels.dtype == wanted.pixels.dtype
    assert (found.alpha is None) == (wanted.alpha is None)
    if found.alpha is not None:
        np.testing.assert_array_equal(found.alpha, wanted.alpha)
    assert exiftool(bands) == exiftool(whole)
    return bands


@pytest.mark.parametrize("kind", EXTENSIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_like_write(channels, alpha, dtype, kind, tmp_path):
    check_like_write(picture_of(channels, alpha, dtype, **FULL), kind, tmp_path)


@pytest.mark.parametrize("kind", EXTENSIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (17, 3), (700, 900)])
@pytest.mark.parametrize("step", [1, 16, 1000])
def test_sizes_and_steps(size, step, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "_GROUP_BYTES", 2**18)
    step = step if size[0] < 700 else max(step, 7)
    check_like_write(picture_of(size=size), kind, tmp_path, step)


@pytest.mark.parametrize("kind", EXTENSIONS)
@pytest.mark.parametrize("order", "<>")
def test_metadata_of_both_orders_and_none(kind, order, tmp_path):
    check_like_write(picture_of(exif=exif_of(order=order)), kind, tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    check_like_write(picture_of(**FULL), kind, tmp_path, strip_metadata=True)


@pytest.mark.parametrize("profile", ["icc", "png_chunks"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("kind", EXTENSIONS)
def test_other_encodings(kind, dtype, profile, tmp_path):
    told = (
        {"icc": rgb_icc("Display P3")}
        if profile == "icc"
        else {"png_chunks": ((b"cICP", b"\x0c\x0d\0\x01"),)}
    )
    check_like_write(picture_of(dtype=dtype, **told), kind, tmp_path)


@pytest.mark.parametrize("subsampling", [None, "444", "422", "420"])
@pytest.mark.parametrize("quality", [None, 30, 100, "source"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_tables_and_chroma(channels, quality, subsampling, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "_GROUP_BYTES", 2**13)
    image = Image.fromarray(smooth(HEIGHT, WIDTH, channels).squeeze())
    image.save(tmp_path / "a.jpg", quality=92, subsampling=2)
    picture = read(tmp_path / "a.jpg")
    bands = check_like_write(picture, "JPEG", tmp_path, quality=quality, subsampling=subsampling)
    with Image.open(bands) as found, Image.open(tmp_path / "whole.jpg") as wanted:
        assert found.quantization == wanted.quantization
        assert found.layer == wanted.layer


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_bigtiff_where_a_classic_one_does_not_suffice(dtype, order, tmp_path, monkeypatch):
    picture = picture_of(3, True, dtype, **FULL | {"exif": exif_of(order=order)})
    small = tmp_path / "small.tif"
    write_bands(picture, small, "TIFF")
    short = functools.partial(encoders.TiffEncoder, most_classic=small.stat().st_size - 100)
    monkeypatch.setattr(encoders, "TiffEncoder", short)
    big = tmp_path / "big.tif"
    write_bands(picture, big, "TIFF")
    assert big.read_bytes()[:4] == (b"II+\0" if order == "<" else b"MM\0+")
    assert small.read_bytes()[:4] == (b"II*\0" if order == "<" else b"MM\0*")
    with open_bands(big) as found, open_bands(small) as wanted:
        pixels, alpha = found.rows(0, HEIGHT)
        np.testing.assert_array_equal(pixels, picture.pixels)
        np.testing.assert_array_equal(alpha, picture.alpha)
        for field in ("icc", "xmp", "iptc", "dpi"):
            assert getattr(found.source, field) == getattr(wanted.source, field)
        assert exif.facts(found.source.exif) == exif.facts(wanted.source.exif)
    block = small.read_bytes()[16:200]  # where makers' notes and what they point to lie
    assert big.read_bytes()[16:200] == block
    told = exiftool(big)
    assert told is None or {"48 51 30", "Moceflex", "MakerNote 1234"} <= set(told.values())
    with tifffile.TiffFile(big) as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray()[:, :, :3], picture.pixels)


@pytest.mark.parametrize("source", [{}, FULL | {"exif": exif_of(order=">")}])
def test_a_bigtiff_of_more_than_4_gb(source, tmp_path, monkeypatch):
    """With a hole in it, that takes no disk."""

    class Far(tiff_write.Strips):
        def add(self, strip):
            self.out.seek(2**32 + 5000 if not self.offsets else 0, 2 if self.offsets else 0)
            super().add(strip)

    monkeypatch.setattr(tiff_write, "Strips", Far)
    picture, path = picture_of(**source), tmp_path / "a.tif"
    write_bands(picture, path, "TIFF")
    assert path.stat().st_size > 2**32
    assert path.stat().st_blocks * 512 < 2**24
    with open_bands(path) as reader:
        np.testing.assert_array_equal(reader.rows(0, HEIGHT)[0], picture.pixels)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), picture.pixels)


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(OutputError, match="written by the package pyvips") as caught:
        BandWriter(tmp_path / "a", facts_of(picture_of()), format="PNG", storage=Storage())
    assert "moce-cli[large]" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_through_a_reader(tmp_path):
    path, copy = tmp_path / "a.tif", tmp_path / "b.png"
    write(picture_of(3, True, np.uint16, **FULL), path)
    with (
        open_bands(path) as reader,
        BandWriter(copy, reader, format="PNG", storage=Storage()) as out,
    ):
        for top in range(0, reader.height, 50):
            out.write(*reader.rows(top, min(top + 50, reader.height)))
        assert out.finish() == ()
    np.testing.assert_array_equal(read(copy).pixels, read(path).pixels)
    assert read(copy).source.icc == FULL["icc"]


def test_what_is_there_stays(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"is there already"):
        BandWriter(path, facts_of(picture_of()), format="PNG", storage=Storage())
    assert path.read_bytes() == b"precious"


def test_no_folder_and_no_such_format(tmp_path):
    facts = facts_of(picture_of())
    with pytest.raises(OutputError, match=r"there is no folder"):
        BandWriter(tmp_path / "b" / "a.png", facts, format="PNG", storage=Storage())
    with pytest.raises(OutputError, match=r"can't be written in bands: .*PNG, JPEG, TIFF"):
        BandWriter(tmp_path / "a.webp", facts, format="WebP", storage=Storage())


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_nothing_stays_unless_it_was_finished(kind, tmp_path):
    picture = picture_of()
    path = tmp_path / "a"

    def stop_halfway():
        with BandWriter(path, facts_of(picture), format=kind, storage=Storage()) as out:
            out.write(picture.pixels[:100], None)
            assert path.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stop_halfway()
    with BandWriter(path, facts_of(picture), format=kind, storage=Storage()) as out:
        out.write(picture.pixels[:100], None)
        with pytest.raises(UsageError, match="100 of 141 rows were given"):
            out.finish()
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_picture(tmp_path):
    picture = picture_of(3, True)
    facts = facts_of(picture)
    with BandWriter(tmp_path / "a", facts, format="PNG", storage=Storage()) as out:
        for pixels, alpha in (
            (picture.pixels, None),
            (picture.pixels[:, 1:], picture.alpha[:, 1:]),
            (picture.pixels[:, :, :1], picture.alpha),
            (picture.pixels.astype(np.uint16), picture.alpha),
            (picture.pixels.repeat(2, axis=0), picture.alpha.repeat(2, axis=0)),
        ):
            with pytest.raises(UsageError, match="none of a picture"):
                out.write(pixels, alpha)
        out.write(picture.pixels[:0], picture.alpha[:0])
        out.write(picture.pixels, picture.alpha)
        out.finish()


def test_a_jpeg_too_wide_is_refused_before_anything_is_written(tmp_path):
    facts = BandFacts(Source(), 10, 65_536, 3, False, np.dtype(np.uint8))
    with pytest.raises(OutputError, match=r"sides up to 65500 pixels.*65536 x 10") as caught:
        BandWriter(tmp_path / "a.jpg", facts, format="JPEG", storage=Storage())
    assert "PNG and TIFF" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_a_changed_byte_is_noticed(kind, tmp_path, monkeypatch):
    picture, path = Picture(picture_of().pixels // 8), tmp_path / "a"
    encoder = {
        "PNG": encoders.PngEncoder,
        "JPEG": encoders.JpegEncoder,
        "TIFF": encoders.TiffEncoder,
    }[kind]
    end = encoder.end

    def spoil(self):
        at = self._out.tell()
        self._out.seek(1500)
        self._out.write(b"\xff\xd9" * 8)
        self._out.seek(at)
        end(self)

    monkeypatch.setattr(encoder, "end", spoil)
    with pytest.raises(OutputError, match="what was written"):
        write_bands(picture, path, kind)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_other_pixels_are_noticed(kind, tmp_path, monkeypatch):
    class Wrong:
        def __init__(self, encoder):
            self.rows, self._encoder, self.end = encoder.rows, encoder, encoder.end

        def add(self, samples):
            self._encoder.add(samples if kind != "JPEG" else 255 - samples // 2)
            if kind != "JPEG":
                samples[0, 0, 0] ^= 1  # after it was written, before it is remembered

    made = writer.encoder_of
    monkeypatch.setattr(writer, "encoder_of", lambda *args: Wrong(made(*args)))
    with pytest.raises(OutputError, match="what was written differs from the picture"):
        write_bands(Picture(smooth(HEIGHT, WIDTH) // 2), tmp_path / "a", kind)


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from moce_cli.errors import OutputError
from moce_cli.pictures import Source, Storage
from moce_cli.pictures.large import BandFacts, BandWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
path, kind = Path(sys.argv[1]), sys.argv[2]
noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
facts = BandFacts(Source(), 400, 400, 3, False, noise.dtype)
try:
    with BandWriter(path, facts, format=kind, storage=Storage()) as out:
        out.write(noise, None)
        out.finish()
except OutputError as error:
    print(error.message, path.exists())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it limits a file's size")
@pytest.mark.parametrize("kind", EXTENSIONS)
def test_a_full_disk(kind, tmp_path):
    path = tmp_path / "a"
    command = [sys.executable, "-c", LIMITED, path, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{path} can't be written: file too large False\n", "")


@pytest.mark.parametrize("kind", EXTENSIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(1, 1), (300, 500), (3000, 7)])
def test_disk_is_estimated_from_above(size, dtype, kind, tmp_path):
    picture, path = picture_of(3, True, dtype, size), tmp_path / "a"
    write_bands(picture, path, kind, 1000, quality=100)
    estimate = disk_bytes(*size, 4, picture.depth, kind)
    assert path.stat().st_size <= estimate <= 2.1 * path.stat().st_size + 2**17
