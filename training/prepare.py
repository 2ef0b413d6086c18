"""Command line that makes training data of a folder of videos.

    python -m training.prepare videos/ data/ --consent "..." --licence "..."

A run that was stopped goes on where it was; videos that were added are added. Exit code 0; 2 for bad input; 1 for anything else; 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from operator import itemgetter
from pathlib import Path
from typing import Any

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code
from core.engines import ditto_networks
from core.progress_bar import ProgressBar
from core.types import FPS
from training.checkpoints import add_ditto_flag, ditto_checkpoints
from training.data.clip import Array, ClipArrays
from training.data.clips import REASONS
from training.data.manifest import NAME, Manifest, Options, SourceEntry, StatementEntry, finished_record
from training.data.moments import moments_of
from training.data.networks import DataNetworks, fingerprint, load_data_networks
from training.data.plot import save_distributions
from training.data.shards import ShardReader
from training.data.statement import Statement, asked_statement
from training.data.videos import digest_or_error, prepare_video, videos_in
from training.files import DataError, make_folder, write_json

PLOT = "distributions.png"
MAX_PLOTTED = 400
"""Clips that the picture of distributions is made of, spread over the data set."""
Job = tuple[Path, str, str]
"""Path, name in the manifest, and digest of a video."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="training.prepare", description="Makes training data of a folder of videos.")
    parser.add_argument("videos", type=Path, help="folder with videos of people who talk; folders in it are read, too")
    parser.add_argument("data", type=Path, help="folder that the data are written to")
    parser.add_argument("--consent", help="how the people in the videos agreed to this, in a sentence")
    parser.add_argument("--licence", help="licence of the videos, or the right by which they are used")
    parser.add_argument("--min_seconds", type=seconds_of, default=4.0, help="shorter clips are dropped (default: %(default)s)")
    parser.add_argument("--max_seconds", type=seconds_of, default=20.0, help="longer clips are cut (default: %(default)s)")
    parser.add_argument("--keep_out_of_sync", action="store_true", help="keep clips whose lips do not fit their sound")
    parser.add_argument("--workers", type=int, default=1, help="videos that are worked on at once, each with networks of its own")
    parser.add_argument("--device", help='"cuda", "cuda:1" or "cpu" (default: a GPU where there is one)')
    add_ditto_flag(parser)
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: prepare(chosen), "stopped; the same command goes on from here")


def seconds_of(text: str) -> float:
    value = float(text)
    if not 0.2 <= value <= 600:
        raise argparse.ArgumentTypeError("seconds lie between 0.2 and 600")
    return value


def prepare(chosen: argparse.Namespace) -> None:
    if chosen.max_seconds < chosen.min_seconds:
        raise DataError(f"--max_seconds is {chosen.max_seconds:g}, less than --min_seconds.", "Give a larger one.")
    if not 1 <= chosen.workers <= 256:
        raise DataError(f"--workers is {chosen.workers}.", "It lies between 1 and 256.")
    found = videos_in(chosen.videos)
    statement = asked_statement(chosen.consent, chosen.licence)
    checkpoints = ditto_checkpoints(chosen.ditto)
    options = Options(
        networks=fingerprint(checkpoints), min_frames=round(chosen.min_seconds * FPS), max_frames=round(chosen.max_seconds * FPS),
        check_sync=not chosen.keep_out_of_sync,
    )  # fmt: skip
    make_folder(chosen.data)
    entries: dict[str, SourceEntry] = {}
    jobs: list[Job] = []
    bar = ProgressBar()
    for number, path in enumerate(found, 1):
        bar.show(f"looking at video {number}/{len(found)}")
        name = path.relative_to(chosen.videos).as_posix()
        sha256 = digest_or_error(path)
        if not sha256:
            tell(f"{name}: it cannot be read")
        elif sha256 in entries or any(sha256 == job[2] for job in jobs):
            tell(f"{name}: the same video is there under another name")
        elif (record := finished_record(chosen.data, sha256, options)) is not None:
            entries[sha256] = record.source.model_copy(update={"name": name})
            tell(f"{name}: done before")
        else:
            jobs.append((path, name, sha256))
    bar.end()
    for done, entry in enumerate(_made(jobs, chosen, options, checkpoints), 1):
        entries[entry.sha256] = entry
        tell(f"[{done}/{len(jobs)}] {told_of(entry)}")
    _finish(chosen.data, statement, options, sorted(entries.values(), key=lambda entry: entry.name))


def _made(jobs: list[Job], chosen: argparse.Namespace, options: Options, checkpoints: Mapping[str, Path]) -> Iterator[SourceEntry]:
    if chosen.workers == 1 or len(jobs) < 2:
        networks = load_data_networks(checkpoints, chosen.device) if jobs else None
        for path, name, sha256 in jobs:
            assert networks is not None  # noqa: S101 - there are jobs
            bar = ProgressBar()
            try:
                yield prepare_video(path, name, sha256, chosen.data, options, networks, frames_told(bar, name))
            finally:
                bar.end()
        return
    # Spawned, not forked: threads of the networks' libraries do not survive a fork.
    context = multiprocessing.get_context("spawn")
    given = dict(checkpoints), chosen.device, ditto_networks.SIZES
    with ProcessPoolExecutor(min(chosen.workers, len(jobs)), context, _load, given) as pool:
        futures: list[Future[SourceEntry]] = [pool.submit(_work, *job, chosen.data, options) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_networks: DataNetworks | None = None
"""Of a worker process."""


def _load(checkpoints: Mapping[str, Path], device: str | None, sizes: Mapping[str, Mapping[str, Any]]) -> None:
    """sizes: of the networks, as the process that starts this one has them."""
    global _networks
    ditto_networks.SIZES = sizes
    _networks = load_data_networks(checkpoints, device)


def _work(path: Path, name: str, sha256: str, folder: Path, options: Options) -> SourceEntry:
    assert _networks is not None  # noqa: S101 - `_load` is the initializer of this process
    return prepare_video(path, name, sha256, folder, options, _networks, lambda done: None)


def frames_told(bar: ProgressBar, name: str) -> Callable[[int], None]:
    began = time.monotonic()

    def told(done: int) -> None:
        bar.show(f"{name}: {done} frames, {done / max(time.monotonic() - began, 1e-3):.0f} a second")

    return told


def told_of(entry: SourceEntry) -> str:
    """What became of a video, in a line."""
    if entry.error:
        return f"{entry.name}: {entry.error}"
    kept = sum(clip.frames for clip in entry.clips) / FPS
    lost: dict[str, float] = defaultdict(float)
    for each in entry.dropped:
        lost[each.reason] += round(each.to_s - each.from_s, 2)
    most_first = sorted(lost.items(), key=itemgetter(1), reverse=True)
    why = "".join(f"; {seconds:.1f} s dropped: {REASONS[reason]}" for reason, seconds in most_first)
    return f"{entry.name}: {kept:.1f} s in {len(entry.clips)} clips of {entry.seconds:.1f} s{why}"


def _finish(folder: Path, statement: Statement, options: Options, entries: list[SourceEntry]) -> None:
    reader = ShardReader(folder)
    clips = [clip for entry in entries for clip in entry.clips]
    bar = ProgressBar()

    def motions() -> Iterator[Array]:
        for number, clip in enumerate(clips, 1):
            bar.show(f"statistics of clip {number}/{len(clips)}")
            yield reader.stretch(clip, 0, clip.frames, ("motion",))["motion"]

    moments = moments_of(motions())
    bar.end()
    manifest = Manifest(
        statement=StatementEntry(**statement.to_dict()), options=options, sources=tuple(entries), motion=moments
    )  # fmt: skip
    write_json(folder / NAME, manifest.model_dump(mode="json"))
    shown: list[ClipArrays] = [reader.whole(clip) for clip in clips[:: max(1, len(clips) // MAX_PLOTTED)]]
    save_distributions(manifest, shown, folder / PLOT)
    failed = sum(bool(entry.error) for entry in entries)
    unread = f"; {failed} videos could not be read" if failed else ""
    tell(f"{folder / NAME}: {manifest.seconds:.1f} s in {len(clips)} clips of {len(entries)} videos{unread}. {folder / PLOT} shows them.")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
