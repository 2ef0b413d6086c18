"""Multipart forms from strangers: every part has a name we know, a size we allow, and content of the right kind.

    async with read_form(request, GENERATE_PARTS, folder, settings) as form:
        form.files["audio"], form.fields.get("options", "")

Files go to a private folder as they arrive and are gone when the block ends; what a client calls its files is never looked at. Total
size and time are the guard's business (guard.py).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.media.sniff import HEAD_BYTES, Content, identify
from core.settings import Settings
from core.web.api.errors import Malformed, TooLarge, WrongKind

MAX_FIELD_BYTES = 64 * 1024

Part = Literal["sound", "person", "text"]
_SAY = {"sound": "a recording (WAV, MP3, M4A, FLAC, Ogg or WebM)", "person": "a photo (PNG, JPEG, WebP or BMP), or a video for Ditto"}


@dataclass
class Form:
    """files: part → where it lies, until the end of the block. fields: part → text."""

    files: dict[str, Path] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def read_form(request: Request, parts: Mapping[str, Part], root: Path, settings: Settings) -> AsyncIterator[Form]:
    """Raises Malformed, WrongKind and TooLarge as soon as it is known, and ClientDisconnect where the client goes.

    parts: what may come, each once. root: a private folder; the files get a folder of their own in it.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise WrongKind("The body is not multipart/form-data.", f"Send the parts {', '.join(parts)} as a form.")
    folder = Path(tempfile.mkdtemp(prefix="upload-", dir=root))
    reader = _Reader(parts, folder, settings)
    try:
        try:
            parser = MultipartParser(options[b"boundary"], reader.callbacks())  # type: ignore[arg-type]  # a TypedDict of the same
            async for chunk in request.stream():
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            raise Malformed(f"The form cannot be read ({error}).", "Is it complete, and its boundary the one in Content-Type?") from None
        if not reader.ended:
            raise Malformed("The form breaks off.", "Send it whole, with its closing boundary.")
        yield reader.form()
    finally:
        reader.close()
        shutil.rmtree(folder, ignore_errors=True)


class _Reader:
    """Takes what the parser finds, in order: headers, then data, of one part after the other."""

    def __init__(self, parts: Mapping[str, Part], folder: Path, settings: Settings) -> None:
        self._parts, self._folder, self._settings = parts, folder, settings
        self._header = bytearray()
        self._value = bytearray()
        self._name = ""
        self._kind: Part = "text"
        self._head = bytearray()
        self._size = self._limit = 0
        self._judged = False
        self._file: BinaryIO | None = None
        self._files: dict[str, Path] = {}
        self._texts: dict[str, bytearray] = {}
        self.ended = False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._take,
            "on_part_end": self._finish,
            "on_end": self._end,
        }

    def form(self) -> Form:
        try:
            return Form(self._files, {name: text.decode() for name, text in self._texts.items()})
        except UnicodeDecodeError:
            raise Malformed("A field of the form is not UTF-8.", "Send text as UTF-8.") from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._name = ""

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            self._name = options.get(b"name", b"").decode("latin-1")
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        if self._name not in self._parts:
            raise Malformed(f"There is no part {self._name[:40]!r}.", f"There are: {', '.join(self._parts)}.")
        if self._name in self._files or self._name in self._texts:
            raise Malformed(f"{self._name} is given twice.", "Give it once.")
        self._kind = self._parts[self._name]
        self._size, self._limit, self._judged = 0, MAX_FIELD_BYTES, self._kind == "text"
        self._head.clear()
        if self._kind == "text":
            self._texts[self._name] = bytearray()
        else:
            self._files[self._name] = self._folder / self._name
            self._file = self._files[self._name].open("xb")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if not self._judged:
            self._head.extend(data[start:end][: HEAD_BYTES - len(self._head)])
            if len(self._head) >= HEAD_BYTES:
                self._judge()
        self._size += end - start
        if self._judged and self._size > self._limit:
            limit = f"{self._limit / 2**20:.4g} MiB" if self._limit >= 2**20 else f"{self._limit} bytes"
            raise TooLarge(f"{self._name} has more than {limit}.", "Send less.")
        if self._file is None:
            self._texts[self._name].extend(data[start:end])
        else:
            self._file.write(data[start:end])

    def _finish(self) -> None:
        if not self._judged and self._size:
            self._judge()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self.ended = True

    def _judge(self) -> None:
        """The kind is told from the first bytes, long before the last have come."""
        self._judged = True
        content = identify(bytes(self._head))
        limits = self._limits(content)
        if not content.decoder or limits is None:
            raise WrongKind(f"{self._name} is {content.name}.", f"Send {_SAY[self._kind]}.")
        self._limit = limits

    def _limits(self, content: Content) -> int | None:
        if self._kind == "sound":
            return self._settings.max_audio_bytes if content.kind == "sound" else None
        if content.kind == "image":
            return self._settings.max_image_bytes
        return self._settings.max_video_bytes if content.decoder in ("mov", "matroska") else None


