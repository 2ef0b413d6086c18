"""What the protocols of live sessions and conversations share: strict JSON messages of bounded length, and what is said of a wrong one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.service.errors import Malformed

MAX_CHARS = 64 * 1024


class Message(BaseModel):
    """What is not in the protocol is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Ping(Message):
    type: Literal["ping"]
    id: int | str | None = Field(default=None)


def read(adapter: TypeAdapter[Any], text: str, example: str, known: Callable[[tuple[int | str, ...]], str] | None = None) -> Any:
    """A message of the client. example: how one is written. known: instead of it, what may stand where something is wrong.

    Raises Malformed.
    """
    hint = f"Write it as {example}."
    if len(text) > MAX_CHARS:
        raise Malformed(f"A message has {len(text)} characters.", f"At most {MAX_CHARS}.")
    try:
        return adapter.validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = f"A message is wrong{f' at {where}' if where else ''}: {first['msg']}."
        raise Malformed(said, hint if known is None else known(first["loc"]) or hint) from None
    except (ValueError, RecursionError):
        raise Malformed("A message is not JSON.", hint) from None
