"""Who asks: a key, a cookie or a session."""

from __future__ import annotations

import re

import pytest

from core.service.owners import owner_of


class TestIdentity:
    KEY = "0123456789abcdef"

    def test_the_owner_is_the_keys_the_cookies_or_the_sessions(self) -> None:
        cookie = f"other=1; talking_head_visitor={'a' * 48}; more=2"
        key = owner_of({"x-owner-key": self.KEY, "cookie": cookie}, "session")
        visitor = owner_of({"cookie": cookie}, "session")
        session = owner_of({}, "session")
        assert [each.split(":")[0] for each in (key, visitor, session)] == ["key", "visitor", "session"]
        assert all(re.fullmatch(r"\w+:[0-9a-f]{32}", each) for each in (key, visitor, session))
        assert "aaaa" not in visitor

    @pytest.mark.parametrize(
        "cookie", ["", "talking_head_visitor=abc", f"x_talking_head_visitor={'a' * 48}", f"talking_head_visitor={'A' * 48}"]
    )
    def test_a_cookie_that_is_not_ours_counts_for_nothing(self, cookie: str) -> None:
        assert owner_of({"cookie": cookie}, "session").startswith("session:")
