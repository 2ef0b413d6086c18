"""Which render replica a call goes to: the one that is named, else one of those that have least to do."""

from __future__ import annotations

import random

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from deploy.ray_ranks import by_avatar

WORKER, AVATAR, ATTEMPT = "worker", "avatar", "attempt"
"""Keyword arguments of calls: the id of the replica that they are for; the token of the avatar that a live session shows, and how many
replicas have refused it.
"""


class ToTheWorker(RequestRouter):  # type: ignore[misc]  # no types here
    """The replica whose id stands in the call's `worker`. Where it is gone, any: it knows that it is not meant, and says so.

    Of a call with an `avatar` the replicas come in the order in which they are best for its live session: those that have the avatar in
    memory, and among equal ones those with the fewest sessions.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True
            worker = pending_request.kwargs.get(WORKER)
            meant = [replica for replica in candidate_replicas if replica.replica_id.unique_id == worker]
            if meant:
                return [meant]
            if avatar := pending_request.kwargs.get(AVATAR):
                return by_avatar(candidate_replicas, avatar, pending_request.kwargs[ATTEMPT])
        return [random.sample(candidate_replicas, min(2, len(candidate_replicas)))]  # the shorter queue of the two is taken
