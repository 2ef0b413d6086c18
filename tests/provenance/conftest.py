"""Videos with and without a signature, and who signed them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.media.audio import load_audio
from core.media.video import encode
from core.provenance.signing import Signer
from core.settings import Settings
from core.types import Audio
from tests.support.certificates import Identity, make_identity
from tests.support.signed_videos import ABOUT, SIDE


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


@pytest.fixture(scope="module")
def short(speech: Audio) -> Audio:
    return dataclasses.replace(speech, samples=speech.samples[:4_800])
