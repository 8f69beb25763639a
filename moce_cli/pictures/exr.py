"""OpenEXR: linear light as floating-point samples, colours multiplied by alpha.

Source: OpenEXR, "Technical Introduction" and "Standard Optional Attributes" (chromaticities).
"""

from __future__ import annotations

import importlib
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from moce_cli.pictures.decode import Samples, UnsupportedError
from moce_cli.pictures.extras import needed
from moce_cli.pictures.picture import Picture, Pixels, Source
from moce_cli.pictures.tiff_pixels import finite
from moce_cli.wording import counted

_COMMENTS = "comments"
_MOST_NAME = 31  # characters that every reader takes
_RESERVED = frozenset(
    (
        "adoptedNeutral",
        "altitude",
        "aperture",
        "channels",
        "chromaticities",
        "chunkCount",
        "compression",
        "dataWindow",
        "deepImageState",
        "displayWindow",
        "dwaCompressionLevel",
        "envmap",
        "expTime",
        "focus",
        "framesPerSecond",
        "isoSpeed",
        "keyCode",
        "latitude",
        "lineOrder",
        "longitude",
        "multiView",
        "name",
        "originalDataWindow",
        "pixelAspectRatio",
        "preview",
        "screenWindowCenter",
        "screenWindowWidth",
        "tiles",
        "timeCode",
        "type",
        "utcOffset",
        "version",
        "view",
        "whiteLuminance",
        "worldToCamera",
        "worldToNDC",
        "wrapmodes",
        "xDensity",
    )
)
"""Names of attributes that are no texts of a person's."""


@dataclass(frozen=True, slots=True)
class Exr:
    """A file whose header was read."""

    height: int
    width: int
    source: Source
    file: BinaryIO

    def decode(self) -> Samples:
        """The pixels of the first part.

        Raises:
            UnsupportedError: samples that are no colours, or no numbers.
        """
        module = needed("EXR")
        imath = importlib.import_module("Imath")
        names = ("R", "G", "B") if self.source.mode.startswith("RGB") else ("Y",)
        names += ("A",) if self.source.mode.endswith("+alpha") else ()
        self.file.seek(0)
        # The older of the package's two readers: `File` takes damaged pixels for a file without
        # parts, and says so on standard output, where another picture may be on its way.
        opened = module.InputFile(self.file)
        try:
            planes = opened.channels(names, imath.PixelType(imath.PixelType.FLOAT))
        finally:
            opened.close()
        if {len(plane) for plane in planes} != {4 * self.height * self.width}:
            raise UnsupportedError("channels of several sizes")
        stacked = np.stack([np.frombuffer(plane, np.float32) for plane in planes], axis=1)
        array = finite(stacked.reshape(self.height, self.width, len(names)))
        colours = 1 if array.shape[2] < 3 else 3
        pixels = np.ascontiguousarray(array[:, :, :colours])
        if array.shape[2] == colours:
            return Samples(pixels)
        alpha = array[:, :, colours].copy()
        return Samples(pixels / _weight(alpha), alpha)


def open_exr(file: BinaryIO) -> Exr:
    """Read a file's header.

    Raises:
        InputError: OpenEXR is not installed.
        UnsupportedError: it holds no colours.
        Exception: of several kinds, when the file is damaged.
    """
    file.seek(0)
    with needed("EXR").File(file, header_only=True, num_threads=0) as opened:
        header, parts = opened.header(), len(opened.parts)
        (left, top), (right, bottom) = header["dataWindow"]
        names = {channel.name for channel in header["channels"]}
        # the header goes with the file
        primaries = _primaries(header.get("chromaticities"))
        dpi, text = _dpi(header), _texts(header)
    alpha, colourful = "A" in names, {"R", "G", "B"} <= names
    if not colourful and "Y" not in names:
        raise UnsupportedError(f"channels named {', '.join(sorted(names))}")
    notes = [f"the first of {parts} parts was taken"] if parts > 1 else []
    used = {"R", "G", "B", "A"} if colourful else {"Y", "A"}
    if further := len(names - used):
        some = counted(further, "further channel was", "further channels were")
        notes.append(f"{some} left out")
    source = Source(
        format="EXR",
        depth=32,
        mode=("RGB" if colourful else "grey") + ("+alpha" if alpha else ""),
        dpi=dpi,
        text=text,
        png_chunks=primaries,
        notes=tuple(notes),
    )
    return Exr(int(bottom) - int(top) + 1, int(right) - int(left) + 1, source, file)


def _primaries(stated: Any) -> tuple[tuple[bytes, bytes], ...]:  # noqa: ANN401 -- no types there
    """As PNG's chunks: linear light in these primaries."""
    if stated is None:
        return ()
    red, green, blue, white = np.asarray(stated, np.float64).reshape(4, 2).tolist()
    values = [round(v * 100_000) for point in (white, red, green, blue) for v in point]
    if not all(0 <= v < 2**31 for v in values):
        return ()
    return ((b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", struct.pack(">8I", *values)))


def _dpi(header: dict[str, Any]) -> tuple[float, float] | None:
    across, ratio = header.get("xDensity"), header.get("pixelAspectRatio")
    if not isinstance(across, float) or not isinstance(ratio, float):
        return None
    dots = (across * ratio, across)
    return dots if all(0 < d < float("inf") for d in dots) else None


def _texts(header: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    found = {name: text for name, text in header.items() if isinstance(text, str)}
    return tuple(
        ("Comment" if name == _COMMENTS else name, text)
        for name, text in sorted(found.items())
        if name not in _RESERVED
    )


def _attribute(keyword: str) -> str:
    return _COMMENTS if keyword.lower() == "comment" else keyword


def nameable(
    texts: tuple[tuple[str, str], ...],
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The (keyword, text) pairs that attributes can hold, and the keywords of the others."""
    kept: dict[str, tuple[str, str]] = {}
    dropped: list[str] = []
    for keyword, text in texts:
        name = _attribute(keyword)
        plain = name.isascii() and name.isprintable() and 0 < len(name) <= _MOST_NAME
        if plain and name not in _RESERVED and name not in kept and "\0" not in text:
            kept[name] = keyword, text
        else:
            dropped.append(keyword)
    return tuple(kept.values()), tuple(dropped)


def _weight(alpha: Pixels) -> Pixels:
    """What colours are multiplied by; where nothing covers, light stays light."""
    return np.where(alpha > 0, alpha, np.float32(1))[:, :, None]


def encode(picture: Picture) -> bytes:
    """Linear light as an EXR of 32-bit floats.

    Raises:
        OutputError: OpenEXR is not installed.
    """
    module = needed("EXR", writing=True)
    pixels, alpha = picture.pixels, picture.alpha
    channels: dict[str, Pixels] = {}
    if alpha is not None:
        pixels = pixels * _weight(alpha)
        channels["A"] = np.ascontiguousarray(alpha)
    for index, name in enumerate("RGB" if picture.channels == 3 else "Y"):
        channels[name] = np.ascontiguousarray(pixels[:, :, index])
    header: dict[str, Any] = {_attribute(keyword): text for keyword, text in picture.source.text}
    header |= {"compression": module.ZIP_COMPRESSION, "type": module.scanlineimage}
    if picture.source.dpi:
        down, across = picture.source.dpi
        header |= {"xDensity": across, "pixelAspectRatio": down / across}
    if primaries := dict(picture.source.png_chunks).get(b"cHRM"):
        x, y, *colours = (v / 100_000 for v in struct.unpack(">8I", primaries))
        header["chromaticities"] = (*colours, x, y)
    with tempfile.TemporaryDirectory() as folder:  # the package writes to files alone
        path = Path(folder) / "a.exr"
        with module.File(header, channels, num_threads=0) as made:
            made.write(str(path))
        return path.read_bytes()
