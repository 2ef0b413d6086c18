"""Downloads files from the Hugging Face Hub through huggingface_hub's own session, and resumes them.

The transfer is driven here rather than by `hf_hub_download`, which throws away what has arrived when a call ends early and hands out
10 MB at a time: on a slow line a file of 1.5 GB would start over after every interruption, and nothing would move for seconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar
from urllib.parse import urlsplit

from manager.catalogue import CatalogueFile
from manager.errors import CorruptFileError, DiskFullError, DownloadError, HubError
from manager.folder import FOLDER_VARIABLE, check_cancelled

if TYPE_CHECKING:
    import httpx2

RETRY_WAITS_S = (1.0, 2.0, 4.0, 8.0)
"""Waits before another attempt after a failure that may pass; used up by failures in a row without a new byte."""
MAX_RETRY_AFTER_S = 60.0
CANCEL_POLL_S = 0.2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Result = TypeVar("Result")


@dataclass(frozen=True)
class RemoteFile:
    """Size and digest of a file, as the Hub announces them. algorithm: "sha256", "git", or "" where it gave no digest we know."""

    size_bytes: int
    algorithm: str
    digest: str


class _Passing(Exception):
    """A failure that may pass: worth another attempt."""

    def __init__(self, error: DownloadError, retry_after_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network, by the environment of now or that of the client's import."""
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}:
        return True
    return bool(_client().is_offline_mode())


def cached_file(repo: str, path: str, revision: str) -> Path | None:
    """The file in the Hub's own cache (a Space preloads it there), if it is."""
    found = _client().try_to_load_from_cache(repo, path, revision=revision)
    return Path(found) if isinstance(found, str) else None


def cached_digest(path: Path) -> str | None:
    """SHA-256 that the Hub's cache has filed `path` under, where it did."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


class Hub:
    """One repository at one revision."""

    def __init__(self, repo: str, revision: str, endpoint: str | None = None, waits_s: tuple[float, ...] = RETRY_WAITS_S) -> None:
        self.repo = repo
        self.revision = revision
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or _client().constants.ENDPOINT).rstrip("/")
        self.waits_s = waits_s

    @property
    def host(self) -> str:
        """The endpoint as it may be shown: without a password."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def describe(self, path: str, cancel: threading.Event | None = None) -> RemoteFile:
        """Size and digest of a file. Raises HubError."""

        def ask() -> RemoteFile:
            hint = "Check HF_ENDPOINT and any proxy."
            timeout_s = self._timeout_s("HF_HUB_ETAG_TIMEOUT")
            with self._errors(path):
                found = _client().get_hf_file_metadata(self._url(path), endpoint=self.endpoint, timeout=timeout_s)
            if found.commit_hash is None or found.size is None:
                raise HubError(f"{self.host} does not answer like a Hub (no commit or size for {path}).", hint)
            if found.commit_hash != self.revision:
                raise HubError(f"{self.host} offers {path} of commit {found.commit_hash[:12]}, not {self.revision[:12]}.", hint)
            etag = (found.etag or "").lower()
            algorithm = {64: "sha256", 40: "git"}.get(len(etag), "") if re.fullmatch("[0-9a-f]+", etag) else ""
            return RemoteFile(found.size, algorithm, etag if algorithm else "")

        return self._patiently(ask, cancel)

    def fetch(self, path: str, size: int, partial: Path, arrived: Callable[[int], None], cancel: threading.Event | None = None) -> None:
        """Completes `partial` to `size` bytes, from where it ends. `arrived` is told of every change of its length.

        Raises HubError, DiskFullError, CorruptFileError (too long), Cancelled; but for the last but one, what has arrived stays.
        Cancelling takes effect at once, also while the line is silent; while a connection is made, after its timeout (10 s).
        """
        partial.parent.mkdir(parents=True, exist_ok=True)

        def attempt() -> None:
            before = partial.stat().st_size if partial.exists() else 0
            if before > size:
                partial.unlink()
                arrived(-min(before, size))
            with self._room(partial), _append(partial) as stream:
                if stream.tell() < size:
                    self._transfer(path, size, stream, arrived, cancel)

        self._patiently(attempt, cancel, progress=lambda: partial.stat().st_size if partial.exists() else 0)

    def _transfer(
        self, path: str, size: int, stream: BinaryIO, arrived: Callable[[int], None], cancel: threading.Event | None
    ) -> None:
        client = _client().utils
        have = stream.tell()
        headers = {**client.build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        timeout_s = self._timeout_s("HF_HUB_DOWNLOAD_TIMEOUT")
        with (
            self._errors(path),
            contextlib.ExitStack() as watch,
            client.http_stream_backoff(
                "GET", self._url(path), headers=headers, timeout=timeout_s, retry_on_exceptions=(), retry_on_status_codes=()
            ) as response,
        ):
            client.hf_raise_for_status(response)
            if have and response.status_code != 206:  # the server ignores ranges
                stream.seek(0)
                stream.truncate()
                arrived(-have)
                have = 0
            elif have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise HubError(f"{self.host} answers with another part of {path} than asked for.", "Check HF_ENDPOINT and any proxy.")
            watch.enter_context(_cut_when_cancelled(response, cancel))
            for chunk in response.iter_bytes():  # as it arrives, so that a broken line loses nothing
                check_cancelled(cancel)
                stream.write(chunk)
                have += len(chunk)
                arrived(len(chunk))
                if have > size:
                    raise CorruptFileError(f"{path} is longer than the {size} bytes it should have.")
        if have < size:
            raise _Passing(HubError(f"{self.host} ended {path} after {have} of {size} bytes.", "Try again: what has arrived is kept."))

    def _url(self, path: str) -> str:
        url: str = _client().hf_hub_url(self.repo, path, revision=self.revision, endpoint=self.endpoint)
        return url

    @staticmethod
    def _timeout_s(name: str) -> float:
        return float(getattr(_client().constants, name))

    def _patiently(
        self, call: Callable[[], Result], cancel: threading.Event | None, progress: Callable[[], int] = lambda: 0
    ) -> Result:
        """Repeats `call` while its failures may pass; failures count from zero again when `progress` has grown."""
        failures = 0
        while True:
            check_cancelled(cancel)
            before = progress()
            try:
                return call()
            except _Passing as passing:
                failures = 1 if progress() > before else failures + 1
                if failures > len(self.waits_s):
                    raise passing.error from passing
                wait_s = max(self.waits_s[failures - 1], min(passing.retry_after_s, MAX_RETRY_AFTER_S))
            (cancel or threading.Event()).wait(wait_s)

    @contextlib.contextmanager
    def _room(self, partial: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                partial.unlink(missing_ok=True)  # or the disk would stay full
                raise DiskFullError(
                    f"The disk of {partial.parent.parent} is full.", f"Free some, or set {FOLDER_VARIABLE} to a folder on another disk."
                ) from error
            raise DownloadError(f"{partial} cannot be written: {error.strerror or error}.", f"Check {FOLDER_VARIABLE}.") from error

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Turns what the client raises into one line of ours, or into _Passing."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            yield
        except OfflineModeIsEnabled as error:
            raise HubError(f"{path} is not here, and HF_HUB_OFFLINE forbids fetching it.", "Unset HF_HUB_OFFLINE once.") from error
        except HfHubHTTPError as error:
            self._refused(path, error.response, error)
        except (httpx2.ProxyError, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise HubError(f"{self.host} cannot be asked: {_one_line(error)}.", "Check HF_ENDPOINT, HTTPS_PROXY and NO_PROXY.") from error
        except httpx2.TransportError as error:
            what = "does not answer" if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)) else "broke off"
            hint = "Check the network, HF_ENDPOINT and proxies; what has arrived is kept."
            raise _Passing(HubError(f"{self.host} {what} ({_one_line(error)}).", hint)) from error
        except httpx2.HTTPError as error:
            raise HubError(f"{self.host} cannot be asked for {path}: {_one_line(error)}.", "Check HF_ENDPOINT.") from error

    def _refused(self, path: str, response: httpx2.Response, cause: Exception) -> NoReturn:
        status, code = response.status_code, response.headers.get("X-Error-Code", "")
        where = f"{self.repo} at {self.host}"
        if status == 401:
            text, hint = f"{where} wants a valid token, or does not exist (401).", "Set HF_TOKEN to a token that may read it."
        elif status == 403:
            text = f"The token given may not read {where} (403{', its terms are not accepted' if code == 'GatedRepo' else ''})."
            hint = "Accept the repository's terms on its page, or set HF_TOKEN to a token that may read it."
        elif status == 404 and code == "RepoNotFound":
            text, hint = f"There is no repository {where} (404).", "Check HF_ENDPOINT; a private repository wants HF_TOKEN."
        elif status == 404 and code == "RevisionNotFound":
            text, hint = f"{where} has no revision {self.revision[:12]} (404).", "Check HF_ENDPOINT: a mirror may be incomplete."
        elif status == 404:
            text, hint = f"{where} has no file {path} (404).", "Check HF_ENDPOINT: a mirror may be incomplete."
        elif status == 429:
            text, hint = f"{self.host} receives too many requests from here (429).", "Wait some minutes, or set HF_TOKEN."
        elif status >= 500 or status == 408:
            text, hint = f"{self.host} has trouble of its own ({status}).", "Try again later: what has arrived is kept."
        else:
            text, hint = f"{self.host} refuses {path} ({status}).", "Check HF_ENDPOINT and any proxy."
        error = HubError(text, hint)
        if status in (408, 429) or status >= 500:
            after = response.headers.get("Retry-After", "")
            raise _Passing(error, float(after) if after.isdecimal() else 0.0) from cause
        raise error from cause


def check_announced(file: CatalogueFile, remote: RemoteFile, host: str) -> None:
    """Raises CorruptFileError where the Hub announces another file than the published one."""
    size_differs = file.size_bytes is not None and remote.size_bytes != file.size_bytes
    digest_differs = file.sha256 is not None and remote.algorithm == "sha256" and remote.digest != file.sha256
    if size_differs or digest_differs:
        what = f"{remote.size_bytes} bytes, {file.size_bytes} were published" if size_differs else "another SHA-256 than was published"
        raise CorruptFileError(f"{host} offers another {file.path} ({what}).", "Check HF_ENDPOINT.")


@contextlib.contextmanager
def _cut_when_cancelled(response: httpx2.Response, cancel: threading.Event | None) -> Iterator[None]:
    """Shuts the connection down when `cancel` is set, so that nobody waits for data on a silent line."""
    if cancel is None:
        yield
        return
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(CANCEL_POLL_S):
            if cancel.is_set():
                line = response.extensions["network_stream"].get_extra_info("socket")
                with contextlib.suppress(OSError, AttributeError):
                    line.shutdown(socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, name="download-cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def _append(path: Path) -> BinaryIO:
    """Opened for writing at its end; never through a symbolic link."""
    stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
    stream.seek(0, os.SEEK_END)
    return stream


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _client() -> Any:
    """huggingface_hub, imported late: it takes half a second, and whoever has all files must not need it."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError as error:
        raise DownloadError("The package huggingface_hub is missing.", "pip install -r requirements.txt") from error
    return huggingface_hub
