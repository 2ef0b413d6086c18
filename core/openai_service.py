"""What clients of services with OpenAI's protocol have in common: how they connect, and what the failures of a service are told as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from core.errors import BusyError, TalkingHeadError

MAX_ERROR_BYTES = 4096
"""Of an answer that is an error; what is longer is not looked at."""
MAX_WAIT_S = 3600


def client_options(key: str, timeout_s: float) -> dict[str, Any]:
    """Arguments of an httpx client. key: "" sends none. timeout_s: without any byte from the service.

    The environment's proxies are the operator's word on how to get out; a redirect could carry the key elsewhere, so none is followed.
    Answers come uncompressed: what is unpacked would not be bounded by what arrives.
    """
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})}
    return {"headers": headers, "timeout": timeout_s, "follow_redirects": False}


@dataclass(frozen=True)
class RemoteService:
    """name: as in "The speech service". code: what the codes of its errors begin with. hint: what to do about most of them. kind: of error,
    where it is not only busy.
    """

    name: str
    code: str
    hint: str
    kind: type[TalkingHeadError]

    def failed(self, what: str) -> TalkingHeadError:
        """what: the rest of a sentence that begins with the name."""
        return self.kind(f"{self.name} {what}.", self.hint, code=f"{self.code}_service_failed")

    def unreachable(self, error: Exception) -> TalkingHeadError:
        """error: of httpx; its message may hold an address, and is not told."""
        return self.failed(f"cannot be reached or broke off ({type(error).__name__})")

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> TalkingHeadError:
        """For an answer that is not 200. body: MAX_ERROR_BYTES + 1 of it at most. What the service says is told as far as it is short."""
        if status == 429:
            wait = headers.get("Retry-After", "")
            known = wait.isdecimal() and len(wait) < 9
            parameters: dict[str, object] = {"retry_after_s": min(int(wait), MAX_WAIT_S)} if known else {}
            return BusyError(f"{self.name} has too much to do.", "Try again in a minute.", code=f"{self.code}_busy", parameters=parameters)
        if status in (401, 403):
            return self.failed(f"refused the key ({status})")
        return self.failed(f"answered {status}{said(body)}")


async def beginning_of(response: httpx.Response) -> bytes:
    """Of an answer that is an error: MAX_ERROR_BYTES and the rest of one chunk at most."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            break
    return body


def said(body: bytes) -> str:
    """The message of OpenAI's kind of error, on one line behind a colon; "" where it is of another kind, or long."""
    if len(body) > MAX_ERROR_BYTES:
        return ""
    try:
        message = " ".join(str(json.loads(body)["error"]["message"]).split())
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {message[:200].rstrip('.')}" if message.isprintable() else ""
