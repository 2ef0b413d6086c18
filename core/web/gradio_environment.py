"""Gradio's own environment variables, as far as programs that show pages follow them; options of a command line win over them."""

from __future__ import annotations

import os
from urllib.parse import SplitResult, urlsplit

from core.errors import OptionError
from core.web.addresses import MAX_PORT

LOOPBACK = "127.0.0.1,localhost,::1"
UNGUARDED = (
    "GRADIO_ALLOWED_PATHS", "GRADIO_NUM_WORKERS", "GRADIO_SHARE", "GRADIO_MCP_SERVER", "GRADIO_WATCH_DIRS", "GRADIO_VIBE_MODE", "SYSTEM",
)  # fmt: skip
"""Settings of Gradio that would serve files, or the page, past what stands before it here, or let the running program be changed. SYSTEM is
set in a Space: with it Gradio starts a second server, on another port, through which the code is exchanged.
"""


def server_name(asked: str | None) -> str:
    """What a page listens on: `asked` of the command line, else GRADIO_SERVER_NAME, else this machine alone."""
    return asked if asked is not None else os.environ.get("GRADIO_SERVER_NAME", "").strip() or "127.0.0.1"


def server_port(asked: int | None) -> int:
    """The same of the port: GRADIO_SERVER_PORT, else 7860. Raises OptionError where the variable is no port."""
    if asked is not None:
        return asked
    text = os.environ.get("GRADIO_SERVER_PORT", "").strip() or "7860"
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= MAX_PORT):
        raise OptionError(f"GRADIO_SERVER_PORT is {text[:40]!r}.", f"It is a port from 0 to {MAX_PORT}; 0 takes a free one.")
    return int(text)


def root_path() -> str:
    """GRADIO_ROOT_PATH: where visitors find the page behind a proxy that takes this part off: "", "/talk" or "https://example.org/talk".

    Without a slash at its end. Raises OptionError for anything else.
    """
    text = os.environ.get("GRADIO_ROOT_PATH", "").strip().rstrip("/")
    if not text:
        return ""
    parts = _split(text)
    if parts is None or parts.query or parts.fragment or any(char.isspace() or char in "\"'<>\\" for char in text):
        raise OptionError(f"GRADIO_ROOT_PATH is {text[:80]!r}.", "It is a path such as /talk, or an address such as https://example.org/talk.")
    return text


def root_address() -> SplitResult | None:
    """The parts of `root_path` where that is a whole address."""
    parts = _split(root_path())
    return parts if parts is not None and parts.scheme else None


def _split(text: str) -> SplitResult | None:
    """None for what is neither a path from the root nor an http address."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return None
    return parts if whole or (not parts.scheme and not parts.netloc and text.startswith("/")) else None


def prepare_environment(uploads: str) -> None:
    """Sets what Gradio reads when it is imported. Call before that. uploads: the folder for what visitors upload.

    That is where the videos go as well, so that one private folder holds all visitors' files and one sweeper empties it, and a finished
    video is served from where it lies instead of being copied. Raises OptionError for a bad GRADIO_ROOT_PATH.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ["GRADIO_TEMP_DIR"] = uploads
    root_path()  # refused here where it cannot be; the settings have its path
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in UNGUARDED:
        os.environ.pop(name, None)
    for name in ("NO_PROXY", "no_proxy"):  # Gradio calls its own server at the start, which no proxy can reach
        os.environ[name] = ",".join(filter(None, (os.environ.get(name, ""), LOOPBACK)))
