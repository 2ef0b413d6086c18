"""Videos that a studio marked, and what is left of their marks when a messenger has taken everything else away."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import pytest

from core.errors import InputError
from core.media.conversion import convert
from core.provenance.__main__ import main
from core.provenance.library import context, load
from core.provenance.marking import ALGORITHM, Marker, open_marker
from core.provenance.reading import read_all
from core.request import RenderOptions, Request
from core.settings import Settings
from core.streaming.outputs import LiveOptions, LiveSegment
from core.studio import Studio, open_studio
from core.types import Audio, Photo
from tests.support.certificates import Identity

KEY = "sixteen characters or more"
MARKED = RenderOptions(mark=True)


@pytest.fixture(scope="module")
def own(settings: Settings, identity: Identity) -> Settings:
    """A deployment that signs, with a key and a number of its own."""
    update = {"mark_key": KEY, "mark_id": 0x2A, "c2pa_cert": str(identity.chain), "c2pa_key": str(identity.key)}
    return Settings(**{**settings.model_dump(), **update})


@pytest.fixture(scope="module")
def video(own: Settings, portrait: Photo, speech: Audio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds, marked and signed."""
    studio = open_studio(own)
    try:
        return studio.generate(Request(speech, portrait, options=MARKED), tmp_path_factory.mktemp("marked") / "v.mp4").path
    finally:
        studio.close()


def stripped(path: Path, target: Path) -> Path:
    """As a messenger sends it on: coded again, in another container where the name says so, without a word of metadata."""
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream: Any = out.add_stream(
            "libvpx-vp9" if target.suffix == ".webm" else "libx264", rate=25, options={"crf": "22", "cpu-used": "6"}
        )
        stream.height = stream.width = 320
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            frame.pts = None
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


def test_a_marked_video_says_so_everywhere(video: Path) -> None:
    found = read_all(video, mark_key=KEY.encode())
    assert found.good
    assert found.mark is not None
    assert (found.mark.found, found.mark.payload) == (True, 0x2A)
    assert found.metadata["imperceptible_mark"] == f"{ALGORITHM} 0000002a"


def test_a_converted_video_keeps_what_its_format_can_hold(video: Path, tmp_path: Path) -> None:
    convert(video, tmp_path / "v.webm", "webm")
    found = read_all(tmp_path / "v.webm", mark_key=KEY.encode())
    assert (found.good, found.manifest) == (True, None)
    assert found.metadata["synthetic_media"] == "true"
    assert found.metadata["imperceptible_mark"] == f"{ALGORITHM} 0000002a"
    assert found.mark is not None
    assert found.mark.found
    convert(video, tmp_path / "v.gif", "gif")
    found = read_all(tmp_path / "v.gif", mark_key=KEY.encode())
    assert (found.good, found.manifest) == (True, None)
    assert found.metadata["comment"].startswith("Synthetic media: ")
    assert found.mark is not None
    assert found.mark.found


def test_the_manifest_binds_the_pictures_softly(video: Path) -> None:
    with context() as how, video.open("rb") as file, load().Reader("video/mp4", file, None, how) as reader:
        manifests = json.loads(reader.json())
    (manifest,) = manifests["manifests"].values()
    (binding,) = [each["data"] for each in manifest["assertions"] if each["label"].startswith("c2pa.soft-binding")]
    assert manifests["validation_state"] == "Valid"
    assert binding["alg"] == ALGORITHM
    assert binding["blocks"] == [{"scope": {}, "value": "0000002a"}]


@pytest.mark.parametrize("name", ["sent.mp4", "sent.webm"])
def test_what_a_messenger_leaves(name: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = stripped(video, tmp_path / name)
    assert main([str(sent)]) == 0
    said = capsys.readouterr().out
    assert "marked as synthetic: yes" in said
    assert "mark in the pictures: found (confidence" in said
    assert "id " not in said, "without the key nobody reads the number"
    found = read_all(sent)
    assert (found.good, found.metadata.get("generator"), found.manifest) == (True, None, None)
    own = read_all(sent, mark_key=KEY.encode()).mark
    assert own is not None
    assert own.payload == 0x2A


def test_the_key_reads_the_number(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TALKING_HEAD_MARK_KEY", KEY)
    assert main([str(video), "--json"]) == 0
    mark = json.loads(capsys.readouterr().out)["mark"]
    assert (mark["found"], mark["id"], mark["mirrored"]) == (True, "0000002a", False)
    assert mark["confidence"] > 0.99999


def test_an_unmarked_video_has_none(
    studio: Studio, portrait: Photo, short: Audio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generation = studio.generate(Request(short, portrait), tmp_path / "v.mp4")
    assert not generation.info.mark
    assert main([str(stripped(generation.path, tmp_path / "sent.mp4"))]) == 1
    said = capsys.readouterr().out
    assert "marked as synthetic: NO" in said
    assert "not found in" in said
    assert read_all(generation.path).metadata["imperceptible_mark"] == "none"


def test_streams_and_live_sessions_are_marked(studio: Studio, portrait: Photo, speech: Audio, tmp_path: Path) -> None:
    with studio.stream(Request(speech, portrait, options=MARKED)) as stream:
        (tmp_path / "stream.mp4").write_bytes(b"".join(segment.data for segment in stream))
    now = [0.0]
    live = studio.live(portrait, "local", options=MARKED, live=LiveOptions(lead_s=0), clock=lambda: now[0])
    data = io.BytesIO()
    while now[0] < 2.5:
        now[0] += 0.04
        while (output := live.next_output()) is not None:
            if isinstance(output, LiveSegment):
                data.write(output.segment.data)
    live.close()
    (tmp_path / "live.mp4").write_bytes(data.getvalue())
    assert live.metadata["imperceptible_mark"] == ALGORITHM
    for name in ("stream", "live"):
        found = read_all(tmp_path / f"{name}.mp4")
        assert found.mark is not None, name
        assert found.mark.found, name


def test_what_holds_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, hello, hello")
    (tmp_path / "half.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    for name in ("text", "half.webm", "missing", "."):
        with pytest.raises(InputError):
            read_all(tmp_path / name)


def test_markers_are_told_apart_without_their_key(settings: Settings) -> None:
    markers = [Marker(), Marker(b"a", 1), Marker(b"a", 2), Marker(b"b", 1)]
    assert len({marker.fingerprint for marker in markers}) == 4
    assert open_marker(settings) == Marker()
    assert KEY not in repr(Settings(mark_key=KEY))
