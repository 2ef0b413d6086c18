"""The topics of news about jobs (`core/service/topics.py`)."""

from __future__ import annotations

QUEUE = "queue"
"""Something waits in the queue."""
CLOSING = "closing"
"""This process stops."""


def job_topic(job_id: str) -> str:
    return f"job:{job_id}"


def preview_topic(job_id: str) -> str:
    """The first seconds of a video can be seen."""
    return f"preview:{job_id}"


def cancel_topic(job_id: str) -> str:
    return f"cancel:{job_id}"


def owner_topic(owner: str) -> str:
    return f"owner:{owner}"
