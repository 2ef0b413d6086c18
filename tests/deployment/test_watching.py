"""Dashboard and alerts name figures that the server has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from core.studio import Studio
from tests.support.paths import ROOT
from tests.support.serving import serving

DASHBOARD = ROOT / "deploy" / "grafana" / "talking-head.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
BY_PROMETHEUS = {"up"}
WORDS = {"and", "or", "unless", "bool", "offset"}
LABELLED = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)")
LABELS = {"method", "path", "status", "kind", "state", "engine", "cache", "what", "folder", "of", "le", "job", "instance"}


needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool on this machine (Debian: prometheus): it did not read the rules"
)


def expressions() -> Iterator[str]:
    for rule in rules():
        yield rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])[1]  # type: ignore[index]


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def named(expression: str) -> set[str]:
    """The figures in an expression of PromQL: its words that are no function, keyword, label or duration."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", LABELLED.sub(" ", expression))
    return {word for word, call in re.findall(r"\b([a-zA-Z_:][\w:]*)(\s*\()?", bare) if not call} - WORDS - {"sum"}


@pytest.fixture(scope="module")
def offered(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that a fresh server's /metrics has."""
    with serving(studio, tmp_path_factory.mktemp("server")) as server, server.client() as client:
        text = client.get("/metrics").text
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def test_expressions_are_read_right() -> None:
    read = named('sum by (le, x) (rate(a_bucket{b="c", d=~"$e"}[5m])) / ignoring(what) f_total > 0.5 and on (y) g:h == 2')
    assert read == {"a_bucket", "f_total", "g:h"}


@pytest.mark.parametrize("expression", list(expressions()))
def test_what_is_watched_exists(offered: set[str], expression: str) -> None:
    assert named(expression), "it watches nothing"
    assert named(expression) <= offered | BY_PROMETHEUS
    assert set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression)) <= LABELS


def test_the_disks_are_those_of_the_folders(studio: Studio, tmp_path: Path) -> None:
    with serving(studio, tmp_path) as server, server.client() as client:
        text = client.get("/metrics").text
    room = dict(re.findall(r'talking_head_disk_free_bytes\{folder="(\w+)"\} (\S+)', text))
    size = dict(re.findall(r'talking_head_disk_bytes\{folder="(\w+)"\} (\S+)', text))
    assert room.keys() == size.keys() == {"outputs", "cache"}
    assert float(size["outputs"]) == shutil.disk_usage(tmp_path).total
    assert all(0 < float(room[name]) <= float(size[name]) for name in room)


def test_alerts_say_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


@needs_promtool
def test_prometheus_reads_alerts_and_dashboard(tmp_path: Path) -> None:
    filled = [re.sub(r"\$(\w+)", lambda found: "5m" if found[1] == "__rate_interval" else "x", each) for each in expressions()]
    panels = tmp_path / "panels.yaml"
    records = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(filled)]
    panels.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    for path in (ALERTS, panels):
        checked = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_alerts_fire_when_they_should_and_not_otherwise() -> None:
    cases = Path(__file__).with_name("alerts.yaml")
    tried = subprocess.run(["promtool", "test", "rules", str(cases)], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stdout + tried.stderr


@needs_promtool
def test_prometheus_takes_the_configuration_of_the_guide(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(# prometheus\.yml.*?)```", (ROOT / "docs" / "deployment.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(block[1])  # type: ignore[index]
    shutil.copy(ALERTS, tmp_path)
    checked = subprocess.run(["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
