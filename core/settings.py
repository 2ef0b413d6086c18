"""Settings of a deployment: limits, folders, threads. Read from the environment (`TALKING_HEAD_...`), once, by entry points."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All limits in one place; e.g. `TALKING_HEAD_MAX_AUDIO_S=60` in the environment changes one."""

    model_config = SettingsConfigDict(env_prefix="TALKING_HEAD_", frozen=True)

    max_audio_s: float = Field(600.0, gt=0, description="Longest recording accepted, seconds")
    min_audio_s: float = Field(0.04, gt=0, description="Shortest recording accepted, seconds")
    max_audio_bytes: int = Field(100 * 2**20, gt=0, description="Largest recording accepted, bytes")
    max_image_bytes: int = Field(30 * 2**20, gt=0, description="Largest photo accepted, bytes")
    max_image_pixels: int = Field(50_000_000, gt=0, description="Largest photo accepted, pixels (checked before decoding)")
    min_image_px: int = Field(64, gt=0, description="Shortest side of a photo accepted")
    max_jobs: int = Field(1, ge=1, le=64, description="Jobs that run at the same time")
    max_queue: int = Field(16, ge=0, le=10_000, description="Jobs that may wait")
    max_avatars: int = Field(16, ge=1, description="Registered photos kept in memory")
    output_dir: Path = Field(Path(tempfile.gettempdir()) / "talking-head-outputs", description="Where the pages and servers put videos")
    output_ttl_s: float = Field(3600.0, gt=0, description="How long the pages and servers keep a video")
