"""A PostgreSQL, a Redis and an S3 server, and a live session elsewhere, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from tests.support.databases import PostgresServer, RedisServer
from tests.support.s3 import CREDENTIALS, S3Server
from tests.support.session_elsewhere import VOICE, Here


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    """Without tables of an earlier test."""
    import psycopg

    with psycopg.connect(postgres_server.url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS talking_head_1 CASCADE")
    return postgres_server


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """With an empty bucket, and its credentials in the environment."""
    s3_server.reset()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """A live session that lies in another process."""
    monkeypatch.setattr(Speaker, "voices", lambda self: (VOICE,))
    here = Here(Settings())
    yield here
    here.server.close()
