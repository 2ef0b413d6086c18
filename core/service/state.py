"""Where the state of the service is: in a file and sockets of one machine, or in databases that several machines share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import OptionError
from core.optimization.shared_folder import ObjectStore
from core.service.datagrams import Datagrams
from core.service.job_store import JobStore
from core.service.quotas import SharedRates
from core.service.sqlite_store import SqliteJobStore
from core.service.topics import Topics
from core.service.worker_liveness import LockFiles, WorkerLiveness
from core.settings import Settings

if TYPE_CHECKING:
    from core.service.shared.redis_rates import RedisRates

_INSTALL = "Install what several machines need: pip install -r requirements-cluster.txt"

_KEY = "key"
"""In the store: the key of names in it, which the machines have together."""
MAX_KEY_BYTES = 64
Alone = Callable[[Callable[[], bytes]], bytes]


@dataclass(frozen=True)
class ServiceState:
    """files: None where the folders of one machine, or mounted ones, are all. rates: None where each process counts for itself. close: of
    what is not closed with the store and the topics. settle_key: as `CacheFolder.share_key` takes it.
    """

    store: JobStore
    liveness: WorkerLiveness
    files: ObjectStore | None
    settle_key: Callable[[bytes], bytes]
    topics: Topics
    rates: SharedRates | None
    close: Callable[[], None]


def open_state(settings: Settings, machine: str, folder: Callable[[], Path], outputs: Path) -> ServiceState:
    """machine: what the processes of one machine have in common. folder: gives the private folder of jobs. outputs: that of videos.

    Raises OptionError where a package is missing, EngineUnavailable where the database of jobs or the store of files cannot be used.
    """
    files = _files(settings)
    store, liveness, alone = _jobs(settings, folder, outputs)

    def settle_key(own: bytes) -> bytes:
        return own if files is None else alone(lambda: _settled(files, own))

    topics, rates = _news(settings, machine)
    return ServiceState(store, liveness, files, settle_key, topics, rates, (lambda: None) if rates is None else rates.close)


def _news(settings: Settings, machine: str) -> tuple[Topics, RedisRates | None]:
    if settings.redis_url is None:
        return Topics(Datagrams(machine)), None
    try:
        from core.service.shared.redis_news import RedisNews
        from core.service.shared.redis_rates import RedisRates
    except ImportError as error:
        raise OptionError(f"TALKING_HEAD_REDIS_URL is set, and there is no {error.name}.", _INSTALL) from error
    url = settings.redis_url.get_secret_value()
    return Topics(RedisNews(url)), RedisRates(url)


def _files(settings: Settings) -> ObjectStore | None:
    if not settings.s3_bucket:
        return None
    try:
        from core.service.shared.s3_files import S3Files
    except ImportError as error:
        raise OptionError(f"TALKING_HEAD_S3_BUCKET is set, and there is no {error.name}.", _INSTALL) from error
    return S3Files(settings.s3_bucket, settings.s3_endpoint)


def _jobs(settings: Settings, folder: Callable[[], Path], outputs: Path) -> tuple[JobStore, WorkerLiveness, Alone]:
    """alone: does something while no other machine does."""
    if settings.jobs_database is None:
        return SqliteJobStore(folder), LockFiles(folder), lambda work: work()
    try:
        from core.service.shared.heartbeats import Heartbeats
        from core.service.shared.postgres import Postgres
        from core.service.shared.postgres_store import PostgresJobStore
    except ImportError as error:
        raise OptionError(f"TALKING_HEAD_JOBS_DATABASE is set, and there is no {error.name}.", _INSTALL) from error
    database = Postgres(settings.jobs_database.get_secret_value(), connections=4 + settings.max_jobs)
    return PostgresJobStore(database, outputs), Heartbeats(database), lambda work: database.run(lambda db: work(), alone=True)


def _settled(files: ObjectStore, own: bytes) -> bytes:
    """The key in the store; `own`, where that has none."""
    pieces = files.get(_KEY, MAX_KEY_BYTES)
    if pieces is not None:
        return b"".join(pieces)
    files.put(_KEY, own)
    return own
