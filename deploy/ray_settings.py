"""Settings of the service over Ray Serve, on top of those of the server; read from the environment (`TALKING_HEAD_...`)."""

from __future__ import annotations

from pydantic import Field

from core.errors import OptionError
from core.settings import read_settings
from core.web.api.settings import ServerSettings


class RaySettings(ServerSettings):
    """`max_jobs` is of each render replica; ingresses make no videos."""

    host: str = Field(default="127.0.0.1", description="What each ingress listens on; 0.0.0.0 for the whole network")
    port: int = Field(default=8000, ge=0, le=65535, description="Its port; 0 for a free one, which the log tells")
    ingresses: int = Field(default=1, ge=1, le=100, description="Ingress replicas, one of them on a machine")
    min_renderers: int = Field(default=1, ge=1, le=1000, description="Render replicas at least")
    max_renderers: int = Field(default=4, ge=1, le=1000, description="Render replicas at most")
    render_cpus: float = Field(default=1.0, ge=0, description="Cores that Ray reserves for a render replica")
    render_gpus: float = Field(default=0.0, ge=0, description="GPUs of a render replica; with any, Ditto is offered")
    late_s: float = Field(default=5.0, gt=0, description="A job that waits longer asks for more render replicas")
    idle_s: float = Field(default=300.0, ge=0, description="How long fewer render replicas must have been enough before one is stopped")
    drain_s: float = Field(default=300.0, ge=0, description="How long a render replica that is stopped may finish what it has begun")
    page: bool = Field(default=True, description="Ingresses show the page, too")

    @property
    def of_ingress(self) -> RaySettings:
        """The same for a process that takes jobs for others."""
        return self.model_copy(update={"max_jobs": 0})


def read_ray_settings() -> RaySettings:
    """Raises OptionError naming the first bad variable, or what is missing."""
    settings = read_settings(RaySettings)
    if settings.jobs_database is None or settings.redis_url is None:
        raise OptionError(
            "Replicas share their jobs by databases, and none are named.", "Set TALKING_HEAD_JOBS_DATABASE and TALKING_HEAD_REDIS_URL."
        )
    if settings.min_renderers > settings.max_renderers:
        raise OptionError(f"There cannot be {settings.min_renderers} render replicas at least and {settings.max_renderers} at most.")
    if settings.max_jobs < 1:
        raise OptionError("TALKING_HEAD_MAX_JOBS is 0.", "It is of each render replica: 1 or more.")
    return settings
