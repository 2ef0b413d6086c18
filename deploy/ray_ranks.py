"""Which render replica is the best for a live session, by what replicas tell of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.serve.request_router import RunningReplica

LIVE, AVATARS = "live", "avatars"
"""What they tell: how many live sessions they draw, and the tokens of the avatars in their memory."""


def by_avatar(replicas: list[RunningReplica], avatar: str, attempt: int) -> list[list[RunningReplica]]:
    """Replicas, the best first; beginning behind as many as `attempt` says, which were tried before."""

    def rank(replica: RunningReplica) -> tuple[bool, int]:
        told = replica.routing_stats
        return avatar not in told.get(AVATARS, ()), told.get(LIVE, 0)

    ordered = sorted(replicas, key=rank)
    first = attempt % len(ordered)
    return [[replica] for replica in (*ordered[first:], *ordered[:first])]
