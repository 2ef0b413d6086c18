"""Runs a program of ours and writes down every connection that it attempts and every name that it looks up:

    python audited.py RECORD PROGRAM [ARGUMENT ...]

With GUARDS_OFF in the environment, what stands before Gradio lets every request through.
"""

from __future__ import annotations

import os
import runpy
import sys

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


def main() -> None:
    record = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in WATCHED:
            os.write(record, f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\n".encode())

    sys.addaudithook(watch)
    sys.argv = sys.argv[2:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    if os.environ.get("GUARDS_OFF"):
        from core.web.guards.visitor_files import VisitorFiles

        async def through(self, scope, receive, send):
            await self._app(scope, receive, send)

        VisitorFiles.__call__ = through
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
