"""The part of the small Hub (hub_server.py) that keeps Spaces: made, written to, and given variables, secrets and hardware."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, Any]


@dataclass
class Space:
    private: bool
    sdk: str
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.bin filter=lfs\n"})
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"
    commits: list[list[str]] = field(default_factory=list)
    """Of each commit, what it added ("+path") and deleted ("-path")."""


class Spaces:
    """user: whose the token is. unpaid: hardware that wants a payment method. tokens: (Bearer) token → whether it may write."""

    def __init__(self) -> None:
        self.user = "me"
        self.spaces: dict[str, Space] = {}
        self.unpaid: set[str] = set()
        self.tokens: dict[str, bool] = {"hf_writer": True, "hf_reader": False}

    def answer(self, method: str, path: str, query: str, body: bytes, token: str) -> Answer | None:
        """None for what is no concern of Spaces."""
        if path == "/api/repos/create":
            return self._create(json.loads(body), token)
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if not path.startswith("/api/spaces/"):
            return None
        name, _, what = path.removeprefix("/api/spaces/").partition("/")[2].partition("/")
        space = self.spaces.get(f"{path.split('/')[3]}/{name}")
        if space is None or (space.private and token not in self.tokens):
            return 404, {"error": "Repository not found"}
        if method == "GET":
            return self._read(space, f"{path.split('/')[3]}/{name}", what)
        if not self.tokens.get(token):
            return 403, {"error": "Forbidden: you have only read access"}
        return self._write(space, method, what, parse_qs(query), body)

    def _create(self, asked: dict[str, Any], token: str) -> Answer:
        if token not in self.tokens:
            return 401, {"error": "Invalid username or password."}
        name = f"{asked.get('organization') or self.user}/{asked['name']}"
        if not self.tokens[token]:
            return 403, {"error": "You don't have the rights to create a space"}
        if name in self.spaces:
            return 409, {"error": "You already created this space repo", "url": f"https://huggingface.co/spaces/{name}"}
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.spaces[name] = Space(private, asked["sdk"])
        return 200, {"url": f"https://huggingface.co/spaces/{name}", "name": name}

    def _read(self, space: Space, name: str, what: str) -> Answer:
        if what.startswith("tree/"):
            return 200, [{"type": "file", "path": path, "size": len(data), "oid": _blob(data)} for path, data in space.files.items()]
        if what in ("", "revision/main"):
            return 200, {"id": name, "sha": 40 * "b", "private": space.private, "siblings": [{"rfilename": path} for path in space.files]}
        return 404, {"error": "Entry not found"}

    def _write(self, space: Space, method: str, what: str, query: dict[str, list[str]], body: bytes) -> Answer:
        if what == "preupload/main":
            files = json.loads(body)["files"]
            return 200, {
                "files": [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": self._oid(space, file["path"])}
                    for file in files
                ]
            }
        if what == "commit/main":
            return self._commit(space, body)
        asked = json.loads(body or b"{}")
        if what in ("variables", "secrets"):
            kept = space.variables if what == "variables" else space.secrets
            kept[asked["key"]] = asked["value"]
            return 200, {key: {"value": value, "updatedAt": "2026-01-01T00:00:00.000Z"} for key, value in space.variables.items()}
        if what == "settings" and method == "PUT":
            space.private = asked.get("visibility") == "private" or bool(asked.get("private"))
            return 200, {}
        if what == "hardware":
            if asked["flavor"] in self.unpaid:
                return 402, {"error": "Payment required"}
            space.hardware = asked["flavor"]
            return 200, {"stage": "BUILDING", "hardware": {"current": None, "requested": space.hardware}, "gcTimeout": None}
        return 404, {"error": "Entry not found"}

    def _oid(self, space: Space, path: str) -> str | None:
        return _blob(space.files[path]) if path in space.files else None

    def _commit(self, space: Space, body: bytes) -> Answer:
        changed = []
        for line in body.splitlines():
            entry = json.loads(line)
            about = entry["value"]
            if entry["key"] == "file":
                space.files[about["path"]] = base64.b64decode(about["content"])
                changed.append(f"+{about['path']}")
            elif entry["key"] == "deletedFile":
                del space.files[about["path"]]
                changed.append(f"-{about['path']}")
        space.commits.append(changed)
        return 200, {"commitUrl": f"https://huggingface.co/spaces/me/talk/commit/{40 * chr(99)}", "commitOid": 40 * "c", "hookOutput": ""}


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
