"""The page as an application that another server mounts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI

from core.service.outputs import OutputFolder
from core.studio import Studio
from core.web.pages.launch import page_settings


def page_app(studio: Studio, outputs: OutputFolder, examples: Sequence[tuple[Path, Path, int]]) -> FastAPI:
    """Takes seconds: Gradio is imported here. outputs: prepared, as is the environment (core/web/pages/launch.py). examples: photo,
    recording and its seconds.
    """
    import gradio as gr

    from core.service.requests import Desk
    from core.service.videos import History
    from core.web.pages.page import build_page
    from core.web.pages.tabs.common import Example, PageContents

    desk = Desk(studio, outputs, History(outputs))
    page = build_page(desk, PageContents(everything=True, examples=[Example(*each) for each in examples]))
    # Gradio warns that it leaves out what it was told to leave out.
    warnings.filterwarnings("ignore", "SSR mode is not supported", UserWarning)
    app: FastAPI = gr.mount_gradio_app(FastAPI(openapi_url=None), page, "/", **page_settings(page))
    return app
