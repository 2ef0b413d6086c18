"""GET /voices, and POST /v1/audio/speech: a text spoken for programs that know OpenAI's interface, whose errors have its shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute

from core.errors import TalkingHeadError
from core.media.sound_file import MIME_TYPES
from core.service.spoken_sounds import SpokenSound
from core.web.api import spec
from core.web.api.connection import gone
from core.web.api.context import Here, Owner
from core.web.api.errors import as_body
from core.web.api.models import SpeechErrorBody, SpeechErrorDetail, SpeechRequest, VoiceCard, VoiceList
from core.web.statuses import headers_of, status_of

_PARAMETERS = {"voice_unknown": "voice", "speed_range": "speed", "text_empty": "input", "text_too_long": "input", "text_language": "input",
               "text_control_character": "input", "ssml_invalid": "input"}  # fmt: skip
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class _OpenAIRoute(APIRoute):
    """Answers errors in the shape of OpenAI's."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # a coroutine is one
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return _invalid(error)
            except TalkingHeadError as error:
                return _refused(error)

        return answered


router = APIRouter(tags=["speech"])
openai_router = APIRouter(tags=["speech"], route_class=_OpenAIRoute)
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": SpeechErrorBody, "description": about["description"]} for status, about in spec.errors(413, 501, 502, 503).items()
}


@router.get("/voices", summary="The voices that speak texts", response_model=VoiceList, responses=spec.errors())
async def voices(context: Here, owner: Owner) -> VoiceList:
    """Also those that are not installed, as far as they are known without it."""
    offers = await asyncio.to_thread(context.service.speaker.offers)
    cards = [VoiceCard(**offer.to_dict()) for offer in offers]
    return VoiceList(voices=cards, default=next((card.id for card in cards if card.installed), None))


@openai_router.post(
    "/v1/audio/speech",
    summary="A text is spoken, as by OpenAI's interface",
    response_class=StreamingResponse,
    responses={
        **_ERRORS,
        200: {
            "description": "The sound, while it is made",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MIME_TYPES.values()},
        },
    },
)
async def speech(http: Request, what: SpeechRequest, context: Here, owner: Owner) -> Response:
    """Chunked. An error after the first piece breaks the answer off. A client that goes away stops the work."""
    context.starts.take(owner)
    said = await asyncio.to_thread(context.service.texts.settled, what.input, what.voice, what.speed, False)
    sound = context.service.sounds.open(said, what.response_format, owner)
    limiter = anyio.CapacityLimiter(1)
    first: list[bytes] = []

    async def begin() -> None:
        first.append(await anyio.to_thread.run_sync(next, sound, b"", limiter=limiter, abandon_on_cancel=True))

    try:
        if await gone(http, begin()):  # errors up to here have an answer of their own
            sound.close()
            return Response(status_code=499)
    except BaseException:
        sound.close()
        raise
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_data(sound, first[0], limiter), media_type=MIME_TYPES[what.response_format], headers=headers)


async def _data(sound: SpokenSound, first: bytes, limiter: anyio.CapacityLimiter) -> AsyncIterator[bytes]:
    try:
        yield first
        while data := await anyio.to_thread.run_sync(next, sound, b"", limiter=limiter, abandon_on_cancel=True):
            yield data
    finally:
        sound.close()




def _refused(error: TalkingHeadError) -> Response:
    status, about = status_of(error), as_body(error)["error"]
    if status in (404, 422):
        status = 400  # what OpenAI's clients take for a wrong request
    return _answer(status, f"{about['message']} {about['hint']}".strip(), _PARAMETERS.get(error.code), error.code, headers_of(error))


def _invalid(error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or None
    return _answer(400, f"{where or 'The body'}: {first['msg']}.", where, "", {})


def _answer(status: int, message: str, parameter: str | None, code: str, headers: dict[str, str]) -> Response:
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    detail = SpeechErrorDetail(message=message, type=kind, param=parameter, code=_CODES.get(status) or code or None)
    return JSONResponse(SpeechErrorBody(error=detail).model_dump(), status, headers)
