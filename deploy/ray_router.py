"""Which render replica a call goes to: the one that is named, else one of those that have least to do."""

from __future__ import annotations

import random

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

WORKER = "worker"
"""Keyword argument of calls that are for one replica: its id."""


class ToTheWorker(RequestRouter):  # type: ignore[misc]  # no types here
    """The replica whose id stands in the call's `worker`. Where it is gone, any: it knows that it is not meant, and says so."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True
            worker = pending_request.kwargs.get(WORKER)
            meant = [replica for replica in candidate_replicas if replica.replica_id.unique_id == worker]
            if meant:
                return [meant]
        return [random.sample(candidate_replicas, min(2, len(candidate_replicas)))]  # the shorter queue of the two is taken
