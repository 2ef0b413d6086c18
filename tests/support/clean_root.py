"""Carries out a Dockerfile's steps in root file systems made by debootstrap, and runs what comes out as a container runs: as its user, on a
read-only root, without capabilities, in namespaces of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.dockerfile import Copy, Environment, NotUnderstood, Run, Stage, User, WorkDir, chain
from tests.support.paths import ROOT

MIRROR = "http://deb.debian.org/debian"
STEP_S = 400.0
MEMORY_BYTES = 4 * 2**30
PIP_CACHE = "/root/.cache/pip"
AUTHORITIES = ssl.get_default_verify_paths().cafile
NETWORK_FILES = {"/etc/resolv.conf": "/etc/resolv.conf", **({"/etc/outside.crt": AUTHORITIES} if AUTHORITIES else {})}
"""What a step that uses the network needs of this machine: its name servers, and whom it trusts."""
_IMAGE = re.compile(r"debian:([a-z]+)-slim(@sha256:[0-9a-f]{64})?")
_LOOPBACK_UP = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1 | 64))  # SIOCSIFFLAGS: up, running
"""


def why_not() -> str:
    """Why no clean root can be made on this machine; "" where it can."""
    if os.geteuid() != 0:
        return "only root can make a clean root file system"
    for tool in ("debootstrap", "unshare", "chroot", "nsenter"):
        if shutil.which(tool) is None:
            return f"there is no {tool} on this machine"
    tried = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True)
    return "" if tried.returncode == 0 else "this machine does not let root make namespaces"


@dataclass
class State:
    """What a step finds set by those before it."""

    directory: str = "/"
    user: str = "0"
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})

    def take(self, step: Run | Copy | WorkDir | User | Environment) -> None:
        if isinstance(step, WorkDir):
            self.directory = step.path
        elif isinstance(step, User):
            self.user = step.user
        elif isinstance(step, Environment):
            self.environment.update(step.values)


@contextmanager
def memory_disk(folder: Path) -> Iterator[Path]:
    """`folder` in memory where there is enough: packages are unpacked with a write to the disk for each file."""
    available = int(re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024  # type: ignore[index]
    if available < 2 * MEMORY_BYTES:
        yield folder
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEMORY_BYTES},mode=755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Builder:
    """Makes `target` and the stages that it needs in folders below `folder`."""

    def __init__(self, stages: dict[str, Stage], target: str, folder: Path) -> None:
        self._stages, self._folder = stages, folder
        self._made: dict[str, Path] = {}
        self._uses = Counter(_used(stages, target))

    def make(self, name: str) -> Path:
        """The root of a stage."""
        if name in self._made:
            return self._made[name]
        root = self._folder / name
        stage = self._stages[name]
        if stage.base in self._stages and self._uses[stage.base] == 1:
            root = self.make(stage.base)  # nobody else needs it as it is
        elif stage.base in self._stages:
            subprocess.run(["cp", "-a", str(self.make(stage.base)), str(root)], check=True, timeout=STEP_S)
        else:
            self._bootstrap(stage.base, root)
        self._made[name] = root
        state = self.state(stage.base)
        for step in stage.steps:
            state.take(step)
            if isinstance(step, WorkDir):
                (root / step.path[1:]).mkdir(parents=True, exist_ok=True)
            elif isinstance(step, Copy):
                self._copy(step, root, state)
            elif isinstance(step, Run):
                self._run(step, root, state)
        return root

    def state(self, name: str) -> State:
        """What holds after the last step of a stage; of an image, what holds before the first."""
        state = State()
        for stage in chain(self._stages, name)[1]:
            for step in stage.steps:
                state.take(step)
        return state

    def _bootstrap(self, image: str, root: Path) -> None:
        found = _IMAGE.fullmatch(image)
        if found is None:
            raise NotUnderstood(f"FROM {image}")
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", found[1], str(root), MIRROR], capture_output=True, text=True, timeout=STEP_S
        )
        assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-1000:]

    def _copy(self, step: Copy, root: Path, state: State) -> None:
        target = root / os.path.join(state.directory, step.target).lstrip("/")
        for source in step.sources:
            if step.stage:
                subprocess.run(["cp", "-a", "-T", str(self.make(step.stage) / source.lstrip("/")), str(target)], check=True, timeout=STEP_S)
            elif in_context(source) and (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
            elif in_context(source):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, target / Path(source).name)
            else:
                raise NotUnderstood(f"COPY {source}: .dockerignore keeps it out")

    def _run(self, step: Run, root: Path, state: State) -> None:
        if state.user != "0":
            raise NotUnderstood(f"RUN as user {state.user}")
        binds = dict(NETWORK_FILES)
        if PIP_CACHE in step.caches:
            binds[PIP_CACHE] = _said_by_pip("cache", "dir")
            Path(binds[PIP_CACHE]).mkdir(parents=True, exist_ok=True)
        script = 'set -e; mount -t proc proc "$1/proc"; '
        for inside, outside in binds.items():
            place = root / inside[1:]
            if Path(outside).is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.touch()
            script += f"mount --bind {shlex.quote(outside)} {shlex.quote(str(place))}; "
        script += 'root="$1"; shift; exec chroot "$root" env -i "$@"'
        environment = {**_outside(), **state.environment}
        command = [*(f"{name}={value}" for name, value in environment.items()), "/bin/sh", "-c", f"cd '{state.directory}'; {step.command}"]
        made = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", str(root), *command],
            capture_output=True, text=True, timeout=STEP_S,
        )  # fmt: skip
        assert made.returncode == 0, f"RUN {step.command}\n{made.stdout[-3000:]}\n{made.stderr[-3000:]}"


def _outside() -> dict[str, str]:
    """How this machine reaches its package indexes: its proxies, and the indexes of its pip that are on the network."""
    said = {key: value for key, value in os.environ.items() if key.lower() in ("http_proxy", "https_proxy", "no_proxy")}
    for line in _said_by_pip("config", "list").splitlines():
        found = re.fullmatch(r"(?:global|install|:env:)\.(index-url|extra-index-url|trusted-host|timeout)='(.*)'", line)
        if found and not found[2].startswith("file:"):
            said[f"PIP_{found[1].upper().replace('-', '_')}"] = found[2]
    return {**said, "PIP_CERT": "/etc/outside.crt"} if "/etc/outside.crt" in NETWORK_FILES else said


def _said_by_pip(*arguments: str) -> str:
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _used(stages: dict[str, Stage], target: str) -> Iterator[str]:
    """Every stage that something on the way to `target` is made from or copies from, once for each time."""
    for stage in chain(stages, target)[1]:
        yield stage.base
    for step in (step for stage in chain(stages, target)[1] for step in stage.steps):
        if isinstance(step, Copy) and step.stage:
            yield step.stage
            yield from _used(stages, step.stage)


def in_context(source: str) -> bool:
    """Whether .dockerignore, which names what goes to the builder and nothing else, lets it through."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "the first line keeps everything out"
    return f"!{source.removeprefix('./')}" in lines


class Container:
    """A started stage. root: its files. state: after its last step. volumes: their paths inside; each is a folder beside the root."""

    def __init__(self, root: Path, state: State, command: list[str], volumes: list[str], log: Path) -> None:
        self._root, self._state = root, state
        binds = ""
        for volume in volumes:
            # A named volume begins as what the image has at its path.
            binds += f'mount --bind "$1.volumes{volume}" "$1{volume}"; '
            kept = Path(f"{root}.volumes{volume}")
            kept.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "-T", f"{root}{volume}", str(kept)], check=True)
        script = (
            f'set -e; {sys.executable} -c "$2"; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; {binds}'
            'mount -t proc proc "$1/proc"; mount -t sysfs -o ro sysfs "$1/sys"; '
            'for place in tmp dev/shm; do mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$1/$place"; done; '
            'root="$1"; shift 2; exec chroot "$root" "$@"'
        )
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", str(root), _LOOPBACK_UP,
                 *self._as_user(command)],
                stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def run(self, command: list[str], timeout_s: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Carries out a command inside, as `docker exec` does."""
        entered = ["nsenter", "--target", str(self._inside()), "--mount", "--net", "--pid", "chroot", str(self._root)]
        return subprocess.run([*entered, *self._as_user(command)], capture_output=True, timeout=timeout_s)

    def stop(self, timeout_s: float) -> int:
        """SIGTERM to the first process, and its exit code."""
        os.kill(self._inside(), 15)
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        if not self.ended:
            os.kill(self._inside(), 9)  # the end of unshare alone does not end it: it has changed its user
            self._process.wait()

    def _inside(self) -> int:
        """The first process in its namespace: the only child of unshare."""
        return int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0])

    def _as_user(self, command: list[str]) -> list[str]:
        user, _, group = self._state.user.partition(":")
        dropped = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
        environment = [f"{name}={value}" for name, value in self._state.environment.items()]
        return ["env", "-i", "-C", self._state.directory, *environment, *dropped, *command]
