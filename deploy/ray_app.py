"""The service over Ray Serve: ingresses take requests, render replicas make videos. `serve run deploy.ray_app:app` starts it.

See docs/deployment.md#ray-serve. The databases that the replicas share their jobs by are named in the settings.
"""

from __future__ import annotations

import os
import signal
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported: nothing is told to anybody

import ray  # noqa: E402
from ray import serve  # noqa: E402
from ray.serve import Application  # noqa: E402
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, ProxyLocation, RequestRouterConfig  # noqa: E402

from deploy.ray_ingress import ENDED_S, Ingress  # noqa: E402
from deploy.ray_render import CANCEL_S, Renderer  # noqa: E402
from deploy.ray_router import ToTheWorker  # noqa: E402
from deploy.ray_scaling import RenderersWanted  # noqa: E402
from deploy.ray_settings import RaySettings, read_ray_settings  # noqa: E402

STORE_BYTES = 256 * 2**20
"""Of a cluster that is started here: what replicas tell each other is small."""
SPARE_S = 10.0
STATS_S = 2.0
"""How often replicas tell of their live sessions and avatars."""
MANY = 1000
"""Calls of one replica at the same time, which its own limits bound."""


def app(arguments: dict[str, Any]) -> Application:
    """Builds the application; `serve run` calls it, and so does Ray Serve for a configuration that names it. It takes no arguments.

    Raises OptionError for settings that cannot be.
    """
    return application(arguments, Renderer)


def application(arguments: dict[str, Any], renderer: type[Renderer]) -> Application:
    """As `app`, with render replicas of a kind of one's own."""
    settings = read_ray_settings()
    if arguments:
        raise TypeError("There are no arguments: settings are environment variables (docs/deployment.md).")
    if not ray.is_initialized():
        _start_ray()
    return build(settings, renderer)


def build(settings: RaySettings, renderer: type[Renderer] = Renderer) -> Application:
    """The two deployments. What is in them can be told otherwise in a configuration of Ray Serve, by the names Ingress and Renderer."""
    scaling = AutoscalingConfig(
        min_replicas=settings.min_renderers,
        max_replicas=settings.max_renderers,
        upscale_delay_s=0,  # the policy waits by itself
        downscale_delay_s=settings.idle_s,
        look_back_period_s=10.0 + 1e-3,
        policy=AutoscalingPolicy(policy_function=RenderersWanted, policy_kwargs={"late_s": settings.late_s}),
    )
    renderers = serve.deployment(
        renderer,
        name="Renderer",
        autoscaling_config=scaling,
        ray_actor_options={"num_cpus": settings.render_cpus, "num_gpus": settings.render_gpus},
        max_ongoing_requests=MANY,
        request_router_config=RequestRouterConfig(request_router_class=ToTheWorker, request_routing_stats_period_s=STATS_S),
        graceful_shutdown_timeout_s=settings.drain_s + CANCEL_S + SPARE_S,
    )
    ingress = serve.deployment(
        Ingress,
        name="Ingress",
        num_replicas=settings.ingresses,
        max_replicas_per_node=1,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=MANY,
        graceful_shutdown_timeout_s=settings.stop_grace_s + ENDED_S + SPARE_S,
    )
    return ingress.bind(renderers.bind())


def _start_ray() -> None:
    """On the cluster that RAY_ADDRESS names, else on one of its own, never on one that somebody else runs on this machine; without Ray
    Serve's proxies.
    """
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        ray.init("local", namespace="serve", include_dashboard=False, object_store_memory=STORE_BYTES, _node_ip_address="127.0.0.1")
    else:
        ray.init(address, namespace="serve")
    for number in (signal.SIGINT, signal.SIGTERM):  # `serve run` then ends the replicas in good order
        signal.signal(number, signal.default_int_handler)
    serve.start(proxy_location=ProxyLocation.Disabled)
