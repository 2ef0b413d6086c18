"""The documentation says what the code does: tables, links, and the names that hints point to."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys

import pytest

from core.engines.capabilities import CAPABILITIES
from core.engines.ditto_options import session_options, source_options
from core.errors import OptionError
from core.option_table import OPTION_TABLE, OptionEntry
from core.options import read_options
from core.request import Controls, Framing, RenderOptions
from tests.support.paths import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
BOUNDED = [entry for entry in OPTION_TABLE if "minimum" in entry.schema]


TOGETHER: dict[str, dict[str, object]] = {"context_frames": {"online_mode": True, "overlap_v2": 79}}
"""What an option needs beside it to take its largest value."""


def take(name: str, value: object) -> None:
    """What is done with an option before anything is computed."""
    options = read_options({**TOGETHER.get(name, {}), name: value})
    options.framing.verify()
    options.render.verify()
    options.controls.verify(frozenset().union(*CAPABILITIES.values()), "any")
    source_options(options.framing)
    session_options(dataclasses.replace(options.controls), options.render)


def test_the_tables_are_those_of_the_code() -> None:
    ran = subprocess.run([sys.executable, "scripts/doc_tables.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_table_of_options_has_every_option_once() -> None:
    names = [entry.name for entry in OPTION_TABLE]
    fields = {field.name for kind in (Framing, Controls, RenderOptions) for field in dataclasses.fields(kind)}
    assert len(names) == len(set(names))
    assert set(names) == fields
    assert all(
        hasattr({"framing": Framing, "controls": Controls, "render": RenderOptions}[entry.group], entry.name) for entry in OPTION_TABLE
    )


@pytest.mark.parametrize("entry", BOUNDED, ids=lambda entry: entry.name)
def test_bounds_in_the_table_are_those_that_hold(entry: OptionEntry) -> None:
    low, high = entry.schema["minimum"], entry.schema.get("maximum")
    take(entry.name, low)
    step = 2 if entry.schema.get("multipleOf") == 2 else 1
    with pytest.raises(OptionError, match=entry.name.replace("face_index", "face")):
        take(entry.name, low - step)
    if high is not None:
        take(entry.name, high)
        with pytest.raises(OptionError, match=entry.name):
            take(entry.name, high + step)


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)?(#[^)]+)?\)", text):
        other = page.parent / target[0] if target[0] else page
        assert other.exists(), target
        if target[1]:
            headings = {
                re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
                for line in other.read_text("utf-8").splitlines()
                if line.startswith("#")
            }
            assert target[1][1:] in headings, target
    for command in re.findall(r"\.venv/bin/python (?!-)(\S+\.py)", text):
        assert (ROOT / command).is_file(), command


def hints() -> list[tuple[str, str]]:
    """Every text in the code that names a page of the documentation."""
    found = []
    for place in ("core", "manager"):
        for path in sorted((ROOT / place).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                    found += [
                        (str(path.relative_to(ROOT)), name) for name in re.findall(r"\b(README(?:\.md)?|docs/\w+(?:\.md)?)", node.value)
                    ]
    return found


def test_pages_that_messages_point_to_are_there() -> None:
    pointed = hints()
    assert pointed
    wrong = [(path, name) for path, name in pointed if name.startswith("README") or not (ROOT / name).is_file()]
    assert wrong == [], "say the page of docs/ that has it"
