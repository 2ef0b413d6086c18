"""Dockerfile, compose file, manifests, unit and workflows are what the tools that read them take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from deploy.ray_settings import RaySettings
from tests.support.clean_root import in_context
from tests.support.dockerfile import Copy, NotUnderstood, Run, chain, read_dockerfile
from tests.support.paths import ROOT

BIN = Path(sys.executable).parent
UNIT = ROOT / "deploy" / "systemd" / "talking-head.service"
MANIFEST, KUBERAY = ROOT / "deploy" / "kubernetes.yaml", ROOT / "deploy" / "kuberay.yaml"
SETTINGS = {f"TALKING_HEAD_{name.upper()}" for name in RaySettings.model_fields}
DEPLOYED = [ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / "docs" / "deployment.md", *(ROOT / "deploy").rglob("*.*")]
VOLUMES = ["/cache", "/models", "/outputs"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_hadolint_finds_nothing() -> None:
    checked = run(BIN / "hadolint", "--config", ".hadolint.yaml", "Dockerfile")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("target", ["cpu", "cuda", "tensorrt"])
def test_every_image_is_complete(target: str) -> None:
    stages = read_dockerfile((ROOT / "Dockerfile").read_text())
    base, made = chain(stages, target)
    assert base == "debian:trixie-slim"
    last = {key: value for stage in made for key, value in vars(stage).items() if value}
    assert last["volumes"] == VOLUMES
    assert last["entry_point"] == ["/opt/venv/bin/python", "/app/api_server.py"]
    assert last["health_command"][0] == "/opt/venv/bin/python"
    assert {"title", "description", "licenses", "version", "revision"} == {name.rsplit(".", 1)[1] for name in last["labels"]}
    users = [step.user for stage in made for step in stage.steps if hasattr(step, "user")]
    assert users[-1] == "1000:1000"
    copies = [step for stage in stages.values() for step in stage.steps if isinstance(step, Copy)]
    assert all(in_context(source) and (ROOT / source).exists() for step in copies if not step.stage for source in step.sources)


@pytest.mark.parametrize("target", ["packages-cpu", "packages-cuda"])
def test_voices_are_put_in_where_they_are_asked_for(target: str) -> None:
    stages = read_dockerfile((ROOT / "Dockerfile").read_text())
    (command,) = (step.command for step in stages[target].steps if isinstance(step, Run))
    for name, files in (("SPEECH", ["speech"]), ("SCALE", ["cluster", "ray"])):
        for value, there in (("", False), ("1", True)):
            shown = run("env", f"{name}={value}", "sh", "-c", command.replace("/opt/venv/bin/pip", "echo")).stdout
            assert all((f"requirements-{file}.txt" in shown) == there for file in files)
    copied = {source for step in chain(stages, target)[1][-2].steps if isinstance(step, Copy) for source in step.sources}
    files = {f"requirements-{name}.txt" for name in ("lite", "speech", "cluster", "ray")}
    assert files | {"requirements.txt"} <= copied
    if target == "packages-cpu":  # all of it is installed here, at the versions that the files name
        pip = f"{sys.executable} -m pip"
        asked = run("env", "SPEECH=1", "sh", "-c", command.replace("/opt/venv/bin/pip install", f"{pip} install --dry-run --no-index"))
        assert asked.returncode == 0, asked.stderr
        assert "Would install" not in asked.stdout


@pytest.mark.parametrize("line", [
    "ADD x /x", "FROM debian:trixie-slim", "RUN --mount=type=secret,id=x true", "COPY --chown=1:1 a b", "USER talking-head", "CMD python",
])  # fmt: skip
def test_a_step_that_the_reader_does_not_know_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        read_dockerfile(f"FROM debian:trixie-slim AS first\n{line}\n")


def test_nothing_private_goes_to_the_builder() -> None:
    for name in (".env", ".git", ".venv", "tests", "output"):
        assert not in_context(name)


@pytest.mark.parametrize(("schema", "path"), [
    ("vendor.compose-spec", "compose.yaml"), *(("vendor.github-workflows", str(path.relative_to(ROOT)))
                                                for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
])  # fmt: skip
def test_it_is_what_its_schema_says(schema: str, path: str) -> None:
    checked = run(BIN / "check-jsonschema", "--builtin-schema", schema, path)
    assert checked.returncode == 0, checked.stdout


def test_services_are_closed_and_only_the_proxy_is_reached() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["mem_limit"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["caddy"]
    network = compose["services"]["caddy"]["networks"]["inside"]
    for name in ("server", "server-gpu", "server-scale"):
        service = compose["services"][name]
        assert service["environment"]["TALKING_HEAD_TRUSTED_PROXIES"] == network["ipv4_address"]
        assert [volume.split(":")[1] for volume in service["volumes"]] == VOLUMES
        assert service["build"]["target"] in read_dockerfile((ROOT / "Dockerfile").read_text())
    assert "talking-head:8000" in (ROOT / "deploy" / "caddy" / "Caddyfile").read_text()


@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy on this machine")
def test_caddy_takes_the_file_of_the_compose_file() -> None:
    checked = run("caddy", "adapt", "--config", "deploy/caddy/Caddyfile", "--adapter", "caddyfile")
    assert checked.returncode == 0, checked.stderr
    assert "not formatted" not in checked.stderr


def test_the_manifest_is_what_kubernetes_takes() -> None:
    for document in yaml.safe_load_all(MANIFEST.read_text()):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_pods_of_the_cluster_are_what_kubernetes_takes_and_closed() -> None:
    claim, service, *others = yaml.safe_load_all(KUBERAY.read_text())
    for document in (claim, *others):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    cluster = service["spec"]["rayClusterConfig"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    for name, template in {"head": cluster["headGroupSpec"]["template"], **groups}.items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        (container,) = template["spec"]["containers"]
        assert template["spec"]["securityContext"]["runAsUser"] == 1000
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == [*VOLUMES, "/tmp"]  # noqa: S108
        assert template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert {entry["name"]: entry["value"] for entry in container["env"]}["PYTHONPATH"] == "/app"
    assert groups["render"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    reached, ingress = others
    assert reached["spec"]["selector"].items() <= groups["ingress"]["metadata"]["labels"].items()
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == reached["metadata"]["name"]
    assert re.search(r"^ray\[serve\]==(.*)$", (ROOT / "requirements-ray.txt").read_text(), re.MULTILINE)[1] == cluster["rayVersion"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # of Ray's own modules
def test_ray_serve_takes_the_configuration_of_the_cluster() -> None:
    from ray.serve.schema import ServeDeploySchema

    _, service, *_ = yaml.safe_load_all(KUBERAY.read_text())
    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = config.applications
    assert application.import_path == "deploy.ray_app:app"
    assert [deployment.name for deployment in application.deployments] == ["Ingress"]
    (group,) = (group for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"] if group["groupName"] == "ingress")
    assert group["replicas"] == application.deployments[0].num_replicas
    offered = json.loads(json.loads(group["rayStartParams"]["resources"].strip("'")))
    assert offered == application.deployments[0].ray_actor_options.resources == {"ingress": 1}


def test_the_pod_is_closed_and_has_what_it_needs() -> None:
    documents = {document["kind"]: document for document in yaml.safe_load_all(MANIFEST.read_text())}
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    server = pod["containers"][0]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= server.keys()
    assert [mount["mountPath"] for mount in server["volumeMounts"]] == [*VOLUMES, "/tmp"]  # noqa: S108
    assert documents["Service"]["spec"]["selector"] == documents["Deployment"]["spec"]["selector"]["matchLabels"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == documents["PersistentVolumeClaim"]["metadata"]["name"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/talking-head/.venv/bin/python", sys.executable).replace("/opt/talking-head", str(ROOT)))
    verified = run("systemd-analyze", "verify", here)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", UNIT)
    assert judged.returncode == 0, judged.stdout[-300:]


def test_the_development_container_opens_what_the_programs_listen_on() -> None:
    about = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert about["forwardPorts"] == [7860, 8000]
    assert "./setup.sh" in about["postCreateCommand"]


def test_settings_of_the_guide_exist_without_their_prefix_too() -> None:
    named = set(re.findall(r"`(?!TALKING_HEAD_)([A-Z][A-Z0-9_]{3,})\b", (ROOT / "docs" / "deployment.md").read_text("utf-8")))
    assert {"ALLOWED_HOSTS", "TRUSTED_PROXIES", "ROOT_PATH"} <= named
    of_compose = {"DITTO_MODELS_DIR", "DOMAIN", "MEMORY_LIMIT", "SPEECH", "SCALE", "DATABASE_PASSWORD"}
    others = of_compose | {"RAY_USAGE_STATS_ENABLED", "RAY_ADDRESS", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"}
    assert {name for name in named if f"TALKING_HEAD_{name}" not in SETTINGS} <= others


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: path.name)
def test_settings_that_are_named_exist(path: Path) -> None:
    assert set(re.findall(r"TALKING_HEAD_[A-Z0-9_]+\b", path.read_text("utf-8"))) <= SETTINGS
