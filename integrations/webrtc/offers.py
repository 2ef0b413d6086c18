"""Reads what comes over WHIP and WHEP as SDP: offers and fragments, checked and bounded before the library sees anything of them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import aioice

from core.service.errors import Malformed

MAX_CANDIDATES = 16
"""Of one connection, over all that it sends."""
MAX_LINES = 1000
_CREDENTIALS = ("ice-ufrag", "ice-pwd")
Scope = Literal["none", "public", "all"]
"""Which addresses of an offer are used. none: the deployment has no STUN or TURN server, so who can reach it shows by their own checks
where they are. public: it has one, so it may have to send first to be reached; what an offer names must not make it send packets into
its own network. all: it sends to its TURN server alone, which decides whom it passes things on to.
"""
_WORD = re.compile(r"[A-Za-z0-9+/]{4,256}")
"""RFC 8839, 5.4. The client's name is in every check that is sent to an address it names: a long one would make these a weapon."""


@dataclass(frozen=True)
class Offer:
    """sdp: without candidates. kinds: of its media sections, in order. candidates: as they stood, without "a="."""

    sdp: str
    kinds: tuple[str, ...]
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Fragment:
    """ufrag, password: of the client's ICE session; "" where the fragment has none."""

    ufrag: str
    password: str
    candidates: tuple[str, ...]


def read_offer(text: str) -> Offer:
    """Raises Malformed for what is no offer of one audio and one video section at most, or has other credentials of ICE than words."""
    lines = _lines(text)
    kinds = tuple(line[2:].split(" ", 1)[0] for line in lines if line.startswith("m="))
    if not lines or lines[0] != "v=0" or not kinds or not set(kinds) <= {"audio", "video"} or len(kinds) != len(set(kinds)):
        raise Malformed(
            f"The offer has these media: {', '.join(kind[:20] for kind in kinds[:8]) or 'none'}.",
            "Offer SDP with one audio section, one video section, or both.",
            code="sdp_media",
        )
    for name in _CREDENTIALS:
        for found in _values(lines, name):
            _check_word(name, found)
    kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    return Offer("\r\n".join(kept) + "\r\n", kinds, _candidates(lines))


def read_fragment(text: str) -> Fragment:
    """Raises Malformed."""
    lines = _lines(text)

    def value(name: str) -> str:
        found = next(iter(_values(lines, name)), "")
        if found:
            _check_word(name, found)
        return found

    ufrag, password = map(value, _CREDENTIALS)
    return Fragment(ufrag, password, _candidates(lines))


def usable(candidates: Sequence[str], scope: Scope) -> list[aioice.Candidate]:
    """Those that checks are sent to. They are no names: nothing is looked up."""
    found = []
    for line in candidates if scope != "none" else ():
        try:
            candidate = aioice.Candidate.from_sdp(line.removeprefix("candidate:"))
            address = ipaddress.ip_address(candidate.host)
        except ValueError:  # a name, such as one of mDNS
            continue
        if address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified:
            continue
        fits = candidate.component == 1 and candidate.transport.lower() == "udp" and 0 < candidate.port < 65_536
        if fits and (address.is_global or scope == "all"):
            found.append(candidate)
    return found


def fragment(ufrag: str, password: str, mid: str, candidates: Sequence[aioice.Candidate]) -> str:
    """Of the server, after an ICE restart."""
    lines = [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}", "m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=mid:{mid}"]
    lines += [f"a=candidate:{candidate.to_sdp()}" for candidate in candidates]
    return "\r\n".join([*lines, "a=end-of-candidates"]) + "\r\n"


def _values(lines: Sequence[str], name: str) -> list[str]:
    return [line.partition(":")[2].strip() for line in lines if line.startswith(f"a={name}:")]


def _check_word(name: str, found: str) -> None:
    if not _WORD.fullmatch(found):
        raise Malformed(f"{name} is {found[:40]!r}.", "Send it as the browser gives it.", code="sdp_unread")


def _candidates(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line[2:].strip() for line in lines if line.startswith("a=candidate:")))[:MAX_CANDIDATES]


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        raise Malformed(f"The SDP has {len(lines)} lines.", f"At most {MAX_LINES}.", code="sdp_unread")
    return lines
