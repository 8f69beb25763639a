"""A pipe gives what the file gives."""

import errno
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from picture_whole import WHOLE

from moce_cli.errors import InputError
from moce_cli.pictures import probe, read, spool


class Pipe(io.RawIOBase):
    """Readable once, forwards, in small pieces."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.inner.readinto(memoryview(buffer)[:100])


@pytest.mark.parametrize("kind", WHOLE)
def test_a_pipe_gives_what_the_file_gives(kind):
    data = WHOLE[kind]
    expected = read(io.BytesIO(data))
    found = read(io.BufferedReader(Pipe(data)), name="-")
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.source == expected.source


def test_a_real_pipe():
    command = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    with subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdin.write(WHOLE["TIFF 16"])
        child.stdin.close()
        assert read(child.stdout).pixels.dtype == np.uint16
    with pytest.raises(InputError, match="empty"):
        read(io.BufferedReader(Pipe(b"")))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    writer = threading.Thread(target=(tmp_path / "pipe.png").write_bytes, args=(WHOLE["PNG"],))
    writer.start()
    assert read(tmp_path / "pipe.png").width == 40
    writer.join()


def test_a_stream_is_read_from_where_it_stands():
    stream = io.BytesIO(b"header" + WHOLE["JPEG"])
    stream.seek(6)
    assert read(stream).pixels.shape == (24, 40, 3)


def test_probe_leaves_a_stream_for_read():
    stream = io.BytesIO(WHOLE["PNG"])
    assert probe(stream).width == 40
    assert read(stream).width == 40


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.ENOSPC, "no space left for temporary files"), (errno.EIO, "pipe can't be read")],
)
def test_a_pipe_that_finds_no_disk_is_not_called_unreadable(number, sentence):
    class Disk(io.BytesIO):
        def write(self, data):
            raise OSError(number, os.strerror(number))

    with pytest.raises(InputError, match=sentence) as caught:
        spool(io.BytesIO(WHOLE["PNG"]), Disk(), "the pipe")
    assert ("TMPDIR" in (caught.value.hint or "")) == (number == errno.ENOSPC)
