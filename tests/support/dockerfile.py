"""Reads the part of the Dockerfile language that the project's Dockerfile uses, and refuses everything else."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field

EXEC_FORM = ("VOLUME", "ENTRYPOINT", "CMD")
KNOWN = ("ARG", "FROM", "ENV", "RUN", "COPY", "WORKDIR", "LABEL", "EXPOSE", "USER", "HEALTHCHECK", *EXEC_FORM)
_FROM = re.compile(r"(\S+) AS ([\w-]+)")
_CACHE = re.compile(r"--mount=type=cache,target=(/[\w./-]+)(,sharing=locked)?")
_HEALTHCHECK = re.compile(r"((?:--(?:interval|timeout|start-period|retries)=\w+ )*)CMD (\[.*\])")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class NotUnderstood(Exception):
    """An instruction, or a form of one, that this reader does not know."""


@dataclass
class Run:
    """A command line for sh. caches: folders that outlive the build and are in no image."""

    command: str
    caches: list[str]


@dataclass
class Copy:
    """stage: where the sources are; "" for the project itself."""

    sources: list[str]
    target: str
    stage: str


@dataclass
class WorkDir:
    path: str


@dataclass
class User:
    """user: "1000:1000" or "0"."""

    user: str


@dataclass
class Environment:
    """Variables of the steps after it, and of what is run at last."""

    values: dict[str, str]


@dataclass
class Stage:
    """base: another stage's name, or an image. steps: in the order in which they are carried out."""

    base: str
    steps: list[Run | Copy | WorkDir | User | Environment] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    health_command: list[str] = field(default_factory=list)
    entry_point: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def read_dockerfile(text: str) -> dict[str, Stage]:
    """Its stages by name. Raises NotUnderstood."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in _logical_lines(text):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word not in KNOWN:
            raise NotUnderstood(line)
        if word == "ARG":
            name, equals, value = rest.partition("=")
            if not equals:
                raise NotUnderstood(line)
            arguments[name] = value
        elif word == "FROM":
            found = _FROM.fullmatch(rest)
            if found is None:
                raise NotUnderstood(line)
            stage = stages[found[2]] = Stage(_filled(found[1], arguments))
        elif stage is None:
            raise NotUnderstood(line)
        else:
            _add(stage, word, rest, arguments)
    return stages


def chain(stages: dict[str, Stage], target: str) -> tuple[str, list[Stage]]:
    """The image a stage is made from at last, and the stages from the first on it to `target`."""
    made: list[Stage] = []
    name = target
    while name in stages:
        made.insert(0, stages[name])
        name = stages[name].base
    return name, made


def _logical_lines(text: str) -> list[str]:
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [" ".join(line.split()) for line in re.sub(r"\\\n", " ", kept).splitlines() if line.strip()]


def _add(stage: Stage, word: str, rest: str, arguments: dict[str, str]) -> None:
    if word == "RUN":
        caches = []
        while (flag := rest.partition(" ")[0]).startswith("--"):
            found = _CACHE.fullmatch(flag)
            if found is None:
                raise NotUnderstood(f"RUN {rest}")
            caches.append(found[1])
            rest = rest.removeprefix(flag).strip()
        stage.steps.append(Run(rest, caches))
    elif word == "COPY":
        *sources, target = rest.split()
        origin = sources.pop(0).removeprefix("--from=") if sources[0].startswith("--from=") else ""
        if any(part.startswith("--") or "*" in part for part in sources) or not sources:
            raise NotUnderstood(f"COPY {rest}")
        stage.steps.append(Copy(sources, target, origin))
    elif word == "WORKDIR":
        stage.steps.append(WorkDir(rest))
    elif word == "USER":
        if not re.fullmatch(r"\d+(:\d+)?", rest):
            raise NotUnderstood(f"USER {rest}")
        stage.steps.append(User(rest))
    elif word in ("ENV", "LABEL"):
        pairs = [part.partition("=") for part in shlex.split(rest)]
        if not all(equals for _, equals, _ in pairs):
            raise NotUnderstood(f"{word} {rest}")
        values = {name: _filled(value, arguments) for name, _, value in pairs}
        if word == "ENV":
            stage.steps.append(Environment(values))
        else:
            stage.labels.update(values)
    elif word == "HEALTHCHECK":
        found = _HEALTHCHECK.fullmatch(rest)
        if found is None:
            raise NotUnderstood(f"HEALTHCHECK {rest}")
        stage.health_command = json.loads(found[2])
    elif word in EXEC_FORM:
        if not rest.startswith("["):
            raise NotUnderstood(f"{word} {rest}")
        setattr(stage, {"VOLUME": "volumes", "ENTRYPOINT": "entry_point", "CMD": "command"}[word], json.loads(rest))


def _filled(value: str, arguments: dict[str, str]) -> str:
    try:
        return _VARIABLE.sub(lambda found: arguments[found[1]], value)
    except KeyError as error:
        raise NotUnderstood(f"{value}: no ARG {error} before it") from None
