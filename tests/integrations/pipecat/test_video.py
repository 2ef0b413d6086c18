"""Pipecat's video service in real pipelines, in an environment of its own, against a real server with the lite engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import soundfile

from core.studio import Studio
from tests.support.paths import PORTRAIT, ROOT, SPEECH
from tests.support.serving import KEY, Serving, serving

PYTHON = ROOT / ".venv-pipecat" / "bin" / "python"
BOTS = Path(__file__).with_name("bots.py")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PYTHON.exists(), reason="./setup.sh pipecat has not run")]
SPOKEN_S = 2.0


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a synthetic voice."""
    path = tmp_path_factory.mktemp("voice") / "speech.wav"
    samples, rate_hz = soundfile.read(SPEECH, dtype="int16")
    soundfile.write(path, samples[: round(SPOKEN_S * rate_hz)], rate_hz)
    return path


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("videos"), owner_max_live=1) as running:
        yield running


@pytest.fixture(scope="module")
def given(server: Serving, speech: Path) -> dict[str, dict[str, Any]]:
    """What the bots gave, by name; all in one process, for its imports take long."""
    with server.client() as client, PORTRAIT.open("rb") as photo:
        token = client.post("/avatars", files={"image": photo}).json()["token"]
    names = [
        "speaks", "is_interrupted", "is_interrupted_without_a_connection", "takes_any_sound", "takes_sound_cut_anywhere",
        "ends_after_it_has_said_all", "loses_its_connection", "loses_its_session", "has_a_wrong_key", "has_no_server", "waits_for_a_place",
    ]  # fmt: skip
    command = [str(PYTHON), "-W", "ignore", str(BOTS), server.url, KEY, token, str(speech), *names]
    ended = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    bots: dict[str, dict[str, Any]] = json.loads(ended.stdout)
    return bots


def test_a_bot_speaks_in_pictures_and_sound_in_step(given: dict[str, Any]) -> None:
    bot = given["speaks"]
    assert bot["sizes"] == [[64, 64, 3 * 64 * 64, "RGB", True]]
    assert bot["rates"] == [48_000]
    assert SPOKEN_S <= bot["sound_s"] <= SPOKEN_S + 0.3  # a fifth of a second of silence where the machine was late
    assert bot["each_after_its_picture"]
    assert bot["pictures"] > bot["sound_s"] * 25
    assert (bot["stopped"], bot["stopped_last"], bot["errors"]) == (1, True, [])


def test_an_interruption_leaves_nothing_of_the_old_speech(given: dict[str, Any]) -> None:
    bot = given["is_interrupted"]
    assert 0.5 <= bot["new_s"] <= 0.8
    assert bot["loudest"] < 2_500
    assert bot["sound_s"] < 5
    assert (bot["stopped"], bot["errors"]) == (1, [])


def test_an_interruption_while_there_is_no_connection_counts_and_the_person_is_seen_again(given: dict[str, Any]) -> None:
    bot = given["is_interrupted_without_a_connection"]
    assert 0.5 <= bot["new_s"] <= 0.8
    assert bot["loudest"] < 2_500


def test_any_rate_and_number_of_channels_and_a_single_sample(given: dict[str, Any]) -> None:
    bot = given["takes_any_sound"]
    assert 4 * 0.3 <= bot["sound_s"] <= 4 * 0.5 + 0.1
    assert (bot["stopped"], bot["errors"]) == (5, [])


def test_sound_that_is_cut_within_samples_is_said_whole(given: dict[str, Any]) -> None:
    bot = given["takes_sound_cut_anywhere"]
    assert 2 * 0.5 <= bot["sound_s"] <= 2 * 0.6 + 0.1
    assert bot["loudest"] < 9_000, "one byte off, a sine of 8000 is noise of 32767"
    assert (bot["stopped"], bot["errors"]) == (2, [])


def test_the_end_of_the_pipeline_waits_for_what_is_being_said(given: dict[str, Any]) -> None:
    bot = given["ends_after_it_has_said_all"]
    assert 1.5 <= bot["sound_s"] <= 1.9
    assert 1.0 < bot["ended_within_s"] < 10
    assert bot["errors"] == []


def test_a_lost_connection_is_taken_up_again_and_nothing_is_missing(given: dict[str, Any]) -> None:
    bot = given["loses_its_connection"]
    assert 1.5 <= bot["sound_s"] <= 1.9
    assert bot["stopped"] == 1
    assert len(bot["errors"]) == 1
    assert "closed the connection" in bot["errors"][0]


def test_a_server_that_has_forgotten_the_session_gets_a_new_one(given: dict[str, Any]) -> None:
    bot = given["loses_its_session"]
    assert bot["stopped"] == 2
    assert bot["sound_s"] < 4  # the rest of the old speech is gone
    assert any("session" in error for error in bot["errors"])


def test_a_wrong_key_is_told_and_the_bot_is_heard_all_the_same(given: dict[str, Any]) -> None:
    bot = given["has_a_wrong_key"]
    assert (bot["pictures"], bot["sound_s"], bot["rates"], bot["stopped"]) == (0, 0.5, [16_000], 1)
    assert len(bot["errors"]) == 1
    assert "The key is not known." in bot["errors"][0]


def test_a_server_that_is_not_there_is_told_and_the_bot_is_heard_all_the_same(given: dict[str, Any]) -> None:
    bot = given["has_no_server"]
    assert (bot["pictures"], bot["sound_s"]) == (0, 0.5)
    assert "cannot be reached" in bot["errors"][0]


def test_a_bot_without_a_place_is_heard_and_gets_one_later(given: dict[str, Any]) -> None:
    bot = given["waits_for_a_place"]
    assert bot["pictures"] > 0
    assert bot["sound_s"] == pytest.approx(0.3)
    assert bot["rates"] == [16_000]
    assert any("live sessions" in error for error in bot["errors"])


def test_the_example_saves_a_picture(server: Serving, speech: Path, tmp_path: Path) -> None:
    command = [str(PYTHON), "examples/pipecat_bot.py", str(PORTRAIT), str(speech), str(tmp_path / "picture.png")]
    environment = {**os.environ, "TALKING_HEAD_SERVER": server.url, "TALKING_HEAD_KEY": KEY}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert re.search(r"the last of 2\.[0-2]\d s of speech", ended.stdout)
    assert cv2.imread(str(tmp_path / "picture.png")).shape == (320, 320, 3)


def test_the_service_needs_nothing_of_this_projects_core() -> None:
    program = "import sys, integrations.pipecat.video; print([name for name in sys.modules if name.startswith('core')])"
    ended = subprocess.run([str(PYTHON), "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout.strip() == "[]", ended.stderr
