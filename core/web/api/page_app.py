"""The page as an application that another server mounts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI

from core.studio import Studio
from core.web.outputs import OutputFolder
from core.web.server import middleware


def page_app(studio: Studio, outputs: OutputFolder, examples: Sequence[tuple[Path, Path, int]]) -> FastAPI:
    """Takes seconds: Gradio is imported here. outputs: prepared, as is the environment (core/web/server.py). examples: photo, recording
    and its seconds.
    """
    import gradio as gr

    from core.web.desk import Desk
    from core.web.history import History
    from core.web.page import build_page
    from core.web.parts.common import Example, Parts
    from core.web.style import CSS, theme

    desk = Desk(studio, outputs, History(outputs))
    page = build_page(desk, Parts(everything=True, examples=[Example(*each) for each in examples]))
    page.queue(max_size=None, default_concurrency_limit=None, api_open=False)  # the studio's scheduler decides who waits and who may not
    app: FastAPI = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        "/",
        app_kwargs={"middleware": middleware(page)},
        show_error=False,
        max_file_size=page.max_upload_bytes,
        footer_links=["api", "settings"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=CSS,
    )
    return app
