"""Command line that shows what a video says about its origin and verifies its signature.

    python -m core.provenance FILE [--json] [--anchors AUTHORITIES.pem]

Exit code 0: marked as synthetic in some way, and whatever is signed verifies; 1: no such mark, or a manifest that does not verify; 2: not
readable.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from core.command_line import FAILED, OK, OneLineParser, exit_code
from core.errors import InputError
from core.provenance.mark_detection import MarkReading
from core.provenance.marking import mark_key
from core.provenance.reading import Manifest, Provenance, plain, read_all
from core.settings import load_settings

_MAX_CPU_S = 300
"""A file that keeps the reader busy for longer is hostile."""
_STATES = {
    "trusted": "intact, by a trusted signer",
    "intact": "intact; who the signer is was not checked (--anchors)",
    "broken": "BROKEN",
}
_SHOWN = ("comment", "generator", "engine", "date", "visible_label", "imperceptible_mark", "digital_source_type")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="core.provenance", description="Reads and verifies how a video is marked as synthetic.")
    parser.add_argument("file", type=Path, help="a video")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--anchors", type=Path, help="PEM file of authorities; a manifest by a signer of none of them fails")
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> int:
    found = read_all(chosen.file, _read_anchors(chosen.anchors), mark_key(load_settings()))
    text = json.dumps({"file": str(chosen.file), **found.to_dict()}) if chosen.json else _summary(chosen.file, found)
    sys.stdout.write(text + "\n")
    return OK if found.good else FAILED


def _read_anchors(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as PEM ({error}).", "Check the path.") from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise InputError(f"{path} holds no certificates.", "Give the authorities' certificates in PEM.")
    return text


def _summary(path: Path, found: Provenance) -> str:
    lines = [plain(path), f"  marked as synthetic: {'yes' if found.synthetic else 'NO'}"]
    lines += [f"  {key.replace('_', ' ')}: {found.metadata[key]}" for key in _SHOWN if key in found.metadata]
    if found.manifest is None:
        lines.append("  Content Credentials (C2PA): none, so nothing shows whether the file or the marks above were changed")
    else:
        lines += _manifest_lines(found.manifest)
    return "\n".join([*lines, *_mark_lines(found.mark, found.mark_error)])


def _mark_lines(mark: MarkReading | None, error: InputError | None) -> list[str]:
    if mark is None:
        return [f"  mark in the pictures: not looked for ({plain(error)})"]
    if not mark.found:
        return [f"  mark in the pictures: not found in {mark.n_frames} frames"]
    about = [f"confidence {100 * mark.confidence:.6g} %, by chance once in {1 / max(mark.chance, 1e-99):.0e} videos"]
    about += ["mirrored"] if mark.mirrored else []
    if mark.payload is not None:
        about.append(f"id {mark.payload:08x} of this deployment")
    return [f"  mark in the pictures: found ({'; '.join(about)})"]


def _manifest_lines(manifest: Manifest) -> list[str]:
    signer = " of ".join(filter(None, (manifest.signer, manifest.organisation))) or "unknown"
    lines = [f"  Content Credentials (C2PA): {_STATES[manifest.state]}", f"    signer: {signer}"]
    when = f"{manifest.signed_at}, says a time-stamping service" if manifest.signed_at else "not certified by a time-stamping service"
    lines.append(f"    signed at: {when}")
    lines.append(f"    claim generator: {manifest.generator or 'unknown'}")
    lines += [f"    claims: {action}" for action in manifest.actions]
    lines += [f"    source type: {term}" for term in manifest.source_types]
    lines += [f"    problem: {problem}" for problem in manifest.problems]
    return lines


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_S, _MAX_CPU_S))
    sys.exit(main())
