"""A web site of another origin on loopback, with pages that show ours."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class ForeignSite:
    """pages: by path, such as "/". folder: whose files it has beside them."""

    def __init__(self, folder: Path | None = None) -> None:
        self.pages: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                file = None if folder is None else folder / path.removeprefix("/")
                if path in site.pages:
                    self._answer(f"<!doctype html><title>another site</title>{site.pages[path]}".encode(), "text/html")
                elif file is not None and file.is_file():
                    self._answer(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")
                else:
                    self.send_error(404)

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def origin(self, host: str = "127.0.0.1") -> str:
        """host: also localhost, which browsers take for another site."""
        return f"http://{host}:{self.server.server_address[1]}"


@contextmanager
def foreign_site(folder: Path | None = None) -> Iterator[ForeignSite]:
    site = ForeignSite(folder)
    thread = threading.Thread(target=site.server.serve_forever)
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        thread.join()
        site.server.server_close()
