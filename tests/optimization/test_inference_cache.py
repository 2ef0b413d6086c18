"""Finished videos kept for the same request: the same bytes again, never another's, whole after any fault."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.engines.base import Engine
from core.errors import Cancelled, OutputError
from core.generation import Generation, Progress
from core.notices import notice
from core.optimization import inference_cache
from core.optimization.inference_cache import canonical
from core.request import DEFAULT, Controls, Framing, RenderOptions, Request
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.paths import ROOT

SMALL = RenderOptions(size=96)


@pytest.fixture
def ask(short: Audio, portrait: Photo, tmp_path: Path) -> Callable[..., Generation]:
    """Generates with what is not said as in the first request."""

    def generate(studio: Studio, output: str = "v.mp4", **values: Any) -> Generation:
        request = Request(short, portrait, owner="ann", options=SMALL)
        return studio.generate(dataclasses.replace(request, **values), tmp_path / output)

    return generate


def entries(studio: Studio) -> list[Path]:
    return sorted((studio.settings.cache_dir / "results").glob("*/*"))


def test_the_same_request_is_answered_with_the_same_bytes_also_after_a_restart(
    open_again: Callable[..., Studio], ask: Callable[..., Generation], short: Audio, portrait: Photo
) -> None:
    studio = open_again()
    first = ask(studio, "first.mp4")
    assert not first.info.cache_hit
    for again in (studio, open_again()):
        seen: list[Progress] = []
        job = again.submit(Request(short, portrait, owner="ann", options=SMALL), first.path.with_name("again.mp4"), seen.append)
        assert (job.state, job.progress.stage) == ("done", "done"), "a hit needs no place in the queue"
        assert [progress.stage for progress in seen] == ["done"]
        second = job.result(0)
        assert second.info.cache_hit
        assert second.path.read_bytes() == first.path.read_bytes()
        changed = {"cache_hit", "wall_s", "rtf", "first_frame_ms", "register_ms", "load_ms"}
        told = [{name: value for name, value in made.info.to_dict().items() if name not in changed} for made in (first, second)]
        assert told[0] == told[1]
        assert second.info.wall_s < first.info.wall_s
    stats = studio.stats()["results"]
    assert (stats["hits"], stats["misses"], stats["entries"]) == (1, 1, 1)
    assert stats["bytes"] > first.path.stat().st_size
    assert 0 < stats["time_saved_s"] <= first.info.wall_s


def test_an_avatar_and_its_photo_are_the_same_request(
    open_again: Callable[..., Studio], ask: Callable[..., Generation], portrait: Photo
) -> None:
    studio = open_again()
    ask(studio)
    avatar = studio.preload_avatar(portrait, "ann")
    hit = ask(studio, source=avatar).info
    assert (hit.cache_hit, hit.avatar) == (True, avatar.token)


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "bob"},
        {"options": dataclasses.replace(SMALL, seed=1)},
        {"options": dataclasses.replace(SMALL, label=True)},
        {"options": dataclasses.replace(SMALL, size=128)},
        {"controls": Controls(blink=0.5)},
        {"audio": "other bytes"},
        {"audio": "other samples"},
        {"audio": "a transcript that does not fit"},
        {"source": "other photo"},
    ],
    ids=str,
)
def test_whatever_matters_makes_another_request(
    change: dict[str, Any], open_again: Callable[..., Studio], ask: Callable[..., Generation], short: Audio, portrait: Photo
) -> None:
    values = {
        "other bytes": dataclasses.replace(short, original=short.original + b"\0"),
        "other samples": dataclasses.replace(short, samples=short.samples * np.float32(0.5)),
        "a transcript that does not fit": dataclasses.replace(short, warnings=(*short.warnings, notice("transcript_unlike"))),
        "other photo": dataclasses.replace(portrait, sha256="other"),
    }
    studio = open_again()
    ask(studio)
    changed = {name: values.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    assert not ask(studio, **changed).info.cache_hit
    assert ask(studio, **changed).info.cache_hit
    assert ask(studio).info.cache_hit


def test_a_new_revision_or_another_way_to_disclose_makes_another_request(
    open_again: Callable[..., Studio], ask: Callable[..., Generation], lite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_again()
    ask(studio)
    monkeypatch.setattr("core.provenance.disclosure.GENERATOR_VERSION", "another")
    assert not ask(studio).info.cache_hit
    monkeypatch.setattr(lite, "_revision", "another")
    assert not ask(studio).info.cache_hit


def test_nothing_is_kept_unless_asked_for(open_again: Callable[..., Studio], ask: Callable[..., Generation], tmp_path: Path) -> None:
    for studio in (open_again(serving=False), open_again(keep_results=False)):
        for _ in range(2):
            assert not ask(studio).info.cache_hit
        assert not (tmp_path / "caches").exists(), "a face was left on the disk"


def test_owners_share_only_where_the_deployment_says_so(open_again: Callable[..., Studio], ask: Callable[..., Generation]) -> None:
    studio = open_again(share_caches=True)
    ask(studio)
    assert ask(studio, owner="bob").info.cache_hit
    private = open_again()
    assert not ask(private).info.cache_hit


def test_a_video_overwritten_in_place_changes_nothing_kept(open_again: Callable[..., Studio], ask: Callable[..., Generation]) -> None:
    studio = open_again()
    whole = ask(studio).path.read_bytes()
    for _ in range(2):
        made = ask(studio)
        assert made.path.read_bytes() == whole
        with made.path.open("r+b") as file:
            file.write(b"something else")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", ["info.json", "video.mp4"])
def test_damage_is_noticed_and_made_good(
    name: str, damage: Callable[[Path], None], open_again: Callable[..., Studio], ask: Callable[..., Generation]
) -> None:
    studio = open_again()
    whole = ask(studio).path.read_bytes()
    damage(entries(studio)[0] / name)
    made = ask(studio)
    assert not made.info.cache_hit
    assert made.path.read_bytes() == whole
    assert ask(studio).info.cache_hit
    assert len(entries(studio)) == 1


def test_a_full_disk_costs_the_cache_not_the_video(
    open_again: Callable[..., Studio], ask: Callable[..., Generation], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    studio = open_again()
    copy = inference_cache._copy

    def full(source: Path, target: Path) -> tuple[int, str]:
        target.write_bytes(b"the beginning")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(inference_cache, "_copy", full)
        assert ask(studio).path.is_file()
    assert entries(studio) == []
    ask(studio)
    monkeypatch.setattr(inference_cache, "_copy", full)
    with pytest.raises(OutputError, match=r"other\.mp4.*the disk is full"):
        ask(studio, "other.mp4")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["v.mp4"]
    monkeypatch.setattr(inference_cache, "_copy", copy)
    assert ask(studio, "other.mp4").info.cache_hit


def test_a_folder_that_cannot_be_used_costs_the_cache_not_the_video(
    open_again: Callable[..., Studio], ask: Callable[..., Generation], tmp_path: Path
) -> None:
    (tmp_path / "caches").write_text("a file")
    assert not ask(open_again()).info.cache_hit


def test_old_videos_go_also_when_the_clock_was_wrong(open_again: Callable[..., Studio], ask: Callable[..., Generation]) -> None:
    studio = open_again(results_ttl_s=1000)
    for age_s, is_kept in ((500, True), (1500, False), (-500, True), (-10 * 86_400, False)):
        ask(studio)
        (entry,) = entries(studio)
        os.utime(entry, (time.time() - age_s,) * 2)
        assert ask(studio).info.cache_hit is is_kept
    os.utime(entry, (time.time() - 1500,) * 2)
    ask(studio, options=dataclasses.replace(SMALL, seed=2))
    assert len(entries(studio)) == 1, "what is too old goes when something new is kept"


def test_those_unused_longest_make_room(open_again: Callable[..., Studio], ask: Callable[..., Generation]) -> None:
    studio = open_again()
    ask(studio)
    size = studio.stats()["results"]["bytes"]
    studio = open_again(results_bytes=int(2.5 * size))
    seeds = [dataclasses.replace(SMALL, seed=seed) for seed in (1234, 1, 2)]
    ask(studio, options=seeds[1])
    assert ask(studio, options=seeds[0]).info.cache_hit  # now seed 1 is unused longest
    ask(studio, options=seeds[2])
    assert studio.stats()["results"]["evictions"] == 1
    assert [ask(studio, options=options).info.cache_hit for options in (seeds[0], seeds[2], seeds[1])] == [True, True, False]


def test_what_is_locked_makes_room_later(open_again: Callable[..., Studio], ask: Callable[..., Generation]) -> None:
    studio = open_again()
    ask(studio)
    size = studio.stats()["results"]["bytes"]
    studio = open_again(results_bytes=int(1.5 * size))
    first = entries(studio)[0]
    with studio._results._cache.locked(first.name):
        ask(studio, options=dataclasses.replace(SMALL, seed=1))
        assert first in entries(studio)
    assert len(entries(studio)) == 1
    assert first not in entries(studio)


def test_clearing_is_for_ones_own(open_again: Callable[..., Studio], ask: Callable[..., Generation]) -> None:
    studio = open_again()
    ask(studio)
    ask(studio, owner="bob")
    assert studio.clear_cache("results", "ann") > 0
    assert [ask(studio, owner=owner).info.cache_hit for owner in ("ann", "bob")] == [False, True]
    assert studio.clear_cache("all", None) > 0
    assert entries(studio) == []


def test_who_asks_for_what_is_being_made_waits_for_it(
    open_again: Callable[..., Studio], portrait: Photo, speech: Audio, tmp_path: Path
) -> None:
    studio = open_again(max_jobs=3)
    request = Request(speech, portrait, owner="ann", options=SMALL)
    jobs = [studio.submit(request, tmp_path / f"{i}.mp4") for i in range(3)]
    made = [job.result(60) for job in jobs]
    assert sorted(each.info.cache_hit for each in made) == [False, True, True]
    assert len({each.path.read_bytes() for each in made}) == 1


def test_if_it_is_cancelled_the_next_one_makes_it(
    open_again: Callable[..., Studio], portrait: Photo, speech: Audio, tmp_path: Path
) -> None:
    studio = open_again(max_jobs=2)
    request = Request(speech, portrait, owner="ann", options=SMALL)
    under_way, go_on = threading.Event(), threading.Event()

    def hold(progress: Progress) -> None:
        if progress.stage == "animating" and progress.done:
            under_way.set()
            go_on.wait(10)

    first = studio.submit(request, tmp_path / "first.mp4", hold)
    assert under_way.wait(20)
    second = studio.submit(request, tmp_path / "second.mp4")
    third = studio.submit(request, tmp_path / "third.mp4")
    third.cancel()
    first.cancel()
    go_on.set()
    for cancelled in (first, third):
        with pytest.raises(Cancelled):
            cancelled.result(20)
    assert not second.result(30).info.cache_hit
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["second.mp4"]


PROCESS = """
import sys
from pathlib import Path
from core.media.audio import load_audio
from core.media.image import load_image
from core.settings import Settings
from core.studio import open_studio
from core.request import RenderOptions, Request
root = Path(sys.argv[1])
settings = Settings(cache_dir=root / "caches", output_dir=root / "outputs")
studio = open_studio(settings, serving=True)
audio, photo = load_audio(Path("assets/speech_3s.wav"), settings), load_image(Path("assets/portrait.png"), settings)
for seed in range(10**6):
    request = Request(audio, photo, owner="ann", options=RenderOptions(size=96, seed=seed))
    studio.generate(request, root / f"{sys.argv[2]}.mp4")
    print(seed, flush=True)
"""


def test_processes_share_and_survive_each_other(tmp_path: Path, open_again: Callable[..., Studio], portrait: Photo, speech: Audio) -> None:
    """One is killed in the middle of its work; the other goes on, and what the first kept is a hit."""
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path), name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    for process in started:
        assert process.stdout is not None
        with process.stdout:
            for _ in range(2):
                assert process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            process.wait()
    studio = open_again()
    for seed in (0, 1):
        request = Request(speech, portrait, owner="ann", options=RenderOptions(size=96, seed=seed))
        assert studio.generate(request, tmp_path / "c.mp4").info.cache_hit
    assert all({path.name for path in entry.iterdir()} == {"info.json", "video.mp4"} for entry in entries(studio))
    assert len(list((tmp_path / "caches" / "parts").glob("*"))) == 2, "leftovers"


def test_a_kept_video_evicted_while_it_is_read_is_a_miss_not_an_error(
    open_again: Callable[..., Studio], ask: Callable[..., Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_again()
    ask(studio)
    copy = inference_cache._copy

    def gone(source: Path, target: Path) -> tuple[int, str]:
        if source.name == "video.mp4" and source.exists() and "results" in source.parts:
            source.unlink()
        return copy(source, target)

    monkeypatch.setattr(inference_cache, "_copy", gone)
    assert not ask(studio).info.cache_hit


def test_canonical_values() -> None:
    same = [
        (Controls(), Controls()),
        ({"a": 1, "b": (1, 2)}, {"b": [1, 2], "a": 1}),
        (np.arange(3), np.arange(3)),
        (frozenset("ab"), frozenset("ba")),
        (np.float64(0.5), 0.5),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
    ]
    for first, second in same:
        assert canonical(first) == canonical(second)
    other = [
        (Controls(emo=3), Controls(emo=4)),
        (Controls(emo=DEFAULT), Controls(emo=(4,))),
        (Controls(drive_eye=None), Controls(drive_eye=DEFAULT)),
        (Controls(drive_eye=None), Controls(drive_eye=False)),
        (Controls(delta_eye_arr=np.zeros((2, 3))), Controls(delta_eye_arr=np.zeros((3, 2)))),
        (Controls(delta_eye_arr=np.zeros(3, np.float32)), Controls(delta_eye_arr=np.zeros(3, np.int32))),
        (Controls(ctrl_info={0: {"a": 1}}), Controls(ctrl_info={1: {"a": 1}})),
        (Framing(), Framing(face_index=1)),
        (RenderOptions(online_mode=True), RenderOptions()),
        ("1", 1),
        (True, 1),
        (b"a", "a"),
        ([[1], 2], [[1, 2]]),
    ]
    for first, second in other:
        assert canonical(first) != canonical(second), (first, second)
    for unknown in (object(), lambda: 0, np.array([object()])):
        with pytest.raises(TypeError):
            canonical({"a": [unknown]})
