"""Picture files made by hand, so that tests do not lean on what they test."""

import functools
import io
import struct
import zlib

import numpy as np
import tifffile

ICC_MARK = b"moce test profile"


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    """Every value there is, in no order: a lost bit or a swapped axis shows."""
    high = np.iinfo(dtype).max
    generator = np.random.default_rng(seed)
    return generator.integers(0, high, (height, width, channels), dtype, endpoint=True)


def smooth(height, width, channels=3):
    """Soft slopes, other in each channel and direction: survives JPEG nearly unchanged."""
    y, x = np.mgrid[0:height, 0:width]
    slopes = [40 + 150 * y / height, 200 - 150 * x / width, 60 + 90 * (x / width + y / height)]
    return np.stack(slopes[:channels], axis=2).round().astype(np.uint8)


def png_chunks(data):
    """(name, body) of each chunk, checksums checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert checksum == zlib.crc32(name + body)
        found.append((name, body))
        at += 12 + length
    return found


def png_file(chunks):
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        out += struct.pack(">I4s", len(body), name) + body
        out += struct.pack(">I", zlib.crc32(name + body))
    return out


def png_of(array, extra=(), trailing=(), rows=None):
    """An unfiltered PNG of an (H, W, C) array, with further chunks before and after the pixels."""
    height, width, channels = array.shape
    depth = array.dtype.itemsize * 8
    raw = b"".join(b"\0" + row.astype(array.dtype.newbyteorder(">")).tobytes() for row in array)
    header = struct.pack(
        ">IIBBBBB", width, rows or height, depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0
    )
    data = (b"IDAT", zlib.compress(raw))
    return png_file([(b"IHDR", header), *extra, data, *trailing, (b"IEND", b"")])


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def tiff_of(array, **options):
    out = io.BytesIO()
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]  # else the first axis would be pages
    tifffile.imwrite(out, array, metadata=None, **options)
    return out.getvalue()


def exif_of(orientation=1, *, order="<", thumbnail=None, height=0, width=0, note=b"MakerNote 1234"):
    """An EXIF block: make, orientation, unequal resolutions, a maker's note, GPS, a thumbnail."""
    offset = 8
    values = b""

    def put(data):
        nonlocal values
        at = start_of_values + len(values)
        values += data + b"\0" * (len(data) % 2)
        return at

    def table(entries, following):
        body = b"".join(
            struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
            for tag, kind, count, value in entries
        )
        return struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", following)

    def short(value):
        return struct.pack(order + "H", value)

    def long(value):
        return struct.pack(order + "I", value)

    sizes = [2 + 12 * 6 + 4, 2 + 12 * 3 + 4, 2 + 12 * 2 + 4, (2 + 12 * 2 + 4) if thumbnail else 0]
    main_at, exif_at, gps_at, second_at = (offset + sum(sizes[:i]) for i in range(4))
    start_of_values = offset + sum(sizes)
    main = [
        (0x010F, 2, 8, long(put(b"Moceflex"))),
        (0x0112, 3, 1, short(orientation)),
        (0x011A, 5, 1, long(put(struct.pack(order + "II", 300, 1)))),
        (0x011B, 5, 1, long(put(struct.pack(order + "II", 150, 1)))),
        (0x8769, 4, 1, long(exif_at)),
        (0x8825, 4, 1, long(gps_at)),
    ]
    sub = [
        (0x927C, 7, len(note), long(put(note))),
        (0xA002, 3, 1, short(width)),
        (0xA003, 3, 1, short(height)),
    ]
    latitude = struct.pack(order + "6I", 48, 1, 51, 1, 30, 1)
    gps = [(1, 2, 2, b"N\0"), (2, 5, 3, long(put(latitude)))]
    tables = table(main, second_at if thumbnail else 0) + table(sub, 0) + table(gps, 0)
    if thumbnail:
        at = start_of_values + len(values)
        values += thumbnail
        tables += table([(0x0201, 4, 1, long(at)), (0x0202, 4, 1, long(len(thumbnail)))], 0)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + long(main_at) + tables + values


def xmp_of(orientation=1):
    return (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:Description tiff:Orientation="%d" dc:title="k\xc3\xb6ln"/></x:xmpmeta>' % orientation
    )


@functools.cache  # its header tells the time
def srgb_icc():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def cmyk_icc():
    """A CMYK profile of one small table: its first ink prints red, every other one black."""
    lab = {(0, 0, 0, 0): (255, 128, 128), (1, 0, 0, 0): (136, 208, 195)}
    corners = [tuple(index >> bit & 1 for bit in (3, 2, 1, 0)) for index in range(16)]
    grid = b"".join(bytes(lab.get(corner, (0, 128, 128))) for corner in corners)
    identity = struct.pack(">9i", *[65536 * (place % 4 == 0) for place in range(9)])
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity
    table += bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I", 2)
    tags += struct.pack(">4sII", b"A2B0", 156, len(table))
    tags += struct.pack(">4sII", b"wtpt", 156 + len(table), len(white))
    body = tags + table + white
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 2 << 24, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + body


def stored_for(upright, orientation):
    """The rows and columns a file holds so that a viewer, told `orientation`, shows `upright`.

    Written out with the EXIF standard's words (which side row 0 and column 0 are), not with the
    code's flips.
    """
    sides = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }
    row0, column0 = sides[orientation]
    height, width = upright.shape[:2]
    turned = row0 in ("left", "right")
    stored = np.empty((width, height) if turned else (height, width), dtype=object)
    for row in range(stored.shape[0]):
        for column in range(stored.shape[1]):
            down, across = (column, row) if turned else (row, column)
            if "bottom" in (row0, column0):
                down = height - 1 - down
            if "right" in (row0, column0):
                across = width - 1 - across
            stored[row, column] = (down, across)
    places = np.array([[list(cell) for cell in line] for line in stored])
    return np.ascontiguousarray(upright[places[..., 0], places[..., 1]])
