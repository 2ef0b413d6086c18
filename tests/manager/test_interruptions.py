"""Downloads that are cut off or cancelled go on where they were."""

from __future__ import annotations

import threading

import pytest

from core.errors import Cancelled
from manager.errors import HubError
from manager.progress import DownloadProgress
from manager.store import Store
from tests.support.hub_server import Fault, HubServer
from tests.support.small_hub import CATALOGUE, HUBERT, assert_complete


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
