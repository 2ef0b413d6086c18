"""Serving a page: the environment Gradio needs before it is imported, the launch, the warm-up behind it, and a clean end."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.service.outputs import OutputFolder
from core.service.owners import VisitorCookie
from core.studio import Studio
from core.web.pages.blocked_routes import BlockedRoutes
from core.web.pages.language import LanguagePages
from core.web.pages.languages import NAMES

if TYPE_CHECKING:
    from starlette.middleware import Middleware

    from core.web.pages.widgets import Page

LOOPBACK = "127.0.0.1,localhost"
WARM_UP_AFTER_S = 4.0


def prepare_environment(outputs: OutputFolder) -> None:
    """Settings Gradio reads from the environment. Call before it is imported.

    Uploads go where the videos go, so that one private folder holds all visitors' files and one sweeper empties it, and a finished
    video is served from where it lies instead of being copied.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(outputs.root)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in ("NO_PROXY", "no_proxy"):  # Gradio calls its own server at the start, which no proxy can reach
        os.environ[name] = ",".join(filter(None, (os.environ.get(name, ""), LOOPBACK)))


def middleware(page: Page) -> list[Middleware]:
    """What stands before the pages: routes of Gradio that are closed, each visitor's cookie, their language, and their streams."""
    from starlette.middleware import Middleware

    from core.service.streams import StreamRoute

    route = Middleware(StreamRoute, streams=page.streams)
    return [Middleware(BlockedRoutes), Middleware(VisitorCookie), Middleware(LanguagePages, languages=NAMES), route]


def page_settings(page: Page) -> dict[str, Any]:
    """What Gradio is told of a page, whoever serves it. Also sets up its queue."""
    from core.web.pages.style import CSS, theme

    page.queue(max_size=None, default_concurrency_limit=None, api_open=False)  # the studio's scheduler decides who waits and who may not
    return {
        "show_error": False,
        "max_file_size": page.max_upload_bytes,
        "footer_links": ["api"],  # Gradio's settings are for developers: they record the screen, and have it worked on here
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "theme": theme(),
        "css": CSS,
        "app_kwargs": {"middleware": middleware(page)},
    }


def launch(page: Page, host: str, port: int) -> str:
    """Starts serving in the background and returns the address. Raises InputError where the address cannot be had."""
    settings = page_settings(page)
    try:
        page.launch(server_name=host, server_port=port, prevent_thread_lock=True, share=False, quiet=True, **settings)
    except OSError as error:
        raise InputError(f"Port {port} on {host} cannot be used.", "Is it taken? Choose another with --port.") from error
    return str(page.local_url)


def shut_down(page: Page) -> None:
    """Ends the server and frees its port, within a second: visitors' open event streams are dropped, not waited for."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)  # it logs a traceback for every stream it drops
    server = getattr(page, "server", None)
    if server is not None:
        server.force_exit = True
    page.close(verbose=False)


def warm_up(studio: Studio, visited: threading.Event) -> threading.Thread:
    """Loads in the background what the first video needs, so that the first visitor waits less for it.

    Not at once: on a small machine it would slow down the very page it waits behind. So it starts when a visitor has the page
    (`visited`), and without one after WARM_UP_AFTER_S.
    """

    def load() -> None:
        visited.wait(WARM_UP_AFTER_S)
        studio.load_ahead()

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread


def wait_for_signal() -> None:
    """Returns at the first SIGINT or SIGTERM; a second one ends the process the hard way. Main thread only."""
    ended = threading.Event()
    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def end(number: int, frame: FrameType | None) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, end)
    ended.wait()
