"""The README's front matter and the files beside it are those of a Space that would be built."""

from __future__ import annotations

import re
from typing import Any

import yaml
from packaging.specifiers import SpecifierSet

from manager.catalogue import DEFAULT_FORMAT, load_catalogue
from tests.support.paths import ROOT

KEYS = {
    "title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "short_description", "suggested_hardware",
    "startup_duration_timeout", "license", "models", "tags", "thumbnail", "preload_from_hub",
}  # fmt: skip
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def front_matter(preloading: bool = False) -> dict[str, Any]:
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found is not None
    return dict(yaml.safe_load(re.sub(r"(?m)^# (?=preload_from_hub:|  - )", "", found[1]) if preloading else found[1]))


def pin(package: str) -> str:
    lines = (ROOT / "requirements-lite.txt").read_text().splitlines()
    return next(line.removeprefix(package) for line in lines if re.match(rf"{package}[=<>]", line))


def test_the_front_matter_is_what_the_hub_knows() -> None:
    about = front_matter()
    assert about.keys() <= KEYS
    assert about["sdk"] == "gradio"
    assert f"=={about['sdk_version']}" == pin("gradio")
    assert (ROOT / about["app_file"]).is_file()
    assert {about["colorFrom"], about["colorTo"]} <= COLOURS
    assert len(about["short_description"]) <= 60
    assert re.fullmatch(r"\d+[mh]", about["startup_duration_timeout"])
    assert about["license"] == "apache-2.0"
    assert (ROOT / about["thumbnail"]).is_file()


def test_the_python_of_a_space_is_one_that_the_project_takes() -> None:
    version = front_matter()["python_version"]
    assert isinstance(version, str)
    assert version in ("3.10", "3.12"), "those that ZeroGPU offers"
    wanted = re.search(r'requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text())
    assert wanted is not None
    assert version in SpecifierSet(wanted[1])


def test_preloading_names_the_files_of_the_catalogue() -> None:
    catalogue = load_catalogue()
    repo, files, revision = front_matter(preloading=True)["preload_from_hub"][0].split()
    assert "preload_from_hub" not in front_matter()
    assert [repo] == front_matter()["models"] == [catalogue.repo]
    assert revision == catalogue.revision
    assert files.split(",") == [file.path for file in catalogue.files(DEFAULT_FORMAT)]


def test_what_gradio_brings_on_a_space_fits() -> None:
    """A Space installs gradio[oauth,mcp] beside the requirements; its extra mcp wants an older pydantic than there is."""
    assert pin("pydantic") == ">=2.12.5,<=2.14.3"
    assert not re.search(r"(?m)^pydantic_core", (ROOT / "requirements-lite.txt").read_text())


def test_system_libraries_are_those_of_the_other_ways_to_install() -> None:
    packages = (ROOT / "packages.txt").read_text().split()
    asked = re.search(r"--no-install-recommends chromium ([\w .-]+);", (ROOT / ".ci" / "run").read_text())
    assert asked is not None
    assert sorted(packages) == sorted(asked[1].split())
