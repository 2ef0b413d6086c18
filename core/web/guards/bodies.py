"""Whole bodies: of requests, read within a bound of bytes, and of answers, held until they can be changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.service.owners import Message, Receive, Send
from core.web.guards.refusals import TooLargeBody


async def read_body(receive: Receive, max_bytes: int, what: str, hint: str) -> bytes | None:
    """The body of a request; None where the client went away. what: how a larger one is told, such as "The recording has more than 1 MiB.".

    Raises TooLargeBody.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise TooLargeBody(what, hint)
        if not message.get("more_body", False):
            return bytes(body)


class ChangedAnswer:
    """An ASGI `send` that passes one answer on when it is whole, with another body; one that is not wanted passes as it is.

    wanted: of the message with which an answer starts. changed: the new body. headers: more of them.
    """

    def __init__(
        self, send: Send, wanted: Callable[[Message], bool], changed: Callable[[bytes], bytes], headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        self._send, self._wanted, self._changed, self._headers = send, wanted, changed, headers
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._wanted(message):
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        body = self._changed(bytes(self._body))
        headers = [(name, value) for name, value in start["headers"] if name.lower() not in (b"content-length", b"etag")]
        headers += [*self._headers, (b"content-length", str(len(body)).encode())]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
