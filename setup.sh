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
TORCH_CPU_INDEX="https://download.pytorch.org/whl/cpu"
SYSTEM_LIBRARIES="sudo apt-get install -y libgl1 libglib2.0-0 libegl1 libgles2"

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

# ---------------------------------------------------------------------------------------------------------------- Python

# Prints "ok", "no-venv" or the version that does not fit; prints nothing when the command does not run at all.
judge_python() {
  "$1" -c '
import sys
version = sys.version_info[:2]
if sys.implementation.name != "cpython" or not (3, 11) <= version <= (3, 13):
    print("%s %d.%d" % (sys.implementation.name, version[0], version[1]))
else:
    try:
        import ensurepip, venv
        print("ok")
    except ImportError:
        print("no-venv")
' 2>/dev/null || true
}

# Sets BASE_PYTHON. The plain python3 comes first, since that is what its owner means by Python; version managers leave
# names like python3.13 on the PATH that do not run, so each candidate is run and not only looked for.
find_python() {
  local candidate verdict without_venv='' others=''
  BASE_PYTHON=''
  if [ -n "${PYTHON:-}" ]; then
    verdict="$(judge_python "$PYTHON")"
    case "$verdict" in
      ok) BASE_PYTHON="$PYTHON" && return 0 ;;
      no-venv) without_venv="$PYTHON" ;;
      '') die "PYTHON is '$PYTHON', which does not run." "Set it to a Python 3.11, 3.12 or 3.13, or leave it unset." ;;
      *) die "PYTHON is '$PYTHON', which is $verdict." "Python 3.11, 3.12 or 3.13 is needed." ;;
    esac
  else
    for candidate in python3 python3.13 python3.12 python3.11 python; do
      command -v "$candidate" >/dev/null 2>&1 || continue
      # On a Mac without developer tools /usr/bin/python3 is a stub that opens an installation dialogue.
      if [ "$(command -v "$candidate")" = /usr/bin/python3 ] && [ "$(uname -s)" = Darwin ] && ! xcode-select -p >/dev/null 2>&1; then continue; fi
      verdict="$(judge_python "$candidate")"
      case "$verdict" in
        ok) BASE_PYTHON="$candidate" && return 0 ;;
        no-venv) [ -n "$without_venv" ] || without_venv="$candidate" ;;
        '') ;;
        *) others="$others $candidate is $verdict;" ;;
      esac
    done
  fi
  if [ -n "$without_venv" ]; then
    die "$without_venv has no venv module. Install it, then run this again:" "sudo apt-get install python3-venv"
  fi
  die "no Python 3.11, 3.12 or 3.13 found.${others:+ (Found:${others%;}.)}" \
    "Debian, Ubuntu:  sudo apt-get install python3 python3-venv" \
    "macOS:           brew install python@3.12" \
    "Somewhere else:  PYTHON=/path/to/python3.12 ./setup.sh"
}

# ---------------------------------------------------------------------------------------------------------------- stamps

# A part is installed when its stamp equals the hash of its requirement files and of the Python it is for.
STAMPS='
import hashlib, pathlib, platform, sys
mode, state, *parts = sys.argv[1:]
FILES = {
    "lite": ("requirements-lite.txt",),
    "libraries": ("requirements-lite.txt",),
    "full": ("requirements-lite.txt", "requirements.txt"),
    "gpu": ("requirements-lite.txt", "requirements-gpu.txt"),
    "tensorrt": ("requirements-tensorrt.txt",),
    "speech": ("requirements-speech.txt",),
    "dev": ("requirements-dev.txt", "requirements-speech.txt"),
    "livekit": ("requirements-livekit.txt",),
    "webrtc": ("requirements-webrtc.txt",),
    "pipecat": ("requirements-pipecat.txt",),
    "train": ("requirements-train.txt",),
    "cluster": ("requirements-cluster.txt",),
    "ray": ("requirements-ray.txt",),
    "moto": ("requirements-test-s3.txt",),
    "japanese": ("requirements-japanese.txt",),
}
python = "%d.%d %s %s" % (*sys.version_info[:2], platform.system(), platform.machine())
def stamp(part):
    digest = hashlib.sha256(python.encode())
    for name in FILES[part]:
        digest.update(name.encode() + b"\0" + pathlib.Path(name).read_bytes() + b"\0")
    return digest.hexdigest()
for part in parts:
    path = pathlib.Path(state) / part
    if mode == "write":
        path.write_text(stamp(part))
    elif not path.is_file() or path.read_text() != stamp(part):
        print(part)
'

missing_parts() { "$VPY" -I -c "$STAMPS" missing "$STATE" "$@"; }
write_stamps() { "$VPY" -I -c "$STAMPS" write "$STATE" "$@"; }

# ----------------------------------------------------------------------------------------------------------- environment

# A number that was a setup.sh once may be another process by now: look what runs under it.
is_running_setup() {
  [ -n "$1" ] && [ "$1" != "$$" ] && kill -0 "$1" 2>/dev/null || return 1
  if [ -r "/proc/$1/cmdline" ]; then
    case "$(tr '\0' ' ' <"/proc/$1/cmdline")" in *setup.sh*) return 0 ;; *) return 1 ;; esac
  fi
  case "$(ps -p "$1" -o args= 2>/dev/null || true)" in *setup.sh*) return 0 ;; *) return 1 ;; esac
}

# Fails when .venv has to be made anew; ends the script when it is not ours to touch.
venv_is_sound() {
  local owner='' stage=''
  [ -e "$VENV" ] || [ -L "$VENV" ] || return 1
  if [ ! -d "$STATE" ]; then
    die "$NAME is there, but this script did not make it." "Move it away or delete it (rm -rf $NAME), then run this again."
  fi
  if [ -f "$MARK" ]; then
    read -r owner stage <"$MARK" || true
    if is_running_setup "$owner"; then
      die "another setup.sh (process $owner) is installing into $NAME." "Wait for it, then run this again."
    fi
    # pip fetches everything before it unpacks the first package; interrupted before that, the environment is as it was.
    if [ "$stage" != packages ] || grep -q '^Installing collected packages' "$LOG" 2>/dev/null; then
      say "The last installation was interrupted; making $NAME anew."
      return 1
    fi
    rm -f "$MARK"
  fi
  if ! "$VPY" -I -c 'import pip' >/dev/null 2>&1; then
    say "The Python of $NAME is gone or has changed; making $NAME anew."
    return 1
  fi
  if [ -n "${PYTHON:-}" ] && [ "$(python_version "$PYTHON")" != "$(python_version "$VPY")" ]; then
    say "PYTHON is $PYTHON, $NAME is $(python_version "$VPY"); making $NAME anew."
    return 1
  fi
}

python_version() { "$1" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

make_venv() {
  find_python
  case "$ROOT" in
    *:*) die "the folder '$ROOT' has a colon in its name, which Python's environments do not allow." "Rename it, then run this again." ;;
  esac
  check_disk "$1"
  say "Making $NAME with $BASE_PYTHON ($(python_version "$BASE_PYTHON"))"
  rm -rf "$VENV"
  mkdir -p "$STATE" || die "cannot write into '$ROOT'."
  printf '%s venv\n' "$$" >"$MARK"
  if ! "$BASE_PYTHON" -m venv "$VENV" >"$LOG" 2>&1; then
    tail -n 5 "$LOG" >&2
    die "making $NAME failed (above is what Python says)." "On Debian and Ubuntu this is often cured by: sudo apt-get install python3-venv"
  fi
  rm -f "$MARK" "$LOG"
}

# ------------------------------------------------------------------------------------------------------------- packages

# What each part takes on the disk, in MB, with room for the downloads while they are unpacked.
check_disk() {
  local part needed=0 free
  for part in $1; do
    case "$part" in
      lite) needed=$((needed + 1500)) ;;
      full) needed=$((needed + 2000)) ;;
      gpu) needed=$((needed + 9000)) ;;
      speech) needed=$((needed + 500)) ;;
      dev) needed=$((needed + 800)) ;;
      livekit) needed=$((needed + 400)) ;;
      webrtc) needed=$((needed + 100)) ;;
      pipecat) needed=$((needed + 900)) ;;
      train) needed=$((needed + 200)) ;;
      cluster) needed=$((needed + 70)) ;;
      ray) needed=$((needed + 500)) ;;
      moto) needed=$((needed + 300)) ;;
      japanese) needed=$((needed + 500)) ;;
    esac
  done
  free="$(df -Pk . 2>/dev/null | sed -n '$s/.* \([0-9][0-9]*\)  *[0-9][0-9]*%.*/\1/p' || true)"
  [ -n "$free" ] || return 0
  free=$((free / 1024))
  if [ "$free" -lt "$needed" ]; then
    die "about $needed MB of disk are needed in '$ROOT', and $free MB are free." "Make room, then run this again."
  fi
}

# Everything pip says goes to the log; a terminal shows the latest step on one line, anything else only the large steps.
show_progress() {
  local line width="${COLUMNS:-80}"
  while read -r line; do
    printf '%s\n' "$line" >>"$LOG"
    case "$line" in
      Collecting\ * | Downloading\ * | 'Using cached '*) line="fetching  ${line#* }" ;;
      'Installing collected packages'*) line='unpacking (a minute or so)' ;;
      *) continue ;;
    esac
    if [ -t 1 ]; then
      printf '\r\033[K  %4d s  %.*s' "$SECONDS" "$((width - 12))" "$line"
    elif [ "${line#unpacking}" != "$line" ]; then
      say "  $line"
    fi
  done
  if [ -t 1 ]; then printf '\r\033[K'; fi
}

run_pip() {
  : >"$LOG"
  PYTHONUNBUFFERED=1 "$VPY" -m pip install --only-binary :all: "$@" 2>&1 | show_progress
}

explain_pip_failure() {
  # A failure before the first package was unpacked has changed nothing.
  if ! grep -q '^Installing collected packages' "$LOG"; then rm -f "$MARK"; fi
  if grep -qi 'no space left on device' "$LOG"; then
    die "the disk is full (pip also needs room in ${TMPDIR:-/tmp} and for its cache)." "Make room, then run this again."
  fi
  if grep -qiE 'NewConnectionError|Failed to establish|name resolution|ConnectTimeout|Connection (refused|aborted|broken|reset)|ProxyError|Read timed out|SSLError|ReadTimeoutError|IncompleteRead|Network is unreachable' "$LOG"; then
    die "no connection to the package index. Is the network up?" \
      "Behind a proxy, set HTTPS_PROXY; with a mirror of your own, set PIP_INDEX_URL. Then run this again: it goes on where it stopped." \
      "What pip said: $LOG"
  fi
  if grep -q 'No matching distribution found' "$LOG"; then
    grep 'No matching distribution found' "$LOG" | sed 's/^/  /' >&2
    die "the package index has no build of this for $(uname -s) $(uname -m) and $(python_version "$VPY")." \
      "Python 3.11, 3.12 or 3.13 on 64-bit Linux (glibc) or an Apple-silicon Mac is needed." "What pip said: $LOG"
  fi
  tail -n 5 "$LOG" | sed 's/^/  /' >&2
  die "installing failed (above is the end of what pip said)." "All of it: $LOG"
}

# One small package, and few patience: an unreachable index is told in seconds, not after five rounds of retries.
check_index() {
  local probe
  probe="$(sed -n 's/^\(websockets==[^ ;]*\).*/\1/p' requirements-lite.txt)"
  run_pip --dry-run --no-deps --ignore-installed --retries 1 --timeout 15 "$probe" >/dev/null || explain_pip_failure
}

# On Linux the plain index gives PyTorch with several GB of CUDA; the CPU build has an index of its own. Where that cannot be
# reached within seconds (a firewall, a mirror), the plain index decides.
prefer_cpu_torch() {
  local pin
  [ "$(uname -s)" = Linux ] && [ -z "${PIP_NO_INDEX:-}" ] || return 0
  pin="$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' requirements.txt)"
  if "$VPY" -I -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").split("+")[0] != sys.argv[1])' "${pin#*==}" 2>/dev/null; then return 0; fi
  # The alarm ends the process even where name resolution hangs.
  if "$VPY" -I -c 'import signal, sys, urllib.request; signal.alarm(8); urllib.request.urlopen(sys.argv[1], timeout=5).read(1)' \
    "$TORCH_CPU_INDEX/torch/" >/dev/null 2>&1; then
    say "Installing the CPU build of PyTorch"
    if run_pip --no-deps --index-url "$TORCH_CPU_INDEX" --timeout 30 --retries 1 "$pin"; then return 0; fi
  fi
  say "Note: the index of PyTorch's CPU builds is not reachable; the build from the package index may be several GB larger."
}

install_parts() { # the parts wanted, the parts missing
  local part requirements='' stamps=''
  for part in $1; do
    case "$part" in
      lite) requirements="$requirements -r requirements-lite.txt" stamps="$stamps lite" ;;
      full) requirements="$requirements -r requirements.txt" stamps="$stamps lite full" ;;
      gpu) requirements="$requirements -r requirements-gpu.txt" stamps="$stamps lite gpu" ;;
      speech)
        requirements="$requirements -r requirements-speech.txt" stamps="$stamps speech"
        # A GPU's packages have an ONNX Runtime of their own.
        case " $1 " in *' gpu '*) ;; *) requirements="$requirements -c requirements.txt onnxruntime" ;; esac
        ;;
      pipecat) requirements="$requirements -r requirements-pipecat.txt --no-binary docopt" stamps="$stamps pipecat" ;; # docopt has no wheel
      moto) requirements="$requirements -r requirements-test-s3.txt" stamps="$stamps moto" ;;
      dev | livekit | webrtc | train | cluster | ray | japanese) requirements="$requirements -r requirements-$part.txt" stamps="$stamps $part" ;;
    esac
  done
  check_disk "$2"
  printf '%s packages\n' "$$" >"$MARK"
  check_index
  case " $2 " in *' full '*) prefer_cpu_torch ;; esac
  say "Installing the pinned packages (once; one to a few minutes)"
  # shellcheck disable=SC2086  # the names are ours and have no spaces
  run_pip $requirements || explain_pip_failure
  # shellcheck disable=SC2086
  write_stamps $stamps
  rm -f "$MARK"
}

install_tensorrt() {
  printf '%s packages\n' "$$" >"$MARK"
  say "Installing TensorRT (optional)"
  : >"$LOG"
  # Not --only-binary: what the index holds is a small package that fetches the libraries from NVIDIA's own index.
  if ! PYTHONUNBUFFERED=1 "$VPY" -m pip install -r requirements-tensorrt.txt 2>&1 | show_progress; then
    say "Note: TensorRT did not install; going on without it (PyTorch and ONNX Runtime use the GPU)."
    say "  To try again: .venv/bin/python -m pip install -r requirements-tensorrt.txt"
  fi
  write_stamps tensorrt
  rm -f "$MARK"
}

# OpenCV and mediapipe load libraries that slim systems leave out, and say so only when they are used.
check_libraries() {
  local problem
  problem="$("$VPY" -I -W ignore -c '
import ctypes, pathlib, sys
try:
    import cv2
    import mediapipe
    for library in pathlib.Path(mediapipe.__file__).parent.glob("tasks/c/libmediapipe.*"):
        ctypes.CDLL(str(library))
except (ImportError, OSError) as error:
    print(str(error).splitlines()[0])
' 2>/dev/null || echo 'OpenCV or mediapipe crashed while loading')"
  if [ -n "$problem" ]; then
    if [ "$(uname -s)" = Linux ]; then
      die "a system library is missing ($problem). Install it, then run this again:" "$SYSTEM_LIBRARIES"
    fi
    die "OpenCV or mediapipe does not load: $problem"
  fi
  write_stamps libraries
}

has_gpu() {
  [ "${SETUP_CPU:-}" != 1 ] && command -v nvidia-smi >/dev/null 2>&1 || return 1
  case "$(nvidia-smi -L 2>/dev/null || true)" in GPU\ *) return 0 ;; *) return 1 ;; esac
}

# ensure lite | ensure full | ensure full dev: what the command needs on this machine is installed when this returns.
ensure() {
  local wanted="$*" missing
  if has_gpu; then
    wanted="$(printf '%s' "$wanted" | sed 's/lite/gpu/; s/full/gpu/')"
  fi
  # The two builds of ONNX Runtime overwrite each other's files: never both in one environment.
  case " $wanted " in
    *' gpu '*)
      if [ -f "$STATE/full" ]; then
        say "An NVIDIA GPU is here and .venv was made without one; making .venv anew."
        rm -rf "$VENV"
      fi
      ;;
    *' full '*)
      if [ -f "$STATE/gpu" ]; then
        say "No NVIDIA GPU is in use and .venv was made with one; making .venv anew."
        rm -rf "$VENV"
      fi
      ;;
  esac
  if ! venv_is_sound; then make_venv "$wanted"; fi
  # shellcheck disable=SC2086
  missing="$(missing_parts $wanted | tr '\n' ' ')"
  if [ -n "$missing" ]; then install_parts "$wanted" "$missing"; fi
  case " $wanted " in
    *' gpu '*) if [ -n "$(missing_parts tensorrt)" ]; then install_tensorrt; fi ;;
  esac
  case " $wanted " in
    *' pipecat '* | *' moto '*) return 0 ;; # they have no OpenCV
  esac
  if [ -n "$(missing_parts libraries)" ]; then check_libraries; fi
}

# ------------------------------------------------------------------------------------------------------------- commands

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
