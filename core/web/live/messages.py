"""What the protocols of live sessions and conversations share: strict JSON messages of bounded length, and what is said of a wrong one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.service.errors import Malformed
from core.service.sent_pictures import MAX_PICTURE_BYTES

MAX_CHARS = 64 * 1024
"""Of a message, beside the picture in it."""
MAX_PICTURE_CHARS = 4 * -(-MAX_PICTURE_BYTES // 3)


class Message(BaseModel):
    """What is not in the protocol is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


PictureText = Annotated[str, Field(max_length=MAX_PICTURE_CHARS, description="A picture behind the person: its file as Base64")]


class Ping(Message):
    type: Literal["ping"]
    id: int | str | None = Field(default=None)


def read(
    adapter: TypeAdapter[Any], text: str, example: str, known: Callable[[tuple[int | str, ...]], str] | None = None, picture: bool = False
) -> Any:
    """A message of the client. example: how one is written. known: instead of it, what may stand where something is wrong. picture: it may
    hold one.

    Raises Malformed.
    """
    hint, most = f"Write it as {example}.", MAX_CHARS + MAX_PICTURE_CHARS * picture
    if len(text) > most:
        raise Malformed(f"A message has {len(text)} characters.", f"At most {most}.")
    try:
        return adapter.validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = f"A message is wrong{f' at {where}' if where else ''}: {first['msg']}."
        raise Malformed(said, hint if known is None else known(first["loc"]) or hint) from None
    except (ValueError, RecursionError):
        raise Malformed("A message is not JSON.", hint) from None


def picture_file(text: str) -> bytes:
    """Of a PictureText, b"" of an empty one. Raises Malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or letters that are none of ASCII's
        raise Malformed("The background is not Base64.", "Encode the picture's file as Base64, without line breaks.") from None
