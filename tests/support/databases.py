"""Real PostgreSQL and Redis servers on loopback, for tests of what several machines share."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.serving import wait_for


def found(name: str, *folders: str) -> str:
    """The path of a server's program; skips the test, and says why, where it is not installed."""
    path = shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"]]))
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: sudo apt-get install postgresql redis-server)")
    return path


class PostgresServer:
    """In a folder of its own. Started as the user postgres where the tests run as root, who may not start it."""

    def __init__(self, folder: Path) -> None:
        versions = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))
        self._initdb, self._program = found("initdb", *versions), found("postgres", *versions)
        self._folder = folder / "postgres"
        self._folder.mkdir()
        self._user: dict[str, int] = {}
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            self._user = {"user": account.pw_uid, "group": account.pw_gid}
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            for parent in self._folder.parents:  # pytest's folders are for their owner alone
                if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run([self._initdb, "-D", str(self._folder), "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"])
        self.port = free_port()
        self.url = f"postgresql://tests@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._user)  # type: ignore[call-overload]

    def start(self) -> None:
        told = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}", "fsync=off")
        options = ["-p", str(self.port), *(word for one in told for word in ("-c", one))]
        log = (self._folder.parent / "postgres.log").open("ab")
        command = [self._program, "-D", str(self._folder), *options]
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._user)  # type: ignore[call-overload]
        log.close()
        ready = [str(Path(self._program).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_for(lambda: subprocess.run(ready, check=False).returncode == 0)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once, with an end of its connections; SIGQUIT: as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self._program, self._folder = found("redis-server"), folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        import redis

        def answers() -> bool:
            try:
                with redis.Redis(port=self.port) as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_for(answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None
