"""Where the goldens come from: a folder or a seed that is not there must fail, and say so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import golden_io
from tests.support.paths import ROOT


def test_every_golden_of_the_repository_is_read_by_a_test() -> None:
    """One that nobody reads would be no proof."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    names = {path.name.partition("_seed")[0] for path in golden_io.HERE.glob("*.npz")}
    assert len(names) > 15
    assert [name for name in sorted(names) if f'load("{name}")' not in tests and f'"{name}"' not in tests] == []


@pytest.mark.parametrize("more", [{"DITTO_GOLDENS_DIR": "/nowhere"}, {"DITTO_GOLDENS_SEED": "4321"}])
def test_what_is_not_there_fails_and_says_so(more: dict[str, str]) -> None:
    code = "from tests.support import golden_io; golden_io.load('pose')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "There is no golden" in done.stderr
    assert "DITTO_GOLDENS_DIR and DITTO_GOLDENS_SEED" in done.stderr


def test_a_folder_and_a_seed_from_the_environment_are_read(tmp_path: Path) -> None:
    for name in ("pose", "crop"):
        (tmp_path / f"{name}_seed99.npz").write_bytes((golden_io.FOLDER / f"{name}_seed{golden_io.SEED}.npz").read_bytes())
    more = {"DITTO_GOLDENS_DIR": str(tmp_path), "DITTO_GOLDENS_SEED": "99"}
    code = "from tests.support import golden_io; print(len(golden_io.load('pose').files) > 0, golden_io.SEED)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "99"]
