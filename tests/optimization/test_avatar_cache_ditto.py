"""Avatars and the Ditto engine (small synthetic set): saved registrations of photos and videos give the very same frames."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from core.engines.ditto import DittoEngine
from core.engines.lite import LiteEngine
from core.media.source import Clip, load_source
from core.options import read_options
from core.request import Avatar, Framing, RenderOptions, Request
from core.settings import Settings
from core.studio import Studio
from core.types import Audio, Photo, Source
from tests.support.synthetic_checkpoints import TINY, checkpoints, tiny_networks, write_checkpoints

QUICK = read_options({"sampling_timesteps": 2, "size": 96}).render


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DittoEngine]:
    with tiny_networks():
        yield DittoEngine(checkpoints(write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)), "cpu")


@pytest.fixture(scope="module")
def clip(portrait: Photo, settings: Settings) -> Clip:
    """Six frames of an odd size, in which the face moves to the right."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 510, 512, "yuv444p"
        for i in range(6):
            pixels = np.ascontiguousarray(np.roll(portrait.pixels, i, axis=1)[:, :510])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    source = load_source(out.getvalue(), settings)
    assert isinstance(source, Clip)
    return source


@pytest.fixture
def settings_here(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "outputs", cache_dir=tmp_path / "caches")


@pytest.mark.parametrize("kind", ["photo", "video"])
def test_a_restored_registration_is_the_same_to_the_last_bit(
    kind: str, engine: DittoEngine, portrait: Photo, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: Source = portrait if kind == "photo" else clip
    framing = Framing(max_size=384) if kind == "video" else Framing()
    made = engine.register(source, framing)
    saved = engine.save(made)
    monkeypatch.setattr(type(engine._registrar), "find", None)  # looking for anything again would fail
    monkeypatch.setattr(type(engine._registrar), "motions", None)
    again = engine.restore(saved, lambda: source)
    assert (again.warnings, again.face_box) == (made.warnings, made.face_box)
    first, second = made.source, again.source
    assert (first.width, first.height, first.source_width, first.source_height, len(first)) == (
        second.width, second.height, second.source_width, second.source_height, len(second),
    )  # fmt: skip
    for i in range(len(first)):
        assert np.array_equal(first.picture(i), second.picture(i))
        assert np.array_equal(first.crop(i), second.crop(i))
        assert np.array_equal(first.frames[i].m_c2o, second.frames[i].m_c2o)
        assert torch.equal(first.feature(i), second.feature(i))
        for name, value in first.frames[i].motion.parts().items():
            assert np.array_equal(value, second.frames[i].motion.parts()[name])
    assert np.array_equal(first.motion.sc, second.motion.sc)
    assert np.array_equal(first.motion.eye_open, second.motion.eye_open)
    assert np.array_equal(first.motion.eye_ball, second.motion.eye_ball)


def test_a_shorter_source_than_was_registered_is_not_taken(engine: DittoEngine, clip: Clip) -> None:
    saved = engine.save(engine.register(clip, Framing()))

    class Shorter(Clip):
        def frames(self, *limits: object) -> Iterator[np.ndarray]:
            yield next(super().frames())

    shorter = Shorter(**{field.name: getattr(clip, field.name) for field in dataclasses.fields(clip)})
    with pytest.raises(ValueError, match="shorter"):
        engine.restore(saved, lambda: shorter)


def test_one_avatar_serves_both_engines_of_a_photo_and_of_a_video(
    engine: DittoEngine, settings_here: Settings, portrait: Photo, clip: Clip, speech: Audio, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lite = LiteEngine()
    short = dataclasses.replace(speech, samples=speech.samples[:3_200])

    def opened() -> Studio:
        return Studio(settings_here, {"lite": lambda: lite, "ditto": lambda: engine})

    def video(studio: Studio, avatar: Avatar, name: str) -> bytes:
        options = QUICK if name == "ditto" else RenderOptions(size=96)
        return studio.generate(Request(short, avatar, engine=name, options=options), tmp_path / "v.mp4").path.read_bytes()

    studio = opened()
    avatar = studio.preload_avatar(portrait, "local", engine="lite")
    moving = studio.preload_avatar(clip, "local", engine="ditto")
    assert (avatar.kind, moving.kind, moving.width, moving.height) == ("photo", "video", 510, 512)
    videos = {name: video(studio, avatar, name) for name in ("lite", "ditto")}
    of_moving = {name: video(studio, moving, name) for name in ("lite", "ditto")}
    for token in (avatar.token, moving.token):
        (folder,) = settings_here.cache_dir.glob(f"avatars/*/{token}")
        assert {path.name for path in folder.glob("*.safetensors")} == {"lite.safetensors", "ditto.safetensors"}
    assert (folder / "source").read_bytes() == clip.data
    studio.close()

    monkeypatch.setattr(lite, "register", None)
    monkeypatch.setattr(engine, "register", None)
    studio = opened()
    assert {name: video(studio, avatar, name) for name in ("lite", "ditto")} == videos
    assert {name: video(studio, moving, name) for name in ("lite", "ditto")} == of_moving
    studio.close()
