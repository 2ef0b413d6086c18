"""What messages, help and descriptions point to is there: files of the repository, and in them what is looked for; settings; flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from core.web.api.settings import ServerSettings
from tests.support.paths import ROOT

PROGRAMS = ("app.py", "app_optimized.py", "api_server.py", "inference.py", "model_manager.py")
FOLDERS = ("benchmarks", "core", "manager", "compat", "examples", "integrations", "training", "scripts")
DOCUMENT = re.compile(r"\bREADME(?:\.md)?\b|\b[\w./-]+\.md\b")
SETTING = re.compile(r"\bTALKING_HEAD_([A-Z0-9]+(?:_[A-Z0-9]+)*)\b")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z_]+(?:-[a-z]+)*(?![\w-])")
NAMED = re.compile(r"`([^`]+)`")
OF_OTHERS = {
    "--query-gpu", "--format",  # nvidia-smi's
    "--share", "--gpus",
    "--no-deps",  # pip's
    "--num_processes",  # accelerate's
}  # fmt: skip
NO_SETTINGS = {"KEY", "SERVER", "WORKER_KEY", "WORKER_URL"}
"""The client's own: of the examples, and of the LiveKit agent and its worker."""

WRITTEN = {"scores.md"}
"""By commands, for their users."""


@cache
def texts() -> list[tuple[str, str]]:
    """Every string of the code: where it stands, and what it says."""
    paths = [ROOT / name for name in PROGRAMS] + [path for name in FOLDERS for path in sorted((ROOT / name).rglob("*.py"))]
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node.value)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def named_in(text: str) -> set[str]:
    """What a text says of an option, a setting or an address."""
    return set(FLAG.findall(text)) | set(NAMED.findall(text)) | {f"TALKING_HEAD_{name}" for name in SETTING.findall(text)}


def document(name: str) -> str:
    return name if name.endswith(".md") else f"{name}.md"


def problems(where: str, text: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.:;]) |\n\n", text):
        yield from problems_of_sentence(where, sentence)


def problems_of_sentence(where: str, text: str) -> Iterator[str]:
    for name in {document(found) for found in DOCUMENT.findall(text)} - WRITTEN:
        beside = (ROOT / where.split(":")[0]).parent / name
        path = ROOT / name if (ROOT / name).is_file() else beside
        if not path.is_file():
            yield f"{where}: there is no {name}"
            continue
        told = path.read_text()
        for option in named_in(text) - {name, path.name}:
            short = option.removeprefix("TALKING_HEAD_")
            if option not in told and short not in told and re.sub(r"\{+\w+\}+", "{id}", option) not in told:
                yield f"{where}: {name} does not say {option}"


def test_documents_that_are_named_say_what_is_looked_for() -> None:
    found = [problem for where, text in texts() for problem in problems(where, text)]
    assert found == []


def test_settings_that_are_named_exist() -> None:
    known = {name.upper() for name in ServerSettings.model_fields} | NO_SETTINGS
    found = [(where, name) for where, text in texts() for name in SETTING.findall(text) if name not in known]
    assert found == []
    assert any(SETTING.search(text) for _, text in texts())


def test_flags_that_are_named_exist() -> None:
    known = OF_OTHERS | {text for _, text in texts() if re.fullmatch(r"--[a-z][\w-]*", text)} | {"--help"}
    used = [(where, flag) for where, text in texts() if "var(--" not in text for flag in FLAG.findall(text)]
    assert [(where, flag) for where, flag in used if flag not in known] == []


@pytest.mark.parametrize("text", ["See docs/nothing.md.", "The README has `--no-such-flag`.", "See README for TALKING_HEAD_NO_SUCH."])
def test_a_hint_that_leads_nowhere_is_found(text: str) -> None:
    assert list(problems("core/errors.py:1", text))
