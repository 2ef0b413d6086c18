# Installs the pinned packages of the parts that a command needs. Sourced by setup.sh.

TORCH_CPU_INDEX="https://download.pytorch.org/whl/cpu"
SYSTEM_LIBRARIES="sudo apt-get install -y libgl1 libglib2.0-0 libegl1 libgles2"

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
