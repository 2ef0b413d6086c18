"""Streams in a real browser: Chromium appends the pieces to a media source and plays them."""

from __future__ import annotations

import base64
import dataclasses
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from core.request import RenderOptions, Request
from core.streaming import LiveOptions, LiveSegment
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.streams import Clock

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: streams were not tried in a browser"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

PLAY = """async ([mime, pieces]) => {
  const out = {supported: MediaSource.isTypeSupported(mime), stalls: 0, ranges: []};
  const video = document.querySelector('video');
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise(done => source.addEventListener('sourceopen', done, {once: true}));
  const buffer = source.addSourceBuffer(mime);
  const append = async piece => {
    buffer.appendBuffer(Uint8Array.from(atob(piece), c => c.charCodeAt(0)));
    await new Promise((done, failed) => {
      buffer.addEventListener('updateend', done, {once: true});
      buffer.addEventListener('error', () => failed(new Error('append failed')), {once: true});
    });
  };
  await append(pieces[0]);
  await append(pieces[1]);
  let playing = false;
  video.addEventListener('playing', () => { playing = true; });
  video.addEventListener('waiting', () => { if (playing && source.readyState === 'open') out.stalls += 1; });
  const ended = new Promise(done => video.addEventListener('ended', done, {once: true}));
  for (const piece of pieces.slice(2)) await append(piece);
  await video.play();
  source.endOfStream();
  for (let i = 0; i < buffer.buffered.length; i++) out.ranges.push([buffer.buffered.start(i), buffer.buffered.end(i)]);
  out.duration = video.duration;
  const late = failed => setTimeout(() => failed(new Error('did not end at ' + video.currentTime)), 20000);
  await Promise.race([ended, new Promise((_, failed) => late(failed))]);
  out.at = video.currentTime;
  out.shown = video.getVideoPlaybackQuality().totalVideoFrames;
  out.size = [video.videoWidth, video.videoHeight];
  return out;
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.set_content("<video muted></video>")
        yield page
        browser.close()


def played(page: Any, mime_type: str, pieces: list[bytes]) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(PLAY, [mime_type, [base64.b64encode(piece).decode() for piece in pieces]])
    assert result["supported"], mime_type
    return result


def test_a_recording_plays_through(page: Any, studio: Studio, speech: Audio, portrait: Photo) -> None:
    audio = dataclasses.replace(speech, samples=speech.samples[: 2 * 16_000])
    stream = studio.stream(Request(audio, portrait))
    pieces = [piece.data for piece in stream]
    result = played(page, stream.mime_type, pieces)
    assert result["ranges"] == [[0, pytest.approx(2.0, abs=0.07)]], "one stretch from 0, without a gap"
    assert result["duration"] == pytest.approx(2.0, abs=0.07)  # the sound's last packet may reach a little beyond
    assert result["at"] == pytest.approx(result["duration"], abs=0.05)
    assert result["stalls"] == 0
    assert result["shown"] >= 45
    assert result["size"] == [320, 320]


def test_live_segments_play_through(page: Any, studio: Studio, speech: Audio, portrait: Photo) -> None:
    """Segments of two frames, most without a key frame; speech in the middle."""
    clock = Clock()
    live = studio.live(portrait, "local", options=RenderOptions(size=128), live=LiveOptions(lead_s=0), clock=clock)
    pieces: list[bytes] = []
    for step in range(60):
        clock.advance(0.04)
        if step == 10:
            live.feed(speech.samples[:16_000], 16_000)
            live.end_of_utterance()
        while (output := live.next_output()) is not None:
            if isinstance(output, LiveSegment):
                pieces.append(output.segment.data)
    live.close()
    result = played(page, live.mime_type, pieces)
    assert len(result["ranges"]) == 1
    assert result["ranges"][0][0] == 0
    assert result["ranges"][0][1] == pytest.approx(2.4, abs=0.15)
    assert result["stalls"] == 0
    assert result["shown"] >= 50
