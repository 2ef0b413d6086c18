"""Authentication by key or, where no keys are set, the owner of a request by the secret it brings.

    Authorization: Bearer KEY   or   X-API-Key: KEY      from programs
    Sec-WebSocket-Protocol: talking-head, key.BASE64URL   from web pages, whose WebSockets cannot set headers
    Cookie: talking_head_login=...                       from the page, after /login

Owners are as in core/service/owners.py: names that do not tell the secret behind them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from core.service.owners import Scope, header, owner_name, owner_of, set_cookie
from core.web.api.errors import Unauthorised

LOGIN_COOKIE = "talking_head_login"
_LOGIN = b"talking-head login, version 1"


class Keys:
    """The keys of a deployment. keys: empty where the server is open.

    alone: the server listens on this machine only, so that whoever sends neither key nor cookie is its one user.
    """

    def __init__(self, keys: Sequence[str], alone: bool) -> None:
        self._keys = tuple(keys)
        self._alone = alone
        self._logins = {key: hmac.new(key.encode(), _LOGIN, hashlib.sha256).hexdigest() for key in self._keys}

    @property
    def needed(self) -> bool:
        return bool(self._keys)

    def owner(self, scope: Scope) -> str:
        """The owner of a request or WebSocket. Raises Unauthorised; OptionError for an X-Owner-Key that could be guessed."""
        if self.needed:
            key = self._key(scope)
            if key is None:
                raise Unauthorised("The key is not known." if self.sent(scope) else "A key is needed.")
            return owner_name("api", key)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        offered = _offered(scope, "owner")
        owner = owner_of({**headers, "x-owner-key": offered} if offered else headers, "")
        if not owner.startswith("session:"):
            return owner
        if self._alone and "x-forwarded-for" not in headers and "forwarded" not in headers:
            return "local"
        raise Unauthorised("It is not said whose this is. Send X-Owner-Key: 16 random characters or more that you keep.")

    def allows_page(self, scope: Scope) -> bool:
        """Whether the page may be shown: it tells its visitors apart by itself."""
        return not self.needed or self._key(scope) is not None

    def sent(self, scope: Scope) -> bool:
        """Whether the request brings a key that somebody put there, where keys are needed; what a browser adds by itself is none."""
        return self.needed and bool(_sent_keys(scope))

    def login_cookie(self, key: str, scope: Scope) -> str | None:
        """The Set-Cookie of a good key, else None. The cookie proves the key without holding it, and ends with it."""
        known = self._known(key)
        return None if known is None else set_cookie(LOGIN_COOKIE, self._logins[known], scope)

    def _key(self, scope: Scope) -> str | None:
        """What was sent counts, good or bad, before the cookie; what is sent twice must be the same."""
        if not self.sent(scope):
            return self._logged_in(scope)
        known = {self._known(key) for key in _sent_keys(scope)}
        return known.pop() if len(known) == 1 else None

    def _known(self, sent: str) -> str | None:
        """Every key is compared, each in constant time."""
        found = None
        for key in self._keys:
            if hmac.compare_digest(hashlib.sha256(key.encode()).digest(), hashlib.sha256(sent.encode()).digest()):
                found = key
        return found

    def _logged_in(self, scope: Scope) -> str | None:
        found = None
        for part in header(scope, "cookie").split(";"):
            name, _, value = part.strip().partition("=")
            for key, login in self._logins.items():
                if name == LOGIN_COOKIE and hmac.compare_digest(login.encode(), value.encode()):
                    found = key
        return found


def _sent_keys(scope: Scope) -> list[str]:
    """In every place where one may be; an empty one was sent too."""
    keys = [key for key in (_offered(scope, "key"),) if key]
    for name, value in scope["headers"]:
        text = value.decode("latin-1").strip()
        if name == b"x-api-key":
            keys.append(text)
        elif name == b"authorization":
            scheme, _, token = text.partition(" ")
            keys.append(token.strip() if scheme.lower() == "bearer" else "")
    return keys


def _offered(scope: Scope, kind: str) -> str:
    """What a web page put among a WebSocket's subprotocols: `key.` or `owner.` and base64url without padding; "" without it."""
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(f"{kind}."):
            coded = offered.removeprefix(f"{kind}.")
            try:
                return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return ""
    return ""
