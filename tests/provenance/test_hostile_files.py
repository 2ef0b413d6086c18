"""Files that lie about themselves: no crash, no endless reading, no control characters on a terminal."""

from __future__ import annotations

import os
import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.media.video import encode
from core.provenance.__main__ import main
from core.provenance.container import C2PA_UUID
from core.provenance.reading import read_provenance
from core.types import Audio
from tests.support.signed_videos import ABOUT, SIDE


def test_what_is_not_a_readable_mp4(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, hello, hello")
    (tmp_path / "short").write_bytes(b"\0\0\0")
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "text", "short", "pipe", "missing", ".", "a\0b"):
        with pytest.raises(InputError):
            read_provenance(tmp_path / name)


def test_endless_and_lying_boxes(tmp_path: Path) -> None:
    head = struct.pack(">I4s", 16, b"ftyp") + b"isom\0\0\2\0"
    path = tmp_path / "v.mp4"
    path.write_bytes(head + struct.pack(">I4s", 8, b"free") * 250_000)
    with pytest.raises(InputError, match="parts"):
        read_provenance(path)
    keys = struct.pack(">I4sII", 24, b"keys", 0, 2**32 - 1) + struct.pack(">I4s", 2**31, b"mdta")
    meta = struct.pack(">I4sI", 12 + len(keys), b"meta", 0) + keys
    movie = struct.pack(">I4s", 8 + 8 + len(meta), b"moov") + struct.pack(">I4s", 8 + len(meta), b"udta") + meta
    for tail in (
        movie,
        struct.pack(">I4sQ", 1, b"moov", 2**63),
        struct.pack(">I4s", 2**32 - 1, b"moov"),
        struct.pack(">I4s", 4, b"moov"),
        struct.pack(">I4s", 0, b"moov"),
    ):
        path.write_bytes(head + tail)
        assert not read_provenance(path).good
    with path.open("wb") as file:  # a manifest of 3 GB in a file of holes
        file.write(head + struct.pack(">I4s", 3 * 2**30, b"uuid") + C2PA_UUID)
        file.truncate(3 * 2**30 + 16)
    started_s = time.process_time()
    found = read_provenance(path)
    assert found.manifest is not None
    assert "16 MiB" in found.manifest.problems[0]
    assert time.process_time() - started_s < 5


def test_damaged_files_never_count_as_signed_or_crash(signed: Path, tmp_path: Path) -> None:
    """Bytes of the manifest and of the header flipped, the file cut short."""
    data, original = signed.read_bytes(), read_provenance(signed).manifest
    end = data.index(b"mdat")
    chance = random.Random(3)  # noqa: S311
    path = tmp_path / "v.mp4"
    for trial in range(150):
        copy = bytearray(data)
        for _ in range(1 + trial % 3):
            copy[chance.randrange(32, end)] = chance.randrange(256)
        if trial % 5 == 0:
            del copy[chance.randrange(40, len(copy)) :]
        path.write_bytes(copy)
        found = read_provenance(path)
        if found.manifest is not None and found.manifest.state != "broken":
            assert found.manifest == original, "only what is no one's claim may change: lengths, room kept free for the signature"


def test_nothing_reaches_the_terminal_but_plain_text(sound: Audio, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v.mp4"
    evil = {**ABOUT, "comment": "\x1b[2J\x07 nice\r\n good: yes \u202e" + "x" * 9000}
    encode(np.zeros((5, SIDE, SIDE, 3), np.uint8), path, sound, SIDE, SIDE, evil)
    main([str(path)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown) < 2500
    assert not any(line.startswith(" good") for line in shown.splitlines())
