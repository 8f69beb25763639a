"""A model hub on loopback: as much of the protocol as the real client speaks with it.

What it serves and how it misbehaves is set on `FakeHub`; what was asked is in `requests`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c0ffee" + "0" * 34


def assert_fails(done, *texts, code=4):
    """A command said what was wrong, and nothing else."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    message = " ".join(done.stderr.split())
    for text in texts:
        assert text in message


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class FakeHub:
    """Repositories and faults."""

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    """Contents by repository, revision and file name."""
    commits: dict[str, str] = field(default_factory=dict)
    """Commit by revision."""
    gated: set[str] = field(default_factory=set)
    declared_sha256: str | None = None
    """What the hub says a file's SHA-256 is, if not the truth."""
    break_after: int | None = None
    """Close the connection after so many bytes, once."""
    stall_after: int | None = None
    """Send no more after so many bytes."""
    stalled: threading.Event = field(default_factory=threading.Event)
    carry_on: threading.Event = field(default_factory=threading.Event)
    refuse_push: int | None = None
    """The status with which a push is refused."""
    token: str | None = None
    """What a push needs."""
    requests: list[Asked] = field(default_factory=list)
    created: list[dict[str, object]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    committed: list[dict[str, object]] = field(default_factory=list)

    def add(self, repo, content, revision="main", commit=COMMIT, name="model.safetensors"):
        """Put a file into a repository, under a revision and under its commit."""
        self.commits[revision] = commit
        self.commits[commit] = commit
        self.files[repo, revision, name] = content
        self.files[repo, commit, name] = content

    def __enter__(self):
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        # two hosts, as in life: the hub, and where it keeps large files
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.url, self.storage = (
            f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers
        )
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.carry_on.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def asked(self, method, pattern):
        """The requests of that method whose path matches."""
        return [r for r in self.requests if r.method == method and re.search(pattern, r.path)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *args):
        pass

    def note(self):
        asked = Asked(self.command, self.path, self.headers["Range"], self.headers["Authorization"])
        self.hub.requests.append(asked)

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def answer(self, status, value=None, headers=()):
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for key, text in headers:
            self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def fault(self, status, code, message):
        self.answer(
            status, {"error": message}, [("X-Error-Code", code), ("X-Error-Message", message)]
        )

    def do_HEAD(self):
        self.note()
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
            self.resolve(match[1], unquote(match[2]), match[3])
        else:
            self.fault(404, "RepoNotFound", "Repository not found")

    def do_GET(self):
        self.note()
        if match := re.fullmatch(r"/cdn/(.+)", self.path):
            self.send(self.content(match[1]))
        else:
            self.do_HEAD()

    def content(self, name):
        return next(c for c in self.hub.files.values() if hashlib.sha256(c).hexdigest() == name)

    def resolve(self, repo, revision, name):
        hub = self.hub
        if repo in hub.gated:
            return self.fault(403, "GatedRepo", "Access is restricted")
        if not any(known == repo for known, _, _ in hub.files):
            return self.fault(404, "RepoNotFound", "Repository not found")
        if not any((known, rev) == (repo, revision) for known, rev, _ in hub.files):
            return self.fault(404, "RevisionNotFound", "Invalid rev id")
        if (repo, revision, name) not in hub.files:
            return self.fault(404, "EntryNotFound", "Entry not found")
        content = hub.files[repo, revision, name]
        sha256 = hashlib.sha256(content).hexdigest()
        return self.answer(  # a large file lies elsewhere
            302,
            None,
            [
                ("X-Repo-Commit", hub.commits[revision]),
                ("X-Linked-Etag", f'"{hub.declared_sha256 or sha256}"'),
                ("X-Linked-Size", str(len(content))),
                ("Location", f"{hub.storage}/cdn/{sha256}"),
            ],
        )

    def send(self, content):
        hub = self.hub
        start = 0
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or ""):
            start = int(match[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if hub.break_after is not None:
            end, hub.break_after = hub.break_after, None
            self.wfile.write(content[start : start + end])
            self.close_connection = True
        elif hub.stall_after is not None:
            end, hub.stall_after = hub.stall_after, None
            self.wfile.write(content[start : start + end])
            self.wfile.flush()
            hub.stalled.set()
            hub.carry_on.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def do_PUT(self):
        self.note()
        self.hub.uploads[self.path.rpartition("/")[2]] = self.body()
        self.answer(200)

    def do_POST(self):
        self.note()
        body = self.body()
        hub = self.hub
        if hub.refuse_push is not None:
            return self.fault(hub.refuse_push, "", "You do not have the rights")
        if hub.token is not None and self.headers["Authorization"] != f"Bearer {hub.token}":
            return self.answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            hub.created.append(json.loads(body))
            asked = hub.created[-1]
            name = f"{asked['organization']}/{asked['name']}"
            if any(known == name for known, _, _ in hub.files):
                error = {"error": "You already created this model repo"}
                return self.answer(409, error | {"url": f"{hub.url}/{name}"})
            return self.answer(200, {"url": f"{hub.url}/{name}", "id": "1", "name": name})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return self.answer(200, {"files": [self.mode(file["path"]) for file in files]})
        if self.path.endswith("/info/lfs/objects/batch"):
            return self.answer(200, self.batch(json.loads(body)))
        if "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            hub.committed.extend(lines)
            url = f"{hub.url}/org/new/commit/{COMMIT}"
            return self.answer(
                200, {"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""}
            )
        return self.answer(404, {"error": f"no such endpoint {self.path}"})

    @staticmethod
    def mode(path):
        kind = "lfs" if path.endswith(".safetensors") else "regular"
        return {"path": path, "uploadMode": kind, "shouldIgnore": False, "oid": None}

    def batch(self, asked):
        return {
            "transfer": "basic",
            "objects": [
                {
                    "oid": item["oid"],
                    "size": item["size"],
                    "authenticated": True,
                    "actions": {
                        "upload": {"href": f"{self.hub.storage}/upload/{item['oid']}", "header": {}}
                    },
                }
                for item in asked["objects"]
            ],
        }
