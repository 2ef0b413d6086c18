#!/usr/bin/env python3
"""Command line for Ditto's checkpoints, and for the network of the Kokoro voices: lists, downloads, verifies, removes and exports them.

    python model_manager.py list|download|verify|path|remove [--format pytorch|onnx|trt|kokoro] [--with insightface] [--folder F] [--json]
    python model_manager.py export --onnx_dir DIR [--checkpoint_dir DIR] [--folder F] [--json]

For programs: `ensure(format, progress)` returns the paths by role. Exit codes: 0; 2 for bad arguments; 1 for anything else, including
files that `verify` finds missing or damaged; 130 after Ctrl-C. Folder: --folder, else DITTO_MODELS_DIR, else
/tmp/ditto_models where it is there already, else ~/.cache/talking-head/ditto_models.
The Hub is reached as huggingface_hub reaches it: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code
from manager import trt
from manager.catalogue import DEFAULT_FORMAT, Catalogue, Checkpoints
from manager.errors import CorruptFileError, DiskFullError, DownloadError, FolderError, HubError
from manager.export import check_packages, checkpoints_in, export_checkpoints
from manager.kokoro import FORMAT as KOKORO
from manager.kokoro import kokoro_catalogue
from manager.progress import DownloadCallback, DownloadProgress, TerminalBar, human_bytes
from manager.store import Store

__all__ = (
    "Checkpoints",
    "CorruptFileError",
    "DiskFullError",
    "DownloadCallback",
    "DownloadError",
    "DownloadProgress",
    "FolderError",
    "HubError",
    "TerminalBar",
    "ensure",
    "main",
)


def ensure(
    format: str = DEFAULT_FORMAT,
    progress: DownloadCallback | None = None,
    *,
    extras: Iterable[str] = (),
    cancel: threading.Event | None = None,
    folder: Path | str | None = None,
    catalogue: Catalogue | None = None,
    endpoint: str | None = None,
) -> Checkpoints:
    """The verified checkpoints of one format, by role; fetches what is missing. See `Store.ensure` for the errors.

    extras: "insightface" adds the detector and 106 landmarks that are for non-commercial use only. folder, endpoint: default to the
    environment (DITTO_MODELS_DIR, HF_ENDPOINT). cancel: set it from any thread; what has arrived is kept.
    """
    return Store(folder, catalogue, endpoint).ensure(format, progress, extras=extras, cancel=cancel)


COMMANDS = {
    "list": "what there is, and what of it lies here",
    "download": "fetch what is missing, and verify it",
    "verify": "hash every file again",
    "path": "where the files lie, by role",
    "remove": "delete the files, of one format or of all",
    "export": "make the ONNX files of the networks from the PyTorch checkpoints",
}


def parse_arguments(argv: list[str] | None, formats: Iterable[str]) -> argparse.Namespace:
    parser = OneLineParser(prog="model_manager.py", description=f"Ditto's checkpoints: {', '.join(COMMANDS)}.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        default = "all of Ditto's" if name in ("list", "remove") else DEFAULT_FORMAT
        if name == "export":
            command.add_argument("--onnx_dir", type=Path, required=True, help="folder to write to; made where it is missing")
            command.add_argument("--checkpoint_dir", type=Path, help="folder with the .pth files, instead of the downloaded ones")
        else:
            command.add_argument("--format", choices=tuple(formats), help=f"which; {KOKORO}: of the voices (default: {default})")
        if name in ("download", "verify", "path"):
            command.add_argument(
                "--with", dest="extras", action="append", default=[], metavar="EXTRA",
                help='also the files of this extra: "insightface" (detector and landmarks for non-commercial use)',
            )  # fmt: skip
        command.add_argument("--folder", type=Path, help="where the files lie (default: $DITTO_MODELS_DIR, else as told above)")
        command.add_argument("--json", action="store_true", help="stdout is one JSON object")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, store: Store) -> int:
    """Runs one command; returns the exit code."""
    if arguments.command == "export":
        return export(store, arguments)
    format = arguments.format or DEFAULT_FORMAT
    if arguments.command == "list":
        return show_list(store, [arguments.format] if arguments.format else list(store.catalogue.formats), arguments.json)
    if arguments.command == "remove":
        removed, freed = store.remove(arguments.format)
        text = [f"{len(removed)} files removed from {store.folder.path}, {human_bytes(freed)} freed"]
        return show({"removed": [str(path) for path in removed], "bytes": freed}, text, arguments.json)
    if arguments.command == "verify":
        return show_verdicts(store, format, arguments.extras, arguments.json)
    if arguments.command == "download":
        bar = TerminalBar()
        try:
            checkpoints = store.ensure(format, bar, extras=arguments.extras)
        finally:
            bar.end()
        text = [f"{len(checkpoints)} files of the {format} checkpoints are in place and verified: {store.folder.path}"]
    else:
        checkpoints = store.locate(format, arguments.extras)
        text = [f"{role:<22} {path}" for role, path in checkpoints.items()]
    paths = {role: str(path) for role, path in checkpoints.items()}
    content = {"format": format, "revision": checkpoints.revision, "folder": str(store.folder.path), "paths": paths}
    return show(content, text, arguments.json)


def export(store: Store, arguments: argparse.Namespace) -> int:
    check_packages()
    folder: Path | None = arguments.checkpoint_dir
    checkpoints = checkpoints_in(folder) if folder is not None else store.locate(DEFAULT_FORMAT)
    made = export_checkpoints(checkpoints, arguments.onnx_dir, lambda line: sys.stderr.write(f"{line}\n"))
    text = [f"{file.path}  {human_bytes(file.size_bytes)}, largest relative error {file.relative_error:.1e}" for file in made]
    files = [
        {"role": file.role, "path": str(file.path), "bytes": file.size_bytes, "relative_error": file.relative_error} for file in made
    ]
    return show({"folder": str(arguments.onnx_dir), "files": files}, text, arguments.json)


def show_list(store: Store, formats: list[str], as_json: bool) -> int:
    content: list[dict[str, Any]] = []
    text = [f"{store.catalogue.repo} at {store.catalogue.revision[:12]}, in {store.folder.path}"]
    for format in formats:
        files = store.status(format)
        needed = [status for status in files if not status.file.extra]
        sizes = [status.file.size_bytes for status in needed]
        complete = all(status.state in ("present", "cached") for status in needed)
        obstacle = trt.obstacle() if format == "trt" else None
        content.append({
            "format": format, "complete": complete, "obstacle": obstacle,
            "bytes": None if None in sizes else sum(size or 0 for size in sizes),
            "files": [
                {"role": s.file.role, "path": s.file.path, "bytes": s.file.size_bytes, "sha256": s.file.sha256, "extra": s.file.extra,
                 "state": s.state, "location": str(s.path), "bytes_here": s.size_bytes}
                for s in files
            ],
        })  # fmt: skip
        total = "sizes from the Hub" if None in sizes else human_bytes(sum(size or 0 for size in sizes))
        text.append(f"\n{format}: {len(needed)} files, {total}; {'complete' if complete else 'not complete'}")
        if obstacle:
            text.append(f"  cannot run here: {obstacle}")
        for status in files:
            size = "?" if status.file.size_bytes is None else human_bytes(status.file.size_bytes)
            extra = f"  (--with {status.file.extra})" if status.file.extra else ""
            text.append(f"  {status.state:<8} {size:>8}  {status.file.path}{extra}")
    heading = {"repo": store.catalogue.repo, "revision": store.catalogue.revision, "folder": str(store.folder.path)}
    return show({**heading, "formats": content}, text, as_json)


def show_verdicts(store: Store, format: str, extras: list[str], as_json: bool) -> int:
    bar = TerminalBar()
    try:
        verdicts = store.verify(format, bar, extras=extras or None)
    finally:
        bar.end()
    bad = [v for v in verdicts if v.verdict in ("damaged", "absent")]
    text = [f"{v.verdict:<10} {v.file.path}{f' ({v.reason})' if v.reason else ''}" for v in verdicts]
    if bad:
        text.append(f"{len(bad)} of {len(verdicts)} files are missing or damaged. Run: python model_manager.py download --format {format}")
    files = [
        {"role": v.file.role, "path": v.file.path, "verdict": v.verdict, "location": str(v.path), "reason": v.reason} for v in verdicts
    ]
    show({"format": format, "folder": str(store.folder.path), "ok": not bad, "files": files}, text, as_json)
    return 1 if bad else 0


def show(content: dict[str, Any], text: list[str], as_json: bool) -> int:
    sys.stdout.write((json.dumps(content) if as_json else "\n".join(text)) + "\n")
    return 0


def main(argv: list[str] | None = None, catalogue: Catalogue | None = None) -> int:
    formats = ("pytorch", "onnx", "trt", KOKORO) if catalogue is None else tuple(catalogue.formats)
    arguments = parse_arguments(argv, formats)
    if catalogue is None and getattr(arguments, "format", None) == KOKORO:
        catalogue = kokoro_catalogue()
    exporting = arguments.command == "export"
    return exit_code(
        lambda: run(arguments, Store(arguments.folder, catalogue)),
        "stopped; " + ("finished files are kept" if exporting else "what has arrived is kept, the next download goes on from there"),
    )


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
