"""The object store that several machines share: a bucket of any service with the protocol of S3."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from core.errors import BusyError, EngineUnavailable
from core.optimization.shared_folder import StoredFile
from core.service.shared.pace import Pace

logger = logging.getLogger(__name__)

T = TypeVar("T")
STARTED_S = 15.0
"""How long a process that starts waits for the store."""
ANSWER_S, CONNECTED_S, AGAIN_S = 4.0, 2.0, 1.0
"""Of a small call: longest answer, longest connecting, and until when after its beginning it is tried again."""
SMALL_BYTES = 64 * 2**10
"""Of a file that is a small call, too."""
PART_BYTES, PART_S, PART_AGAIN_S = 8 * 2**20, 30.0, 5.0
"""Larger files go in parts of so many bytes, two at a time; how long one may take, and until when it is tried again."""
SLOWER = (1, 2, 4, 8)
"""Times PART_S, one after the other where parts take longer while small calls are answered: the way is slow, and the store is there. It
goes back as soon as parts are through in time again (pace.py)."""
SLOW_PUT_BYTES, SLOW_GET_BYTES = 5 * 2**20, 2**20
"""Parts where the way is slow, one at a time. S3 takes none smaller."""
TRIED_S = 1.0
LATELY_S = 2.0
_PROBE, _CLOCK = "probe", "clock"
_REFUSED = re.compile(r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|ExpiredToken|403 Forbidden|401 Unauthorized", re.ASCII)


class S3Files:
    """`ObjectStore`. bucket: s3://BUCKET[/PREFIX]. endpoint: of a service that is not AWS; None for AWS. Credentials and region come from
    the standard variables of AWS or the machine's role. Raises EngineUnavailable where it cannot be used.
    """

    def __init__(self, bucket: str, endpoint: str | None) -> None:
        name, _, prefix = bucket.removeprefix("s3://").strip("/").partition("/")
        self._problem = ""
        self._answered_s = float("-inf")
        self._pace = Pace([PART_S * slower for slower in SLOWER], [2 * PART_BYTES, *[SLOW_PUT_BYTES] * (len(SLOWER) - 1)])

        def opened(answer_s: float, again_s: float, retries: int) -> S3Store:
            return S3Store(
                name,
                prefix=prefix or None,
                config={} if endpoint is None else {"aws_endpoint_url_s3": endpoint},
                client_options={
                    "timeout": timedelta(seconds=answer_s), "connect_timeout": timedelta(seconds=min(answer_s, CONNECTED_S)),
                    "allow_http": endpoint is not None and endpoint.startswith("http://"),
                },
                retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=again_s)},
            )  # fmt: skip

        try:
            self._small = opened(ANSWER_S, AGAIN_S, 3)
            self._large = [opened(PART_S * slower, PART_AGAIN_S, 3) for slower in SLOWER]
            self._trial = opened(TRIED_S, 0.0, 0)
        except (BaseError, ValueError) as error:
            raise _unusable(f"{name}: {_first_line(error)}") from error
        self._start(name)

    @property
    def problem(self) -> str:
        if not self._lately():
            try:
                obstore.head(self._trial, _PROBE)
            except FileNotFoundError:
                self._well()
            except BaseError as error:
                self._say(error)
            else:
                self._well()
        return self._problem

    def put(self, key: str, content: Path | bytes) -> None:
        if isinstance(content, bytes):
            self._done(lambda: obstore.put(self._small, key, content))
        elif content.stat().st_size < SMALL_BYTES:
            data = content.read_bytes()
            self._done(lambda: obstore.put(self._small, key, data))
        else:
            self._check()

            def sent(large: S3Store, slow: bool) -> int:
                obstore.put(large, key, content, chunk_size=SLOW_PUT_BYTES if slow else PART_BYTES, max_concurrency=1 if slow else 2)
                return content.stat().st_size

            self._in_time(sent, lambda nbytes: nbytes)

    def get(self, key: str, max_bytes: int) -> Iterator[bytes] | None:
        try:
            about = self._done(lambda: obstore.head(self._small, key))
        except FileNotFoundError:
            return None
        if about["size"] > max_bytes:
            raise EngineUnavailable(
                f"A file in the shared store has {about['size']} bytes, and this server takes {max_bytes} at most.",
                "Set TALKING_HEAD_MAX_AUDIO_BYTES and TALKING_HEAD_MAX_VIDEO_BYTES alike on all servers.",
                code="shared_file_large", parameters={"nbytes": about["size"], "most": max_bytes},
            )  # fmt: skip
        return self._pieces(key, about["size"], about["e_tag"])

    def now_s(self) -> float:
        """When an object that is written now is said to be written."""
        self._done(lambda: obstore.put(self._small, _CLOCK, b""))
        try:
            return float(self._done(lambda: obstore.head(self._small, _CLOCK))["last_modified"].timestamp())
        except FileNotFoundError as error:
            raise _away() from error  # somebody empties the bucket

    def list(self, prefix: str) -> Iterator[StoredFile]:
        pages = obstore.list(self._small, prefix.rstrip("/"), chunk_size=1000)
        while page := self._done(lambda: next(pages, None)):
            for one in page:
                if one["path"].startswith(prefix):
                    name = one["path"].removeprefix(prefix)
                    yield StoredFile(name, one["size"], one["last_modified"].timestamp(), one["e_tag"] or "")

    def remove(self, keys: Collection[str]) -> None:
        if keys:
            self._done(lambda: obstore.delete(self._small, list(keys)))

    def _pieces(self, key: str, nbytes: int, version: str | None) -> Iterator[bytes]:
        start = 0

        def part(large: S3Store, slow: bool) -> bytes:
            end = min(nbytes, start + (SLOW_GET_BYTES if slow else PART_BYTES))
            return bytes(obstore.get(large, key, options={"range": (start, end), "if_match": version}).bytes())

        while start < nbytes:
            try:
                piece = self._in_time(part, len)
            except FileNotFoundError as error:
                raise _away() from error  # removed in this moment: who looks again is told
            yield piece
            start += len(piece)

    def _in_time(self, call: Callable[[S3Store, bool], T], nbytes: Callable[[T], int]) -> T:
        """`_done`, of many bytes. A part that is too slow is given longer, for as long as the store answers otherwise. nbytes: how many
        bytes were through.
        """
        while True:
            place = self._pace.place
            began_s = time.monotonic()
            try:
                done = self._done(lambda: call(self._large[place], place > 0))  # noqa: B023 - called here
            except BusyError as error:
                if "TimedOut" not in str(error.__cause__) or self.problem or not self._pace.too_slow(place):
                    raise
                logger.warning("the way to the shared store of files is slow; parts of files may take %d s", PART_S * SLOWER[place + 1])
                continue
            if self._pace.answered(place, nbytes(done), time.monotonic() - began_s):
                logger.warning("the way to the shared store of files is quicker; parts of files may take %d s", PART_S * SLOWER[place - 1])
            return done

    def _check(self) -> None:
        """Before a large file is sent: a store that is away is noticed soon."""
        if not self._lately():
            try:
                self._done(lambda: obstore.head(self._small, _PROBE))
            except FileNotFoundError:
                pass

    def _lately(self) -> bool:
        return time.monotonic() - self._answered_s < LATELY_S

    def _done(self, call: Callable[[], T]) -> T:
        """Raises FileNotFoundError where there is no such object, BusyError for all that is the store's fault."""
        try:
            done = call()
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                self._say(error)
                raise _away() from error
            self._well()
            raise
        except PreconditionError as error:
            raise _away() from error  # it was written anew meanwhile
        except BaseError as error:
            self._say(error)
            raise _away() from error
        self._well()
        return done

    def _well(self) -> None:
        self._answered_s = time.monotonic()
        if self._problem:
            logger.warning("the shared store of files answers again")
            self._problem = ""

    def _say(self, error: Exception) -> None:
        self._answered_s = float("-inf")
        if not self._problem:
            logger.warning("the shared store of files does not answer (%s)", _first_line(error))
        self._problem = "The shared store of files does not answer."

    def _start(self, bucket: str) -> None:
        """Writes and removes an object, so that what is wrong is said at once."""
        deadline = time.monotonic() + STARTED_S
        while True:
            try:
                obstore.put(self._small, _PROBE, b"")
                obstore.list(self._small, chunk_size=1).__next__()
                obstore.delete(self._small, [_PROBE])
                self._well()
                return
            except FileNotFoundError as error:
                raise _unusable(f"there is no bucket {bucket}") from error
            except (PermissionDeniedError, UnauthenticatedError) as error:
                raise _unusable(f"the credentials are refused for the bucket {bucket}") from error
            except BaseError as error:
                if _REFUSED.search(str(error)):
                    raise _unusable(f"the credentials are refused for the bucket {bucket}") from error
                if time.monotonic() > deadline:
                    raise _unusable(f"it cannot be reached: {_first_line(error)}") from error
                time.sleep(AGAIN_S)


def _unusable(why: str) -> EngineUnavailable:
    hint = "Check TALKING_HEAD_S3_BUCKET, TALKING_HEAD_S3_ENDPOINT, the AWS_… variables and the bucket's policy."
    return EngineUnavailable(f"The shared store of files cannot be used ({why}).", hint)


def _away() -> BusyError:
    return BusyError("The shared store of files does not answer.", "Try again in a minute.", code="files_away")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
