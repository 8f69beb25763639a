"""A headless Chromium, driven over a pipe by its own DevTools protocol."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
PATIENCE = 60.0
"""Seconds; a busy machine takes its time to start a browser."""


def find():
    """The browser's path, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One window with one page."""

    def __init__(self, profile, width=1200, height=900):
        # it reads commands from 3 and answers on 4, each a JSON object that ends in a zero byte
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        # neither may be 3 or 4 itself, or one would be overwritten by the other
        high = [os.dup(fd) for fd in (reads, writes)]
        while min(high) <= 4:
            high = [os.dup(fd) for fd in high]

        def arrange():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [
                find(),
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",  # CI runs as root
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            preexec_fn=arrange,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in {reads, writes, *high}:
            os.close(fd)
        self._ids = itertools.count(1)
        self._buffer = b""
        self._session = None
        self.events = []
        try:
            targets = self.call("Target.getTargets")["targetInfos"]
            page = next(t for t in targets if t["type"] == "page")
            attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
            self.call(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=height, deviceScaleFactor=1, mobile=False,
            )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def call(self, method, **parameters):
        """A command's result; events that come meanwhile are kept."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _receive(self):
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._from], [], [], max(left, 0))
            assert ready, "the browser does not answer"
            read = os.read(self._from, 2**20)
            assert read, "the browser has gone"
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def open(self, path):
        """Show a file."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete'")

    def ask(self, expression):
        """What some JavaScript comes to; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression):
        """Wait until it is true."""
        ending = time.monotonic() + PATIENCE
        while not self.ask(expression):
            assert time.monotonic() < ending, f"never true: {expression}"
            time.sleep(0.02)

    def mouse(self, kind, x, y, **more):
        """`moved`, `pressed`, `released` or `wheel`, at CSS pixels of the window."""
        names = {"wheel": "mouseWheel"}
        held = {"button": "left", "clickCount": 1} if kind in ("pressed", "released") else {}
        if kind == "moved" and more.pop("held", False):
            held = {"button": "left", "buttons": 1}
        self.call(
            "Input.dispatchMouseEvent",
            type=names.get(kind, f"mouse{kind.capitalize()}"), x=x, y=y, **(held | more),
        )  # fmt: skip

    def drag(self, start, end, steps=5):
        """Press, move and release."""
        self.mouse("moved", *start)
        self.mouse("pressed", *start)
        for i in range(1, steps + 1):
            share = i / steps
            x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            self.mouse("moved", x, y, held=True)
        self.mouse("released", *end)

    def key(self, key, *, shift=False):
        """Press and release a key: a character, or a name such as `ArrowLeft`."""
        more = {"text": key} if len(key) == 1 else {}
        more |= {"modifiers": 8} if shift else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **more)

    def screenshot(self, *, settled=True):
        """What is seen, as a PNG; `settled` needs scripts, to wait until nothing is in flight."""
        if settled:
            frames = "requestAnimationFrame(() => requestAnimationFrame(done))"
            self.ask(f"new Promise(done => {frames})")
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def requests(self):
        """Addresses that the page asked for."""
        return [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self):
        """Errors and warnings of its console."""
        told = [
            e["params"].get("entry") or e["params"]
            for e in self.events
            if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
        ]
        return [entry for entry in told if entry.get("level") != "verbose"]

    def close(self):
        """End it."""
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for fd in (self._to, self._from):
            os.close(fd)
