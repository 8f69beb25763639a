"""One file of every format, depth and mode, with all metadata that ExifTool can put into it.

They are made by Pillow, tifffile, OpenCV, imagecodecs and OpenEXR, or by hand, so that the matrix
does not lean on what it tests.
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "pictures"))
from picture_files import cmyk_icc, encoded, png_of, smooth
from picture_profiles import grey_icc, rgb_icc

TESTS = Path(__file__).parent.parent

EXIFTOOL, VIPS = shutil.which("exiftool"), shutil.which("vips")
HEIGHT, WIDTH = 24, 40  # as stored
TAGS = {  # what ExifTool writes, and where it reads it again: (block, [(tag, value)])
    "-EXIF:Make=Moceflex": ("EXIF", "IFD0:Make", "Moceflex"),
    "-EXIF:Artist=Ada": ("EXIF", "IFD0:Artist", "Ada"),
    "-EXIF:GPSLatitude=48.85": ("EXIF", "GPS:GPSLatitude", 48.85),
    "-EXIF:GPSLatitudeRef=N": ("EXIF", "GPS:GPSLatitudeRef", "N"),
    "-EXIF:ISO=400": ("EXIF", "ExifIFD:ISO", 400),
    "-EXIF:DateTimeOriginal=2020:02:03 04:05:06": (
        "EXIF",
        "ExifIFD:DateTimeOriginal",
        "2020:02:03 04:05:06",
    ),
    "-XMP-dc:Title=Köln": ("XMP", "XMP-dc:Title", "Köln"),
    "-XMP-xmp:Rating=4": ("XMP", "XMP-xmp:Rating", 4),
    "-IPTC:Keywords=harbour": ("IPTC", "IPTC:Keywords", "harbour"),
    "-IPTC:City=Köln": ("IPTC", "IPTC:City", "Köln"),
}
PROFILE = "ICC_Profile:ProfileDescription"


def textured(channels, depth):
    """Soft slopes for what codes with loss, their last bits in no order for what does not."""
    slopes = np.dstack([smooth(HEIGHT, WIDTH), smooth(HEIGHT, WIDTH)[:, ::-1, :1]])
    slopes = slopes[:, :, [3] if channels == 1 else [0, 3] if channels == 2 else range(channels)]
    generator = np.random.default_rng(channels)
    if depth == 8:
        return slopes ^ generator.integers(0, 4, slopes.shape, np.uint8)
    wide = slopes.astype(np.uint16) * 257 ^ generator.integers(0, 512, slopes.shape, np.uint16)
    return wide if depth == 16 else (wide / np.float32(65535)).astype(np.float32)


def tiff(channels, depth, **options):
    array = textured(channels, depth)
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        array[:, :, 0] if channels == 1 else array,
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        resolution=(150, 300),
        resolutionunit=2,
        metadata=None,
        **options,
    )
    return out.getvalue()


def png(channels, depth):
    return png_of(textured(channels, depth), [(b"pHYs", bytes.fromhex("00001712 00002e23 01"))])


def pillow(kind, channels=3, **options):
    array = textured(channels, 8)
    return encoded(Image.fromarray(array[:, :, 0] if channels == 1 else array), kind, **options)


def avif(channels, depth):
    array = textured(channels, 16) >> (16 - depth)
    array = array[:, :, [2, 1, 0, 3][:channels]] if channels > 1 else array
    words = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 95]
    done, data = cv2.imencode(".avif", array, words)
    assert done
    return data.tobytes()


def inks(kind):
    array = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    array[:, :, 0] = smooth(HEIGHT, WIDTH)[:, :, 0]
    return encoded(Image.fromarray(array, "CMYK"), kind, icc_profile=cmyk_icc())


def exr():
    import OpenEXR

    light = textured(4, 32)
    light[:, :, :3] *= light[:, :, 3:]  # as they are stored
    channels = {n: light[:, :, i].copy() for i, n in enumerate("RGBA")}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "comments": "by Ada"}
    header |= {"xDensity": 300.0, "pixelAspectRatio": 0.5}
    with tempfile.TemporaryDirectory() as folder:
        OpenEXR.File(header, channels).write(f"{folder}/a.exr")
        return Path(folder, "a.exr").read_bytes()


def jxl(channels, depth):
    import imagecodecs

    array = textured(channels, depth)
    return imagecodecs.jpegxl_encode(array[:, :, 0] if channels == 1 else array, lossless=True)


def dng():
    from test_picture_extras import dng

    return dng()


def sources():
    """name: a function that makes its bytes."""
    found = {}
    modes = {1: "grey", 2: "greyalpha", 3: "rgb", 4: "rgba"}
    for channels, mode in modes.items():
        for depth in (8, 16):
            found[f"{mode}{depth}.png"] = lambda c=channels, d=depth: png(c, d)
        for depth in (8, 16, 32):
            found[f"{mode}{depth}.tif"] = lambda c=channels, d=depth: tiff(c, d)
    wide = textured(3, 8)
    found["palette.png"] = lambda: encoded(Image.fromarray(wide).quantize(64), "PNG")
    found["cleared.png"] = lambda: encoded(
        Image.fromarray(wide).quantize(64), "PNG", transparency=bytes(range(255, 63, -3))
    )
    found["bilevel.png"] = lambda: encoded(Image.fromarray(wide).convert("1"), "PNG")
    found["big.tif"] = lambda: tiff(3, 16, bigtiff=True)
    found["tiles.tif"] = lambda: tiff(3, 16, tile=(16, 16), compression="zlib", predictor=True)
    found["lzw.tif"] = lambda: pillow("TIFF", compression="tiff_lzw", dpi=(150, 300))
    found["inks.tif"] = lambda: inks("TIFF")
    found["inks.jpg"] = lambda: inks("JPEG")
    found["grey.jpg"] = lambda: pillow("JPEG", 1, quality=96, dpi=(150, 300), comment=b"by Ada")
    found["rgb.jpg"] = lambda: pillow("JPEG", quality=96, dpi=(150, 300), comment=b"by Ada")
    found["chroma.jpg"] = lambda: pillow("JPEG", quality=92, subsampling=2, progressive=True)
    found["rgb.webp"] = lambda: pillow("WEBP", lossless=True)
    found["rgba.webp"] = lambda: pillow(  # with a header to which ExifTool need not add one
        "WEBP", 4, lossless=True, exact=True, icc_profile=rgb_icc("Display P3")
    )
    found["lossy.webp"] = lambda: pillow("WEBP", quality=95)
    found["rgb8.avif"] = lambda: pillow(
        "AVIF", quality=95, subsampling="4:4:4", icc_profile=rgb_icc("Display P3")
    )
    found["rgba8.avif"] = lambda: pillow("AVIF", 4, quality=95, subsampling="4:4:4")
    found["grey8.avif"] = lambda: pillow("AVIF", 1, quality=95, subsampling="4:0:0")
    for depth in (10, 12):
        found[f"grey{depth}.avif"] = lambda d=depth: avif(1, d)
        found[f"rgb{depth}.avif"] = lambda d=depth: avif(3, d)
    found["rgb.bmp"] = lambda: pillow("BMP", dpi=(150, 150))
    found["grey.bmp"] = lambda: pillow("BMP", 1, dpi=(150, 150))
    found["rgb.gif"] = lambda: encoded(Image.fromarray(wide).quantize(64), "GIF", comment=b"by Ada")
    found["rgba.exr"] = exr
    for channels in (1, 3, 4):
        found[f"{modes[channels]}8.jxl"] = lambda c=channels: jxl(c, 8)
    found["rgb16.jxl"] = lambda: jxl(3, 16)
    for depth in (8, 10):
        path = TESTS / "data" / "heic" / f"p3_{depth}bit.heic"
        found[f"rgb{depth}.heic"] = path.read_bytes
    found["camera.dng"] = dng
    by_kind = {f"{name.partition('.')[2]}_{name}": maker for name, maker in found.items()}
    return by_kind  # so that no two outputs of one format have the same name


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(folder):
    """All sources, with the tags that their formats hold."""
    folder.mkdir()
    for name, maker in sources().items():
        (folder / name).write_bytes(maker())
    (folder.parent / "rgb.icc").write_bytes(rgb_icc("Display P3"))
    (folder.parent / "grey.icc").write_bytes(grey_icc())
    kinds = {True: "grey.icc", False: "rgb.icc"}
    plain = ("big.tif", "bmp", "exr", "heic", "dng")
    for grey, profile in kinds.items():
        names = [n for n in sources() if (("grey" in n) or ("bilevel" in n)) == grey]
        names = [n for n in names if not n.endswith(plain)]
        for inked in (False, True):
            chosen = [folder / n for n in names if ("inks" in n) == inked]
            icc = [] if inked else [f"-ICC_Profile<={folder.parent / profile}"]
            if chosen:
                words = ["-q", "-m", "-overwrite_original", "-EXIF:Orientation#=6", *TAGS, *icc]
                subprocess.run([EXIFTOOL, *words, *chosen], capture_output=True, check=False)
    some = ["-q", "-m", "-overwrite_original", *TAGS]
    subprocess.run([EXIFTOOL, *some, folder / "dng_camera.dng"], capture_output=True, check=False)


def facts(folder):
    """What ExifTool reads of every file in a folder."""
    rows = json.loads(run(EXIFTOOL, "-j", "-n", "-a", "-G1", "-charset", "filename=utf8", folder))
    return {Path(row["SourceFile"]).name: row for row in rows}


def by_vips(path, scratch):
    """The upright pixels as libvips sees them."""
    seen = scratch / "seen.v"
    run(VIPS, "autorot", path, seen)
    data = seen.read_bytes()
    assert data[:4] == bytes.fromhex("b6a6f208"), "libvips' own format, little-endian"
    width, height, bands, _, kind = np.frombuffer(data, "<i4", 5, 4)
    dtype = {0: np.uint8, 2: np.uint16, 6: np.float32}[int(kind)]
    return np.frombuffer(data, dtype, height * width * bands, 64).reshape(height, width, bands)
