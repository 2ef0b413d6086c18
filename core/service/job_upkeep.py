"""Forgets jobs that ended: what is too old, too many, or without its video; and removes files that belong to no job."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path

from core.service.errors import MadeRoom, UnknownJob
from core.service.job_handles import JobHandles
from core.service.job_inputs import DecodedInputs, JobInputs
from core.service.job_store import JobRecord, JobStore
from core.service.job_topics import owner_topic
from core.service.job_views import PROLONGED
from core.service.outputs import OutputFolder
from core.service.topics import Topics

MOST_REMEMBERED = 1000
"""Jobs whose videos made room, which are told apart from those that never were; of earlier ones nothing is known."""
MAX_PER_OWNER = 200
"""Ended jobs kept for one owner; the oldest are forgotten."""


class JobUpkeep:
    """ttl_s: how long an ended job is kept; the others are those of the `Jobs` it serves. Thread-safe."""

    def __init__(
        self,
        store: JobStore,
        topics: Topics,
        inputs: JobInputs,
        outputs: OutputFolder,
        decoded: DecodedInputs,
        handles: JobHandles,
        ttl_s: float,
    ) -> None:
        self._store, self._topics, self._inputs, self._outputs = store, topics, inputs, outputs
        self._decoded, self._handles, self._ttl_s = decoded, handles, ttl_s
        self._made_room = OrderedDict[str, str]()
        self._lock = threading.Lock()

    def lost(self, record: JobRecord) -> bool:
        """Whether its video is gone."""
        return record.state == "done" and bool(record.output) and not self._outputs.may_be_had(Path(record.output))

    def unknown(self, job_id: str, owner: str) -> UnknownJob:
        """What is said of a job that is not there (any more): MadeRoom to the owner of one whose video made room."""
        with self._lock:
            return MadeRoom() if self._made_room.get(job_id) == owner else UnknownJob()

    def lost_its_video(self, record: JobRecord) -> UnknownJob:
        """What is said to the owner of one that is still recorded: another process made room with its video, or will say so in a moment."""
        return UnknownJob() if time.time() - _since_s(record) > self._ttl_s else MadeRoom()

    def remove(self, records: list[JobRecord]) -> None:
        """The files first: where the shared store is away, which raises BusyError, nothing is said to be gone."""
        for record in records:
            if record.output and record.state == "done":
                self._outputs.forget(Path(record.output))
        self._store.remove([record.id for record in records])
        for record in records:
            self._handles.close(record.id)
            if record.output:
                self._outputs.discard(Path(record.output))

    def forget(self, job_id: str, owner: str) -> None:
        """Removes one that ended, where it is not removed yet, and tells its owner. Raises BusyError."""
        self.remove([record for record in (self._store.get(job_id),) if record is not None])
        self._topics.publish(owner_topic(owner))

    def sweep(self) -> None:
        """Forgets what ended long ago, what nobody waits for, what lost its file, and the oldest of an owner who has too many; and files
        that belong to no job.
        """
        now_s, owners = time.time(), dict[str, int]()
        gone = []
        records = self._store.find()
        for record in records:
            if not record.ended:
                continue
            owners[record.owner] = owners.get(record.owner, 0) + 1
            if unwanted(record) or self.lost(record) or now_s - _since_s(record) > self._ttl_s or owners[record.owner] > MAX_PER_OWNER:
                gone.append(record)
        self.remove(gone)
        self._tell_owners(gone)
        self.make_room()
        unended = {record.id for record in records if not record.ended}
        self._inputs.discard_all_but(unended)
        self._decoded.forget_all_but(unended)
        ended_s = {record.id: record.ended_s for record in records if record.ended}
        self._handles.close_unread(unended, ended_s)
        self._outputs.forget_all_but([Path(record.output) for record in records if record.output])

    def make_room(self) -> None:
        """Removes the oldest videos beyond the limit of bytes, and the jobs that made them where no other machine has the videos."""
        folders = set(self._outputs.trim())
        if folders and self._outputs.shared is None:
            gone = [record for record in self._store.find() if record.ended and record.output and Path(record.output).parent in folders]
            with self._lock:
                self._made_room.update({record.id: record.owner for record in gone})
                while len(self._made_room) > MOST_REMEMBERED:
                    self._made_room.popitem(last=False)
            self.remove(gone)
            self._tell_owners(gone)

    def _tell_owners(self, records: list[JobRecord]) -> None:
        for owner in {record.owner for record in records}:
            self._topics.publish(owner_topic(owner))


def unwanted(record: JobRecord) -> bool:
    """Whether nobody waits for it any longer, once it has ended."""
    return record.cancel_requested and not record.kept


def _since_s(record: JobRecord) -> float:
    """When the time to live of an ended job began."""
    return max(record.ended_s, float((record.result or {}).get(PROLONGED, 0.0)))
