"""Settings of the server, on top of those of every entry point; read from the environment (`TALKING_HEAD_...`)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from core.settings import Settings


class ServerSettings(Settings):
    """Lists are written with commas: `TALKING_HEAD_API_KEYS=first,second`."""

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), description="Keys that may use the server")
    open_to_all: bool = Field(default=False, description="Serve everyone who reaches the server, without a key")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="Origins whose web pages may call the server")
    requests_per_minute: int = Field(default=240, ge=1, description="Requests of one owner, all kinds")
    jobs_per_minute: int = Field(default=30, ge=1, description="Videos, streams, avatars and live sessions of one owner")
    wrong_keys_per_minute: int = Field(default=20, ge=1, description="Wrong keys of one address; after that it is told to wait")
    stop_grace_s: float = Field(default=20.0, ge=0, description="After SIGTERM: how long running jobs may go on before they are cancelled")

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def max_body_bytes(self) -> int:
        """Of any request: the largest recording, source and picture of a background, and the form around them."""
        return self.max_audio_bytes + max(self.max_image_bytes, self.max_video_bytes) + self.max_image_bytes + 2**20

    @property
    def max_plain_body_bytes(self) -> int:
        """Of a request without files: the longest text, every character of it escaped, and what is around it."""
        return 12 * self.max_text_chars + 2**20
