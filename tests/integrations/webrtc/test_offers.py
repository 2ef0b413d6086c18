"""What is read of SDP, and which addresses of it are ever used."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from core.service.errors import Malformed
from core.settings import Settings
from integrations.webrtc.ice_servers import SPARE_S, IceServers
from integrations.webrtc.offers import MAX_CANDIDATES, read_fragment, read_offer, usable

pytestmark = pytest.mark.slow
OFFER = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na={}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=end-of-candidates\r\n"
PUBLIC = "candidate:1 1 udp 2130706431 93.184.215.14 5000 typ host"


def test_an_offer_goes_on_without_its_candidates() -> None:
    offer = read_offer(OFFER.format(PUBLIC))
    assert offer.kinds == ("video", "audio")
    assert offer.candidates == (PUBLIC,)
    assert "candidate" not in offer.sdp


@pytest.mark.parametrize(
    "text", ["", "v=0", "m=audio 9 x 0", "v=0\nm=audio 9 x 0\nm=audio 9 x 0", "v=0\nm=text 9 x 0", "v=0\n" + "a=x\n" * 1001]
)
def test_what_is_no_offer_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read_offer(text)


def test_without_stun_and_turn_no_address_is_used() -> None:
    assert usable([PUBLIC], "none") == []
    assert [each.host for each in usable([PUBLIC], "public")] == ["93.184.215.14"]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "172.16.0.1", "100.64.0.1", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1",
     "224.0.0.251", "metadata.internal", "0f3a.local", "2130706433"],
)  # fmt: skip
def test_addresses_inside_a_network_are_never_used(address: str) -> None:
    assert usable([PUBLIC.replace("93.184.215.14", address)], "public") == []


def test_a_turn_server_decides_by_itself_whom_it_sends_to() -> None:
    candidates = [PUBLIC.replace("93.184.215.14", address) for address in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "224.0.0.251")]
    assert [each.host for each in usable(candidates, "all")] == ["10.0.0.1"]


@pytest.mark.parametrize(("part", "other"), [(" 1 udp", " 2 udp"), ("udp", "tcp"), ("5000", "0"), (PUBLIC, "candidate:1")])
def test_candidates_of_another_kind_are_left_out(part: str, other: str) -> None:
    assert usable([PUBLIC.replace(part, other)], "public") == []


def test_candidates_are_bounded() -> None:
    many = "".join(f"a={PUBLIC.replace('5000', str(5000 + n))}\r\n" for n in range(100))
    assert len(read_fragment(many).candidates) == MAX_CANDIDATES


def test_credentials_are_words() -> None:
    fragment = read_fragment("a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n")
    assert (fragment.ufrag, fragment.password) == ("abcd", "0123456789012345678901")
    with pytest.raises(Malformed):
        read_fragment("a=ice-ufrag:a b\r\n")


@pytest.mark.parametrize("line", ["a=ice-ufrag:" + "x" * 60_000, "a=ice-pwd:a b", "a=ice-ufrag:"])
def test_a_name_that_would_make_checks_large_is_refused(line: str) -> None:
    read_offer(OFFER.format(PUBLIC) + "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n")
    with pytest.raises(Malformed) as refused:
        read_offer(OFFER.format(PUBLIC) + "a=ice-ufrag:abcd\r\n" + line + "\r\n")
    assert refused.value.code == "sdp_unread"


def test_names_for_turn_end_and_are_each_owners_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    monkeypatch.setenv("TALKING_HEAD_TURN_URLS", "turn:a.example:3478,turns:a.example:443?transport=tcp")
    monkeypatch.setenv("TALKING_HEAD_TURN_SECRET", "shared")
    servers = IceServers(Settings(stun_url="stun:a.example:3478", max_live_s=600.0))
    stun, turn, turns = servers.of("key:ada")
    assert (stun.url, stun.username, turns.url) == ("stun:a.example:3478", "", "turns:a.example:443?transport=tcp")
    assert turn.username.startswith(f"{1_000_600 + SPARE_S}:")
    assert "ada" not in turn.username
    code = hmac.new(b"shared", turn.username.encode(), hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(code).decode()
    assert servers.of("key:bob")[1].username != turn.username
    assert [server.urls for server in servers.own()] == [stun.url, turn.url, turns.url]
    assert IceServers(Settings(turn_urls=())).own() == [], "no other's server is asked"
