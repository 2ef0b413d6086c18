"""What a video says about itself: written, signed, read again by our reader and by others, and tampered with."""

from __future__ import annotations

import dataclasses
import datetime
import http.server
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from core.errors import InputError, OptionError, SigningError
from core.media.audio import load_audio
from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.media.video import VideoWriter, encode
from core.provenance import disclosure as words
from core.provenance.__main__ import main
from core.provenance.container import C2PA_UUID, boxes
from core.provenance.disclosure import DIGITAL_SOURCE_TYPE, disclosure
from core.provenance.reading import read_provenance
from core.provenance.signing import Signer, open_signer
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Generation, Photo, RenderOptions, Request
from tests.certificates import Identity, make_identity

ROOT = Path(__file__).resolve().parents[1]
ABOUT = disclosure("lite", "3.abc", "photo", True, datetime.date(2026, 11, 21))
SIDE = 64


@pytest.fixture(scope="module")
def sound() -> Audio:
    rng = np.random.default_rng(1)
    return load_audio((16_000, (0.1 * rng.standard_normal(16_000)).astype(np.float32)), Settings())


@pytest.fixture(scope="module")
def plain(sound: Audio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second with the metadata and no signature."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    encode(np.random.default_rng(2).integers(0, 256, (25, SIDE, SIDE, 3), np.uint8), path, sound, SIDE, SIDE, ABOUT)
    return path


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="module")
def signer(identity: Identity) -> Signer:
    return Signer(identity.chain, identity.key)


@pytest.fixture(scope="module")
def signed(plain: Path, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signed") / "signed.mp4"
    path.write_bytes(plain.read_bytes())
    signer.sign(path, ABOUT)
    return path


def altered(path: Path, folder: Path, at: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    copy = folder / "altered.mp4"
    copy.write_bytes(data)
    return copy


# ------------------------------------------------------------------------------------------------------------- metadata


def test_words() -> None:
    assert ABOUT["comment"] == "Synthetic media: a still photo animated by talking-head, engine lite 3.abc"
    assert ABOUT["date"] == "2026-11-21"
    assert ABOUT["visible_label"] == "AI"
    assert disclosure("ditto", "1", "video", False, datetime.date(2026, 1, 2))["visible_label"] == "none"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (words.GENERATOR, words.GENERATOR_VERSION) == (project["name"], project["version"])


def test_metadata_is_in_the_file_for_us_and_for_others(plain: Path) -> None:
    with av.open(str(plain)) as video:
        assert ABOUT.items() <= video.metadata.items()
    found = read_provenance(plain)
    assert ABOUT.items() <= found.metadata.items()
    assert found.synthetic
    assert found.good
    assert found.manifest is None


def test_metadata_of_a_stream(tmp_path: Path) -> None:
    stream = FragmentedMp4(SIDE, SIDE, 16_000, 1, ABOUT)
    pieces = [stream.initialisation().data]
    stream.add_sound(np.zeros((1, 16_000), np.float32))
    for index in range(25):
        stream.add_frame(as_picture(np.zeros((SIDE, SIDE, 3), np.uint8)), keyframe=index == 0)
    pieces.append(stream.cut(final=True).data)
    path = tmp_path / "stream.mp4"
    path.write_bytes(b"".join(pieces))
    with av.open(str(path)) as video:
        assert ABOUT.items() <= video.metadata.items()
    assert ABOUT.items() <= read_provenance(path).metadata.items()


# -------------------------------------------------------------------------------------------------------------- signing


def test_signed_and_verified(signed: Path, plain: Path, identity: Identity) -> None:
    found = read_provenance(signed)
    assert found.good
    manifest = found.manifest
    assert manifest is not None
    assert (manifest.state, manifest.signer, manifest.organisation) == ("intact", "Test signer", "Tests")
    assert manifest.source_types == (DIGITAL_SOURCE_TYPE,)
    assert manifest.actions == ("c2pa.created by talking-head lite 3.abc",)
    assert manifest.generator == f"talking-head {words.GENERATOR_VERSION}"
    assert manifest.problems == ()
    assert read_provenance(signed, identity.authority.read_text()).manifest.state == "trusted"  # type: ignore[union-attr]
    assert ABOUT.items() <= found.metadata.items(), "signing keeps the metadata"
    for stream in ("video", "audio"):
        decoded = []
        for path in (plain, signed):
            with av.open(str(path)) as video:
                decoded.append([frame.to_ndarray() for frame in video.decode(**{stream: 0})])
        assert all(np.array_equal(*pair) for pair in zip(*decoded, strict=True)), "signing changes neither picture nor sound"


def test_signer_of_no_given_authority(signed: Path, tmp_path: Path) -> None:
    found = read_provenance(signed, make_identity(tmp_path).authority.read_text())
    assert found.manifest is not None
    assert found.manifest.state == "broken"
    assert "authorities" in found.manifest.problems[-1]


@pytest.mark.parametrize("kind", [b"mdat", b"stsz", b"Synthetic media"])
def test_tampering_is_seen(signed: Path, tmp_path: Path, kind: bytes) -> None:
    data = signed.read_bytes()
    moov = data.index(b"moov")  # the manifest before it repeats the words
    found = read_provenance(altered(signed, tmp_path, data.index(kind, moov) + 40))
    assert found.manifest is not None
    assert found.manifest.state == "broken"
    assert "hash" in " ".join(found.manifest.problems).lower()
    assert not found.good


def test_manifest_of_another_video(signed: Path, plain: Path, tmp_path: Path) -> None:
    with signed.open("rb") as file:
        box = next(box for box in boxes(file, 0, signed.stat().st_size) if box.kind == b"uuid")
        file.seek(box.start - 8)
        manifest = file.read(box.end - box.start + 8)
    other = bytearray(plain.read_bytes())
    other[-2000] ^= 1
    forged = tmp_path / "forged.mp4"
    forged.write_bytes(bytes(other[:32]) + manifest + bytes(other[32:]))
    found = read_provenance(forged)
    assert found.manifest is not None
    assert found.manifest.state == "broken"


def test_marks_stripped_from_the_container_remain_in_the_manifest(sound: Audio, signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "bare.mp4"
    encode(np.zeros((5, SIDE, SIDE, 3), np.uint8), path, sound, SIDE, SIDE)
    assert not read_provenance(path).good
    signer.sign(path, ABOUT)
    found = read_provenance(path)
    assert "synthetic_media" not in found.metadata
    assert found.good


def test_writer_moves_only_signed_files_into_place(sound: Audio, signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with VideoWriter(path, SIDE, SIDE, sound, metadata=ABOUT, seal=lambda part: signer.sign(part, ABOUT)) as writer:
        writer.write(np.zeros((SIDE, SIDE, 3), np.uint8))
        assert not path.exists()
    assert read_provenance(path).manifest is not None
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]


def test_configuration_is_judged_at_the_start(identity: Identity, tmp_path: Path) -> None:
    assert open_signer(Settings()) is None
    assert open_signer(Settings(c2pa_cert=identity.chain, c2pa_key=identity.key)) is not None
    other = make_identity(tmp_path / "other")
    expired = make_identity(tmp_path / "expired", last_day=datetime.timedelta(days=-1))
    (tmp_path / "no.pem").write_text("nothing")
    other_use = make_identity(tmp_path / "use", usage=ExtendedKeyUsageOID.SERVER_AUTH)
    cases = {
        "Only one of": (identity.chain, None),
        "cannot be read": (identity.chain, tmp_path / "missing.pem"),
        "not a PEM": (identity.chain, tmp_path / "no.pem"),
        "does not match": (identity.chain, other.key),
        "self-signed": (identity.authority, identity.key),
        "not valid at time": (expired.chain, expired.key),
        "certificate is invalid": (other_use.chain, other_use.key),
    }
    for message, (certificate, key) in cases.items():
        with pytest.raises(OptionError, match=message) as caught:
            open_signer(Settings(c2pa_cert=certificate, c2pa_key=key))
        assert "PRIVATE KEY" not in str(caught.value)
    with pytest.raises(OptionError, match="es384"):
        open_signer(Settings(c2pa_cert=identity.chain, c2pa_key=identity.key, c2pa_alg="es384"))


# ------------------------------------------------------------------------------------------------------ generated videos


@pytest.fixture(scope="module")
def short(speech: Audio) -> Audio:
    return dataclasses.replace(speech, samples=speech.samples[:4_800])


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


# -------------------------------------------------------------------------------------------------------------- network


@pytest.fixture
def calls() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine that answers with nonsense, and what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
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
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_time_stamps_are_asked_for_where_configured_and_only_there(
    identity: Identity, plain: Path, calls: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = calls
    path = tmp_path / "v.mp4"
    path.write_bytes(plain.read_bytes())
    with pytest.raises(SigningError):
        Signer(identity.chain, identity.key, "es256", address + "/stamp").sign(path, ABOUT)
    assert set(asked) == {"/stamp"}
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
    address, asked = calls
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
    assert asked == []


# ------------------------------------------------------------------------------------------------------- hostile files


def test_what_is_not_a_readable_mp4(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, hello, hello")
    (tmp_path / "short").write_bytes(b"\0\0\0")
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "text", "short", "pipe", "missing", ".", "a\0b"):
        with pytest.raises(InputError):
            read_provenance(tmp_path / name)


def test_endless_and_lying_boxes(tmp_path: Path) -> None:
    head = struct.pack(">I4s", 16, b"ftyp") + b"isom\0\0\2\0"
    path = tmp_path / "v.mp4"
    path.write_bytes(head + struct.pack(">I4s", 8, b"free") * 250_000)
    with pytest.raises(InputError, match="parts"):
        read_provenance(path)
    keys = struct.pack(">I4sII", 24, b"keys", 0, 2**32 - 1) + struct.pack(">I4s", 2**31, b"mdta")
    meta = struct.pack(">I4sI", 12 + len(keys), b"meta", 0) + keys
    movie = struct.pack(">I4s", 8 + 8 + len(meta), b"moov") + struct.pack(">I4s", 8 + len(meta), b"udta") + meta
    for tail in (
        movie,
        struct.pack(">I4sQ", 1, b"moov", 2**63),
        struct.pack(">I4s", 2**32 - 1, b"moov"),
        struct.pack(">I4s", 4, b"moov"),
        struct.pack(">I4s", 0, b"moov"),
    ):
        path.write_bytes(head + tail)
        assert not read_provenance(path).good
    with path.open("wb") as file:  # a manifest of 3 GB in a file of holes
        file.write(head + struct.pack(">I4s", 3 * 2**30, b"uuid") + C2PA_UUID)
        file.truncate(3 * 2**30 + 16)
    started_s = time.process_time()
    found = read_provenance(path)
    assert found.manifest is not None
    assert "16 MiB" in found.manifest.problems[0]
    assert time.process_time() - started_s < 5


def test_damaged_files_never_count_as_signed_or_crash(signed: Path, tmp_path: Path) -> None:
    """Bytes of the manifest and of the header flipped, the file cut short."""
    data, original = signed.read_bytes(), read_provenance(signed).manifest
    end = data.index(b"mdat")
    chance = random.Random(3)  # noqa: S311
    path = tmp_path / "v.mp4"
    for trial in range(150):
        copy = bytearray(data)
        for _ in range(1 + trial % 3):
            copy[chance.randrange(32, end)] = chance.randrange(256)
        if trial % 5 == 0:
            del copy[chance.randrange(40, len(copy)) :]
        path.write_bytes(copy)
        found = read_provenance(path)
        if found.manifest is not None and found.manifest.state != "broken":
            assert found.manifest == original, "only what is no one's claim may change: lengths, room kept free for the signature"


def test_nothing_reaches_the_terminal_but_plain_text(sound: Audio, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v.mp4"
    evil = {**ABOUT, "comment": "\x1b[2J\x07 nice\r\n good: yes \u202e" + "x" * 9000}
    encode(np.zeros((5, SIDE, SIDE, 3), np.uint8), path, sound, SIDE, SIDE, evil)
    main([str(path)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown) < 2500
    assert not any(line.startswith(" good") for line in shown.splitlines())


# --------------------------------------------------------------------------------------------------------- command line


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "core.provenance", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_command_line(signed: Path) -> None:
    done = run(signed)
    assert done.returncode == 0, done.stderr
    for words_ in ("marked as synthetic: yes", "engine: lite 3.abc", "Test signer of Tests", "intact", "compositeSynthetic", "2026-11-21"):
        assert words_ in done.stdout


def test_exit_codes(
    plain: Path, signed: Path, sound: Audio, identity: Identity, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.mp4"
    encode(np.zeros((5, SIDE, SIDE, 3), np.uint8), bare, sound, SIDE, SIDE)
    broken = altered(signed, tmp_path, signed.stat().st_size - 500)
    assert main([str(plain)]) == 0
    assert "none, so nothing shows" in capsys.readouterr().out
    assert main([str(signed), "--anchors", str(identity.authority)]) == 0
    assert "trusted signer" in capsys.readouterr().out
    assert main([str(bare)]) == 1
    assert "marked as synthetic: NO" in capsys.readouterr().out
    assert main([str(broken)]) == 1
    assert "BROKEN" in capsys.readouterr().out
    assert main([str(tmp_path / "missing.mp4")]) == 2
    assert main([str(plain), "--anchors", str(tmp_path / "missing.pem")]) == 2
    assert main([str(signed), "--anchors", str(identity.key)]) == 2
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_json(signed: Path, plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(signed), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["good"], said["synthetic"], said["manifest"]["state"]) == (True, True, "intact")
    assert said["manifest"]["source_types"] == [DIGITAL_SOURCE_TYPE]
    assert said["metadata"]["engine"] == "lite 3.abc"
    main([str(plain), "--json"])
    assert json.loads(capsys.readouterr().out)["manifest"] is None
