"""Streams that render replicas make, asked for by an ingress piece by piece: what its reader does not take stays where it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError

from core.errors import BusyError, TalkingHeadError
from core.service.job_views import as_exception, as_values
from core.service.jobs import Jobs
from core.service.remote_streams import Piece

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

Answer = Piece | Mapping[str, Any]
"""A piece, or the values of an error: what Ray makes of an exception is another one."""
PIECE_S = 600.0
"""How long a piece may take. A stream that lets others go first may pause for long."""


def next_piece(jobs: Jobs, job_id: str, worker: str) -> Answer:
    """On the render replica: the next piece of a stream, which is waited for. worker: who is meant."""
    try:
        if worker != jobs.worker:
            raise _gone()
        stream = jobs.handle(job_id).result()
        segment = next(stream, None)
        return Piece(stream.mime_type, segment)
    except TalkingHeadError as error:
        return as_values(error)


class RendererStreams:
    """`StreamMakers` over the render replicas. Thread-safe; not for event loops."""

    def __init__(self, renderers: DeploymentHandle[Any]) -> None:
        self._renderers = renderers

    def piece(self, job_id: str, worker: str) -> Piece:
        try:
            answer: Answer = self._renderers.piece.remote(job_id, worker=worker).result(timeout_s=PIECE_S)
        except (RayError, TimeoutError) as error:
            raise _gone() from error
        if isinstance(answer, Piece):
            return answer
        raise as_exception(answer)


def _gone() -> BusyError:
    return BusyError("The service was restarted, and the connection that waited is gone.", "Send it again.", code="restarted")
