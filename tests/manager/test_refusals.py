"""Refusals of the Hub, and work without it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.errors import Cancelled
from manager.errors import HubError
from manager.store import Store
from tests.support.hub_server import Fault, HubServer
from tests.support.small_hub import CATALOGUE, CFG, CONTENTS, DECODER, PYTORCH, TASK, assert_complete


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
