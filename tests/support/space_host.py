"""A host like one that runs a Space: the published files, not writable, another user, a home to write to and nothing else, its variables.

As root, and where mount namespaces may be made, the program runs as user 1000 and sees read-only temporary folders. Elsewhere it runs as
who runs the tests, with the same folders.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx

from tests.support.paths import ROOT

PORT = 7860
START_S = 60.0
UID = 1000
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NAME = "me-talk.hf.space"
FORWARDED = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


@cache
def isolates() -> bool:
    """Whether user and mounts can be those of another host."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0


@dataclass
class SpaceHost:
    """folder: everything; app: as published. Variables given to `start` come on top of those of a Space."""

    folder: Path
    app: Path
    home: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    storage: Path | None = None
    """What is shown at /data, persistent storage; only where `isolates`."""

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def client(self, visitor: str | None = None, **headers: str) -> httpx.Client:
        cookie = {"Cookie": f"talking_head_visitor={visitor}"} if visitor else {}
        return httpx.Client(base_url=self.url, headers={**FORWARDED, **cookie, **headers}, timeout=START_S, trust_env=False)

    def start(self, ready: bytes = b"is ready", program: tuple[str, ...] = ("app_optimized.py",), **environment: str) -> float:
        """Starts the program as the host would, waits until it is ready, and returns the seconds that its first page took."""
        variables = {
            "HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "SYSTEM": "spaces",
            "SPACE_ID": "me/talk", "SPACE_HOST": NAME, "SPACE_AUTHOR_NAME": "me", "SPACE_REPO_NAME": "talk", "SPACE_TITLE": "Talking Head",
            "CPU_CORES": "2", "MEMORY": "16Gi", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(self.port),  # noqa: S104
            "GRADIO_NUM_PORTS": "1", "GRADIO_THEME": "huggingface", "GRADIO_SSR_MODE": "True", "GRADIO_ALLOW_FLAGGING": "never",
            "HF_ENDPOINT": "http://127.0.0.1:9", "TALKING_HEAD_TRUSTED_PROXIES": "127.0.0.1", **environment,
        }  # fmt: skip
        command = [str(Path(sys.prefix) / "bin" / "python"), *program]
        began = time.monotonic()
        with self.log.open("wb") as log:
            command, variables = self._isolated(command, variables)
            process = subprocess.Popen(command, cwd=self.app, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.processes.append(process)
        while time.monotonic() < began + START_S and self.processes[-1].poll() is None:
            if ready in self.log.read_bytes():
                with self.client() as client:
                    assert client.get("").status_code == 200
                return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"the Space did not start:\n{self.log.read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.processes[-1].send_signal(number)
        return self.processes[-1].wait(30)

    def _isolated(self, command: list[str], variables: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        if not isolates():
            return command, variables
        steps = ["set -e"]
        base = Path(sys.base_prefix)
        blocked = next((folder for folder in reversed(base.parents) if not folder.stat().st_mode & 0o001), None)
        if blocked is not None:  # the interpreter lies in a folder of root's: shown at its place, and nothing else of that folder
            kept = shlex.quote(str(self.folder / "python"))
            steps += [f"mount --bind {shlex.quote(str(base))} {kept}", f"mount -t tmpfs -o mode=755 none {shlex.quote(str(blocked))}"]
            steps += [f"mkdir -p {shlex.quote(str(base))}", f"mount --bind {kept} {shlex.quote(str(base))}"]
        for covered in ("/tmp", "/var/tmp"):  # noqa: S108
            cover = [f"mount -t tmpfs -o mode=755 none {covered}"]
            if ROOT.is_relative_to(covered):  # the interpreter lies in the checkout: shown at its place
                kept, here = shlex.quote(str(self.folder / "checkout")), shlex.quote(str(ROOT))
                cover = [f"mount --bind {here} {kept}", *cover, f"mkdir -p {here}", f"mount --bind {kept} {here}"]
            steps += [*cover, f"mount -o remount,ro {covered}"]
        root = "/"
        if self.storage is not None:  # a root folder like this one's, with one folder more
            root = "/mnt"
            shown = 'if [ -L "$each" ]; then cp -d "$each" /mnt; elif [ -d "$each" ] && [ "$each" != /mnt ]; then ' \
                    'mkdir "/mnt$each" && mount --rbind "$each" "/mnt$each"; fi'  # fmt: skip
            steps += ["mount -t tmpfs -o mode=755 none /mnt", f"for each in /*; do {shown} || exit 1; done", "mkdir /mnt/data"]
            steps += [f"mount --bind {shlex.quote(str(self.storage))} /mnt/data"]
        variables, path = {**variables, "PATH": SYSTEM_PATH}, variables["PATH"]
        user = f"setpriv --reuid {UID} --regid {UID} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
        ending = f"exec chroot {root} {user} env -C {shlex.quote(str(self.app))} PATH={shlex.quote(path)} {shlex.join(command)}"
        unshare = str(shutil.which("unshare"))
        return [unshare, "-m", "--propagation", "private", "/bin/sh", "-c", " && ".join([*steps, ending])], variables


@contextlib.contextmanager
def space_host() -> Iterator[SpaceHost]:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from publish_space import make_plan
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    arguments = Namespace(space="me/talk", private=False, hardware=None, variable=[], secret=[], lite=False, preload=False, voices=False)
    folder = Path(tempfile.mkdtemp(prefix="space-", dir="/srv" if isolates() else None))
    host = SpaceHost(folder, folder / "app", folder / "home", _port())
    try:
        folder.chmod(0o755)
        for path, content in make_plan(arguments).files.items():
            (host.app / path).parent.mkdir(parents=True, exist_ok=True)
            (host.app / path).write_bytes(content)
        host.home.mkdir()
        for name in ("python", "checkout", "storage"):
            (folder / name).mkdir()
        for path in [host.app, *host.app.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        if isolates():
            for own in (host.home, folder / "storage"):
                os.chown(own, UID, UID)
        yield host
    finally:
        for process in host.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the processes of lent GPUs
            process.wait()
        for path in [host.app, *host.app.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(folder)


def _port() -> int:
    """7860 where it is free."""
    for port in (PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("0.0.0.0", port))  # noqa: S104 - as the host does
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")
