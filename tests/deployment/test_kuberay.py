"""The manifest of KubeRay is what the operator takes. Its nodes are tried in ray_serve/test_kuberay_nodes.py."""

from __future__ import annotations

from typing import Any

import jsonschema
import yaml

from deploy.ray_settings import RaySettings
from tests.support.paths import ROOT

MANIFEST = ROOT / "deploy" / "kuberay.yaml"
AGENT_PORT = 52365
"""Of Ray's agent on each node, which KubeRay does not change."""
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
POD = {"type": "object", "required": ["spec"]}
COUNT = {"type": "integer", "minimum": 0}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


RAY_SERVICE = closed(
    ["rayClusterConfig"],
    serveConfigV2={"type": "string"},
    rayClusterConfig=closed(
        ["headGroupSpec"],
        rayVersion={"type": "string"},
        authOptions=closed([], mode={"enum": ["disabled", "token"]}),
        enableInTreeAutoscaling={"type": "boolean"},
        autoscalerOptions=closed(
            [], idleTimeoutSeconds=COUNT, upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]}, version={"enum": ["v1", "v2"]},
            resources={"type": "object"}, securityContext={"type": "object"},
        ),
        headGroupSpec=closed(["template"], rayStartParams=TEXTS, template=POD, serviceType={"type": "string"}),
        workerGroupSpecs={
            "type": "array",
            "items": closed(
                ["groupName", "minReplicas", "maxReplicas", "template"],
                groupName={"type": "string"}, replicas=COUNT, minReplicas=COUNT, maxReplicas=COUNT, rayStartParams=TEXTS, template=POD,
            ),
        },
    ),
)  # fmt: skip
"""The part of a RayService's spec that the manifest uses, by the types of KubeRay's API (ray.io/v1); pods are Kubernetes' own."""


def ray_service() -> dict[str, Any]:
    _, service, *_ = yaml.safe_load_all(MANIFEST.read_text())
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    spec: dict[str, Any] = service["spec"]
    return spec


def containers() -> dict[str, dict[str, Any]]:
    """The Ray container of the head ("head") and of each group of workers by its name: the first of its pod, as KubeRay has it."""
    cluster = ray_service()["rayClusterConfig"]
    groups = {"head": cluster["headGroupSpec"], **{group["groupName"]: group for group in cluster["workerGroupSpecs"]}}
    return {name: group["template"]["spec"]["containers"][0] for name, group in groups.items()}


def test_the_service_has_the_fields_of_kuberays_api() -> None:
    jsonschema.validate(ray_service(), RAY_SERVICE)


def test_its_groups_have_as_many_pods_as_the_settings_ask_for() -> None:
    groups = {group["groupName"]: group for group in ray_service()["rayClusterConfig"]["workerGroupSpecs"]}
    env = {each["name"]: each["value"] for each in containers()["render"]["env"]}
    assert groups["render"]["minReplicas"] == int(env["TALKING_HEAD_MIN_RENDERERS"])
    assert groups["render"]["maxReplicas"] == int(env["TALKING_HEAD_MAX_RENDERERS"])


def test_probes_need_nothing_that_the_image_does_not_have() -> None:
    for name, container in containers().items():  # those that KubeRay puts in where there are none call wget
        for probe in ("readinessProbe", "livenessProbe"):
            asked = container[probe]["httpGet"]
            if (name, probe) == ("ingress", "readinessProbe"):
                assert asked["path"] == "/health"
                (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == asked["port"])
                assert port == RaySettings.model_fields["port"].default
            else:
                assert asked == {"path": "/api/healthz", "port": AGENT_PORT}


def test_a_pod_waits_for_its_replicas() -> None:
    settings = RaySettings.model_fields
    env = {each["name"]: each["value"] for each in containers()["render"]["env"]}
    groups = {group["groupName"]: group for group in ray_service()["rayClusterConfig"]["workerGroupSpecs"]}
    drain_s = float(env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert settings["drain_s"].default < drain_s < groups["render"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert settings["stop_grace_s"].default < groups["ingress"]["template"]["spec"]["terminationGracePeriodSeconds"]
