"""`python -m core.provenance`: exit codes, JSON, one line for an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.media.video import encode
from core.provenance.__main__ import main
from core.provenance.disclosure import DIGITAL_SOURCE_TYPE
from core.types import Audio
from tests.support.certificates import Identity
from tests.support.paths import ROOT
from tests.support.signed_videos import SIDE, altered


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
