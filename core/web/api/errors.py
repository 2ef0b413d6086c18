"""Errors as answers: the tree of core/errors.py, and what only a server can say, become a status and one JSON body.

    {"error": {"type": "AudioError", "message": "The recording is empty (0 bytes).", "hint": "Give a WAV ... file."}}

Never a path of the server, never a traceback. What is no error of ours is logged and answered with 500.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketState

from core.errors import TalkingHeadError
from core.service.job_views import error_view
from core.web.guards.refusals import Refusal
from core.web.guards.refusals import error_body as body
from core.web.live.connection import close_code
from core.web.statuses import headers_of, status_of


class ApiError(Refusal):
    """What only a server can say."""


class Unauthorised(ApiError):
    status = 401

    def __init__(self, message: str = "A key is needed.") -> None:
        super().__init__(message, "Send it as Authorization: Bearer KEY, or as X-API-Key: KEY.", {"WWW-Authenticate": "Bearer"})


class NotFound(ApiError):
    """The words are the same for what never existed, is gone, or is another's."""

    status = 404


_FRAMEWORK = {
    404: ("NotFound", "There is nothing at this address."),
    405: ("MethodNotAllowed", "This address does not take this method."),
}


def as_body(error: BaseException) -> dict[str, Any]:
    """The JSON body."""
    return {"error": error_view(error)}


def as_response(error: BaseException) -> JSONResponse:
    return JSONResponse(as_body(error), status_of(error), headers_of(error))


def install(app: FastAPI) -> None:
    """Makes every answer that is an error one of ours; what no handler here knows is caught further out (app.py)."""

    async def ours(connection: Request | WebSocket, error: Exception) -> Response | None:
        if isinstance(connection, WebSocket) and connection.application_state != WebSocketState.CONNECTING:
            await connection.close(close_code(error), as_body(error)["error"]["message"][:100])
            return None
        return as_response(error)  # of a WebSocket whose handshake is refused too

    async def framework(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        kind, message = _FRAMEWORK.get(error.status_code, (HTTPStatus(error.status_code).phrase.replace(" ", ""), str(error.detail)))
        return JSONResponse(body(kind, message, "See /openapi.json."), error.status_code, error.headers)

    async def invalid(connection: Request | WebSocket, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)  # noqa: S101 - what it is registered for
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        hint = "Send JSON, with Content-Type: application/json." if first["loc"] == ("body",) else "See /openapi.json."
        return JSONResponse(body("InvalidRequest", f"{where}: {first['msg']}{_given(first['input'])}.", hint), 422)

    async def left(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; the routes have cleaned up

    app.add_exception_handler(TalkingHeadError, ours)  # type: ignore[arg-type]  # it takes WebSockets too
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WebSocketRequestValidationError, invalid)


def _given(value: Any) -> str:
    """A wrong value, to be told; of what holds others, only those inside are wrong."""
    return "" if value is None or isinstance(value, (dict, list)) else f" (given: {str(value)[:60]!r})"
