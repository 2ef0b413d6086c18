"""api_server.py while its folders vanish, fill up or turn read-only: what can still be done is done, the rest is said in a sentence."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.app_process import probe
from tests.support.disks import files_end_at, fill, read_only, small_disk
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.server_process import Process, running
from tests.support.serving import KEY, form, wait_for

pytestmark = pytest.mark.slow

SMALL = json.dumps({"size": 64})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("degraded")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    with running(folder, TALKING_HEAD_JOBS_PER_MINUTE="1000") as server:
        server.ready()
        yield server


@pytest.fixture
def client(server: Process) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
        wait_for(lambda: degraded(client) == {})
        make(client)  # all is as before


def make(client: httpx.Client, status: int = 200, seed: int = 0) -> httpx.Response:
    answer = client.post("/generate", **form(options=json.dumps({"size": 64, "seed": seed})))
    assert answer.status_code == status, answer.text
    return answer


def degraded(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """What /health says, by part: it answers 200 whatever is degraded."""
    answer = client.get("/health")
    assert answer.status_code == 200
    found = {each["part"]: each for each in answer.json()["degraded"]}
    for each in found.values():
        assert each["message"].endswith(".")
        assert "/" not in each["message"].replace("TALKING_HEAD", "")
    return found


def files(*folders: Path) -> set[Path]:
    """Files of videos, uploads and what is on its way to be one; not those that count and lock."""
    found = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if path.suffix in (".mp4", ".png", ".wav", "") and "locks" not in path.parts and path.name != "key"}


@pytest.mark.parametrize("gone", ["out", "out/videos", "cache", "cache/jobs", "cache/locks", "cache/parts"])
def test_folders_are_made_again(folder: Path, client: httpx.Client, gone: str, tmp_path: Path) -> None:
    make(client)
    (folder / gone).rename(tmp_path / "gone")  # in one step, whatever is written just now
    shutil.rmtree(tmp_path / "gone")
    data = make(client).content
    assert data[4:8] == b"ftyp"
    job = client.post("/generate?async=1", **form(options=SMALL)).json()
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "done")
    assert client.get(f"/jobs/{job['id']}/result").status_code == 200
    avatar = client.post("/avatars", **form(audio=None))
    assert avatar.status_code in (200, 201), avatar.text
    for path in (folder / "out" / "videos", folder / "cache"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert client.delete(f"/avatars/{avatar.json()['token']}").status_code == 200


@pytest.fixture(params=["a file in its place", "read-only"])
def without_cache(request: pytest.FixtureRequest, folder: Path, client: httpx.Client) -> Iterator[None]:
    make(client)
    if request.param == "read-only":
        with read_only(folder / "cache"):
            yield
        return
    (folder / "cache").rename(folder / "elsewhere")
    (folder / "cache").write_text("")
    yield
    (folder / "cache").unlink()
    (folder / "elsewhere").rename(folder / "cache")


def test_without_a_cache_everything_works_uncached(client: httpx.Client, without_cache: None, tmp_path: Path) -> None:
    wait_for(lambda: "cache" in degraded(client))
    assert degraded(client)["cache"]["code"] == "disk_unusable"
    video = tmp_path / "video.mp4"
    video.write_bytes(make(client, seed=5).content)
    assert probe(str(video))[:2] == (64, 64)
    assert client.post("/stream", **form(options=SMALL)).status_code == 200
    job = client.post("/generate?async=1", **form(options=json.dumps({"size": 64, "seed": 6}))).json()
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "done")
    assert client.get(f"/jobs/{job['id']}/result").content[4:8] == b"ftyp"
    refused = client.post("/avatars", **form(audio=None))  # is kept or is not there
    assert refused.status_code == 507
    assert "cache" in refused.json()["error"]["message"]
    assert client.post("/cache/clear", json={"which": "results"}).status_code in (200, 507)


@pytest.fixture(params=["a file in its place", "read-only"])
def without_outputs(request: pytest.FixtureRequest, folder: Path, client: httpx.Client) -> Iterator[None]:
    if request.param == "read-only":
        with read_only(folder / "out"):
            yield
        return
    shutil.rmtree(folder / "out")
    (folder / "out").write_text("")
    yield
    (folder / "out").unlink()


def test_without_a_folder_for_videos_the_answer_is_507_with_a_sentence(client: httpx.Client, without_outputs: None) -> None:
    wait_for(lambda: "outputs" in degraded(client))
    refused = make(client, 507).json()["error"]
    assert refused["type"] == "OutputError"
    assert "cannot be used" in refused["message"]
    assert "TALKING_HEAD_OUTPUT_DIR" in refused["hint"]
    page = client.post("/gradio_api/upload", files={"files": ("a.png", PORTRAIT.read_bytes())})
    assert page.status_code == 507
    assert page.text == "Files cannot be kept here at the moment. Tell whoever runs this page, or try again later."


def check_full(server: Process, client: httpx.Client, *folders: Path) -> None:
    """Everything that writes is refused with 507 and a sentence, and nothing half-written stays."""
    before = files(*folders)
    for refused in (
        make(client, 507, seed=11),
        client.post("/avatars", **form(audio=None)),
        client.post("/stream", **form(image=PORTRAIT.read_bytes() + bytes(200_000), options=SMALL)),
    ):
        assert refused.status_code == 507, refused.text
        about = refused.json()["error"]
        assert about["type"] == "DiskFull"
        assert "the disk is full" in about["message"] or "the file grew past the allowed size" in about["message"]
        assert about["hint"]
    page = client.post("/gradio_api/upload", files={"files": ("a.png", PORTRAIT.read_bytes())})
    assert page.status_code == 507
    assert page.text == "There is no room left here for that. Tell whoever runs this page, or try again later."
    wait_for(lambda: files(*folders) == before)
    assert "Traceback" not in server.log.read_text()


def test_files_that_may_not_grow(folder: Path, server: Process, client: httpx.Client) -> None:
    make(client)
    wait_for(lambda: client.get("/").status_code == 200)
    with files_end_at(server.process.pid, 20_000):
        wait_for(lambda: {"outputs", "cache"} <= set(degraded(client)))
        assert {each["code"] for each in degraded(client).values()} <= {"disk_full", ""}
        check_full(server, client, folder / "out", folder / "cache")


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        folders = {"TALKING_HEAD_OUTPUT_DIR": str(disk / "out"), "TALKING_HEAD_CACHE_DIR": str(disk / "cache")}
        with running(tmp_path, **folders) as server, server.client() as client:
            server.ready()
            make(client)
            wait_for(lambda: client.get("/").status_code == 200)
            filling = fill(disk)
            wait_for(lambda: {"outputs", "cache"} <= set(degraded(client)))
            assert degraded(client)["outputs"]["code"] == degraded(client)["cache"]["code"] == "disk_full"
            check_full(server, client, disk / "out", disk / "cache")
            filling.unlink()
            wait_for(lambda: degraded(client) == {})
            make(client, seed=12)


def test_a_disk_that_fills_up_while_a_video_is_made(tmp_path: Path) -> None:
    """Its job fails with the reason, and what was written of it is gone."""
    with small_disk(tmp_path / "disk", "1m") as disk, running(
        tmp_path, "--no-page", TALKING_HEAD_OUTPUT_DIR=str(disk / "out")
    ) as server, server.client() as client:  # fmt: skip
        server.ready()
        long = form(audio=PORTRAIT.parent / "speech_16s.wav", options=json.dumps({"size": 512, "seed": 3}))
        job = client.post("/generate?async=1", **long).json()
        wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "running")
        fill(disk)
        wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "failed")
        told = client.get(f"/jobs/{job['id']}").json()["error"]
        assert told["type"] == "DiskFull"
        assert client.get(f"/jobs/{job['id']}/result").status_code == 507
        assert not list((disk / "out").rglob("*.mp4*"))
        (disk / "filling").unlink()
        make(client)


def test_the_oldest_videos_make_room_but_not_one_that_is_downloaded(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page", TALKING_HEAD_OUTPUT_BYTES="1") as server, server.client() as client:
        server.ready()

        def kept(audio: Path, size: int) -> dict[str, Any]:
            options = json.dumps({"size": size, "seed": size})
            job: dict[str, Any] = client.post("/generate?async=1", **form(audio=audio, options=options)).json()
            wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "done", 240)
            return job

        large = kept(PORTRAIT.parent / "speech_16s.wav", 512)
        (video,) = (tmp_path / "out" / "videos").glob("*/*.mp4")
        address = urlsplit(server.url)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((address.hostname, address.port))
            slow.sendall(f"GET /jobs/{large['id']}/result HTTP/1.0\r\nHost: {address.netloc}\r\nX-API-Key: {KEY}\r\n\r\n".encode())
            received = slow.recv(1024)
            assert received.startswith(b"HTTP/1.1 200 ")
            second = kept(SPEECH, 64)
            third = kept(SPEECH, 96)
            assert client.get(f"/jobs/{second['id']}").status_code == 410
            assert client.get(f"/jobs/{third['id']}/result").status_code == 200
            assert video.is_file(), "it is being downloaded"
            nbytes = video.stat().st_size
            received += b"".join(iter(lambda: slow.recv(65_536), b""))
            assert len(received.partition(b"\r\n\r\n")[2]) == nbytes
        last = kept(SPEECH, 128)
        wait_for(lambda: not video.exists())
        for job in (large, third):
            assert client.get(f"/jobs/{job['id']}").status_code == 410
        assert client.get(f"/jobs/{last['id']}/result").status_code == 200
