"""A list of videos on the command line: what is written while they are made, and the exit code."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.batch.job_list import BatchJob, WrongRow, read_jobs
from core.batch.requests import JobRequests
from core.batch.run import BatchRun, Outcome, State
from core.command_line import BAD_INPUT, FAILED, OK
from core.generation import Progress
from core.progress_bar import ProgressBar
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio

STATES: tuple[State, ...] = ("made", "kept", "failed", "left")
SHOWN = 3
"""Videos under way that have room in the line."""
MAX_SHOWN = 50
"""Rows that are told to be wrong one by one."""


def places(settings: Settings, at_once: int) -> Settings:
    """The settings of a studio that runs so many jobs at once, and takes one more."""
    return settings.model_copy(update={"max_jobs": at_once, "max_queue": at_once + 1})


def make_videos(
    path: Path,
    common: Mapping[str, Any],
    *,
    studio: Studio,
    settings: Settings,
    speaker: Speaker,
    cancel: threading.Event,
    at_once: int,
    as_json: bool,
    networks: Mapping[str, Any],
) -> int:
    """Makes the videos of a list, as `core.batch.job_list.read_jobs` takes it with `common`. networks: as in JobRequests.

    -> the exit code: 2 where a row is wrong, before anything is made; 1 where a video could not be made. A line for each video on stdout,
    with as_json one JSON object at the end; what failed on stderr. Raises OptionError for a list that cannot be read, and after the summary
    DiskFull and what interrupts it.
    """
    jobs, wrong = read_jobs(path, common)
    report = Report(len(jobs), as_json)
    requests = JobRequests(studio, settings, speaker, cancel, report.bar, networks)
    run = BatchRun(studio, requests, jobs, at_once, report.tell, report.show)
    if not wrong:
        wrong = run.check(lambda n: report.bar.show(f"checking row {n + 1} of {len(jobs)}"))
    if wrong:
        report.refuse(path.name, wrong)
        return BAD_INPUT
    try:
        run.run()
    finally:
        cancel.set()
        report.sum_up(run.outcomes)
    return FAILED if any(outcome.state == "failed" for outcome in run.outcomes) else OK


class Report:
    """Writes what happens. n_jobs: of the list."""

    def __init__(self, n_jobs: int, as_json: bool) -> None:
        self.bar = ProgressBar()
        self._n_jobs, self._as_json = n_jobs, as_json
        self._n_told = 0
        self._under_way: dict[int, tuple[str, Progress]] = {}
        self._lock = threading.Lock()
        self._started_s = time.monotonic()

    def show(self, job: BatchJob, progress: Progress) -> None:
        """How far a job is; on any thread."""
        if progress.stage in ("queued", "done"):
            return
        with self._lock:
            self._under_way[job.line] = (job.output.name, progress)
            under_way = list(self._under_way.values())
        shares = [each.done / each.total for _, each in under_way if each.stage == "animating" and each.total]
        names = ", ".join(f"{name} {each.done}/{each.total}" if each.total else f"{name} {each.stage}" for name, each in under_way[:SHOWN])
        self.bar.show(f"{self.bar.drawn((self._n_told + sum(shares)) / self._n_jobs)} {self._n_told}/{self._n_jobs} videos  {names}")

    def tell(self, outcome: Outcome) -> None:
        self._n_told += 1
        with self._lock:
            self._under_way.pop(outcome.job.line, None)
        self.bar.end()
        if outcome.state == "failed":
            sys.stderr.write(f"{_failure(outcome)}\n")
        elif outcome.state == "made" and outcome.info is not None:
            for warning in outcome.info["warnings"]:
                sys.stderr.write(f"note: {outcome.job.output.name}: {warning}\n")
            self._say(outcome, "{frames} frames in {wall_s:.1f} s by the {engine} engine".format(**outcome.info))
        elif outcome.state == "kept":
            self._say(outcome, "made before")

    def _say(self, outcome: Outcome, what: str) -> None:
        if not self._as_json:
            sys.stdout.write(f"{self._n_told}/{self._n_jobs} {outcome.job.output}: {what}\n")
            sys.stdout.flush()  # whoever reads a pipe sees it now

    def refuse(self, name: str, wrong: Sequence[WrongRow]) -> None:
        self.bar.end()
        wrong = sorted(wrong, key=lambda row: row.line)
        for row in wrong[:MAX_SHOWN]:
            sys.stderr.write(f"{name}, {row}\n")
        more = f" ({len(wrong) - MAX_SHOWN} more than are shown)" if len(wrong) > MAX_SHOWN else ""
        sys.stderr.write(f"Nothing was made: {len(wrong)} {'row is' if len(wrong) == 1 else 'rows are'} wrong{more}.\n")
        if self._as_json:
            told = [{"line": row.line, "error": str(row.error), "code": row.error.code} for row in wrong]
            sys.stdout.write(json.dumps({"wrong": told, "jobs": []}) + "\n")

    def sum_up(self, outcomes: Sequence[Outcome]) -> None:
        self.bar.end()
        counts = Counter(outcome.state for outcome in outcomes)
        wall_s = time.monotonic() - self._started_s
        if self._as_json:
            told = [outcome.to_dict() for outcome in sorted(outcomes, key=lambda outcome: outcome.job.line)]
            summary: dict[str, Any] = {state: counts[state] for state in STATES}
            summary |= {"wall_s": round(wall_s, 3), "jobs": told}
            sys.stdout.write(json.dumps(summary) + "\n")
            return
        for outcome in outcomes:
            if outcome.state == "failed":
                sys.stderr.write(f"failed: {_failure(outcome)}\n")
        parts = [f"{counts['made']} made", f"{counts['kept']} made before", f"{counts['failed']} failed", f"{counts['left']} left"]
        sys.stdout.write(f"{', '.join(part for part in parts if not part.startswith('0 ')) or 'nothing to do'}, in {wall_s:.1f} s\n")


def _failure(outcome: Outcome) -> str:
    return f"line {outcome.job.line}, {outcome.job.output.name}: {outcome.error}"
