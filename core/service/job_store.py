"""Where jobs are recorded: the interface of a job store, and the records and limits that it speaks of.

The embedded one is core/service/sqlite_store.py, that of several machines core/service/shared/postgres_store.py; nothing else knows how
records are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

JobKind = Literal["video", "stream", "avatar", "idle"]
"""idle: a video of the person at rest, which is nobody's result."""
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
ATTEMPTS_IN_PLACE = 3
"""So often a job whose process died keeps its place in the queue."""
UNENDED: tuple[JobState, ...] = ("queued", "running")


@dataclass(frozen=True)
class JobRecord:
    """One job as it is recorded.

    request: what to make, of plain JSON types; inputs are named by the SHA-256 of their content. fingerprint: equal for equal requests.
    idempotency_key: chosen by the client, "" without one. kept: goes on when nobody waits for it. input_bytes: of its files.
    pinned_to: the only worker that may run it ("" for any): the one whose client waits for pieces. worker: who runs it, "" for nobody.
    attempts: how often it was begun. stage, done, total: as in `core.generation.Progress`. animating_s: when the first frame was wanted.
    output: path of the file it makes, "" where it makes none. result: of a job that is done. error: of one that failed.
    All times are Unix times, 0.0 for what has not happened.
    """

    id: str
    owner: str
    kind: JobKind
    request: Mapping[str, Any] = field(repr=False)
    fingerprint: str = ""
    idempotency_key: str = ""
    kept: bool = True
    input_bytes: int = 0
    pinned_to: str = ""
    output: str = ""
    created_s: float = 0.0
    state: JobState = "queued"
    worker: str = ""
    attempts: int = 0
    cancel_requested: bool = False
    stage: str = "queued"
    done: int = 0
    total: int = 0
    animating_s: float = 0.0
    updated_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.state not in UNENDED


@dataclass(frozen=True)
class Admission:
    """How much is taken at a time. max_unended: jobs that wait or run. owner_max: those of one owner. max_bytes: inputs of all of them."""

    max_unended: int
    owner_max: int
    max_bytes: int

    def beside(self, slots: int) -> Admission:
        """The same and `slots` jobs more, of all together and of one owner."""
        return dataclasses.replace(self, max_unended=self.max_unended + slots, owner_max=self.owner_max + slots)


@dataclass(frozen=True)
class Totals:
    """Of the unended jobs of all processes that share the store."""

    queued: int
    running: int
    input_bytes: int


class JobStore(Protocol):
    """Thread-safe, and shared by all processes that open the same store. Times are given by the caller."""

    @property
    def problem(self) -> str:
        """Why records do not outlive this process now; "" where they do."""

    def add(self, record: JobRecord, admission: Admission) -> JobRecord:
        """Records a job, or returns the one that it is the same as: with the same idempotency key of the same owner, or unended, of the
        same owner, kind and fingerprint (which is kept from then on). Raises BusyError where there is no room, KeyReused where the
        idempotency key stands for another request.
        """

    def check_room(self, owner: str, admission: Admission, input_bytes: int = 0) -> None:
        """Raises BusyError where `add` would. It records nothing."""

    def get(self, job_id: str) -> JobRecord | None: ...

    def find(self, owner: str | None = None, states: Collection[JobState] = (), kinds: Collection[JobKind] = ()) -> list[JobRecord]:
        """Those of an owner (None: of all) in one of the states and of one of the kinds (none given: all), the newest first."""

    def position(self, job_id: str) -> int:
        """How many queued jobs are before this one, itself counted; 0 where it is not queued."""

    def waiting(self) -> list[str]:
        """The ids of queued jobs that any worker may run."""

    def claim(self, worker: str, now_s: float) -> JobRecord | None:
        """The job that is next, as running on `worker`; None where nothing waits for it. Owners with fewer running jobs come first,
        then those of whom fewer jobs were begun since the waiting one was sent: one after the other, in turns. A job during which the
        process ended ATTEMPTS_IN_PLACE times comes after those that it happened to less often: it may be what ends it.
        """

    def progress(self, job_id: str, stage: str, done: int, total: int, animating_s: float, now_s: float) -> None: ...

    def note_running(self, job_id: str, result: Mapping[str, Any]) -> None:
        """Records what is known of the result of a running job so far."""

    def finish(
        self, job_id: str, state: JobState, now_s: float, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None,
        attempt: int | None = None,
    ) -> bool:  # fmt: skip
        """Ends a job, unless it has ended. attempt: the number of the one that ended (`JobRecord.attempts`); where the job was begun anew
        since, by others who took this process for dead, nothing is changed, and False returned.
        """

    def cancel(self, job_id: str, now_s: float) -> JobState | None:
        """Ends a queued job as cancelled, and asks for the end of a running one. Its state afterwards; None where it is unknown."""

    def note(self, job_id: str, notes: Mapping[str, Any], now_s: float) -> None:
        """Puts values, of plain JSON types, into the result of a job that is done."""

    def keep(self, job_id: str) -> None:
        """Makes a job go on when nobody waits for it."""

    def requeue(self, worker: str) -> list[JobRecord]:
        """Puts what runs on `worker` back into the queue, at its old place, for any worker. What was put back."""

    def put_back_lost(self, worker: str, running: Collection[str]) -> list[JobRecord]:
        """As `requeue`, of those alone that the worker does not run: their beginning or their end could not be told. What was put back."""

    def workers(self) -> set[str]:
        """Those that have running or pinned jobs."""

    def remove(self, job_ids: Collection[str]) -> None: ...

    def totals(self) -> Totals: ...

    def close(self) -> None: ...
