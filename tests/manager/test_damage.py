"""Files that arrive or become damaged are noticed, and fetched again once."""

from __future__ import annotations

import os

import pytest

from manager.errors import CorruptFileError, HubError
from manager.store import Store
from tests.support.hub_server import Fault, HubServer
from tests.support.small_hub import CATALOGUE, CFG, CONTENTS, DECODER, TASK, assert_complete


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
