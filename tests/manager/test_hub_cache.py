"""The Hub's own cache is used where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from manager import store as store_module
from manager.store import Store
from tests.support.hub_server import HubServer
from tests.support.small_hub import CATALOGUE, CONTENTS, DECODER, HUBERT, assert_complete, preload


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
