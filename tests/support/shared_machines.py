"""A process of a machine that shares jobs, inputs and videos with others through a database and a bucket."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.optimization.shared_folder import SharedFolder
from core.service.job_inputs import JobInputs
from core.service.job_runner import Running
from core.service.job_store import Admission, JobKind
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.topics import Topics
from tests.support.databases import PostgresServer
from tests.support.s3 import BUCKET

TEN_MIB = 10 * 2**20
"""More than one part."""


class Machine:
    """One process of one of several machines: folders of its own, over a shared database and bucket. It writes what it was given."""

    def __init__(self, folder: Path, postgres: PostgresServer, endpoint: str, slots: int) -> None:
        from core.service.shared.heartbeats import Heartbeats
        from core.service.shared.postgres import Postgres
        from core.service.shared.postgres_store import PostgresJobStore
        from core.service.shared.s3_files import S3Files

        (folder / "inputs").mkdir(parents=True, exist_ok=True)
        database = Postgres(postgres.url, 4)
        self.files = S3Files(f"s3://{BUCKET}/some/where", endpoint)
        self.inputs = JobInputs([lambda: folder / "inputs"], SharedFolder(self.files, "inputs", 2 * TEN_MIB))
        self.outputs = OutputFolder(folder / "outputs", 3600)
        self.outputs.prepare()
        self.outputs.shared = SharedFolder(self.files, "outputs", 2 * TEN_MIB)
        self.folder, self.works = folder, threading.Event()
        self.works.set()
        self.jobs = Jobs(
            PostgresJobStore(database, self.outputs.root), Topics(None), self.inputs, self.outputs, self._work, Heartbeats(database),
            slots=slots, admission=Admission(20, 20, 10**9), decoded_bytes=0, ttl_s=3600,
        )  # fmt: skip
        self.jobs.start()

    def _work(self, running: Running, decoded: Any) -> Mapping[str, Any]:
        running.check()
        assert self.works.wait(60)
        running.check()
        record = running.record
        video = Path(record.output)
        video.write_bytes(self.inputs.path(record.id, record.request["audio"]).read_bytes()[::-1])
        (video.parent / "preview.mp4").write_bytes(b"not of the result")
        return {"avatar": self.folder.name}

    def send(self, data: bytes, owner: str = "ada", kind: JobKind = "video") -> str:
        upload = self.folder / f"upload-{hashlib.sha256(data).hexdigest()}"
        upload.write_bytes(data)
        return self.jobs.submit(NewJob(owner, kind, {"n": len(data)}, {"audio": upload}, None, 0, self.outputs.new_video(owner))).id

    def state(self, job_id: str) -> str:
        return self.jobs.get(job_id, "ada").state

    def result(self, job_id: str) -> bytes:
        video = self.jobs.with_files(job_id, "ada").video
        assert video is not None
        assert video.is_relative_to(self.outputs.root)
        return video.read_bytes()
