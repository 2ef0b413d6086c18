"""Downloads through the real huggingface_hub client: what is needed and nothing else, with progress."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import model_manager
from manager import store as store_module
from manager.errors import CorruptFileError
from manager.progress import DownloadProgress, Meter, TerminalBar, human_bytes, human_time
from manager.store import Store
from tests.support.hub_server import Fault, HubServer
from tests.support.small_hub import CATALOGUE, CONTENTS, DECODER, PYTORCH, assert_complete


def test_the_server_speaks_the_protocol(hub: HubServer, tmp_path: Path) -> None:
    """The client's own calls, beyond those the manager makes, agree with the server."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    api = huggingface_hub.HfApi(endpoint=hub.url)
    assert api.model_info(CATALOGUE.repo, revision=CATALOGUE.revision).sha == CATALOGUE.revision
    tree = {entry.path: entry for entry in api.list_repo_tree(CATALOGUE.repo, revision=CATALOGUE.revision, recursive=True)}
    assert tree[DECODER].lfs.sha256 == hashlib.sha256(CONTENTS[DECODER]).hexdigest()  # type: ignore[union-attr]
    got = huggingface_hub.hf_hub_download(CATALOGUE.repo, DECODER, revision=CATALOGUE.revision, endpoint=hub.url, cache_dir=tmp_path / "c")
    assert Path(got).read_bytes() == CONTENTS[DECODER]
    with pytest.raises(huggingface_hub.errors.RevisionNotFoundError):
        api.model_info(CATALOGUE.repo, revision=40 * "b")
    with pytest.raises(huggingface_hub.errors.RepositoryNotFoundError):
        api.model_info("some/other")


def test_everything_that_is_needed_and_nothing_else(store: Store, hub: HubServer) -> None:
    assert_complete(store.ensure())
    assert {seen.file for seen in hub.seen} - {""} == {file.path for file in PYTORCH}
    assert not any((store.folder.path / ".partial").iterdir())
    assert hub.count("GET") == len(PYTORCH)


def test_the_second_run_asks_nothing_and_hashes_nothing(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ensure()
    hub.seen.clear()
    monkeypatch.setattr(store_module, "digest", lambda *a: pytest.fail("hashed again"))
    assert_complete(Store(store.folder.path, CATALOGUE, hub.url).ensure())
    assert not hub.seen


def test_ensure_is_the_same_in_one_call(hub: HubServer, tmp_path: Path) -> None:
    told: list[DownloadProgress] = []
    got = model_manager.ensure("pytorch", told.append, folder=tmp_path / "m", catalogue=CATALOGUE, endpoint=hub.url)
    assert_complete(got)
    assert got.format == "pytorch"
    assert got.revision == CATALOGUE.revision
    assert (told[-1].stage, told[-1].bytes_done, told[-1].files_done) == ("done", sum(len(CONTENTS[f.path]) for f in PYTORCH), len(PYTORCH))


def test_extras_are_added_to_what_is_there(store: Store, hub: HubServer) -> None:
    store.ensure()
    hub.seen.clear()
    assert_complete(store.ensure(extras=["insightface"]), extras=("insightface",))
    assert hub.count("GET") == 2


def test_sizes_and_digests_that_only_the_hub_knows(store: Store, hub: HubServer) -> None:
    assert_complete(store.ensure("onnx"), "onnx")
    hub.fail("ditto_onnx/decoder.onnx", Fault(corrupt=True))
    store.remove("onnx")
    with pytest.raises(CorruptFileError, match=r"ditto_onnx/decoder.onnx has the sha256 digest"):
        store.ensure("onnx")


def test_the_token_stays_with_the_hub(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub redirects to another host for the bytes; that one must not learn the token."""
    hub.token = "hf_secret"  # noqa: S105 - of the test's own server
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert_complete(store.ensure())
    assert {seen.authorization for seen in hub.seen if seen.server == "hub"} == {"Bearer hf_secret"}
    assert {seen.authorization for seen in hub.seen if seen.server == "cdn"} == {None}


def test_progress_has_total_rate_and_time_left(store: Store) -> None:
    told: list[DownloadProgress] = []
    store.ensure(progress=told.append)
    total = sum(len(CONTENTS[file.path]) for file in PYTORCH)
    downloading = [p for p in told if p.stage == "downloading"]
    assert {p.bytes_total for p in downloading} == {total}
    assert [p.bytes_done for p in downloading] == sorted(p.bytes_done for p in downloading)
    assert {p.file for p in downloading} == {file.path for file in PYTORCH}
    assert downloading[-1].rate_bytes_s > 0
    assert downloading[-1].left_s == 0


def test_the_rate_is_that_of_the_last_seconds() -> None:
    told: list[DownloadProgress] = []
    now = 0.0
    meter = Meter(told.append, clock=lambda: now)
    meter.start(1, 500, 2000)  # 500 are from an earlier call, and no speed
    for _ in range(11):
        meter.arrived(100)
        now += 0.5
    assert told[-1] == DownloadProgress("downloading", "", 0, 1, 1600, 2000, 200.0, 2.0)
    bar = TerminalBar()
    assert bar.line(told[-1]).startswith("[###################.....] 1.6 kB of 2.0 kB, 200 B/s, 0:02 min left")
    assert (human_bytes(2_314_719_638), human_bytes(0), human_bytes(99_960), human_time(3725)) == ("2.31 GB", "0 B", "100 kB", "1:02:05 h")
