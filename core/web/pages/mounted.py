"""The page as an application that another server mounts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from fastapi import FastAPI

from core.service.examples import Example
from core.service.service import Service
from core.web.pages.launch import page_settings


def page_app(service: Service, examples: Sequence[Example]) -> FastAPI:
    """Takes seconds: Gradio is imported here. The environment is prepared (core/web/pages/launch.py)."""
    import gradio as gr

    from core.web.pages.page import build_page
    from core.web.pages.tabs.common import PageContents

    page = build_page(service, PageContents(everything=True, examples=examples))
    page.has_launched = True  # else Gradio does not check which files a request names
    # Gradio warns that it leaves out what it was told to leave out.
    warnings.filterwarnings("ignore", "SSR mode is not supported", UserWarning)
    app: FastAPI = gr.mount_gradio_app(FastAPI(openapi_url=None), page, "/", **page_settings(page))
    return app
