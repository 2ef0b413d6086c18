"""Signatures: made, verified, tampered with, stripped, and their configuration."""

from __future__ import annotations

import datetime
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from core.errors import OptionError
from core.media.video import VideoWriter, encode
from core.provenance import disclosure as words
from core.provenance.container import boxes
from core.provenance.disclosure import DIGITAL_SOURCE_TYPE
from core.provenance.reading import read_provenance
from core.provenance.signing import Signer, open_signer
from core.settings import Settings
from core.types import Audio
from tests.support.certificates import Identity, make_identity
from tests.support.signed_videos import ABOUT, SIDE, altered


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
    with VideoWriter(path, SIDE, SIDE, sound, metadata=ABOUT, sign=lambda part: signer.sign(part, ABOUT)) as writer:
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
