"""Keeps visitors' files private: uploads are stored under the visitor's name, and requests can name and fetch only their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import BusyError, OptionError, OutputError
from core.service.outputs import OutputFolder
from core.service.owned_folders import NOBODY, belongs
from core.service.owners import Asgi, Message, Receive, Scope, Send, owner_of
from core.web.guards.bodies import read_body
from core.web.guards.file_objects import MAX_DEPTH, BadFileObject, TooDeep, checked
from core.web.guards.gradio_routes import local_path
from core.web.guards.refusals import BadInput, Forbidden, Refusal, refuse

MAX_JSON_BYTES = 2**20
_TOO_LARGE = f"The request has more than {MAX_JSON_BYTES // 2**20} MiB of JSON."
FILE = "gradio_api/file="


@dataclass(frozen=True)
class FileSentences:
    """What a client is told: of a file that was not uploaded, and of an address."""

    not_uploaded: str
    no_addresses: str


class VisitorFiles:
    """ASGI middleware before Gradio, of which only known routes are open (gradio_routes.py).

    The JSON of every request is looked at: a file object is let through only where it names an upload or a video of the same visitor, or
    one of `public`; without its address, which is Gradio's to make. Only the same can be fetched.

    public: files that everybody may have.
    """

    def __init__(self, app: Asgi, outputs: OutputFolder, public: Collection[Path], sentences: FileSentences) -> None:
        self._app, self._outputs, self._sentences = app, outputs, sentences
        self._public = {str(path) for path in public}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, owner = local_path(scope), visitor_of(scope)
        try:
            if scope["method"] != "POST":
                if path.startswith(FILE) and not self._may_name(path.removeprefix(FILE), owner):
                    raise Forbidden("There is no such file of yours.", "Files are kept for a while only, and served to whom they belong.")
                await self._serve(path, scope, receive, send)
            else:
                body = await read_body(receive, MAX_JSON_BYTES, _TOO_LARGE, "Upload files first.")
                if body is not None:
                    body = self._checked(body, owner)
                    await self._app(_of_length(scope, len(body)), _replay(body, receive), send)
        except Refusal as refusal:
            detail = [{"__type__": "validate", "is_valid": False, "message": str(refusal)}]  # as Gradio's clients show it
            await refuse(refusal, scope, receive, send, {"detail": detail} if refusal.status == BadInput.status else None)

    async def _serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """What is sent is not removed to make room meanwhile. A video that another machine made is fetched; while that cannot be, there is
        none.
        """
        file = Path(path.removeprefix(FILE)) if path.startswith(FILE) else None
        if file is not None and self._outputs.shared is not None and file.parent.parent == self._outputs.root:
            with contextlib.suppress(BusyError, OutputError):
                await asyncio.to_thread(self._outputs.bring, file)
        with self._outputs.using(file):
            await self._app(scope, receive, send)

    def _may_name(self, path: str, owner: str) -> bool:
        return path in self._public or belongs(path, self._outputs.root, owner)

    def _checked(self, body: bytes, owner: str) -> bytes:
        if not body:
            return body
        try:
            return checked(body, lambda path: self._may_name(path, owner))
        except BadFileObject as error:
            raise BadInput(self._sentences.no_addresses if error.address else self._sentences.not_uploaded) from None
        except TooDeep:
            raise BadInput(f"The JSON is nested more than {MAX_DEPTH} levels deep.", "Send less.") from None
        except ValueError:
            raise BadInput("The body is no JSON.", "Send JSON, with Content-Type: application/json.") from None


def visitor_of(scope: Scope) -> str:
    """Whose files a request may name; NOBODY for who tells neither cookie nor key."""
    headers: Mapping[str, str] = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        return owner_of(headers, "")
    except OptionError:  # a key that could be guessed: the program behind says so
        return NOBODY


def known_visitor(scope: Scope) -> str:
    """As `visitor_of`. Raises Forbidden for who tells neither cookie nor key."""
    owner = visitor_of(scope)
    if not owner.startswith(("visitor:", "key:")):
        raise Forbidden("It is not said whose this is.", "Open the page first, and allow its cookie.")
    return owner


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _of_length(scope: Scope, nbytes: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in (b"content-length", b"transfer-encoding")]
    return {**scope, "headers": [*headers, (b"content-length", str(nbytes).encode())]}
