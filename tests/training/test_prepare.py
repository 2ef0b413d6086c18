"""Videos become data: what is kept, what is dropped and why, stops and bad inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.media.source import Clip, load_source
from core.settings import Settings
from core.types import Photo
from tests.support.clip_files import clip_file
from tests.support.disks import small_disk
from tests.training.conftest import STATEMENT
from training.data.clips import stretches
from training.data.manifest import check_shards, read_manifest
from training.data.moments import moments_of
from training.data.shards import ShardReader, check_stretch
from training.data.shots import sound_of
from training.files import DataError
from training.prepare import main as prepare

pytestmark = pytest.mark.slow


def run(videos: Path, data: Path, ditto: Path, *more: str) -> int:
    return prepare([str(videos), str(data), "--ditto", str(ditto), "--device", "cpu", *STATEMENT, *more])


BRIEF = ("--min_seconds", "1.6", "--keep_out_of_sync")
"""For clips of 45 frames, which are soon read."""


@pytest.fixture(scope="module")
def brief(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts of the first video."""
    folder = tmp_path_factory.mktemp("brief")
    clip = load_source(videos / "0.mp4", Settings())
    assert isinstance(clip, Clip)
    frames, sound = list(clip.frames()), sound_of(clip)
    assert sound is not None
    for name, first in (("a", 0), ("b", 50)):
        part = slice(640 * first, 640 * (first + 45))
        (folder / f"{name}.mp4").write_bytes(clip_file(frames[first : first + 45], sound=sound[part]))
    return folder


def test_each_video_becomes_a_clip_with_all_that_is_learnt_from(data: Path, videos: Path) -> None:
    manifest = read_manifest(data)
    check_shards(data, manifest, whole=True)
    assert [source.name for source in manifest.sources] == ["0.mp4", "1.mp4", "2.mp4"]
    assert manifest.statement.licence == STATEMENT[3]
    clips = [ShardReader(data).whole(clip) for _, clip in manifest.clips]
    assert sum(len(clip) for clip in clips) == round(25 * manifest.seconds) > 300
    for clip in clips:
        assert clip.mouth[:, 0].std() > 0.02
        assert clip.speech.mean() > 0.5
        loud, open_ = clip.loudness - clip.loudness.mean(), clip.asked[:, 0] - clip.asked[:, 0].mean()
        assert loud @ open_ > 0
    motion = np.concatenate([clip.motion for clip in clips])
    np.testing.assert_allclose(manifest.motion.mean, motion.mean(axis=0, dtype=np.float64), atol=1e-5)
    np.testing.assert_allclose(manifest.motion.scale, motion.std(axis=0, dtype=np.float64), atol=1e-5)
    assert (np.array(manifest.motion.maximum) == motion.max(axis=0)).all()
    assert (data / "distributions.png").stat().st_size > 10_000


def test_what_was_done_is_not_done_again_and_what_was_lost_is(
    brief: Path, ditto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made by two processes, then again in part by one: to the last bit the same."""
    copy = tmp_path / "data"
    assert run(brief, copy, ditto, *BRIEF, "--workers", "2") == 0
    manifest = read_manifest(copy)
    assert [len(source.clips) for source in manifest.sources] == [1, 1]
    capsys.readouterr()
    shard = copy / "shards" / next(iter(manifest.sources[1].shards))
    shard.write_bytes(shard.read_bytes()[:1000])  # as after a power cut
    (copy / "manifest.json").unlink()
    assert run(brief, copy, ditto, *BRIEF) == 0
    said = capsys.readouterr().out
    assert said.count("done before") == 1
    assert "[1/1] b.mp4: 1.8 s in 1 clips" in said
    assert read_manifest(copy) == manifest
    assert not list(copy.rglob("*.part"))


def test_bad_videos_are_named_with_their_reasons(
    ditto: Path, brief: Path, portrait: Photo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    small = portrait.pixels[::2, ::2]
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3), dtype=np.uint8)
    hiss = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32)
    (folder / "mute.mp4").write_bytes(clip_file([small] * 50))
    (folder / "silent.mp4").write_bytes(clip_file([small] * 50, sound=np.zeros(32_000, np.float32)))
    (folder / "empty.mp4").write_bytes(clip_file(list(noise), sound=hiss))
    (folder / "brief.mp4").write_bytes(clip_file([small] * 20, sound=hiss[:12_800]))
    (folder / "text.mp4").write_text("no video")
    (folder / "cut.mp4").write_bytes((brief / "a.mp4").read_bytes()[:5_000])
    shutil.copyfile(brief / "a.mp4", folder / "good.mp4")
    assert run(folder, tmp_path / "data", ditto, *BRIEF) == 0
    said = capsys.readouterr().out
    for name, why in (
        ("mute", "nobody speaks"), ("silent", "nobody speaks"), ("empty", "no face is found"), ("brief", "it is too short"),
        ("text", "not a"), ("cut", ""),
    ):  # fmt: skip
        line = next(line for line in said.splitlines() if f" {name}.mp4" in line)
        assert why in line, line
        assert " clips of" not in line or "0 clips" in line, line
    assert "2 videos could not be read" in said
    assert {source.name for source in read_manifest(tmp_path / "data").sources if source.clips} == {"good.mp4"}


def test_lips_that_do_not_fit_are_dropped(ditto: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    clip = load_source(videos / "0.mp4", Settings())
    late = np.roll(sound_of(clip), 16_000 * 2)  # type: ignore[arg-type]
    (folder / "late.mp4").write_bytes(clip_file(list(clip.frames()), sound=late))
    assert run(folder, tmp_path / "data", ditto) == 2
    found = capsys.readouterr()
    assert "the lips do not fit the sound" in found.out
    assert "No clip is left" in found.err


def test_a_folder_without_videos_and_a_missing_statement_are_told(
    ditto: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    assert run(tmp_path / "none", tmp_path / "data", ditto) == 2
    assert "holds no videos" in capsys.readouterr().err
    assert run(tmp_path / "nowhere", tmp_path / "data", ditto) == 2
    assert prepare([str(videos), str(tmp_path / "data"), "--ditto", str(ditto), "--licence", STATEMENT[3]]) == 2
    assert "--consent" in capsys.readouterr().err
    assert run(videos, tmp_path / "data", tmp_path / "no_ditto") == 2
    assert not (tmp_path / "data").exists()


def test_a_full_disk_ends_it_with_nothing_half_written(
    ditto: Path, brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "data", "64k") as full:
        assert run(brief, full, ditto, *BRIEF) == 2
        assert "full" in capsys.readouterr().err
        assert [path for path in full.rglob("*") if path.is_file()] == []


def test_a_damaged_manifest_is_told(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "manifest.json").read_text())
    content["sources"][0]["clips"][0]["shard"] = "../../etc/passwd"
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"sources\.0\.clips\.0\.shard"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("scale", [[1.0] * 3, [float("nan")] * 265])
def test_statistics_that_cannot_be_are_told(data: Path, tmp_path: Path, scale: list[float]) -> None:
    content = json.loads((data / "manifest.json").read_text())
    content["motion"]["scale"] = scale
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"motion\.scale"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("wrong", [np.full((30, 265), np.nan, np.float32), np.zeros((30, 264), np.float32), np.zeros((30, 265), np.int8)])
def test_arrays_that_are_no_motion_are_told(wrong: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds motion as"):
        check_stretch(tmp_path, {"motion": wrong}, 30)


def test_runs_of_frames_that_can_be_used() -> None:
    assert list(stretches(["", "", "turned", "turned", "no_face", "", ""])) == [(0, 2, ""), (2, 5, "turned"), (5, 7, "")]


def test_no_motion_is_an_error() -> None:
    with pytest.raises(DataError, match="No clip is left"):
        moments_of([])
