"""A file's header: what it holds, before anything is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from PIL import Image, JpegImagePlugin

from moce_cli.errors import InputError
from moce_cli.pictures import avif, exif, gif_blocks, iptc, png, tiff, webp
from moce_cli.pictures.decode import mode_name
from moce_cli.pictures.exr import Exr, open_exr
from moce_cli.pictures.heif import Heif, open_heif
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.jxl import Jxl, open_jxl
from moce_cli.pictures.picture import Header, Source
from moce_cli.pictures.raw import Raw, open_raw


@dataclass(frozen=True, slots=True)
class Facts:
    """What `examine` finds.

    Attributes:
        height: as stored, before the orientation is applied.
        width: likewise.
        frames: pages or frames.
        orientation: 1 to 8.
        source: metadata as stored; the orientation is not yet reset.
        image: from Pillow, not decoded; for the formats that Pillow reads alone.
        png: for a PNG.
        tiff: for a TIFF.
        further: for the formats that a package reads which is not always installed.
    """

    height: int
    width: int
    source: Source
    frames: int = 1
    orientation: int = 1
    image: Image.Image | None = None
    png: png.Png | None = None
    tiff: tiff.Tiff | None = None
    further: Heif | Raw | Exr | Jxl | None = None

    @property
    def header(self) -> Header:
        """For `probe`."""
        turned = self.orientation >= 5
        return Header(
            height=self.width if turned else self.height,
            width=self.height if turned else self.width,
            format=self.source.format,
            depth=self.source.depth,
            mode=self.source.mode,
            orientation=self.orientation,
            frames=self.frames,
            indivisible=self._indivisible(),
        )

    def _indivisible(self) -> str:
        if self.tiff is not None:
            return self.tiff.indivisible
        if self.png is not None and self.png.interlaced:
            return "its pixels are interlaced"
        if self.image is not None and self.image.info.get("progressive"):
            return "it is a progressive JPEG"
        return ""


def examine(file: BinaryIO, kind: str, *, max_pixels: int, check_data: bool) -> Facts:
    """Read a file's header and metadata.

    Args:
        file: seekable.
        kind: from `sniff`.
        max_pixels: the most that are taken for a picture.
        check_data: also check what can be checked without decoding.

    Raises:
        InputError: too many pixels.
        Exception: of many kinds from Pillow, and DamagedError, when the file is damaged.
    """
    if kind == "PNG":
        facts = _png(file, check_data=check_data)
    elif kind == "TIFF":
        facts = page(tiff.scan(file))
    elif kind in _FURTHER:
        found = _FURTHER[kind](file)
        facts = Facts(found.height, found.width, found.source, further=found)
    else:
        if kind == "WebP":
            _check_size(*webp.extent(file), max_pixels)  # Pillow makes room as soon as it opens
        if kind == "GIF":
            _check_size(*gif_blocks.extent(file), max_pixels)  # and for the widest of its frames
        facts = _pillow(file, kind)
    _check_size(facts.height, facts.width, max_pixels)
    return facts


_FURTHER = {"HEIC": open_heif, "RAW": open_raw, "EXR": open_exr, "JXL": open_jxl}


def _check_size(height: int, width: int, max_pixels: int) -> None:
    if height < 1 or width < 1:
        raise DamagedError(f"its size is {width} x {height}")
    if height * width > max_pixels:
        raise InputError(
            f"it states {width} x {height} = {height * width} pixels, more than the "
            f"{max_pixels} allowed",
            hint="if it is no decompression bomb, raise --max-pixels",
        )


def _png(file: BinaryIO, *, check_data: bool) -> Facts:
    found = png.scan(file, check_data=check_data)
    notes: list[str] = []
    icc = None
    try:
        icc = png.profile(found)
    except DamagedError as error:
        notes.append(f"the colour profile was left out: {error}")
    texts = png.texts(found)
    metadata = dict(texts)
    exif_block = found.first(b"eXIf") or _raw_profile(metadata, ("exif", "APP1"))
    records = iptc.found(_raw_profile(metadata, ("iptc",)))
    packet = metadata.get(png.XMP_KEYWORD, "").encode() or _raw_profile(metadata, ("xmp",))
    physical = found.first(b"pHYs")
    dpi = None
    if physical is not None and len(physical) == 9 and physical[8] == 1:
        across, down = struct.unpack(">II", physical[:8])
        dpi = (down * png.METRES_PER_INCH, across * png.METRES_PER_INCH)
    source = Source(
        format="PNG",
        depth=found.depth,
        mode=found.mode,
        icc=icc,
        exif=exif_block,
        xmp=packet,
        iptc=records,
        dpi=dpi if dpi and all(dpi) else None,
        text=tuple(
            pair
            for pair in texts
            if pair[0] != png.XMP_KEYWORD and not pair[0].startswith("Raw profile type ")
        ),
        png_chunks=found.colour_chunks,
        notes=tuple(notes),
    )
    turn = exif.orientation(source.exif, source.xmp)
    return Facts(
        found.height, found.width, source, frames=found.frames, orientation=turn, png=found
    )


def _raw_profile(texts: dict[str, str], kinds: tuple[str, ...]) -> bytes | None:
    """Metadata as ImageMagick puts it into text chunks: a name, a length, hexadecimal."""
    for kind in kinds:
        text = texts.get(f"Raw profile type {kind}")
        if text is None:
            continue
        try:
            data = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            continue
        return data.removeprefix(exif.PREFIX).removeprefix(b"http://ns.adobe.com/xap/1.0/\0")
    return None


def page(found: tiff.Tiff) -> Facts:
    """What a page of a TIFF says."""

    def data(tag: int) -> bytes | None:
        return found.tags[tag].data or None if tag in found.tags else None

    source = Source(
        format="TIFF",
        depth=found.depth if not found.is_float else 32,
        mode=found.mode,
        icc=data(tiff.ICC),
        exif=exif.from_tiff(found.tables, found.tags),
        xmp=data(tiff.XMP),
        iptc=data(tiff.IPTC) or iptc.found(data(tiff.RESOURCES)),
        dpi=tiff.resolution(found),
        lossy=found.lossy,
        notes=found.notes,
    )
    if exif.ORIENTATION in found.tags:
        turn = found.value(exif.ORIENTATION, 1)
    else:
        turn = exif.orientation(None, source.xmp)
    return Facts(
        found.value(tiff.HEIGHT),
        found.value(tiff.WIDTH),
        source,
        frames=found.pages,
        orientation=turn if 1 <= turn <= 8 else 1,
        tiff=found,
    )


def _pillow(file: BinaryIO, kind: str) -> Facts:
    """JPEG, WebP, AVIF, BMP, GIF."""
    lossy = kind in ("JPEG", "AVIF") or (kind == "WebP" and not webp.is_lossless(file))
    depth, grey = 8, False
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    if kind == "AVIF":
        file.seek(0)
        head = file.read(avif.HEAD_BYTES)
        depth, chunks = avif.depth_stated(head), avif.coded_colours(head)
        grey = avif.is_grey(head)
    if kind == "BMP":
        file.seek(14)
        head = file.read(16)
        depth = int.from_bytes(head[10:12] if head[0] == 12 else head[14:16], "little")
        depth = depth if depth <= 8 else 8  # 16 to 32 are for all channels together
    file.seek(0)
    image = Image.open(file, formats=[kind])  # JPEG's may turn out to be an MPO
    info = cast("dict[str, Any]", image.info)
    packet, icc = info.get("xmp") or None, info.get("icc_profile") or None
    comments = [info.get("comment", b"")]
    block = info.get("exif")
    dots = info.get("dpi")
    quantisation: tuple[tuple[int, ...], ...] = ()
    subsampling = None
    notes: list[str] = []
    frames = int(getattr(image, "n_frames", 1))
    if image.format == "MPO":
        notes.append(f"it holds {frames} pictures, further views or previews: the first was taken")
        frames = 1
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        quantisation = tuple(tuple(table) for table in image.quantization.values())
        comments = [data for name, data in image.applist if name == "COM"]
        sampling = JpegImagePlugin.get_sampling(image)
        subsampling = sampling if sampling >= 0 else None
        if info.get("jfif_unit") == 0:
            dots = None  # a ratio of sides, no density
    if kind == "GIF":
        packet, icc = gif_blocks.carried(file)
    if b"HasExtendedXMP" in (packet or b""):
        notes.append("the further parts of a large XMP packet were left out")
    source = Source(
        format=kind,
        depth=depth,
        mode=mode_name(image).replace("RGB", "grey") if grey else mode_name(image),
        icc=icc,
        exif=exif.bare(block) if block else None,
        xmp=packet,
        iptc=info.get("photoshop", {}).get(0x0404),
        dpi=(float(dots[1]), float(dots[0])) if dots and all(d > 0 for d in dots) else None,
        text=tuple(("Comment", _text(comment)) for comment in comments if comment),
        png_chunks=() if icc else chunks,
        quantisation=quantisation,
        subsampling=subsampling,
        lossy=lossy,
        notes=tuple(notes),
    )
    turn = exif.orientation(source.exif, source.xmp)
    return Facts(image.height, image.width, source, frames=frames, orientation=turn, image=image)


def _text(comment: bytes) -> str:
    try:
        return comment.decode("utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return comment.decode("latin-1").rstrip("\0")
