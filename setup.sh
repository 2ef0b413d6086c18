#!/usr/bin/env bash
# Sets everything up in .venv beside this file, then does what was asked. `./setup.sh help` lists the commands.
# Written for the bash 3.2 of macOS as well: no associative arrays, no mapfile, no ${name,,}.

if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set -euo pipefail

self="${BASH_SOURCE[0]}"
while [ -L "$self" ]; do # called through a link: the project is where the link points
  target="$(readlink "$self")"
  case "$target" in
    /*) self="$target" ;;
    *) self="$(dirname -- "$self")/$target" ;;
  esac
done
ROOT="$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P)"
cd -- "$ROOT"

# Where everything is installed from now on: a folder beside this file.
use_environment() {
  NAME="$1"
  VENV="$ROOT/$NAME"
  VPY="$VENV/bin/python"
  STATE="$VENV/.setup"          # one stamp per installed part, the log, and a mark while an installation runs
  LOG="$STATE/install.log"
  MARK="$STATE/installing"      # "<process> venv" or "<process> packages"
}
use_environment .venv

# What the caller's shell has set for other projects must not leak into this environment. Index, proxy and certificate settings stay.
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off

say() { printf '%s\n' "$*"; }

die() {
  printf 'setup.sh: %s\n' "$1" >&2
  shift
  while [ $# -gt 0 ]; do
    printf '  %s\n' "$1" >&2
    shift
  done
  exit 1
}

usage() {
  cat <<'END'
usage: ./setup.sh [command]

  (no command)     prepare everything, then say what to run next
  demo [options]   turn assets/portrait.png and assets/speech_7s.wav into output/demo.mp4 (options go to inference.py)
  app [options]    start the page in the browser (options go to app.py)
  livekit, webrtc  install what these integrations need (docs/livekit.md, docs/webrtc.md)
  pipecat          install what Pipecat needs, into .venv-pipecat (docs/pipecat.md)
  train            install what training the motion model needs (docs/training.md)
  cluster, ray     install what several machines share their jobs by, or that and Ray Serve (docs/deployment.md)
  speech           install the voices that speak a text (docs/usage.md; espeak-ng among them is under the GPL)
  japanese         install the voices and what the Japanese one reads with (docs/usage.md)
  test [--all]     run ruff, mypy and pytest; --all adds the slow tests and the packages they need; what else is given goes to pytest
  help             this text

Each command first installs what it needs into .venv; a second run starts at once.
PYTHON=/path/to/python3.12 chooses the Python (3.11, 3.12 or 3.13). SETUP_CPU=1 leaves an NVIDIA GPU alone.
END
}

. setup/python.sh
. setup/environment.sh
. setup/packages.sh

prepare() {
  ensure lite
  say "Ready. Next:"
  say "  ./setup.sh demo    makes output/demo.mp4 from the portrait and the speech in assets/"
  say "  ./setup.sh app     starts the page in the browser"
  say "  .venv/bin/python inference.py --audio_path SPEECH --source_path PHOTO --output_path VIDEO.mp4"
}

demo() {
  ensure lite
  mkdir -p output
  say "Making a video from assets/portrait.png and assets/speech_7s.wav"
  local result status=0 started=$SECONDS
  result="$("$VPY" inference.py --audio_path assets/speech_7s.wav --source_path assets/portrait.png --output_path output/demo.mp4 --json "$@")" || status=$?
  if [ "$status" -ne 0 ]; then return "$status"; fi
  "$VPY" -I -c '
import json, os, sys
info = json.loads(sys.argv[1].strip().splitlines()[-1])
print("{output}\n  made by the {engine} engine: {audio_s:.1f} s of speech, {frames} frames of {width}x{height}".format(**info))
print("  took {wall_s:.1f} s ({rtf:.2f} of the speech\u0027s length), {} s with start-up".format(sys.argv[2], **info))
print("The video: " + os.path.abspath(info["output"]))
' "$result" "$((SECONDS - started))"
}

app() {
  ensure lite
  exec "$VPY" app.py "$@"
}

speech() {
  ensure lite speech
  say "Ready. Next:"
  say "  .venv/bin/python inference.py --text \"Hello, I am Ada.\" --source_path assets/portrait.png --output_path VIDEO.mp4"
  say "  .venv/bin/python inference.py --list_voices"
}

japanese() {
  ensure lite speech japanese
  say "Ready. Next:"
  say "  .venv/bin/python inference.py --text \"こんにちは。\" --voice jf_alpha --source_path assets/portrait.png --output_path VIDEO.mp4"
}

integration() {
  ensure lite "$1"
  say "Ready. How to go on: docs/$1.md"
}

# Pipecat pins versions that are not ours: it has an environment of its own.
prepare_pipecat() {
  use_environment .venv-pipecat
  ensure pipecat
  use_environment .venv
}

pipecat() {
  prepare_pipecat
  say "Ready. How to go on: docs/pipecat.md"
}

# The S3 server of the tests has an environment of its own: it brings half of AWS's client library.
prepare_moto() {
  use_environment .venv-moto
  ensure moto
  use_environment .venv
}

train() {
  ensure full train
  say "Ready. How to go on: docs/training.md"
}

cluster() { # or with Ray Serve
  ensure lite cluster "$@"
  say "Ready. How to go on: docs/deployment.md"
}

run_tests() {
  local markers='not slow' optional='' failed=''
  if [ "${1:-}" = --all ]; then markers='' optional='livekit webrtc train cluster ray japanese' && shift; fi
  # shellcheck disable=SC2086
  ensure full dev $optional
  if [ -n "$optional" ]; then prepare_pipecat && prepare_moto; fi
  if ! command -v chromium >/dev/null 2>&1; then
    say "Note: no chromium here, which the browser tests need (Debian: sudo apt-get install chromium)."
  fi
  say "ruff" && "$VPY" -m ruff check . || failed="$failed ruff"
  say "mypy" && "$VPY" -m mypy || failed="$failed mypy"
  say "pytest" && "$VPY" -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "$markers" "$@" || failed="$failed pytest"
  if [ -n "$failed" ]; then die "failed:$failed"; fi
  say "All passed."
}

command="${1:-}"
if [ $# -gt 0 ]; then shift; fi
case "$command" in
  '') prepare ;;
  demo) demo "$@" ;;
  app) app "$@" ;;
  speech) speech ;;
  japanese) japanese ;;
  livekit | webrtc) integration "$command" ;;
  pipecat) pipecat ;;
  train) train ;;
  cluster) cluster ;;
  ray) cluster ray ;;
  test) run_tests "$@" ;;
  help | -h | --help) usage ;;
  *)
    printf "setup.sh: there is no command '%s'.\n" "$command" >&2
    usage >&2
    exit 2
    ;;
esac
