"""Makes a Hugging Face Space of this project, or brings one up to date, with only the files that a Space needs.

python scripts/publish_space.py user/name [--private] [--hardware t4-small] [--variable NAME=VALUE] [--secret NAME] [--voices]
                                           [--dry-run]

The token is that of `hf auth login` or HF_TOKEN. Exit code 0; 2 for bad arguments or no token, 1 where the Hub refuses or is not reached.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub import SpaceHardware as Hardware
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.command_line import OneLineParser, exit_code  # noqa: E402  # the project is found by its folder
from core.errors import InputError, OptionError, TalkingHeadError  # noqa: E402

FILES = ("*.md", "LICENSE", "NOTICE", "app.py", "app_optimized.py", "packages.txt", "requirements.txt", "requirements-lite.txt")
FOLDERS = ("assets", "core", "docs", "integrations", "manager")
KEPT = frozenset({".gitattributes"})
"""Of a Space, made by the Hub itself."""
HARDWARE = sorted(each.value for each in Hardware)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SPACE = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


class HubRefusal(TalkingHeadError):
    """The Hub did not do what it was asked to."""


@dataclass(frozen=True)
class Plan:
    """What a Space is to be. files: content by path. secrets are never shown."""

    space: str
    private: bool
    hardware: str | None
    files: dict[str, bytes]
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterable[str]:
        yield f"Space     {self.space} ({'private' if self.private else 'as it is, public where it is new'})"
        yield f"hardware  {self.hardware or 'as it is, cpu-basic where it is new'}"
        for name, value in sorted(self.variables.items()):
            yield f"variable  {name}={value}"
        for name in sorted(self.secrets):
            yield f"secret    {name}"
        yield f"files     {len(self.files)}, {sum(map(len, self.files.values())) / 2**20:.1f} MiB"
        for path, content in sorted(self.files.items()):
            yield f"  {len(content):>9}  {path}"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="publish_space.py", description="Makes or updates a Hugging Face Space of this project.")
    parser.add_argument("space", help="user/name or organisation/name")
    parser.add_argument("--private", action="store_true", help="only you see it")
    parser.add_argument("--hardware", choices=HARDWARE, metavar="NAME", help=f"what it runs on: {', '.join(HARDWARE)}")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE", help="an environment variable that everybody sees")
    parser.add_argument("--secret", action="append", default=[], metavar="NAME", help="a secret one, taken from your environment")
    parser.add_argument("--lite", action="store_true", help="without PyTorch: quicker to build, and never Ditto")
    parser.add_argument("--voices", action="store_true", help="with the voices that speak a text (espeak-ng among them is under the GPL)")
    parser.add_argument("--preload", action="store_true", help="Ditto's files (2.3 GB) are fetched when it is built, not when it starts")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done; nothing is asked of the Hub")
    return parser.parse_args(argv)


def make_plan(arguments: argparse.Namespace, root: Path = ROOT) -> Plan:
    """Raises OptionError for what cannot be."""
    if not SPACE.fullmatch(arguments.space):
        raise OptionError(f"{arguments.space!r} names no Space.", "Say user/name.")
    if arguments.lite and arguments.preload:
        raise OptionError("--preload fetches what --lite never uses.", "Leave one of them out.")
    variables = dict(_variable(text) for text in arguments.variable)
    secrets = {}
    for name in arguments.secret:
        if not NAME.fullmatch(name) or not os.environ.get(name):
            raise OptionError(f"The secret {name!r} is not in the environment.", f"Set it for this command: {name}=... python ...")
        secrets[name] = os.environ[name]
    if both := sorted(variables.keys() & secrets.keys()):
        raise OptionError(f"{both[0]} is given as a variable and as a secret.", "A Space takes one of both.")
    files = dict(_files(root))
    files["README.md"] = space_readme(files["README.md"].decode(), arguments.space, arguments.preload).encode()
    if arguments.lite:
        files["requirements.txt"] = files.pop("requirements-lite.txt")
    if arguments.voices:
        files["requirements.txt"] += _voices(root, arguments.lite)
    return Plan(arguments.space, arguments.private, arguments.hardware, files, variables, secrets)


def _voices(root: Path, lite: bool) -> bytes:
    """What the voices need beside the other packages."""
    everything = (root / "requirements.txt").read_text().splitlines()
    runtime = [line for line in everything if lite and line.startswith("onnxruntime==")]
    return "\n".join(["", *runtime, (root / "requirements-speech.txt").read_text()]).encode()


def space_readme(text: str, space: str, preload: bool) -> str:
    """The README with an address that the Hub can show as the thumbnail; preload: with the files that are fetched at the build."""
    text = re.sub(r"(?m)^thumbnail: (?!https?:)(\S+)$", rf"thumbnail: {constants.ENDPOINT}/spaces/{space}/resolve/main/\1", text, count=1)
    return re.sub(r"(?m)^# (?=preload_from_hub:|  - )", "", text) if preload else text


def publish(plan: Plan, api: HfApi) -> str:
    """Does it, and returns the Space's address. Raises HubRefusal."""
    try:
        made = api.create_repo(plan.space, repo_type="space", space_sdk="gradio", private=plan.private or None, exist_ok=True)
        if plan.private:
            api.update_repo_settings(plan.space, repo_type="space", private=True)
        for name, value in plan.variables.items():
            api.add_space_variable(plan.space, name, value)
        for name, value in plan.secrets.items():
            api.add_space_secret(plan.space, name, value)
        there = set(api.list_repo_files(plan.space, repo_type="space"))
        gone = [CommitOperationDelete(path) for path in sorted(there - plan.files.keys() - KEPT)]
        new = [CommitOperationAdd(path, content) for path, content in sorted(plan.files.items())]
        api.create_commit(plan.space, [*gone, *new], commit_message="Publish Talking Head", repo_type="space")
        if plan.hardware:
            api.request_space_hardware(plan.space, Hardware(plan.hardware))
    except RepositoryNotFoundError as error:
        raise HubRefusal(f"The Hub knows no Space {plan.space}.", "Is the name right, and may your token see it?") from error
    except HfHubHTTPError as error:
        raise HubRefusal(*_refusal(plan, error)) from error
    except (httpx2.HTTPError, OSError) as error:
        raise HubRefusal(f"The Hub ({constants.ENDPOINT}) cannot be reached ({type(error).__name__}).", "Is the network up?") from error
    return str(made)


def _refusal(plan: Plan, error: HfHubHTTPError) -> tuple[str, str]:
    status = error.response.status_code if error.response is not None else 0
    if status in (401, 403):
        return f"Your token may not write {plan.space}.", "It needs the role write, for this user or organisation."
    if status == 402:
        return f"The Hub asks for a payment method before it gives {plan.hardware or 'this Space'}.", "Add one, or choose other hardware."
    said = (error.server_message or str(error)).splitlines()[0][:200]
    return f"The Hub refused ({status}): {said.rstrip('.')}.", "Run this again; what was done already is done again."


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        raise OptionError(f"{text[:60]!r} is no variable.", "Write NAME=VALUE.")
    return name, value


def _files(root: Path) -> Iterable[tuple[str, bytes]]:
    found = [path for pattern in FILES for path in root.glob(pattern)]
    found += [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    for path in found:
        parts = path.relative_to(root).parts
        if path.is_file() and path.suffix != ".pyc" and not any(part.startswith((".", "__pycache__")) for part in parts):
            yield "/".join(parts), path.read_bytes()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    def run() -> None:
        plan = make_plan(arguments)
        if arguments.dry_run:
            print("\n".join(plan.lines()))
            return
        api = HfApi()
        if api.token is None and not _token():
            raise InputError("There is no token for the Hub.", "Log in with `hf auth login`, or set HF_TOKEN to one with the role write.")
        print(f"Published: {publish(plan, api)}")

    return exit_code(run)


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


if __name__ == "__main__":
    sys.exit(main())
