"""Videos of a list, through the real engine: what is made, what is made anew and what not, and what a stop or a failure leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import soundfile
from PIL import Image

from core.batch.command import places
from core.batch.job_list import BatchJob
from core.batch.records import digest, record_path
from core.batch.requests import JobRequests
from core.batch.run import BatchRun, Outcome
from core.errors import DiskFull, OptionError
from core.given_speech import GivenSpeech
from core.media.video import VideoWriter
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio, open_studio
from core.types import Photo
from tests.support.backdrops import RED, backdrop, first_frame, is_behind
from tests.support.clip_files import clip_file
from tests.support.paths import PORTRAIT, SPEECH

AT_ONCE = 2
Run = Callable[..., BatchRun]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = open_studio(places(Settings(cache_dir=tmp_path / "cache"), AT_ONCE))
    yield studio
    studio.close()


@pytest.fixture
def begin(studio: Studio) -> Iterator[Run]:
    """A run over jobs, checked."""
    speaker = Speaker(studio.settings, None)

    def run(jobs: list[BatchJob], told: Callable[[Outcome], None] = lambda outcome: None) -> BatchRun:
        requests = JobRequests(studio, studio.settings, speaker, threading.Event(), lambda progress: None)
        batch = BatchRun(studio, requests, jobs, AT_ONCE, told, lambda job, progress: None)
        assert [str(row) for row in batch.check()] == []
        return batch

    yield run
    speaker.close()


def sound(path: Path, seconds: float = 0.4) -> Path:
    samples, rate_hz = soundfile.read(SPEECH)
    soundfile.write(path, samples[: int(seconds * rate_hz)], rate_hz)
    return path


def job_of(line: int, folder: Path, source: Path = PORTRAIT, seconds: float = 0.4, **options: object) -> BatchJob:
    recording = sound(folder / f"{line}.wav", seconds)
    return BatchJob(line, GivenSpeech(recording), source, folder / "out" / f"{line}.mp4", "lite", {"size": 96, **options})


def states(run: BatchRun) -> list[tuple[int, str]]:
    return sorted((outcome.job.line, outcome.state) for outcome in run.outcomes)


def made(run: BatchRun) -> list[tuple[int, str]]:
    run.run()
    return states(run)


def test_one_person_is_registered_once_for_all_rows(begin: Run, studio: Studio, tmp_path: Path) -> None:
    jobs = [job_of(line, tmp_path) for line in range(1, 5)]
    run = begin(jobs)
    assert made(run) == [(1, "made"), (2, "made"), (3, "made"), (4, "made")]
    assert studio.stats()["avatars"]["misses"] == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n}.mp4{end}" for n in range(1, 5) for end in ("", ".job.json")]
    assert all(outcome.info is not None and outcome.info["frames"] == 10 for outcome in run.outcomes)


def test_a_clip_is_registered_once_and_plays_in_every_row(begin: Run, studio: Studio, portrait: Photo, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    small = cv2.resize(portrait.pixels, (256, 256), interpolation=cv2.INTER_AREA)
    clip.write_bytes(clip_file([np.roll(small, i, axis=1) for i in range(12)], rate=30))
    jobs = [job_of(1, tmp_path, clip), job_of(2, tmp_path, clip, fps="source"), job_of(3, tmp_path, clip, 0.3, shorter="rest")]
    run = begin(jobs)
    assert made(run) == [(1, "made"), (2, "made"), (3, "made")]
    assert studio.stats()["avatars"]["misses"] == 1
    infos = {outcome.job.line: outcome.info or {} for outcome in run.outcomes}
    assert [infos[line]["fps"] for line in (1, 2, 3)] == [25, 30, 25]
    assert [infos[line]["frames"] for line in (1, 2, 3)] == [10, 12, 10]
    assert states(begin(jobs)) == [(1, "kept"), (2, "kept"), (3, "kept")]


def test_what_is_made_is_known_by_its_record_alone(begin: Run, tmp_path: Path) -> None:
    jobs = [job_of(line, tmp_path) for line in range(1, 7)]
    assert {state for _, state in made(begin(jobs[:5]))} == {"made"}
    jobs[5].output.write_bytes(jobs[0].output.read_bytes())  # a good video, but of something else
    sound(jobs[1].speech.recording, 0.6)  # type: ignore[arg-type]
    spoiled = bytearray(jobs[2].output.read_bytes())
    spoiled[-1] ^= 1
    jobs[2].output.write_bytes(spoiled)
    record_path(jobs[3].output).write_text('{"format": 1}')
    other = BatchJob(5, jobs[4].speech, jobs[4].source, jobs[4].output, "lite", {"size": 96, "blink": 0})
    again = begin([*jobs[:4], other, jobs[5]])
    assert states(again) == [(1, "kept")]
    assert made(again) == [(1, "kept"), (2, "made"), (3, "made"), (4, "made"), (5, "made"), (6, "made")]
    assert {state for _, state in made(begin([*jobs[:4], other, jobs[5]]))} == {"kept"}


def test_a_random_seed_is_drawn_once(begin: Run, tmp_path: Path) -> None:
    jobs = [job_of(line, tmp_path, seed="random") for line in (1, 2)]
    first = begin(jobs)
    first.run()
    seeds = {(outcome.info or {})["seed"] for outcome in first.outcomes}
    again = begin(jobs)
    assert len(seeds) == 2
    assert {(outcome.info or {})["seed"] for outcome in again.outcomes} == seeds


def test_a_row_that_fails_leaves_the_others_alone(begin: Run, tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(noise)
    told: list[Outcome] = []
    run = begin([job_of(1, tmp_path), job_of(2, tmp_path, noise), job_of(3, tmp_path)], told.append)
    assert made(run) == [(1, "made"), (2, "failed"), (3, "made")]
    (failed,) = (outcome for outcome in told if outcome.state == "failed")
    assert "No face" in json.loads(json.dumps(failed.to_dict()))["error"]
    assert not failed.job.output.exists()
    assert not record_path(failed.job.output).exists()


def test_a_stop_leaves_whole_videos_and_the_rest_for_the_next_run(begin: Run, tmp_path: Path) -> None:
    jobs = [job_of(1, tmp_path), *(job_of(line, tmp_path, seconds=2.9) for line in range(2, 6))]

    def stop(outcome: Outcome) -> None:
        if outcome.state == "made" and outcome.job.line == 1:
            raise KeyboardInterrupt

    run = begin(jobs, stop)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert [line for line, _ in states(run)] == [1, 2, 3, 4, 5]
    assert (5, "left") in states(run)
    whole = {outcome.job.output.name for outcome in run.outcomes if outcome.state == "made"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name + end for name in whole for end in ("", ".job.json")}
    again = begin(jobs)
    assert {outcome.job.output.name for outcome in again.outcomes} == whole
    assert {state for _, state in made(again)} == {"made", "kept"}


def test_where_nobody_reads_what_is_told_the_run_ends(begin: Run, tmp_path: Path) -> None:
    """As of `inference.py --jobs list.csv | head -1`: a video that was made has not failed for that."""

    def closed(outcome: Outcome) -> None:
        if outcome.state == "made":
            raise BrokenPipeError

    run = begin([job_of(line, tmp_path) for line in range(1, 6)], closed)
    with pytest.raises(BrokenPipeError):
        run.run()
    found = states(run)
    assert len(found) == len(dict(found))
    assert "made" in dict(found).values()
    assert "failed" not in dict(found).values()


def test_a_full_disk_ends_the_run(begin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(writer: VideoWriter) -> None:
        writer._give_up()  # as `close` does where it fails: the encoder's thread ends
        raise DiskFull("There is no room.")

    run = begin([job_of(line, tmp_path) for line in range(1, 8)])
    monkeypatch.setattr(VideoWriter, "close", full)
    with pytest.raises(DiskFull):
        run.run()
    found = dict(states(run))
    assert "failed" in (found[1], found[2])  # whichever comes first
    assert found[7] == "left"


def test_a_text_and_a_picture_behind(begin: Run, tmp_path: Path) -> None:
    sky = backdrop(tmp_path / "red.png")
    speech = GivenSpeech(None, "Hello, I am Ada.", "espeak-en-us", 2.0)
    job = BatchJob(1, speech, PORTRAIT, tmp_path / "1.mp4", "lite", {"size": 96}, sky)
    assert made(begin([job])) == [(1, "made")]
    assert is_behind(RED, first_frame(job.output))
    backdrop(sky, (0, 0, 0))
    assert states(begin([job])) == []


def test_another_usual_voice_other_networks_and_a_newer_engine_make_another_video(tmp_path: Path) -> None:
    """What decides the video but stands in no row."""
    lite = SimpleNamespace(revision="1.a")
    engines = SimpleNamespace(
        choose_engine=lambda wanted: ("ditto" if wanted == "ditto" else "lite", "asked for"), engine=lambda name: {"lite": lite}[name]
    )
    jobs = [BatchJob(1, GivenSpeech(None, "Hello."), PORTRAIT, tmp_path / "1.mp4", engine, {}) for engine in ("lite", "ditto")]
    jobs.append(BatchJob(2, GivenSpeech(SPEECH), PORTRAIT, tmp_path / "1.mp4", "lite", {}))

    def digests(voice: str, data_root: str) -> list[str]:
        settings = Settings(voice=voice)
        with contextlib.closing(Speaker(settings, None)) as speaker:
            studio: Studio = engines  # type: ignore[assignment]  # asked for the engine's name and revision only
            requests = JobRequests(studio, settings, speaker, threading.Event(), lambda progress: None, {"data_root": data_root})
            return [digest(job, requests.made_by(job)) for job in jobs]

    usual, other_voice, other_networks = digests("espeak-en-us", "a"), digests("espeak-de", "a"), digests("espeak-en-us", "b")
    assert [new == old for new, old in zip(other_voice, usual, strict=True)] == [False, False, True]
    assert [new == old for new, old in zip(other_networks, usual, strict=True)] == [True, False, True]
    lite.revision = "2.a"
    newer = digests("espeak-en-us", "a")
    assert [new == old for new, old in zip(newer, usual, strict=True)] == [False, True, False]


def test_every_row_is_looked_at_before_the_first_is_made(studio: Studio, tmp_path: Path) -> None:
    bad_sound, bad_photo = tmp_path / "bad.wav", tmp_path / "bad.png"
    bad_sound.write_text("no sound")
    bad_photo.write_text("no photo")
    rows = [
        job_of(1, tmp_path),
        BatchJob(2, GivenSpeech(bad_sound), PORTRAIT, tmp_path / "2.mp4", "lite", {}),
        job_of(3, tmp_path, bad_photo),
        BatchJob(
            4, GivenSpeech(SPEECH), PORTRAIT, tmp_path / "4.mp4", "lite", {"sampling_timesteps": 10}, None, "fast", frozenset({"preset"})
        ),
        job_of(5, tmp_path, size=63),
        BatchJob(6, GivenSpeech(None, ""), PORTRAIT, tmp_path / "6.mp4", "lite", {}),
        BatchJob(7, GivenSpeech(SPEECH), PORTRAIT, tmp_path / "1.wav" / "7.mp4", "lite", {}),
        BatchJob(8, GivenSpeech(SPEECH), PORTRAIT, tmp_path / "8.mp4", "best", {}),
        BatchJob(9, GivenSpeech(tmp_path / "none.wav"), PORTRAIT, tmp_path / "9.mp4", "lite", {}),
    ]
    speaker = Speaker(studio.settings, None)
    requests = JobRequests(studio, studio.settings, speaker, threading.Event(), lambda progress: None)
    wrong = BatchRun(studio, requests, rows, AT_ONCE, lambda outcome: None, lambda job, progress: None).check()
    speaker.close()
    said = ["bad.wav", "bad.png", "preset 'fast'", "size is 63", "text is empty", "cannot be written", "no engine 'best'", "none.wav"]
    assert [row.line for row in wrong] == [2, 3, 4, 5, 6, 7, 8, 9]
    for row, word in zip(wrong, said, strict=True):
        assert word in str(row)
    assert not (tmp_path / "out").exists()


def test_a_transcript_of_a_text_is_refused_before_anything_is_made(studio: Studio, tmp_path: Path) -> None:
    job = dataclasses.replace(job_of(1, tmp_path, transcript="Hello."), speech=GivenSpeech(text="Hello."))
    with contextlib.closing(Speaker(studio.settings, None)) as speaker, pytest.raises(OptionError) as caught:
        JobRequests(studio, studio.settings, speaker, threading.Event(), lambda progress: None).check(job)
    assert caught.value.code == "transcript_and_text"
