"""Recordings and photos for Schemathesis, which could not guess one: among what it sends there is then much that works."""

from __future__ import annotations

import io
import wave

import schemathesis
from hypothesis import strategies

from tests.support.paths import PORTRAIT, SPEECH

_PHOTO = PORTRAIT.read_bytes()


def _short_speech() -> bytes:
    short = io.BytesIO()
    with wave.open(str(SPEECH)) as long, wave.open(short, "wb") as file:
        file.setparams(long.getparams())
        file.writeframes(long.readframes(3200))
    return short.getvalue()


for _kind in ("wav", "mpeg", "mp4", "flac", "ogg", "webm"):  # the server looks at the content, whatever it is called
    schemathesis.openapi.media_type(f"audio/{_kind}", strategies.just(_short_speech()))
for _kind in ("image/png", "image/jpeg", "image/webp", "image/bmp", "video/mp4", "video/webm"):
    schemathesis.openapi.media_type(_kind, strategies.just(_PHOTO))
for _kind in ("application/sdp", "application/trickle-ice-sdpfrag"):
    schemathesis.openapi.media_type(_kind, strategies.just(b"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\n"))
