"""The configuration that programs are given at `/config`: the public endpoints alone, each as a form of ordinary components."""

from __future__ import annotations

import json
from typing import Any

from core.service.owners import Asgi, Message, Receive, Scope, Send
from core.web.addresses import path_below
from core.web.guards.bodies import ChangedAnswer

PATH = "config"
_COMPONENTS = {"string": "textbox", "number": "number", "integer": "number", "boolean": "checkbox"}
"""By type of their JSON schema; everything else is JSON."""


class ProgramConfig:
    """ASGI middleware before Gradio. The pages have their configuration in themselves and do not ask for it; only programs do.

    What the pages are made of is none of their business, and `gr.load` cannot make it anew: it knows neither several pages in one app nor
    endpoints without components (`gr.api`).
    """

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and path_below(scope).strip("/") == PATH:
            plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            await self._app({**scope, "headers": plain, "query_string": b""}, receive, ChangedAnswer(send, _is_configuration, _changed))
        else:
            await self._app(scope, receive, send)


def _is_configuration(start: Message) -> bool:
    return bool(start["status"] == 200)  # else it is why there is none, such as 401


def _changed(body: bytes) -> bytes:
    return json.dumps(for_programs(json.loads(body)), ensure_ascii=False, separators=(",", ":")).encode()


def for_programs(config: dict[str, Any]) -> dict[str, Any]:
    """Of Gradio's configuration of a whole app the public endpoints, under their own numbers, on one page.

    Each is a column of its inputs, a button and its outputs; where the configuration is made into a page again, the first is shown.
    """
    known = {each["id"]: each for each in config["components"]}
    new = max(known, default=0) + 1
    components, columns, dependencies = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for endpoint in config["dependencies"]:
        if endpoint["api_visibility"] == "private":
            continue
        column, button = new, new + 1
        new += 2
        inputs, outputs = endpoint["inputs"], endpoint["outputs"]
        components += [_made(column, "column", visible=not columns), *(_ordinary(known[each]) for each in inputs)]
        components += [_made(button, "button", value="Run"), *(_ordinary(known[each]) for each in outputs)]
        columns.append({"id": column, "children": [{"id": each} for each in (*inputs, button, *outputs)]})
        dependencies.append({**endpoint, "targets": [[button, "click"]]})
    layout = {"id": config["layout"]["id"], "children": columns}
    ids = {"components": [each["id"] for each in components], "dependencies": [each["id"] for each in dependencies]}
    return {
        **config,
        "components": components,
        "dependencies": dependencies,
        "layout": layout,
        "pages": config["pages"][:1],
        "page": {config["pages"][0][0]: {"layout": layout, **ids}},
        "css": None,
        "js": None,
        "head": None,
    }


def _made(number: int, name: str, **props: Any) -> dict[str, Any]:
    return {"id": number, "type": name, "props": {"name": name, **props}, "skip_api": True, "component_class_id": "", "key": None}


def _ordinary(component: dict[str, Any]) -> dict[str, Any]:
    """As it is, but for those of `gr.api`, which a page cannot show: as a component for the same kind of value."""
    props = component["props"]
    if props["name"] != "api":
        return component
    name = _COMPONENTS.get(str(component["api_info"].get("type")), "json")
    return {**component, "props": {"name": name, "value": props.get("value"), "label": props.get("label")}}
