"""nginx and Caddy as docs/deployment.md sets them up, started on loopback before a server, with a certificate of their own."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.serving import wait_for

NAME = "talk.example.org"
SERVER = "127.0.0.1:8000"
"""Where the proxies of the guide look for the server."""


@dataclass
class Proxy:
    """A running proxy. root: what stands before every path. authority: PEM of who signed its certificate."""

    port: int
    root: str
    authority: Path

    @property
    def host(self) -> str:
        return f"{NAME}:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.root}/"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


def from_guide(mark: str) -> str:
    """The configuration after `<!-- tried: mark -->` in docs/deployment.md."""
    text = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    found = re.search(rf"<!-- tried: {re.escape(mark)} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found, f"docs/deployment.md has no configuration marked {mark!r}"
    return found[1]


@contextmanager
def nginx(mark: str, server: str, folder: Path) -> Iterator[Proxy]:
    """server: address and port."""
    port = free_port()
    certificate, key = _certificate(folder)
    configuration = _changed(from_guide(mark), {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", SERVER: server,
        f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(certificate), f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(key),
    })  # fmt: skip
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{configuration}}}\n"
    )
    with _process(["nginx", "-e", "stderr", "-c", str(main)], port, folder / "nginx.log"):
        yield Proxy(port, _root(mark), certificate)


@contextmanager
def caddy(mark: str, server: str, folder: Path) -> Iterator[Proxy]:
    """server: address and port."""
    port, plain_port = free_port(), free_port()
    here = f"admin off\nskip_install_trust\nlocal_certs\nhttps_port {port}\nhttp_port {plain_port}\nstorage file_system {folder}/store\n"
    main = folder / "Caddyfile"
    main.write_text(f"{{\n{here}default_bind 127.0.0.1\n}}\n{_changed(from_guide(mark), {SERVER: server})}")
    authority = folder / "store" / "pki" / "authorities" / "local" / "root.crt"
    with _process(["caddy", "run", "--config", str(main), "--adapter", "caddyfile"], port, folder / "caddy.log", HOME=str(folder)):
        wait_for(lambda: any(folder.glob(f"store/certificates/*/{NAME}/{NAME}.crt")))
        yield Proxy(port, _root(mark), authority)


def _root(mark: str) -> str:
    return "/talk" if mark.endswith("below a path") else ""


def _changed(configuration: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in configuration, f"the guide's configuration has no {old!r}"
        configuration = configuration.replace(old, new)
    return configuration


@contextmanager
def _process(command: list[str], port: int, log: Path, **environment: str) -> Iterator[None]:
    path = f"{Path(shutil.which(command[0]) or command[0]).parent}:/usr/sbin:/usr/bin:/bin"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env={"PATH": path, **environment})
    try:
        wait_for(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Self-signed, for NAME."""
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
