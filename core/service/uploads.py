"""Reads uploaded files: names, sizes and content are checked while they arrive, and what is refused is deleted at once.

    reader = FormReader(content_type, {"audio": "sound", "image": "person", "options": "text"}, folder, settings)
    for chunk in chunks: reader.write(chunk)
    form = reader.finish()

A file's kind is told from its first bytes, long before the last have come; what a client calls its kind is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.errors import disk_error
from core.media.formats import PHOTO_FORMATS, SOUND_FORMATS, VIDEO_FORMATS
from core.media.sniff import HEAD_BYTES, VIDEO_DEMUXERS, Content, identify
from core.service.errors import Malformed, TooLarge, WrongKind
from core.settings import Settings

MAX_FIELD_BYTES = 64 * 1024
MAX_CHAR_BYTES = 4
"""Of one character in UTF-8: the longest text that is spoken fits into a field."""
MAX_NAME = 80
"""Characters of a file's name, and three times as many bytes: file systems count those."""

Part = Literal["sound", "person", "picture", "media", "video", "text"]
"""media: sound or person."""
_SOUND = f"a recording ({SOUND_FORMATS})"
_PERSON = f"a photo ({PHOTO_FORMATS}), or a video ({VIDEO_FORMATS})"
_VIDEO = f"a video ({VIDEO_FORMATS})"
_SAY = {"sound": _SOUND, "person": _PERSON, "picture": f"a picture ({PHOTO_FORMATS})", "media": f"{_SOUND}, or {_PERSON}", "video": _VIDEO}
_HINT = "The folder for videos must be there, and writable."
_UNSAFE = re.compile(r"[^\w.() -]")


@dataclass(frozen=True)
class UploadedFile:
    """One file of a form. path: where it lies. client_name: what the client calls it, safe as a file's name; "" without one."""

    part: str
    path: Path
    client_name: str


@dataclass(frozen=True)
class UploadedForm:
    """files: in the order they came. fields: part → text."""

    files: tuple[UploadedFile, ...]
    fields: Mapping[str, str]


class ContentJudge:
    """One file while it arrives. name: what an error calls it. Raises WrongKind, TooLarge."""

    def __init__(self, name: str, kind: Part, settings: Settings) -> None:
        self._name, self._kind, self._settings = name, kind, settings
        self._head = bytearray()
        self._judged = kind == "text"
        self._limit = max(MAX_FIELD_BYTES, MAX_CHAR_BYTES * settings.max_text_chars)
        self.nbytes = 0

    def take(self, data: bytes) -> None:
        if not self._judged:
            self._head += data[: HEAD_BYTES - len(self._head)]
            if len(self._head) >= HEAD_BYTES:
                self._judge()
        self.nbytes += len(data)
        if self._judged and self.nbytes > self._limit:
            limit = f"{self._limit / 2**20:.4g} MiB" if self._limit >= 2**20 else f"{self._limit} bytes"
            raise TooLarge(
                f"{self._name} has more than {limit}.", "Send less.",
                code="upload_too_large", parameters={"name": self._name, "limit": limit},
            )  # fmt: skip

    def finish(self) -> None:
        """All has come: a file of fewer bytes than a judgement takes is judged now; an empty one is for the decoders to explain."""
        if not self._judged and self.nbytes:
            self._judge()

    def _judge(self) -> None:
        self._judged = True
        content = identify(bytes(self._head))
        limit = self._limit_of(content) if content.decoder else None
        if limit is None:
            raise WrongKind(
                f"{self._name} is {content.name}.", f"Send {_SAY[self._kind]}.",
                code="upload_wrong_kind", parameters={"name": self._name, "content": content.name},
            )  # fmt: skip
        self._limit = limit

    def _limit_of(self, content: Content) -> int | None:
        """Bytes; None for what is not taken here."""
        settings, kind = self._settings, self._kind
        limits = []
        if kind in ("sound", "media") and content.kind == "sound":
            limits.append(settings.max_audio_bytes)
        if kind in ("person", "picture", "media") and content.kind == "image" or kind == "picture" and content.kind == "animation":
            limits.append(settings.max_image_bytes)
        elif kind in ("person", "media", "video") and content.decoder in VIDEO_DEMUXERS:
            limits.append(settings.max_video_bytes)
        return max(limits, default=None)


class FormReader:
    """A multipart form as it arrives. Raises Malformed, WrongKind, TooLarge and DiskFull as soon as it is known.

    parts: what may come. folder: private, for the files; removing it is the caller's business. max_files: of one part.
    """

    def __init__(self, content_type: str, parts: Mapping[str, Part], folder: Path, settings: Settings, *, max_files: int = 1) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise WrongKind("The body is not multipart/form-data.", f"Send the parts {', '.join(parts)} as a form.", code="upload_no_form")
        self._parts, self._folder, self._settings, self._max_files = parts, folder, settings, max_files
        self._header, self._value = bytearray(), bytearray()
        self._name = self._client_name = ""
        self._judge: ContentJudge | None = None
        self._file: BinaryIO | None = None
        self._files: list[UploadedFile] = []
        self._texts: dict[str, bytearray] = {}
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]  # a TypedDict of the same
        except FormParserError as error:
            raise _malformed(error) from None

    @property
    def current_name(self) -> str:
        """Of the file that arrives now, as its client calls it; "" without one."""
        return self._client_name

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(error) from None
        except OSError as error:
            raise disk_error(error, "What was sent cannot be kept", _HINT) from error

    def finish(self) -> UploadedForm:
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise _malformed(error) from None
        if not self._ended:
            raise Malformed("The form breaks off.", "Send it whole, with its closing boundary.", code="upload_malformed")
        try:
            return UploadedForm(tuple(self._files), {name: text.decode() for name, text in self._texts.items()})
        except UnicodeDecodeError:
            raise Malformed("A field of the form is not UTF-8.", "Send text as UTF-8.", code="upload_malformed") from None

    def close(self) -> None:
        """To be called however it went."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # what was not written yet does not fit; the file goes
                pass

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._take(data[start:end]),
            "on_part_end": self._close_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name = self._client_name = ""

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            self._name = options.get(b"name", b"").decode("latin-1")
            self._client_name = safe_name(options.get(b"filename", b"").decode("utf-8", "replace"))
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        if self._name not in self._parts:
            raise Malformed(
                f"There is no part {self._name[:40]!r}.", f"There are: {', '.join(self._parts)}.", code="upload_malformed"
            )  # fmt: skip
        kind = self._parts[self._name]
        n_before = sum(file.part == self._name for file in self._files) + (self._name in self._texts)
        if n_before >= (1 if kind == "text" else self._max_files):
            often = "twice" if n_before == 1 else f"more than {n_before} times"
            raise Malformed(f"{self._name} is given {often}.", "Give it once.", code="upload_malformed")
        self._judge = ContentJudge(self._client_name if self._max_files > 1 and self._client_name else self._name, kind, self._settings)
        if kind == "text":
            self._texts[self._name] = bytearray()
        else:
            path = self._folder / (f"{self._name}-{n_before}" if n_before else self._name)
            self._files.append(UploadedFile(self._name, path, self._client_name))
            self._file = path.open("xb")

    def _take(self, data: bytes) -> None:
        assert self._judge is not None  # noqa: S101 - a part has headers before data
        self._judge.take(data)
        if self._file is None:
            self._texts[self._name] += data
        else:
            self._file.write(data)

    def _close_part(self) -> None:
        if self._judge is not None:
            self._judge.finish()
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _end(self) -> None:
        self._ended = True


def safe_name(name: str) -> str:
    """The last part of a client's name for a file, of letters, digits and few others, its ending kept; "" where nothing is left."""
    last = _UNSAFE.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .")
    stem, dot, ending = last.rpartition(".")
    if not dot:
        return _cut(last, MAX_NAME)
    return f"{_cut(stem, MAX_NAME - 10)}.{_cut(ending, 9)}"


def _cut(text: str, length: int) -> str:
    return text[:length].encode()[: 3 * length].decode(errors="ignore")


def _malformed(error: FormParserError) -> Malformed:
    return Malformed(
        f"The form cannot be read ({error}).", "Is it complete, and its boundary the one in Content-Type?", code="upload_malformed"
    )
