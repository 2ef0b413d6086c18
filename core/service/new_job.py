"""A job that is to be accepted, and the record of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from core.service.job_inputs import InputFiles
from core.service.job_store import JobKind, JobRecord

T = TypeVar("T")


@dataclass(frozen=True)
class NewJob(Generic[T]):
    """One job to be accepted.

    request: plain JSON values that make the same result at any time. files: its inputs; their hashes are put into `request` under the same
    names. decoded: the inputs as they were read for checking, which are used where the job runs soon, and read again where not.
    decoded_bytes: their size. output: where the video will be. done: the result, where there is nothing to compute. kept: goes on when
    nobody waits for it. idempotency_key: "" without one. client_state: as in `JobView`.
    """

    owner: str
    kind: JobKind
    request: Mapping[str, Any]
    files: Mapping[str, Path]
    decoded: T
    decoded_bytes: int
    output: Path | None = None
    done: Mapping[str, Any] | None = None
    kept: bool = True
    idempotency_key: str = ""
    client_state: Mapping[str, Any] | None = None

    def record(self, job_id: str, taken: InputFiles, worker: str) -> JobRecord:
        """taken: of `files`. worker: the only one that may run a stream, "" for any."""
        request, now_s = {**self.request, **taken.hashes}, time.time()
        record = JobRecord(
            job_id,
            self.owner,
            self.kind,
            {**request, "client_state": dict(self.client_state or {})},
            _fingerprint(self.kind, request),
            self.idempotency_key,
            self.kept,
            taken.nbytes,
            worker if self.kind == "stream" else "",
            "" if self.output is None else str(self.output),
            now_s,
        )
        if self.done is None:
            return record
        return dataclasses.replace(record, state="done", ended_s=now_s, updated_s=now_s, result=self.done)


def _fingerprint(kind: str, request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([kind, request], sort_keys=True).encode()).hexdigest()
