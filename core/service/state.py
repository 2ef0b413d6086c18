"""Where the state of the service is: in a file and sockets of one machine, or in databases that several machines share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import OptionError
from core.optimization.shared_folder import ObjectStore
from core.service.datagrams import Datagrams
from core.service.job_store import JobStore
from core.service.quotas import SharedRates
from core.service.sqlite_store import SqliteJobStore
from core.service.topics import NewsChannel, Topics
from core.service.worker_liveness import LockFiles, WorkerLiveness
from core.settings import Settings

_INSTALL = "Install what several machines need: pip install -r requirements-cluster.txt"


@dataclass(frozen=True)
class ServiceState:
    """files: None where the folders of one machine, or mounted ones, are all. rates: None where each process counts for itself. close: of
    what is not closed with the store and the topics.
    """

    store: JobStore
    liveness: WorkerLiveness
    files: ObjectStore | None
    topics: Topics
    rates: SharedRates | None
    close: Callable[[], None]


def open_state(settings: Settings, machine: str, folder: Callable[[], Path], outputs: Path) -> ServiceState:
    """machine: what the processes of one machine have in common. folder: gives the private folder of jobs. outputs: that of videos.

    Raises OptionError where a package is missing, EngineUnavailable where the database of jobs or the store of files cannot be used.
    """
    files = _files(settings)
    store, liveness = _jobs(settings, folder, outputs)
    if settings.redis_url is None:
        return ServiceState(store, liveness, files, Topics(Datagrams(machine)), None, lambda: None)
    try:
        from core.service.shared.redis_news import RedisNews
        from core.service.shared.redis_rates import RedisRates
    except ImportError as error:
        raise OptionError(f"TALKING_HEAD_REDIS_URL is set, and there is no {error.name}.", _INSTALL) from error
    url = settings.redis_url.get_secret_value()
    news: NewsChannel = RedisNews(url)
    rates = RedisRates(url)
    return ServiceState(store, liveness, files, Topics(news), rates, rates.close)


def _files(settings: Settings) -> ObjectStore | None:
    if not settings.s3_bucket:
        return None
    try:
        from core.service.shared.s3_files import S3Files
    except ImportError as error:
        raise OptionError(f"TALKING_HEAD_S3_BUCKET is set, and there is no {error.name}.", _INSTALL) from error
    return S3Files(settings.s3_bucket, settings.s3_endpoint)


def _jobs(settings: Settings, folder: Callable[[], Path], outputs: Path) -> tuple[JobStore, WorkerLiveness]:
    if settings.jobs_database is None:
        return SqliteJobStore(folder), LockFiles(folder)
    try:
        from core.service.shared.heartbeats import Heartbeats
        from core.service.shared.postgres import Postgres
        from core.service.shared.postgres_store import PostgresJobStore
    except ImportError as error:
        raise OptionError(f"TALKING_HEAD_JOBS_DATABASE is set, and there is no {error.name}.", _INSTALL) from error
    database = Postgres(settings.jobs_database.get_secret_value(), connections=4 + settings.max_jobs)
    return PostgresJobStore(database, outputs), Heartbeats(database)
