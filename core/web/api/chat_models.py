"""The JSON bodies of POST /chat."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.web.api.models import ErrorDetail
from core.web.live.messages import PictureText


class ChatRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"message": "Who are you?"}})

    message: str = Field(min_length=1, max_length=4000)
    chat: str = Field(default="", max_length=64, description="A conversation that goes on; without it a new one begins")
    secret: str = Field(default="", max_length=64, description="Its secret")
    avatar: str = Field(default="", max_length=100, description="Of a new conversation: makes videos in which this person says the answers")
    engine: Literal["auto", "lite", "ditto"] = "auto"
    options: dict[str, Any] = Field(default_factory=dict, description="Of the videos, as in POST /generate")
    background: PictureText = ""
    voice: str = Field(default="", max_length=100)
    speed: float = Field(default=1.0, ge=0.5, le=2.0)


class ChatLatency(BaseModel):
    """Seconds after the message came; null for what there is none of."""

    model_config = ConfigDict(extra="forbid")

    first_token_s: float | None
    first_sentence_s: float | None
    first_sound_s: float | None
    first_picture_s: float | None


class ChatAnswer(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "chat": "q3Jf0rJ8pXl2bq0YtV5d7w", "secret": "Zk4Vd1o3mH0cUe7Yb2sRxN5wKqLpTgAj", "turn": 0, "text": "I am Ada.",
                "reason": "end", "job": "", "error": None,
                "latency": {"first_token_s": 0.31, "first_sentence_s": 0.42, "first_sound_s": None, "first_picture_s": None},
            }
        },
    )  # fmt: skip

    chat: str
    secret: str = Field(description="Goes with `chat`")
    turn: int
    text: str
    reason: Literal["end", "length", "interrupted", "failed"] = Field(description="Why it ended; length: the rest was left out")
    job: str = Field(description="Of the video that is being made; empty where there is none")
    error: ErrorDetail | None = Field(description="Why no video is made of it, though it was asked for")
    latency: ChatLatency
