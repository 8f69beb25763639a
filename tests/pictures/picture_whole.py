"""One small whole file of each kind, 24 x 40 once upright."""

import io

import numpy as np
from picture_files import cmyk_icc, encoded, exif_of, noise, smooth, xmp_of
from PIL import Image

from moce_cli.pictures import Picture, Source, write


def file_of(kind, **options):
    deep = kind.endswith("16")
    pixels = noise(24, 40, 3, np.uint16) if deep else smooth(24, 40)
    source = Source(exif=exif_of(6), xmp=xmp_of(), dpi=(72.0, 72.0), icc=None)
    out = io.BytesIO()
    write(Picture(pixels, None, source), out, format=kind.split()[0], **options)
    return out.getvalue()


WHOLE = {
    **{kind: file_of(kind) for kind in ("PNG", "PNG 16", "JPEG", "WebP", "TIFF", "TIFF 16", "BMP")},
    "WebP lossy": file_of("WebP", quality=80),
    "JPEG progressive": encoded(Image.fromarray(smooth(24, 40)), "JPEG", progressive=True),
    "JPEG CMYK": encoded(Image.fromarray(noise(24, 40, 4), "CMYK"), "JPEG", icc_profile=cmyk_icc()),
    "TIFF LZW": encoded(Image.fromarray(smooth(24, 40)), "TIFF", compression="tiff_lzw"),
    "TIFF plain": encoded(Image.fromarray(smooth(24, 40)), "TIFF"),
    "TIFF PackBits": encoded(Image.fromarray(smooth(24, 40)), "TIFF", compression="packbits"),
    "GIF": encoded(Image.fromarray(smooth(24, 40)).quantize(64), "GIF"),
    "PNG palette": encoded(Image.fromarray(smooth(24, 40)).quantize(64), "PNG", transparency=3),
}
