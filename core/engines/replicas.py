"""One engine made of several of the same kind, each on a device of its own."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Callable, Sequence

from core.engines.base import Engine, FrameCost, RegisterCallback, Registration, Saved, Session, ignore_progress
from core.errors import OptionError
from core.request import Avatar, Controls, Framing, RenderOptions
from core.types import Source


class ReplicatedEngine(Engine):
    """Gives every person who is registered to the replica that holds the fewest; their sessions run there too.

    replicas: loaded with the same checkpoints and options.
    """

    def __init__(self, replicas: Sequence[Engine]) -> None:
        first = replicas[0]
        self.name, self.capabilities = first.name, first.capabilities
        self.limitation = "; ".join(dict.fromkeys(replica.limitation for replica in replicas if replica.limitation))
        self._replicas = tuple(replicas)
        self._held: list[weakref.WeakSet[Registration]] = [weakref.WeakSet() for _ in replicas]
        self._coming = [0] * len(replicas)  # being registered just now
        self._lock = threading.Lock()

    @property
    def revision(self) -> str:
        """That of the replicas where they are alike; a person may meet any of them."""
        revisions = sorted({replica.revision for replica in self._replicas})
        return revisions[0] if len(revisions) == 1 else hashlib.sha256(" ".join(revisions).encode()).hexdigest()[:12]

    def warmup(self) -> None:
        for replica in self._replicas:
            replica.warmup()

    def close(self) -> None:
        for replica in self._replicas:
            replica.close()

    def verify(self, source: Source | Avatar, framing: Framing, controls: Controls, options: RenderOptions) -> None:
        self._replicas[0].verify(source, framing, controls, options)

    def verify_controls(self, controls: Controls, options: RenderOptions) -> None:
        self._replicas[0].verify_controls(controls, options)

    def register(self, photo: Source, framing: Framing, on_frame: RegisterCallback = ignore_progress) -> ReplicaRegistration:
        return self._registered(lambda replica: replica.register(photo, framing, on_frame))

    def save(self, registration: Registration) -> Saved:
        held = _of_a_replica(registration)
        return held.replica.save(held.registration)

    def restore(self, saved: Saved, source: Callable[[], Source]) -> ReplicaRegistration:
        return self._registered(lambda replica: replica.restore(saved, source))

    def frame_cost(self, registration: Registration, options: RenderOptions) -> FrameCost | None:
        held = _of_a_replica(registration)
        return held.replica.frame_cost(held.registration, options)

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> Session:
        held = _of_a_replica(registration)
        return held.replica.session(held.registration, controls, options)

    def _registered(self, register: Callable[[Engine], Registration]) -> ReplicaRegistration:
        with self._lock:
            number = min(range(len(self._replicas)), key=lambda i: len(self._held[i]) + self._coming[i])
            self._coming[number] += 1
        try:
            registration = ReplicaRegistration(self._replicas[number], register(self._replicas[number]))
            with self._lock:
                self._held[number].add(registration)
        finally:
            with self._lock:
                self._coming[number] -= 1
        return registration


class ReplicaRegistration(Registration):
    """A registration, and the replica that made it."""

    def __init__(self, replica: Engine, registration: Registration) -> None:
        self.replica, self.registration = replica, registration
        self.warnings, self.quarters = registration.warnings, registration.quarters

    @property
    def nbytes(self) -> int:
        return self.registration.nbytes

    @property
    def face_box(self) -> tuple[float, float, float, float]:
        return self.registration.face_box


def _of_a_replica(registration: Registration) -> ReplicaRegistration:
    if not isinstance(registration, ReplicaRegistration):
        raise TypeError(f"a {type(registration).__name__} was not made by an engine of replicas")
    return registration


def devices_of(device: str | None) -> list[str | None]:
    """"cuda:0,cuda:1" as the devices in it, one alone as itself. Raises OptionError where one is named twice or is empty."""
    if device is None or "," not in device:
        return [device]
    names = [name.strip() for name in device.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise OptionError(f"The devices are {device!r}.", "Name each once, with commas, such as cuda:0,cuda:1.")
    return list(names)
