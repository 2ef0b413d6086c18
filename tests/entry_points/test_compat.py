"""Scripts written against Ditto's published classes: the same names, in the same order, over this engine."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from core.errors import FaceError, OptionError
from core.media.audio import load_audio
from core.settings import Settings
from tests.support.golden_io import SEED
from tests.support.paths import PORTRAIT, ROOT
from tests.support.synthetic import synthetic_input
from tests.support.synthetic_checkpoints import FILES, TINY, tiny_networks, write_checkpoints

SAMPLES = 640 * 9 + 5


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with tiny_networks(), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "compat"))
        yield


@pytest.fixture(scope="module")
def published() -> ModuleType:
    import stream_pipeline_offline

    return stream_pipeline_offline


@pytest.fixture(scope="module")
def sdk(published: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> object:
    root = write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)
    return published.StreamSDK(str(root / FILES["cfg"]), str(root / "ditto_pytorch"), device="cpu")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, synthetic_input("compat", (SAMPLES,), SEED, -0.3, 0.3), 16_000)
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        assert container.streams.audio
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def picture_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("more", [{}, {"online_mode": True, "overlap_v2": 70}])
def test_run(more: dict[str, object], published: ModuleType, sdk: object, recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "v.mp4"
    kwargs = {"setup_kwargs": {"sampling_timesteps": 2, "max_size": 256, **more}, "run_kwargs": {"fade_in": 2, "fade_out": 2}}
    published.run(sdk, str(recording), str(PORTRAIT), str(output), kwargs)
    frames = frames_of(output)
    assert len(frames) == math.ceil(SAMPLES / 640)
    assert frames[0].shape == (256, 256, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "v.mp4"]


def test_the_published_sequence_by_hand(published: ModuleType, sdk: object, recording: Path, tmp_path: Path) -> None:
    import stream_pipeline_online

    before = set(threading.enumerate())
    assert stream_pipeline_online.StreamSDK is published.StreamSDK
    audio, _ = soundfile.read(recording, dtype="float32")
    sdk.setup(str(PORTRAIT), str(tmp_path / "v.mp4"), sampling_timesteps=2, max_size=256)  # type: ignore[attr-defined]
    sdk.setup_Nd(N_d=math.ceil(len(audio) / 640), fade_in=-1, fade_out=-1, ctrl_info={3: {"delta_yaw": 5}})  # type: ignore[attr-defined]
    features = sdk.wav2feat.wav2feat(audio)  # type: ignore[attr-defined]
    assert features.shape == (math.ceil(len(audio) / 640), 1024)
    sdk.audio2motion_queue.put(features)  # type: ignore[attr-defined]
    sdk.close()  # type: ignore[attr-defined]
    pictures, output = Path(sdk.tmp_output_path), tmp_path / "v.mp4"  # type: ignore[attr-defined]
    assert len(frames_of(pictures)) == len(features)
    encoded = picture_packets(pictures)
    import ditto_stream_sdk

    ditto_stream_sdk.with_sound(pictures, load_audio(recording, Settings()), output)
    assert picture_packets(output) == encoded  # nothing is encoded twice
    with av.open(str(output)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0))
    assert heard >= SAMPLES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "v.mp4"]
    assert not any(thread.name in ("stream-sdk", "video-encoder") for thread in set(threading.enumerate()) - before)


@pytest.mark.parametrize(
    ("own", "given", "used"),
    [
        (-1, {}, -1),
        (7, {}, 7),
        (7, {"N_d": 4}, 4),
        (7, {"N_d": -1}, -1),
        (7, {"N_d": 4, "template_n_frames": 2}, 2),
    ],
)
def test_as_many_frames_of_a_video_are_used_as_will_be_shown(
    own: int, given: dict[str, int], used: int, sdk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless template_n_frames says otherwise: N_d, of the call or else of the configuration."""
    seen: list[Any] = []

    def register(source: Any, options: Any, face: Any) -> Any:
        seen.append(options)
        return SimpleNamespace(quarters=0)

    config = sdk.engine.config
    monkeypatch.setattr(sdk.engine, "config", dataclasses.replace(config, defaults=dataclasses.replace(config.defaults, N_d=own)))
    monkeypatch.setattr(sdk.engine._registrar, "register", register)
    sdk.setup(str(PORTRAIT), str(tmp_path / "v.mp4"), **given)
    assert [options.template_n_frames for options in seen] == [used]


def test_what_is_wrong_is_said_at_once(sdk: object, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="sampling_timesteps"):
        sdk.setup(str(PORTRAIT), str(tmp_path / "v.mp4"), sampling_timestep=2)  # type: ignore[attr-defined]
    grey = tmp_path / "grey.png"
    import cv2

    cv2.imwrite(str(grey), np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(FaceError):
        sdk.setup(str(grey), str(tmp_path / "v.mp4"))  # type: ignore[attr-defined]
