"""Measures Ditto from samples to pictures: as published, as the engine runs it, and how many streams keep real time.

    python benchmarks/ditto_end_to_end.py [--device cpu] [--seconds 16] [--small] [--parts recording streams] [--out FOLDER]

Weights are synthetic and of the published size (`--small`: few channels, to try it on a CPU); pictures are 320x320 and not encoded. A
recording is given whole: wall time, wall time by its length (RTF), frames a second, and the delay of the first frame. A stream is given
40 ms of sound every 40 ms with the preset "realtime"; it keeps real time while at most one frame of a hundred is later than 200 ms after
the moment from which it could be made. The published way is one frame at a time, half precision by autocast, numpy arrays between stages on
threads, and here with the same motion, speech encoder and put back. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch  # noqa: E402
from synthetic_ditto import SMALL, Array, PublishedWay, SyntheticEngine, plain_networks, speech  # noqa: E402

from core.engines.base import Session  # noqa: E402
from core.engines.ditto import DittoRegistered  # noqa: E402
from core.options import PRESETS, read_options  # noqa: E402
from core.types import FPS, SAMPLES_PER_FRAME, Frame  # noqa: E402

SIDE_PX = 320
LATE_S = 0.2
"""A stream's frame may come so long after the moment from which it could be made: the next window of motion is 0.2 s later."""
LATE_SHARE = 0.01
MOST_STREAMS = 128
FIRST_TRIES = 5
Row = dict[str, Any]


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_grad_enabled(False)
        if options.small:
            torch.set_num_threads(1)  # for work this small, more only wait for each other
        self.options = options
        self.plain = plain_networks(SMALL if options.small else None)
        self.engines = {"own batches": SyntheticEngine(self.plain, options.device, shared_batches=False)}
        first = self.engines["own batches"]
        self.device = first.placement.device
        self.gpu = self.device.type == "cuda"
        if self.gpu or options.shared:
            self.engines["shared batches"] = SyntheticEngine(self.plain, options.device, first.speech_encoder(), shared_batches=True)
        self.people: dict[str, DittoRegistered] = {name: engine.person() for name, engine in self.engines.items()}
        self.recorded = read_options({"size": SIDE_PX, "sampling_timesteps": options.steps})
        self.live = read_options({**PRESETS["realtime"], "size": SIDE_PX})
        self.turn = threading.Lock()  # as the scheduler's, for sessions that must have the device to themselves

    def session(self, name: str, live: bool) -> Session:
        options = self.live if live else self.recorded
        return self.engines[name].session(self.people[name], options.controls, options.render)

    # ---- a whole recording

    def recording(self) -> list[Row]:
        engine = self.engines["own batches"]
        ways: dict[str, Callable[[Array], Iterator[Frame]]] = {}
        if not self.options.no_baseline:
            ways["published"] = PublishedWay(self.plain, engine, self.people["own batches"], self.recorded.render).frames
        ways |= {name: lambda samples, name=name: self._spoken(name, samples) for name in self.engines}
        return [self._timed(name, frames) for name, frames in ways.items()]

    def _timed(self, name: str, frames: Callable[[Array], Iterator[Frame]]) -> Row:
        if self.gpu:
            for _ in frames(speech(4.0)):  # memory is taken, kernels are chosen and recorded
                pass
            torch.cuda.reset_peak_memory_stats(self.device)
        samples = speech(self.options.seconds)
        began, first_s, n = time.perf_counter(), 0.0, 0
        for _ in frames(samples):
            n += 1
            first_s = first_s or time.perf_counter() - began
        wall_s = time.perf_counter() - began
        row: Row = {
            "way": name, "frames": n, "wall_s": round(wall_s, 3), "rtf": round(wall_s / self.options.seconds, 4),
            "frames_per_s": round(n / wall_s, 2), "first_frame_ms": round(1000 * first_s, 1),
        }  # fmt: skip
        if self.gpu:
            row["peak_mb"] = torch.cuda.max_memory_allocated(self.device) >> 20
        print(f"{name:<16} {n} frames in {wall_s:.2f} s, RTF {row['rtf']}, {row['frames_per_s']} frames/s,"
              f" first after {row['first_frame_ms']} ms", flush=True)  # fmt: skip
        return row

    def _spoken(self, name: str, samples: Array) -> Iterator[Frame]:
        session = self.session(name, live=False)
        try:
            yield from session.push(samples)
            yield from session.flush()
        finally:
            session.interrupt()

    # ---- streams

    def first_frame(self, name: str) -> Row:
        """How long the first picture of a live session takes once the sound that it needs is there."""
        session, samples = self.session(name, live=True), speech(4.0)
        times = []
        for _ in range(FIRST_TRIES if self.gpu else 1):
            for start in range(0, len(samples), SAMPLES_PER_FRAME):
                began = time.perf_counter()
                if next(session.push(samples[start : start + SAMPLES_PER_FRAME]), None) is not None:
                    times.append(1000 * (time.perf_counter() - began))
                    break
            session.interrupt()
        look_ahead_ms = session.look_ahead_samples / 16
        row = {"way": name, "first_frame_ms": round(statistics.median(times), 1), "look_ahead_ms": round(look_ahead_ms, 1)}
        print(f"{name:<16} live: first frame {row['first_frame_ms']} ms after its sound; {row['look_ahead_ms']} ms of sound after it"
              " are needed before", flush=True)  # fmt: skip
        return row

    def streams(self, name: str) -> Row:
        """The largest number of streams that keep real time together, and the lateness at each number that was tried."""
        tried: dict[int, Row] = {}

        def keep(n: int) -> bool:
            tried[n] = row = self._lateness(name, n)
            print(f"{name:<16} {n} streams: 99 % of frames within {row['late_ms_p99']} ms", flush=True)
            return bool(row["in_time"])

        most, step = 0, 1
        while step <= self.options.most_streams and keep(step):
            most, step = step, 2 * step
        fails = min(step, self.options.most_streams + 1)
        while fails - most > 1:
            middle = (most + fails) // 2
            most, fails = (middle, fails) if keep(middle) else (most, middle)
        return {"way": name, "streams": most, "tried": [tried[n] for n in sorted(tried)]}

    def _lateness(self, name: str, n: int) -> Row:
        late_s: list[float] = []
        failed: list[BaseException] = []
        ready = threading.Barrier(n)

        def stream(number: int) -> None:
            try:
                late_s.extend(self._stream(name, number, n, ready))
            except BaseException as error:
                ready.abort()
                failed.append(error)

        threads = [threading.Thread(target=stream, args=(number,)) for number in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise next((error for error in failed if not isinstance(error, threading.BrokenBarrierError)), failed[0])
        late_s.sort()
        p99 = late_s[min(len(late_s) - 1, int((1 - LATE_SHARE) * len(late_s)))]
        return {
            "streams": n, "frames": len(late_s), "late_ms_median": round(1000 * statistics.median(late_s), 1),
            "late_ms_p99": round(1000 * p99, 1), "in_time": p99 <= LATE_S,
        }  # fmt: skip

    def _stream(self, name: str, number: int, n: int, ready: threading.Barrier) -> list[float]:
        """Lateness of each frame of one stream."""
        session, samples = self.session(name, live=True), speech(self.options.stream_seconds)
        turn: AbstractContextManager[Any] = self.turn if session.takes_turns else nullcontext()
        late_s: list[float] = []
        ready.wait()
        start = time.monotonic() + number / n / FPS * 5  # spread over one window of motion
        try:
            for block in range(len(samples) // SAMPLES_PER_FRAME):
                time.sleep(max(0.0, start + (block + 1) / FPS - time.monotonic()))
                waiting = session.push(samples[block * SAMPLES_PER_FRAME : (block + 1) * SAMPLES_PER_FRAME])
                while True:
                    with turn:
                        if next(waiting, None) is None:
                            break
                    possible = start + ((len(late_s) + 1) * SAMPLES_PER_FRAME + session.look_ahead_samples) / 16000
                    late_s.append(max(0.0, time.monotonic() - possible))
                if late_s and late_s[-1] > 10 * LATE_S:
                    break  # far behind, and it will not catch up
        finally:
            with turn:
                session.interrupt()
        return late_s or [float("inf")]


def plot(report: Row, path: Path) -> None:
    """Frames a second of each way, and how late frames are by the number of streams."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    recording = report.get("recording", [])
    left.bar([row["way"] for row in recording], [row["frames_per_s"] for row in recording])
    left.axhline(FPS, linestyle="--", color="grey")
    left.set(ylabel="frames a second", title=f"{report['seconds']} s of sound on {report['device']}")
    for row in report.get("streams", []):
        right.plot([t["streams"] for t in row["tried"]], [t["late_ms_p99"] for t in row["tried"]], marker="o", label=row["way"])
    right.axhline(1000 * LATE_S, linestyle="--", color="grey")
    right.set(xlabel="streams at once", ylabel="lateness, ms (99 %)", yscale="symlog")
    if report.get("streams"):
        right.legend()
    figure.savefig(path, bbox_inches="tight", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help='"cuda" or "cpu" (default: a GPU where there is one)')
    parser.add_argument("--seconds", type=float, default=16.0, help="of the recording (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="of the recording's motion diffusion (default: %(default)s, as published)")
    parser.add_argument("--stream_seconds", type=float, default=6.0, help="of each stream (default: %(default)s)")
    parser.add_argument("--most_streams", type=int, default=MOST_STREAMS, help="tried (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="networks with few channels, to try the benchmark on a CPU")
    parser.add_argument("--shared", action="store_true", help="shared batches on a CPU too")
    parser.add_argument("--no_baseline", action="store_true", help="leave the published way out")
    parser.add_argument("--parts", nargs="+", choices=("recording", "streams"), default=["recording", "streams"])
    parser.add_argument("--out", type=Path, help="folder for end_to_end.json and, where matplotlib is installed, end_to_end.png")
    options = parser.parse_args()
    bench = Bench(options)
    report: Row = {
        "benchmark": "ditto_end_to_end", "device": torch.cuda.get_device_name(bench.device) if bench.gpu else "CPU",
        "torch": torch.__version__, "dtype": str(bench.engines["own batches"].placement.dtype).removeprefix("torch."),
        "small": options.small, "seconds": options.seconds, "steps": options.steps,
    }  # fmt: skip
    if "recording" in options.parts:
        report["recording"] = rows = bench.recording()
        if not options.no_baseline:
            report["times_published"] = {row["way"]: round(rows[0]["wall_s"] / row["wall_s"], 2) for row in rows[1:]}
    if "streams" in options.parts:
        report["first_frame"] = [bench.first_frame(name) for name in bench.engines]
        report["streams"] = [bench.streams(name) for name in bench.engines]
    for engine in bench.engines.values():
        engine.close()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "end_to_end.json").write_text(json.dumps(report, indent=1))
        try:
            plot(report, options.out / "end_to_end.png")
        except ImportError:
            print("no plot: matplotlib is not installed", flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
