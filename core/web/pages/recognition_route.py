"""Takes what a visitor says into the microphone, and answers with the words.

POST talking_head_recognition?language=en-US&lang=en     the body is a recording; the answer {"text": ...}, or {"error": ...}

language: of what is spoken. lang: of the page, in which it is told what is wrong.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast
from urllib.parse import parse_qs

from starlette.responses import JSONResponse

from core.errors import TalkingHeadError
from core.service.owners import Asgi, Receive, Scope, Send
from core.service.speech_recognition import MAX_SPOKEN_BYTES, SpeechRecognition
from core.web.addresses import path_below
from core.web.guards.bodies import read_body
from core.web.guards.refusals import TooSlow
from core.web.guards.visitor_files import known_visitor
from core.web.pages.error_texts import told_in
from core.web.statuses import answer_error

RECOGNITION = "talking_head_recognition"
_TOO_LARGE = f"The recording has more than {MAX_SPOKEN_BYTES // 2**20} MiB."
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{0,20}")


class RecognitionRoute:
    """ASGI middleware. timeout_s: how long a recording may take to arrive."""

    def __init__(self, app: Asgi, recognition: SpeechRecognition, timeout_s: float) -> None:
        self._app, self._recognition, self._timeout_s = app, recognition, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["method"] == "POST" and path_below(scope).rpartition("/")[2] == RECOGNITION
        if not ours:
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        language = query.get("language", [""])[0]
        try:
            owner = known_visitor(scope)
            recording = await self._read(receive)
            if recording is None:
                return  # the client went away
            text = await self._recognition.recognise(recording, language if _LANGUAGE.fullmatch(language) else "", owner)
        except TalkingHeadError as error:
            told = told_in(query.get("lang", [""])[0])(error)
            await answer_error(error, {"error": told}, scope, receive, send)
            return
        await JSONResponse({"text": text}, headers={"Cache-Control": "no-store"})(cast(Any, scope), receive, cast(Any, send))

    async def _read(self, receive: Receive) -> bytes | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await read_body(receive, MAX_SPOKEN_BYTES, _TOO_LARGE, "Say less at once.")
        except TimeoutError:
            raise TooSlow(f"The recording was not complete after {self._timeout_s:g} s.", "Send less, or over a faster line.") from None
