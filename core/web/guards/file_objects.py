"""Finds file objects in JSON from clients, however deeply nested, and allows only those that name a permitted file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

MAX_DEPTH = 32
FILE_ROUTE = "/gradio_api/file="


class BadFileObject(Exception):
    """address: whether it names something on the network."""

    def __init__(self, address: bool) -> None:
        super().__init__()
        self.address = address


class TooDeep(Exception):
    """More than MAX_DEPTH levels of lists and objects."""


def checked(data: bytes, may_name: Callable[[str], bool]) -> bytes:
    """The JSON in `data`, in which every file object names a file for which `may_name(path)`, and none has an address.

    Raises BadFileObject, TooDeep; ValueError for what is no JSON. What needs no change is returned as it is.
    """
    try:
        parsed = json.loads(data)
    except RecursionError:
        raise TooDeep from None
    changed = _check(parsed, may_name)
    return json.dumps(parsed).encode() if changed else data


def _check(parsed: Any, may_name: Callable[[str], bool]) -> bool:
    """Takes the addresses out of file objects; returns whether there were any."""
    changed = False
    left: list[tuple[Any, int, bool]] = [(parsed, 1, False)]
    while left:
        value, depth, quoted = left.pop()
        if depth > MAX_DEPTH:
            raise TooDeep
        if isinstance(value, dict):
            if _is_file_object(value):
                if quoted or not _is_allowed(value, may_name):
                    raise BadFileObject(_names_address(value))
                changed = value.pop("url", None) is not None or changed
            left += [(each, depth + 1, quoted) for each in value.values()]
        elif isinstance(value, list):
            left += [(each, depth + 1, quoted) for each in value]
        elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            left.append((_decoded(value), depth + 1, True))
    return changed


def _is_file_object(value: dict[str, Any]) -> bool:
    """In any form that Gradio takes, or took, for one."""
    meta = value.get("meta")
    return "path" in value or "url" in value or (isinstance(meta, dict) and "_type" in meta)


def _is_allowed(value: dict[str, Any], may_name: Callable[[str], bool]) -> bool:
    path, url = value.get("path"), value.get("url")
    if not isinstance(path, str) or not may_name(path):
        return False
    return url is None or (isinstance(url, str) and (url == path or unquote(url).endswith(FILE_ROUTE + path)))


def _names_address(value: dict[str, Any]) -> bool:
    return any("://" in each or each.startswith("//") for each in (value.get("path"), value.get("url")) if isinstance(each, str))


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise TooDeep from None
    except ValueError:
        return None
