"""Videos that a studio made are marked or signed, and nothing else is asked of the network."""

from __future__ import annotations

import datetime
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import OptionError, SigningError
from core.generation import Generation
from core.provenance.container import C2PA_UUID
from core.provenance.reading import read_provenance
from core.provenance.signing import Signer
from core.request import RenderOptions, Request
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Photo
from tests.support.certificates import Identity
from tests.support.signed_videos import ABOUT


def generate(settings: Settings, request: Request, output: Path) -> Generation:
    studio = open_studio(settings)
    try:
        return studio.generate(request, output)
    finally:
        studio.close()


def test_a_generated_video_is_signed(
    settings: Settings, identity: Identity, portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    signing = settings.model_copy(update={"c2pa_cert": identity.chain, "c2pa_key": identity.key})
    request = Request(short, portrait, options=RenderOptions(size=64, label=True))
    generation = generate(signing, request, tmp_path / "v.mp4")
    found = read_provenance(generation.path, identity.authority.read_text())
    assert found.good
    assert found.manifest is not None
    assert found.manifest.state == "trusted"
    assert found.metadata["engine"].startswith("lite ")
    assert found.metadata["visible_label"] == "AI"
    assert found.metadata["date"] == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]


def test_an_unsigned_generated_video_is_marked(studio: Studio, portrait: Photo, short: Audio, tmp_path: Path) -> None:
    generation = studio.generate(Request(short, portrait, options=RenderOptions(size=64)), tmp_path / "v.mp4")
    found = read_provenance(generation.path)
    assert found.good
    assert found.manifest is None
    assert found.metadata["visible_label"] == "none"
    with studio.stream(Request(short, portrait, options=RenderOptions(size=64, label=True))) as stream:
        (tmp_path / "stream.mp4").write_bytes(b"".join(segment.data for segment in stream))
    found = read_provenance(tmp_path / "stream.mp4")
    assert found.good
    assert found.metadata["visible_label"] == "AI"


@pytest.fixture
def calls() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine that answers with nonsense, and the paths that were requested."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"nonsense")

        do_GET = do_POST

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", paths
        server.shutdown()
        thread.join()


def test_time_stamps_are_asked_for_where_configured_and_only_there(
    identity: Identity, plain: Path, calls: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, paths = calls
    path = tmp_path / "v.mp4"
    path.write_bytes(plain.read_bytes())
    with pytest.raises(SigningError):
        Signer(identity.chain, identity.key, "es256", address + "/stamp").sign(path, ABOUT)
    assert set(paths) == {"/stamp"}
    assert path.read_bytes() == plain.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]


def test_a_generated_video_that_cannot_be_signed_is_none(
    settings: Settings, identity: Identity, portrait: Photo, short: Audio, calls: tuple[str, list[str]], tmp_path: Path
) -> None:
    given = {"c2pa_cert": identity.chain, "c2pa_key": identity.key, "c2pa_tsa_url": calls[0]}
    path = tmp_path / "v.mp4"
    path.write_bytes(b"older")
    with pytest.raises(SigningError, match="could not be signed"):
        generate(settings.model_copy(update=given), Request(short, portrait, options=RenderOptions(size=64)), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]
    assert path.read_bytes() == b"older"
    with pytest.raises(OptionError, match="cannot sign"):
        open_studio(settings.model_copy(update={**given, "c2pa_alg": "es512"}))


def test_a_manifest_elsewhere_is_not_fetched(plain: Path, calls: tuple[str, list[str]], tmp_path: Path) -> None:
    """XMP may name an address where the manifest lies: whoever sends a file must not make us call anybody."""
    address, paths = calls
    xmp = (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" '
        f'rdf:about="" dcterms:provenance="{address}/m.c2pa"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
    xmp_uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    path = tmp_path / "v.mp4"
    empty_manifest = C2PA_UUID + bytes(4) + b"manifest\0" + bytes(8)
    for extra in (b"", struct.pack(">I4s", 8 + len(empty_manifest), b"uuid") + empty_manifest):
        path.write_bytes(plain.read_bytes() + struct.pack(">I4s", 24 + len(xmp), b"uuid") + xmp_uuid + xmp + extra)
        read_provenance(path)
    assert paths == []
