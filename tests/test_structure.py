"""Who may import whom (ARCHITECTURE.md): read from the source, imports within functions and for types included."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TOP_LEVEL = {path.stem for path in ROOT.glob("*.py")} | {
    "manager", "integrations", "compat", "tests", "benchmarks", "scripts", "examples", "training",
}  # fmt: skip
SERVERS = {"gradio", "fastapi", "starlette", "uvicorn", "websockets", "argparse"}
WEB = {"core.web"}
STUDIO = {
    "core.studio",
    "core.run_request",
    "core.engine_selection",
    "core.avatars",
    "core.result_reuse",
    "core.video_generation",
    "core.generation_run",
    "core.streaming",
    "core.scheduler",
    "core.service",
    "core.batch",
}
CACHES = {f"core.optimization.{name}" for name in ("avatar_cache", "cache_folder", "inference_cache", "cold_start_optimization")}
NETWORKS = {"torch", "onnxruntime", "onnx", "core.models"}
LEAVES = [
    "core/media", "core/lite", "core/engines", "core/aux_models", "core/atomic_components", "core/models", "core/sync", "core/visemes",
]  # fmt: skip
PRODUCT = [path.name for path in ROOT.glob("*.py")]
MAX_TEST_LINES = 400
RULES = [
    (["core"], TOP_LEVEL),
    ([*PRODUCT, "manager", "compat", "integrations"], {"training", "accelerate", "tensorboard", "torch.utils.tensorboard"}),
    (["training"], {"tests", "benchmarks", "scripts", "examples", "core.web", "core.service", "inference", "app"}),
    (["core", "-core/web", "-core/command_line.py", "-core/provenance/__main__.py", "-core/sync/__main__.py"], WEB | SERVERS),
    (LEAVES, STUDIO | CACHES),
    (
        ["core/streaming", "core/optimization", "core/provenance"],
        STUDIO - {"core.run_request", "core.generation_run", "core.streaming", "core.scheduler"},
    ),
    (["core/media", "core/lite", "core/streaming", "core/provenance", "core/sync", "core/visemes"], NETWORKS),
    (["core/engines/lite.py", "core/aux_models/face_finder.py", "core/aux_models/face_mesh.py"], NETWORKS),
    (["core/web", "core/studio.py", "core/engine_selection.py", "core/avatars.py"], NETWORKS),
    (["core/video_generation.py", "core/generation_run.py", "core/result_reuse.py", "core/run_request.py"], NETWORKS),
    (["core/speech_synthesis"], STUDIO | {"torch", "core.engines", "core.lite", "core.models"}),
    (["core/service"], WEB | SERVERS | {"pydantic"}),
    (["core/web/pages"], {"core.web.api", "uvicorn"}),
    (["core/web/api", "-core/web/api/page_mount.py"], {"core.web.pages", "gradio"}),
    (["core/web/guards"], {"core.web.api", "core.web.pages", "gradio"}),
    (["integrations/pipecat", "integrations/live_client.py"], {"core", "manager", "integrations.livekit"}),
    (["integrations/livekit"], {"integrations.pipecat", "core.service", "core.web.api", "core.web.pages", "core.web.live"}),
    (["integrations/livekit/plugin"], TOP_LEVEL | {"core", "integrations"}),
    (["core/web/live"], {"core.web.api", "core.web.pages", "gradio", "fastapi"}),
]


def files_of(places: list[str]) -> list[Path]:
    """Files and folders; what begins with "-" is left out again."""
    left_out = [ROOT / place[1:] for place in places if place.startswith("-")]
    found: list[Path] = []
    for place in (ROOT / place for place in places if not place.startswith("-")):
        assert place.exists(), place
        found += [place] if place.is_file() else sorted(place.rglob("*.py"))
    return [path for path in found if not any(path.is_relative_to(other) for other in left_out)]


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(("places", "never"), RULES, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_imports_point_down(places: list[str], never: set[str]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(places)
        for name in sorted(imported_by(path))
        if any(name == other or name.startswith(f"{other}.") for other in never)
    ]
    assert wrong == []


def test_no_file_of_tests_is_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_TEST_LINES} == {}
