"""Serving a page: the launch, the warm-up behind it, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.service.owners import VisitorCookie
from core.service.quotas import RateLimit
from core.service.talking import open_talking
from core.settings import Settings
from core.studio import Studio
from core.web.addresses import free_port
from core.web.connections import guard_connections
from core.web.guards.gradio_routes import GradioRoutes
from core.web.guards.headers import SecurityHeaders, frame_ancestors
from core.web.guards.hosts import AddressGuard, reach_of
from core.web.guards.visitor_files import FileSentences, VisitorFiles
from core.web.live.page_peers import PagePeers
from core.web.live.page_sockets import PageSockets
from core.web.pages.error_texts import told_in
from core.web.pages.first_view import FirstView
from core.web.pages.gradio_styles import Assets, GradioStyles
from core.web.pages.language import LANGUAGES, NAMES, LanguagePages
from core.web.pages.scripts import FAVICON

if TYPE_CHECKING:
    from starlette.middleware import Middleware

    from core.web.pages.widgets import Page

WARM_UP_AFTER_S = 4.0
STARTS_PER_MINUTE = 30
"""Live sessions of one visitor."""
STOP_S = 2.0
"""How long conversations and live sessions may take to end."""


def gradio_frontend() -> Path:
    """Where Gradio has its files for browsers."""
    import gradio

    return Path(gradio.__file__).parent / "templates" / "frontend"


def middleware(page: Page) -> list[Middleware]:
    """What stands before the pages in every program that shows them, the outermost first: each visitor's cookie, their language, the first
    thing they see, what they are told of their jobs, their streams, the texts they hear, their downloads, what they say into the
    microphone, their uploads; what programs are told of the app; then before Gradio itself which of its routes are open, and whose
    files are whose.
    """
    from starlette.middleware import Middleware

    from core.web.pages.download_route import DownloadRoute
    from core.web.pages.events_route import EventsRoute
    from core.web.pages.heard_route import HeardRoute
    from core.web.pages.program_config import ProgramConfig
    from core.web.pages.recognition_route import RecognitionRoute
    from core.web.pages.stream_route import StreamRoute
    from core.web.pages.upload_route import UploadRoute

    service, styles = page.service, GradioStyles(gradio_frontend())
    jobs = service.jobs
    sentences = FileSentences(page.texts.not_uploaded, page.texts.no_addresses)
    return [
        Middleware(VisitorCookie),
        Middleware(LanguagePages, languages=NAMES),
        Middleware(FirstView, languages=LANGUAGES, styles=styles.links),
        Middleware(Assets, styles=styles),
        Middleware(EventsRoute, jobs=jobs, subscriptions=page.subscriptions),
        Middleware(StreamRoute, jobs=jobs),
        Middleware(HeardRoute, listening=service.listening),
        Middleware(DownloadRoute, downloads=service.downloads, outputs=service.outputs),
        Middleware(RecognitionRoute, recognition=service.recognition, timeout_s=service.settings.upload_timeout_s),
        Middleware(UploadRoute, uploads=service.uploads, languages=LANGUAGES, timeout_s=service.settings.upload_timeout_s),
        Middleware(ProgramConfig),
        Middleware(GradioRoutes, pages=NAMES[1:]),
        Middleware(VisitorFiles, outputs=service.outputs, public=page.public_files, sentences=sentences),
    ]


def guards(settings: Settings, host: str) -> list[Middleware]:
    """What stands before a page that is launched, the outermost first. host: what it listens on."""
    from starlette.middleware import Middleware

    return [
        Middleware(SecurityHeaders, frame_ancestors=frame_ancestors(settings)),
        Middleware(AddressGuard, reach=reach_of(settings, host)),
    ]


def _outermost(page: Page, before: list[Middleware]) -> Callable[[Any], contextlib.AbstractAsyncContextManager[None]]:
    """A lifespan that puts `before` in front of an application when it starts, and before what Gradio has put there itself: its rules for
    other origins, which answer by themselves and let many in. After `before` come the sockets of the page's conversations.
    """
    from starlette.middleware import Middleware

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        settings = page.service.settings
        talking = open_talking(page.service, settings, RateLimit(STARTS_PER_MINUTE, "live sessions", page.service.rates))
        loop = asyncio.get_running_loop()
        page.stop_talking = lambda: asyncio.run_coroutine_threadsafe(talking.stop(), loop)
        sockets = Middleware(PageSockets, talking=lambda scope: talking, told_in=told_in)
        peers = Middleware(PagePeers, talking=lambda scope: talking, told_in=told_in, settings=settings)
        others = [each for each in app.user_middleware if each.cls.__name__ != "CustomCORSMiddleware"]
        app.user_middleware = [*before, sockets, peers, *others]
        app.middleware_stack = app.build_middleware_stack()
        yield

    return lifespan


def page_settings(page: Page) -> dict[str, Any]:
    """What Gradio is told of a page, whoever serves it. Also sets up its queue."""
    from core.web.pages.style import CSS, theme

    page.queue(max_size=None, default_concurrency_limit=None, api_open=False)  # the service decides who waits and who may not
    return {
        "root_path": page.service.settings.root_path,
        "show_error": False,
        "max_file_size": page.max_upload_bytes,
        "footer_links": ["api"],  # Gradio's settings are for developers: they record the screen, and have it worked on here
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "favicon_path": str(FAVICON),
        "mcp_server": False,
        "theme": theme(),
        "css": CSS,
        "app_kwargs": {"middleware": middleware(page)},
    }


def launch(page: Page, host: str, port: int) -> str:
    """Starts serving in the background and returns the address. port: 0 for a free one. Raises InputError where it cannot be had."""
    limits = page.service.settings
    settings = page_settings(page)
    settings["app_kwargs"]["lifespan"] = _outermost(page, guards(limits, host))
    port = free_port(host, port)
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    try:
        page.launch(server_name=name, server_port=port, prevent_thread_lock=True, share=False, quiet=True, **settings)
    except OSError as error:
        raise InputError(f"Port {port} on {host} cannot be used.", "Is it taken? Choose another with --port.") from error
    guard_connections(page.server.config, limits)  # Gradio makes its server itself, and listens by now
    return str(page.local_url)


def shut_down(page: Page) -> None:
    """Ends the server and frees its port, within a second: visitors' open event streams are dropped, not waited for."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)  # it logs a traceback for every stream it drops
    if page.stop_talking is not None:
        with contextlib.suppress(TimeoutError):
            page.stop_talking().result(STOP_S)
    server = getattr(page, "server", None)
    if server is not None:
        server.force_exit = True
    page.close(verbose=False)


def warm_up(studio: Studio, visited: threading.Event, then: Callable[[], None] = lambda: None) -> threading.Thread:
    """Loads in the background what the first video needs, so that the first visitor waits less for it. then: called when that began.

    Not at once: on a small machine it would slow down the very page it waits behind. So it starts when a visitor has the page
    (`visited`), and without one after WARM_UP_AFTER_S.
    """

    def load() -> None:
        visited.wait(WARM_UP_AFTER_S)
        studio.load_ahead()
        then()

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
