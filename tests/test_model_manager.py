"""The model manager, through the real huggingface_hub client, against a small Hub on the loopback interface.

Names and layout are the published ones, sizes are tiny. Nothing here waits for a time to pass: where two things must happen in an
order, the server holds one of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import model_manager
from core.errors import Cancelled, EngineUnavailable, OptionError, TalkingHeadError
from manager import hub as hub_access
from manager import store as store_module
from manager import trt
from manager.catalogue import Catalogue, Checkpoints, load_catalogue
from manager.errors import CorruptFileError, DiskFullError, DownloadError, FolderError, HubError
from manager.folder import DEFAULT_FOLDER, Folder, digest
from manager.progress import DownloadProgress, Meter, TerminalBar, human_bytes, human_time
from manager.store import Store
from tests.hub_server import Fault, HubServer

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = load_catalogue()
CFG = "ditto_cfg/v0.4_hubert_cfg_pytorch.pkl"
DECODER = "ditto_pytorch/models/decoder.pth"
HUBERT = "ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx"
TASK = "ditto_pytorch/aux_models/face_landmarker.task"
HUBERT_BYTES = 300_000
MAIN = (
    "import sys; from pathlib import Path; import model_manager; from manager.catalogue import load_catalogue; "
    "sys.exit(model_manager.main(sys.argv[2:], load_catalogue(Path(sys.argv[1]))))"
)


def make_contents() -> dict[str, bytes]:
    paths = sorted({file.path for files in PUBLISHED.formats.values() for file in files})
    source = random.Random(5)  # noqa: S311 - contents only
    return {path: source.randbytes(HUBERT_BYTES if path == HUBERT else source.randrange(2_000, 20_000)) for path in paths}


CONTENTS = make_contents()


def make_small(file: Any) -> Any:
    """The same row of the catalogue for the small file: what was known stays known."""
    content = CONTENTS[file.path]
    return dataclasses.replace(
        file,
        size_bytes=None if file.size_bytes is None else len(content),
        sha256=None if file.sha256 is None else hashlib.sha256(content).hexdigest(),
    )


CATALOGUE = Catalogue(
    PUBLISHED.repo, PUBLISHED.revision, {name: tuple(make_small(file) for file in files) for name, files in PUBLISHED.formats.items()}
)
PYTORCH = CATALOGUE.files("pytorch")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token, proxy, offline flag or cache of the machine reaches the tests; retries do not wait."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DITTO_MODELS_DIR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(hub_access, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    huggingface_hub.close_session()  # its connections belong to the server of an earlier test


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(CATALOGUE.repo, CATALOGUE.revision, CONTENTS, small=frozenset({CFG})) as server:
        yield server


@pytest.fixture
def store(hub: HubServer, tmp_path: Path) -> Store:
    return Store(tmp_path / "models", CATALOGUE, hub.url)


def assert_complete(checkpoints: Checkpoints, format: str = "pytorch", extras: tuple[str, ...] = ()) -> None:
    files = CATALOGUE.files(format, extras)
    assert set(checkpoints) == {file.role for file in files}
    for file in files:
        assert checkpoints[file.role].read_bytes() == CONTENTS[file.path]


def environment(hub: HubServer, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "DITTO_MODELS_DIR": str(tmp_path / "models"),
        "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "error", **more,
    }  # fmt: skip


@pytest.fixture
def command(hub: HubServer, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command line as a process of its own, with the small catalogue."""
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps(dataclasses.asdict(CATALOGUE)))
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, before: str = "", **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", before + MAIN, str(catalogue), *arguments], cwd=ROOT, env=environment(hub, tmp_path, **more),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


# ---- the catalogue


def test_the_catalogue_names_what_was_published() -> None:
    assert (PUBLISHED.repo, PUBLISHED.revision) == ("digital-avatar/ditto-talkinghead", "e4a2f60328ee7c32af585ac4b3cce299e4c8e254")
    everything = PUBLISHED.files("pytorch", ["insightface"])
    assert len(everything) == 12
    assert sum(file.size_bytes or 0 for file in everything) == 2_314_719_638
    assert {file.path.rpartition("/")[2] for file in set(everything) - set(PUBLISHED.files("pytorch"))} == {"det_10g.onnx", "2d106det.onnx"}


def test_every_format_has_what_every_run_needs() -> None:
    needed = {file.role for file in PUBLISHED.files("pytorch")}
    assert needed == {
        "cfg", "appearance_extractor", "motion_extractor", "warp_network", "decoder", "stitch_network", "lmdm", "hubert", "landmark203",
        "face_landmarker",
    }  # fmt: skip
    for format in ("onnx", "trt"):
        assert {file.role for file in PUBLISHED.files(format)} == needed | {"cfg_online"}
    onnx = {file.role: file.path for file in PUBLISHED.files("onnx")}
    assert onnx["warp_network"] == "ditto_onnx/warp_network_ori.onnx"  # the other one needs a TensorRT plugin


def test_the_landmark_task_is_the_one_we_ship() -> None:
    task = next(file for file in PUBLISHED.files("pytorch") if file.path == TASK)
    shipped = ROOT / "assets" / "face_landmarker.task"
    assert (task.size_bytes, task.sha256) == (shipped.stat().st_size, digest(shipped))


def test_a_catalogue_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for path in ("../outside", "/etc/passwd", "a/../../b", ".verified.json"):
        bad = {"repo": "a/b", "revision": "0", "formats": {"x": [{"role": "r", "path": path, "size_bytes": 1, "sha256": None}]}}
        (tmp_path / "c.json").write_text(json.dumps(bad))
        with pytest.raises(ValueError, match="does not stay"):
            load_catalogue(tmp_path / "c.json")


def test_unknown_formats_and_extras_are_refused_by_name(store: Store) -> None:
    with pytest.raises(OptionError, match=r"'tflite'.*pytorch, onnx, trt"):
        store.ensure("tflite")
    with pytest.raises(OptionError, match=r"'everything'.*insightface"):
        store.ensure("pytorch", extras=["everything"])


def test_importing_does_nothing(tmp_path: Path) -> None:
    code = "import sys, model_manager; sys.exit(sum(name in sys.modules for name in ('huggingface_hub', 'httpx2', 'filelock', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# ---- the server itself


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


# ---- downloading


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


# ---- interruptions


@pytest.mark.parametrize("after", [100_000, 100_001], ids=["end", "reset"])
def test_a_cut_connection_goes_on_where_it_was(store: Store, hub: HubServer, after: int) -> None:
    hub.fail(HUBERT, Fault(drop_after=after), times=1)
    assert_complete(store.ensure())
    ranges = [seen.range for seen in hub.seen if seen.file == HUBERT and seen.method == "GET" and seen.server == "cdn"]
    assert len(ranges) == 2
    if after % 2 == 0:  # a reset may discard what was on its way
        assert ranges == [None, f"bytes={after}-"]


def test_a_connection_that_is_cut_again_and_again_still_arrives(store: Store, hub: HubServer) -> None:
    """Failures count in a row: as long as bytes arrive, the download goes on. Eight cuts, three retries."""
    hub.fail(HUBERT, Fault(drop_after=40_000), times=7)
    assert_complete(store.ensure())
    assert hub.count("GET", HUBERT) == 8


def test_a_server_without_ranges_starts_over(store: Store, hub: HubServer) -> None:
    hub.fail(HUBERT, Fault(drop_after=100_000), times=1)
    hub.fail(HUBERT, Fault(ignore_range=True), times=1)
    told: list[DownloadProgress] = []
    assert_complete(store.ensure(progress=told.append))
    assert told[-1].bytes_done == told[-1].bytes_total


def test_a_body_that_is_always_too_short_is_reported(store: Store, hub: HubServer) -> None:
    hub.fail(HUBERT, Fault(truncate_to=100_000))
    with pytest.raises(HubError, match=r"ended .*hubert.* after 100000 of 300000 bytes"):
        store.ensure()
    assert store.folder.partial(HUBERT, CATALOGUE.revision).stat().st_size == 100_000
    assert store.folder.size(HUBERT) is None


def test_a_truncated_body_is_completed(store: Store, hub: HubServer) -> None:
    hub.fail(HUBERT, Fault(truncate_to=100_000), times=1)
    assert_complete(store.ensure())


def test_the_next_call_goes_on_from_an_earlier_one(store: Store, hub: HubServer) -> None:
    hub.fail(HUBERT, Fault(drop_after=100_000), times=1)
    hub.fail(HUBERT, Fault(status=503))
    with pytest.raises(HubError, match="503"):
        store.ensure()
    hub._faults.clear()
    hub.seen.clear()
    told: list[DownloadProgress] = []
    assert_complete(store.ensure(progress=told.append))
    first = next(p for p in told if p.stage == "downloading")
    assert first.bytes_done == 100_000  # of what this call has to see to
    assert [seen.range for seen in hub.seen if seen.server == "cdn" and seen.file == HUBERT and seen.method == "GET"] == ["bytes=100000-"]


def test_cancelling_keeps_what_has_arrived(store: Store, hub: HubServer) -> None:
    cancel = threading.Event()
    fault = hub.fail(HUBERT, Fault(hold_after=65_536), times=1)

    def tell(progress: DownloadProgress) -> None:
        if progress.file == HUBERT:
            cancel.set()
            fault.release.set()

    with pytest.raises(Cancelled, match="kept"):
        store.ensure(progress=tell, cancel=cancel)
    with pytest.raises(Cancelled):
        store.ensure(cancel=cancel)
    assert_complete(store.ensure())


def test_cancelling_does_not_wait_for_a_silent_line(store: Store, hub: HubServer) -> None:
    """The client would wait ten seconds for data, and the server says nothing until the test is over."""
    cancel = threading.Event()
    fault = hub.fail(HUBERT, Fault(hold_after=65_536))
    caught: list[type[BaseException]] = []

    def download() -> None:
        try:
            store.ensure(cancel=cancel)
        except Cancelled as error:
            caught.append(type(error))

    thread = threading.Thread(target=download)
    thread.start()
    assert fault.held.wait(30)
    cancel.set()
    thread.join(5)
    assert caught == [Cancelled]
    assert store.folder.partial(HUBERT, CATALOGUE.revision).stat().st_size <= 65_536


def test_a_callback_that_raises_ends_the_download_cleanly(store: Store) -> None:
    def tell(progress: DownloadProgress) -> None:
        if progress.bytes_done:
            raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="own"):
        store.ensure(progress=tell)
    assert_complete(store.ensure())  # the lock was given back


# ---- damage


def test_a_corrupt_file_is_fetched_again_once(store: Store, hub: HubServer) -> None:
    hub.fail(DECODER, Fault(corrupt=True), times=1)
    assert_complete(store.ensure())
    assert hub.count("GET", DECODER) == 2


@pytest.mark.parametrize("path", [TASK, DECODER, CFG], ids=["published sha256", "the Hub's sha256", "git digest"])
def test_a_file_that_is_corrupt_twice_is_reported(store: Store, hub: HubServer, path: str) -> None:
    hub.fail(path, Fault(corrupt=True))
    with pytest.raises(CorruptFileError, match=rf"{path}.*twice"):
        store.ensure()
    assert hub.count("GET", path) == 2
    assert store.folder.size(path) is None
    assert not store.folder.partial(path, CATALOGUE.revision).exists()


def test_a_corrupt_beginning_from_an_earlier_call_is_thrown_away(store: Store, hub: HubServer) -> None:
    partial = store.folder.partial(DECODER, CATALOGUE.revision)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(1000))
    assert_complete(store.ensure())
    assert [s.range for s in hub.seen if s.file == DECODER and s.server == "cdn" and s.method == "GET"] == ["bytes=1000-", None]


def test_an_unfinished_file_longer_than_the_whole_is_thrown_away(store: Store, hub: HubServer) -> None:
    partial = store.folder.partial(DECODER, CATALOGUE.revision)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(len(CONTENTS[DECODER]) + 5))
    assert_complete(store.ensure())
    assert hub.count("GET", DECODER) == 1


def test_a_body_that_does_not_end_is_reported(store: Store, hub: HubServer) -> None:
    hub.fail(DECODER, Fault(too_long=100_000))
    with pytest.raises(CorruptFileError, match="longer than the"):
        store.ensure()


def test_a_hub_that_announces_another_file_is_refused_before_the_download(store: Store, hub: HubServer) -> None:
    hub.fail(TASK, Fault(etag=64 * "0"), times=1, method="HEAD")
    with pytest.raises(CorruptFileError, match="another SHA-256 than was published"):
        store.ensure()
    hub.fail(DECODER, Fault(size=7), times=1, method="HEAD")
    with pytest.raises(CorruptFileError, match=r"7 bytes, \d+ were published"):
        store.ensure()
    hub.fail(DECODER, Fault(commit=40 * "b"), times=1, method="HEAD")
    with pytest.raises(HubError, match="of commit bbbbbbbbbbbb, not e4a2f60328ee"):
        store.ensure()
    assert hub.count("GET") == 0


def test_a_file_changed_behind_our_back_is_noticed(store: Store, hub: HubServer) -> None:
    """Changed time: hashed again, against the digest the Hub gave when it was fetched."""
    store.ensure()
    path = store.folder.file(DECODER)
    path.write_bytes(bytes(len(CONTENTS[DECODER])))
    hub.seen.clear()
    assert_complete(store.ensure())
    assert {seen.file for seen in hub.seen} == {DECODER}
    os.utime(path)  # touched, but the same
    hub.seen.clear()
    assert_complete(store.ensure())
    assert not hub.seen


# ---- refusals of the Hub


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=401, error_code="RepoNotFound"), r"wants a valid token.*401.*HF_TOKEN"),
        (Fault(status=403, error_code="GatedRepo"), r"403, its terms are not accepted.*Accept the repository's terms"),
        (Fault(status=403), r"may not read.*\(403\)"),
        (Fault(status=404, error_code="EntryNotFound"), r"has no file ditto_pytorch/models/decoder.pth \(404\)"),
        (Fault(status=404, error_code="RepoNotFound"), r"no repository digital-avatar/ditto-talkinghead"),
        (Fault(status=404, error_code="RevisionNotFound"), r"has no revision e4a2f60328ee"),
        (Fault(status=429, headers={"Retry-After": "0"}), r"too many requests.*429.*Wait"),
        (Fault(status=500), r"trouble of its own \(500\).*later"),
        (Fault(status=503), r"trouble of its own \(503\)"),
        (Fault(status=418), r"refuses .*\(418\)"),
    ],
    ids=lambda value: f"{value.status}{value.error_code}" if isinstance(value, Fault) else "",
)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_refusals_are_one_clear_line(store: Store, hub: HubServer, fault: Fault, message: str, method: str) -> None:
    hub.fail(DECODER, fault, method=method)
    with pytest.raises(HubError, match=message) as caught:
        store.ensure()
    assert "\n" not in str(caught.value)
    assert hub.count(method, DECODER) == (4 if fault.status in (429, 500, 503) else 1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 504])
def test_refusals_that_pass_are_waited_for(store: Store, hub: HubServer, status: int) -> None:
    hub.fail(DECODER, Fault(status=status), times=2, method="HEAD")
    hub.fail(DECODER, Fault(status=status), times=2)
    assert_complete(store.ensure())


def test_the_hub_says_how_long_to_wait(store: Store, hub: HubServer) -> None:
    """Retry-After counts, and a cancelled caller does not sit it out."""
    hub.fail(DECODER, Fault(status=429, headers={"Retry-After": "50"}), method="HEAD")

    class Cancel(threading.Event):
        waited = 0.0

        def wait(self, timeout: float | None = None) -> bool:
            Cancel.waited = timeout or 0.0
            self.set()
            return True

    cancel = Cancel()
    with pytest.raises(Cancelled):
        store.ensure(cancel=cancel)
    assert Cancel.waited == 50.0


def test_a_hub_that_is_not_there(tmp_path: Path) -> None:
    with HubServer("a/b", "0", {}) as gone:
        url = gone.url
    store = Store(tmp_path / "m", CATALOGUE, url)
    with pytest.raises(HubError, match=r"127.0.0.1:\d+ does not answer.*HF_ENDPOINT"):
        store.ensure()


def test_an_endpoint_that_is_no_hub(tmp_path: Path, store: Store, hub: HubServer) -> None:
    hub.fail(CFG, Fault(etag="", commit=""), method="HEAD")
    with pytest.raises(HubError):
        store.ensure()
    with pytest.raises(HubError, match="cannot be asked"):
        Store(tmp_path / "m", CATALOGUE, "gopher://somewhere").ensure()


def test_a_password_in_the_endpoint_is_not_shown(tmp_path: Path, hub: HubServer) -> None:
    hub.fail("*", Fault(status=404, error_code="RepoNotFound"), method="HEAD")
    with pytest.raises(HubError) as caught:
        Store(tmp_path / "m", CATALOGUE, hub.url.replace("://", "://user:hunter2@")).ensure()
    assert "hunter2" not in str(caught.value)


def test_offline_fetches_nothing_and_says_so(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match=r"v0.4_hubert_cfg_pytorch.pkl, appearance_extractor.pth and 8 more.*HF_HUB_OFFLINE is set"):
        store.ensure()
    assert not hub.seen
    monkeypatch.delenv("HF_HUB_OFFLINE")
    store.ensure()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_complete(store.ensure())


def test_files_put_there_by_hand_are_taken_offline(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a clone of the repository would put them. Damage that can be known is still refused."""
    for file in PYTORCH:
        path = store.folder.file(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENTS[file.path])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_complete(store.ensure())
    assert {v.file.path: v.verdict for v in store.verify()}[DECODER] == "size only"
    store.folder.file(TASK).write_bytes(bytes(len(CONTENTS[TASK])))
    with pytest.raises(HubError, match=r"face_landmarker.task cannot be fetched"):
        store.ensure()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert_complete(store.ensure())
    assert hub.count("GET") == 1
    assert {v.verdict for v in store.verify()} == {"verified"}


# ---- disk and folder


def test_too_little_disk_is_said_before_the_download(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folder, "free_bytes", lambda self: 1_000_000)
    with pytest.raises(DiskFullError, match=r"1.0 MB free, the checkpoints need 67.\d MB.*DITTO_MODELS_DIR"):
        store.ensure()
    assert hub.count("GET") == 0


def test_a_disk_that_fills_up_while_downloading(command: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """A real limit of the system: no file of this process may grow beyond 100 kB, and one wants 300."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    process = command("download", before=limit)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    assert complaint.splitlines()[-1].startswith(f"The disk of {tmp_path / 'models'} is full. Free some")
    assert not any((tmp_path / "models" / ".partial").iterdir())  # the disk does not stay full


@pytest.fixture
def default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ditto_models"
    monkeypatch.setattr("manager.folder.DEFAULT_FOLDER", path)
    return path


def default_store(hub: HubServer) -> Store:
    return Store(None, CATALOGUE, hub.url)


def test_the_default_folder() -> None:
    assert Path("/tmp/ditto_models") == DEFAULT_FOLDER  # noqa: S108
    assert Store().folder.path == DEFAULT_FOLDER


def test_the_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DITTO_MODELS_DIR", str(tmp_path / "chosen"))
    assert Store().folder.path == tmp_path / "chosen"


@pytest.mark.parametrize("mode", [None, 0o755, 0o777])
def test_the_default_folder_is_private(hub: HubServer, default_folder: Path, mode: int | None) -> None:
    if mode is not None:
        default_folder.mkdir()
        default_folder.chmod(mode)
    assert_complete(default_store(hub).ensure())
    assert stat.S_IMODE(default_folder.stat().st_mode) == 0o700


def test_what_others_could_have_changed_is_verified_again(hub: HubServer, default_folder: Path) -> None:
    store = default_store(hub)
    store.ensure()
    path = store.folder.file(DECODER)
    times = path.stat()
    path.write_bytes(bytes(len(CONTENTS[DECODER])))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    default_folder.chmod(0o777)
    store.folder.open()
    assert_complete(store.ensure())
    (default_folder / "link").symlink_to("/etc")
    default_folder.chmod(0o777)
    with pytest.raises(FolderError, match="symbolic link"):
        store.folder.open()


def test_a_symbolic_link_is_refused(hub: HubServer, default_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    default_folder.symlink_to(tmp_path / "elsewhere")
    for act in (lambda: default_store(hub).ensure(), lambda: default_store(hub).status("pytorch"), lambda: default_store(hub).remove()):
        with pytest.raises(FolderError, match=r"is a symbolic link.*DITTO_MODELS_DIR"):
            act()
    default_folder.unlink()
    default_folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderError, match="is a symbolic link"):
        default_store(hub).ensure()
    assert not any((tmp_path / "elsewhere").iterdir())
    assert not hub.seen


def test_a_symbolic_link_in_place_of_a_file_is_refused(hub: HubServer, default_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(CONTENTS[DECODER])
    path = default_folder / DECODER
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "other")
    with pytest.raises(FolderError, match="not a regular file"):
        default_store(hub).ensure()


def test_a_folder_of_somebody_else_is_refused(hub: HubServer, default_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default_folder.mkdir()
    owner = default_folder.stat().st_uid
    if owner == 0:
        os.chown(default_folder, 4242, 4242)
        owner = 4242
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    for act in (lambda: default_store(hub).ensure(), lambda: default_store(hub).locate(), lambda: default_store(hub).verify()):
        with pytest.raises(FolderError, match=rf"belongs to another user \(id {owner}\).*DITTO_MODELS_DIR"):
            act()
    assert not hub.seen


def test_a_chosen_folder_of_somebody_else_is_refused_but_not_that_of_root(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ensure()
    owner = store.folder.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert_complete(store.ensure())
    else:
        with pytest.raises(FolderError, match="belongs to another user"):
            store.ensure()


def test_a_folder_that_is_a_file_or_cannot_be_made(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="is not a folder"):
        Store(tmp_path / "file", CATALOGUE, hub.url).ensure()
    with pytest.raises(FolderError, match="cannot be made"):
        Store(tmp_path / "file" / "below", CATALOGUE, hub.url).ensure()


def test_a_folder_that_an_administrator_filled(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read and not written: its files are verified and used, and what is missing is said."""
    store.ensure()
    (store.folder.path / ".verified.json").unlink()
    (store.folder.path / ".lock").unlink(missing_ok=True)
    monkeypatch.setattr(Folder, "writable", False)
    assert_complete(store.ensure())
    assert {v.verdict for v in store.verify()} == {"verified"}
    assert not (store.folder.path / ".verified.json").exists()
    store.folder.file(DECODER).unlink()
    with pytest.raises(FolderError, match=r"decoder.pth cannot be put into .*cannot be written to"):
        store.ensure()


# ---- the Hub's own cache


def preload(hub: HubServer, only: Callable[[str], bool] = lambda path: True) -> None:
    """As a Space does while it is built."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    for file in PYTORCH:
        if only(file.path):
            huggingface_hub.hf_hub_download(
                CATALOGUE.repo, file.path, revision=CATALOGUE.revision, endpoint=hub.url, cache_dir=huggingface_hub.constants.HF_HUB_CACHE
            )
    hub.seen.clear()


def test_the_hubs_cache_is_used_where_it_lies(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    preload(hub)
    got = store.ensure()
    assert_complete(got)
    assert hub.count("GET") == 0
    assert all(tmp_path / "hub-cache" in path.parents for path in got.values())
    assert store.locate() == got
    assert {v.verdict for v in store.verify()} == {"verified"}
    hub.seen.clear()
    monkeypatch.setattr(store_module, "digest", lambda *a: pytest.fail("hashed again"))
    assert_complete(store.ensure())
    assert not hub.seen


def test_what_the_hubs_cache_lacks_or_has_damaged_is_fetched(store: Store, hub: HubServer) -> None:
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    preload(hub, lambda path: path != HUBERT)
    cached = huggingface_hub.try_to_load_from_cache(CATALOGUE.repo, DECODER, revision=CATALOGUE.revision)
    assert isinstance(cached, str)
    Path(cached).write_bytes(bytes(len(CONTENTS[DECODER])))
    got = store.ensure()
    assert_complete(got)
    assert hub.count("GET") == 2
    assert {role for role, path in got.items() if store.folder.path in path.parents} == {"hubert", "decoder"}


# ---- two at once, and processes that end early


def test_two_processes_download_once(hub: HubServer, command: Callable[..., subprocess.Popen[str]]) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=100_000), times=1)
    first = command("download", "--json")
    assert fault.held.wait(30)
    second = command("download", "--json")
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting\n"
    fault.release.set()
    outputs = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads(outputs[0]) == json.loads(outputs[1])
    assert hub.count("GET") == len(PYTORCH)


def test_two_threads_download_once(store: Store, hub: HubServer) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=100_000), times=1)
    waiting = threading.Event()
    got: list[Checkpoints] = []
    first = threading.Thread(target=lambda: got.append(store.ensure()))
    first.start()
    assert fault.held.wait(30)
    tell = lambda progress: waiting.set() if progress.stage == "waiting" else None  # noqa: E731
    second = threading.Thread(target=lambda: got.append(store.ensure(progress=tell)))
    second.start()
    assert waiting.wait(30)
    fault.release.set()
    first.join()
    second.join()
    assert got[0] == got[1]
    assert hub.count("GET") == len(PYTORCH)


def test_one_who_waits_can_be_cancelled(store: Store) -> None:
    store.folder.open()
    cancel = threading.Event()
    with store.folder.lock(), pytest.raises(Cancelled):
        store.ensure(progress=lambda progress: cancel.set(), cancel=cancel)


def test_a_process_that_is_killed_leaves_a_good_start(hub: HubServer, store: Store, command: Callable[..., subprocess.Popen[str]]) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=262_144), times=1)
    process = command("download")
    assert fault.held.wait(30)
    partial = store.folder.partial(HUBERT, CATALOGUE.revision)
    while not partial.exists() or not partial.stat().st_size:  # what was sent is on its way through the loopback
        assert process.poll() is None
    process.kill()
    process.wait()
    arrived = partial.stat().st_size
    fault.release.set()
    hub.seen.clear()
    assert_complete(store.ensure())
    assert [s.range for s in hub.seen if s.file == HUBERT and s.server == "cdn" and s.method == "GET"] == [f"bytes={arrived}-"]


def test_ctrl_c_ends_with_130_and_keeps_what_has_arrived(hub: HubServer, command: Callable[..., subprocess.Popen[str]]) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=100_000), times=1)
    process = command("download")
    assert fault.held.wait(30)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaint.endswith("stopped; what has arrived is kept, the next download goes on from there\n")
    assert "Traceback" not in complaint


# ---- TensorRT


@pytest.mark.parametrize(
    ("capabilities", "version", "reason"),
    [
        ([], "8.6.1", "no NVIDIA GPU was found"),
        ([(7, 5)], "8.6.1", r"older than Ampere \(compute capability 7.5"),
        ([(7, 5), (8, 9)], None, "TensorRT 8.6 is not installed"),
        ([(9, 0)], "11.4.0.106", "TensorRT 11.4.0.106 is installed, the engines run under 8.6 only"),
        ([(8, 0)], "8.60.1", "TensorRT 8.60.1 is installed"),
    ],
)
def test_engines_that_cannot_run_here_are_refused_before_the_download(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capabilities: list[tuple[int, int]], version: str | None, reason: str
) -> None:
    monkeypatch.setattr(trt, "gpu_capabilities", lambda: capabilities)
    monkeypatch.setattr(trt, "tensorrt_version", lambda: version)
    with pytest.raises(EngineUnavailable, match=rf"{reason}.*pytorch or onnx"):
        store.ensure("trt")
    assert not hub.seen
    assert not store.folder.exists


def test_engines_that_can_run_here_are_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "gpu_capabilities", lambda: [(8, 6)])
    monkeypatch.setattr(trt, "tensorrt_version", lambda: "8.6.1.post1")
    assert_complete(store.ensure("trt"), "trt")


def test_the_driver_is_asked_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trt.gpu_capabilities() == []
    for script, expected in (
        ("echo 9.0; echo 7.5", [(9, 0), (7, 5)]),
        ("echo 'NVIDIA-SMI has failed'; exit 9", []),
        ("echo '[N/A]'", []),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert trt.gpu_capabilities() == expected


# ---- the rest of the command line


def run_main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = model_manager.main([*arguments], CATALOGUE)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list(hub: HubServer, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "gpu_capabilities", list)
    folder = ("--folder", str(store.folder.path))
    code, out, _ = run_main(capsys, "list", "--json", *folder)
    content = json.loads(out)
    assert code == 0
    assert (content["repo"], content["revision"]) == (CATALOGUE.repo, CATALOGUE.revision)
    assert [(f["format"], f["complete"], f["obstacle"]) for f in content["formats"]] == [
        ("pytorch", False, None), ("onnx", False, None), ("trt", False, "no NVIDIA GPU was found"),
    ]  # fmt: skip
    assert content["formats"][0]["bytes"] == sum(len(CONTENTS[file.path]) for file in PYTORCH)
    assert content["formats"][1]["bytes"] is None
    assert not store.folder.exists  # looking makes nothing
    store.ensure()
    store.folder.file(DECODER).write_bytes(b"short")
    partial = store.folder.partial("ditto_pytorch/aux_models/det_10g.onnx", CATALOGUE.revision)
    partial.write_bytes(b"half")
    store.folder.partial(HUBERT, 40 * "c").write_bytes(b"of another revision")
    files = {f["path"]: f for f in json.loads(run_main(capsys, "list", "--json", "--format", "pytorch", *folder)[1])["formats"][0]["files"]}
    states = [files[path]["state"] for path in (HUBERT, DECODER, "ditto_pytorch/aux_models/det_10g.onnx")]
    assert states == ["present", "damaged", "partial"]
    out = run_main(capsys, "list", *folder)[1]
    assert "pytorch: 10 files" in out
    assert "cannot run here: no NVIDIA GPU was found" in out
    assert "det_10g.onnx  (--with insightface)" in out
    assert len(store.remove()[0]) == 12  # 10 files and what was unfinished
    assert not (store.folder.path / ".partial").exists()


def test_download_path_verify_remove(
    hub: HubServer, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("DITTO_MODELS_DIR", str(store.folder.path))
    code, out, err = run_main(capsys, "path")
    assert (code, out) == (1, "")
    assert err == (
        f"v0.4_hubert_cfg_pytorch.pkl, appearance_extractor.pth and 8 more of the pytorch checkpoints are not in {store.folder.path}. "
        "Run: python model_manager.py download --format pytorch\n"
    )
    code, out, err = run_main(capsys, "download", "--with", "insightface", "--json")
    assert code == 0
    paths = json.loads(out)["paths"]
    assert len(paths) == 12
    assert Path(paths["decoder"]).read_bytes() == CONTENTS[DECODER]
    assert f"downloading {DECODER}\n" in err
    assert "10 files of the pytorch checkpoints are in place" in run_main(capsys, "download")[1]
    code, out, _ = run_main(capsys, "path", "--json")
    assert json.loads(out)["paths"] == {role: path for role, path in paths.items() if role not in ("insightface_det", "landmark106")}
    assert f"decoder                {paths['decoder']}" in run_main(capsys, "path")[1]

    code, out, _ = run_main(capsys, "verify", "--json")
    content = json.loads(out)
    assert (code, content["ok"], len(content["files"])) == (0, True, 12)
    times = Path(paths["decoder"]).stat()
    Path(paths["decoder"]).write_bytes(bytes(times.st_size))
    os.utime(paths["decoder"], ns=(times.st_atime_ns, times.st_mtime_ns))  # rot on the disk: neither size nor time tell
    Path(paths["lmdm"]).unlink()
    Path(paths["cfg"]).write_bytes(b"short")
    code, out, _ = run_main(capsys, "verify")
    assert code == 1
    assert f"damaged    {DECODER} (its digest is not the published one)" in out
    assert "absent     ditto_pytorch/models/lmdm_v0.4_hubert.pth" in out
    assert f"damaged    {CFG} (5 bytes, " in out
    assert "3 of 12 files are missing or damaged. Run: python model_manager.py download" in out
    hub.seen.clear()
    assert run_main(capsys, "download")[0] == 0
    assert hub.count("GET") == 3
    assert run_main(capsys, "verify")[0] == 0

    (store.folder.path / "notes.txt").write_text("a person's own")
    code, out, _ = run_main(capsys, "remove", "--json")
    assert (code, len(json.loads(out)["removed"])) == (0, 12)
    assert {path.name for path in store.folder.path.iterdir()} <= {"notes.txt", ".verified.json", ".lock"}
    assert run_main(capsys, "remove")[1].startswith("0 files removed")


def test_removing_one_format_leaves_what_another_needs(store: Store) -> None:
    store.ensure("pytorch")
    store.ensure("onnx")
    converted = store.folder.path / "ditto_onnx" / "warp_network_ori_opset20_0123456789ab.onnx"
    converted.write_bytes(b"made by the engine")
    assert converted in store.remove("onnx")[0]
    store.ensure("onnx")
    removed, freed = store.remove("onnx")
    assert TASK not in {str(path.relative_to(store.folder.path)) for path in removed}
    assert freed == sum(path_size for path_size in (len(CONTENTS[str(p.relative_to(store.folder.path))]) for p in removed))
    assert_complete(store.locate())
    store.remove("pytorch")
    assert not any(path.is_file() and not path.name.startswith(".") for path in store.folder.path.rglob("*"))


def test_removing_never_follows_the_hubs_cache(store: Store, hub: HubServer) -> None:
    preload(hub)
    got = store.ensure()
    assert store.remove() == ((), 0)
    assert_complete(got)


def test_verify_without_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run_main(capsys, "verify", "--folder", str(tmp_path / "none"), "--json")
    assert code == 1
    assert {f["verdict"] for f in json.loads(out)["files"]} == {"absent"}
    assert not (tmp_path / "none").exists()


def test_bad_arguments_are_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments in (["download", "--format", "tflite"], [], ["fetch"]):
        with pytest.raises(SystemExit) as caught:
            model_manager.main(arguments, CATALOGUE)
        assert caught.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    code, out, err = run_main(capsys, "path", "--with", "everything", "--folder", str(tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_command_line_as_people_start_it(hub: HubServer, tmp_path: Path) -> None:
    """The real catalogue against a Hub whose files are small: refused, because they are not the published ones."""
    line = [sys.executable, "model_manager.py", "download"]
    got = subprocess.run(line, cwd=ROOT, env=environment(hub, tmp_path), capture_output=True, text=True, check=False)
    assert got.returncode == 1
    assert got.stdout == ""
    last = got.stderr.splitlines()[-1]
    assert "offers another ditto_cfg/v0.4_hubert_cfg_pytorch.pkl" in last or "free, the checkpoints need" in last


def test_environment_of_the_client_reaches_a_process(hub: HubServer, command: Callable[..., subprocess.Popen[str]]) -> None:
    hub.token = "hf_other"  # noqa: S105 - of the test's own server
    refused = command("download")
    _, complaint = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert "wants a valid token" in complaint
    token = {"HF_TOKEN": hub.token}
    offline = command("download", HF_HUB_OFFLINE="1", **token)
    assert "HF_HUB_OFFLINE is set" in offline.communicate(timeout=30)[1]
    at_once = "import manager.hub as h; h.RETRY_WAITS_S = (); "
    proxy = command("download", before=at_once, HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="", **token)
    assert "does not answer" in proxy.communicate(timeout=30)[1]
    accepted = command("download", **token)
    assert "10 files of the pytorch checkpoints are in place" in accepted.communicate(timeout=30)[0]
    assert accepted.returncode == 0


def test_errors_are_a_branch_of_the_tree() -> None:
    for kind in (HubError, CorruptFileError, DiskFullError, FolderError):
        assert issubclass(kind, DownloadError)
        assert issubclass(kind, TalkingHeadError)
