"""A small Hub on the loopback interface: what huggingface_hub asks for, and the ways in which a real one fails.

    with HubServer("owner/name", 40 * "a", {"models/a.pth": b"..."}) as hub:
        hub.fail("models/a.pth", Fault(drop_after=1000), times=1)
        ...
        assert hub.count("GET") == 2

Files are stored the Hub's way: large ones (LFS) are redirected to a second server, on another port, as the Hub sends clients to its
CDN; small ones to another address of the same server, with git's own digest as ETag.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.hub_spaces import Spaces

HOLD_LIMIT_S = 30.0


@dataclass(eq=False)
class Fault:
    """One way to fail. With `status` the Hub refuses; everything else happens to the body of a GET.

    drop_after: the connection is reset after so many bytes. truncate_to: a shorter body, announced as such. corrupt: one bit differs.
    too_long: so many bytes more than announced by the metadata. ignore_range: 200 and the whole file. hold_after: waits for `release`
    after so many bytes, and sets `held`. etag, size, commit: other metadata than those of the file.
    """

    status: int = 0
    error_code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    truncate_to: int | None = None
    corrupt: bool = False
    too_long: int = 0
    ignore_range: bool = False
    hold_after: int | None = None
    etag: str | None = None
    size: int | None = None
    commit: str | None = None
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Seen:
    """One request. server: "hub" or "cdn"."""

    server: str
    method: str
    file: str
    range: str | None
    authorization: str | None


class HubServer:
    def __init__(self, repo: str, revision: str, files: Mapping[str, bytes], small: frozenset[str] = frozenset()) -> None:
        self.repo, self.revision, self.files, self.small = repo, revision, dict(files), small
        self.seen: list[Seen] = []
        self.token: str | None = None
        self.spaces = Spaces()
        self._faults: dict[str, list[tuple[Fault, int | None, str]]] = {}
        self._lock = threading.Lock()
        self._servers = [_Server(self, name) for name in ("hub", "cdn")]
        self.url, self.cdn_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> HubServer:
        for server in self._servers:
            server.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for faults in self._faults.values():
            for fault, _, _ in faults:
                fault.release.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
            server.thread.join()

    def fail(self, file: str, fault: Fault, times: int | None = None, method: str = "GET") -> Fault:
        """The next `times` requests of `method` for `file` (None: all of them; "*": of any file) meet `fault`."""
        with self._lock:
            self._faults.setdefault(file, []).append((fault, times, method))
        return fault

    def count(self, method: str, file: str | None = None) -> int:
        """Requests for files at the Hub itself; redirected ones count once."""
        return sum(1 for s in self.seen if s.server == "hub" and s.method == method and s.file and file in (None, s.file))

    def etag(self, file: str) -> str:
        content = self.files[file]
        if file in self.small:
            return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return hashlib.sha256(content).hexdigest()

    def take_fault(self, file: str, method: str) -> Fault | None:
        with self._lock:
            for key in (file, "*"):
                for i, (fault, times, for_method) in enumerate(self._faults.get(key, [])):
                    if for_method != method or times == 0:
                        continue
                    if times is not None:
                        self._faults[key][i] = (fault, times - 1, for_method)
                    return fault
        return None

    def note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.name = hub, name
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), name=f"hub-server-{name}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out in pieces, and must not wait for each other
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        if not self._answer_space():
            self._answer()

    def do_POST(self) -> None:
        if not self._answer_space():
            self._refuse(404, "RepoNotFound")

    do_PUT = do_POST

    def _answer_space(self) -> bool:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        answer = self.server.hub.spaces.answer(self.command, unquote(parts.path), parts.query, body, token)
        if answer is None:
            return False
        self._send_json(answer[1], answer[0])
        return True

    def _answer(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        resolve = f"/{hub.repo}/resolve/{hub.revision}/"
        api = f"/api/models/{hub.repo}"
        in_place = f"/api/resolve-cache/models/{hub.repo}/{hub.revision}/"
        if self.server.name == "cdn":
            file = path.removeprefix("/cdn/")
        else:
            file = path.removeprefix(resolve) if path.startswith(resolve) else ""
        hub.note(Seen(self.server.name, self.command, file, self.headers["Range"], self.headers["Authorization"]))
        if self.server.name == "cdn":
            self._send_file(file, hub.take_fault(f"cdn:{file}", self.command))
        elif hub.token is not None and self.headers["Authorization"] != f"Bearer {hub.token}":
            self._refuse(401, "RepoNotFound" if self.headers["Authorization"] is None else "")
        elif file:
            self._resolve(file)
        elif path.startswith(in_place):
            file = path.removeprefix(in_place)
            fault = hub.take_fault(f"in-place:{file}", self.command)
            commit, etag = self._names(file, fault)
            self._send_file(file, fault, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})
        elif path == f"{api}/revision/{hub.revision}":
            self._send_json({"id": hub.repo, "sha": hub.revision, "siblings": [{"rfilename": name} for name in hub.files]})
        elif path == f"{api}/tree/{hub.revision}":
            self._send_json([self._tree_entry(name) for name in hub.files])
        elif path.startswith((f"/{hub.repo}/resolve/", f"{api}/revision/", f"{api}/tree/")):
            self._refuse(404, "RevisionNotFound")
        else:
            self._refuse(404, "RepoNotFound")

    def _resolve(self, file: str) -> None:
        hub = self.server.hub
        fault = hub.take_fault(file, self.command)
        if fault is not None and fault.status:
            return self._refuse(fault.status, fault.error_code, fault.headers)
        if file not in hub.files:
            return self._refuse(404, "EntryNotFound")
        commit, etag = self._names(file, fault)
        size = fault.size if fault is not None and fault.size is not None else len(hub.files[file])
        small = file in hub.small
        if fault is not None and (small or self.command == "GET"):  # what happens to the body happens behind the redirect
            hub.fail(f"{'in-place' if small else 'cdn'}:{file}", fault, times=1, method=self.command)
        if small:
            self.send_response(307)
            self.send_header("Location", f"/api/resolve-cache/models/{hub.repo}/{hub.revision}/{file}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(302)
        self.send_header("Location", f"{hub.cdn_url}/cdn/{file}?signature=s")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Linked-Etag", f'"{etag}"')
        self.send_header("X-Linked-Size", str(size))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _names(self, file: str, fault: Fault | None) -> tuple[str, str]:
        """Commit and ETag, as they are or as `fault` has them."""
        hub = self.server.hub
        commit = fault.commit if fault is not None and fault.commit is not None else hub.revision
        return commit, fault.etag if fault is not None and fault.etag is not None else hub.etag(file)

    def _send_file(self, file: str, fault: Fault | None, headers: Mapping[str, str] | None = None) -> None:
        fault = fault or Fault()
        body = self.server.hub.files[file]
        if fault.corrupt:
            body = body[:-1] + bytes([body[-1] ^ 1])
        body += b"x" * fault.too_long
        total, start = len(body), 0
        if fault.truncate_to is not None:
            body = body[: fault.truncate_to]
        requested = self.headers["Range"]
        if requested is not None and not fault.ignore_range:
            start = int(requested.removeprefix("bytes=").partition("-")[0])
            if start >= total:
                return self._refuse(416, "")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        body = body[start:]
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        if fault.hold_after is not None:
            self.wfile.write(body[: fault.hold_after])
            self.wfile.flush()
            fault.held.set()
            fault.release.wait(HOLD_LIMIT_S)
            body = body[fault.hold_after :]
        if fault.drop_after is None:
            self.wfile.write(body)
            return None
        self.wfile.write(body[: fault.drop_after])
        self.wfile.flush()
        self.close_connection = True
        if fault.drop_after % 2:  # odd: a reset instead of an end, as a failing router sends it
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        return None

    def _tree_entry(self, name: str) -> dict[str, Any]:
        content = self.server.hub.files[name]
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": 40 * "0"}
        if name not in self.server.hub.small:
            entry["lfs"] = {"oid": self.server.hub.etag(name), "size": len(content), "pointerSize": 134}
        return entry

    def _send_json(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
