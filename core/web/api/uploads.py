"""Multipart forms of requests: read as they arrive, by the rules of the service (core/service/uploads.py).

    async with read_form(request, GENERATE_PARTS, outputs, settings) as form:
        form.files["audio"], form.fields.get("options", "")

Files go to a private folder and are gone when the block ends. Total size and time are the guard's business (guard.py).
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from core.service.outputs import OutputFolder
from core.service.uploads import FormReader, Part
from core.settings import Settings


@dataclass(frozen=True)
class Form:
    """files: part → where it lies, until the end of the block. fields: part → text."""

    files: Mapping[str, Path]
    fields: Mapping[str, str]


@asynccontextmanager
async def read_form(request: Request, parts: Mapping[str, Part], outputs: OutputFolder, settings: Settings) -> AsyncIterator[Form]:
    """Raises Malformed, WrongKind, TooLarge and DiskFull as soon as it is known, and ClientDisconnect where the client goes.

    parts: what may come, each once. The files get a folder of their own in `outputs`.
    """
    folder = outputs.new_folder("arriving-")
    try:
        reader = FormReader(request.headers.get("content-type", ""), parts, folder, settings)
        try:
            async for chunk in request.stream():
                reader.write(chunk)
            form = reader.finish()
        finally:
            reader.close()
        yield Form({file.part: file.path for file in form.files}, form.fields)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
