"""What is chosen for a conversation once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class ChatOptions:
    """mode: "live" speaks over a live session, "clips" makes a video of each answer, "text" does neither. avatar, options, engine: of the
    videos. background: the file of a picture behind the person in them, b"" for none. voice, speed: of the speech.
    """

    mode: Literal["live", "clips", "text"] = "text"
    avatar: str = ""
    engine: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    voice: str = ""
    speed: float = 1.0
    background: bytes = field(default=b"", repr=False)
