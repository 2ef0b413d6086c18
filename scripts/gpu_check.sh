#!/usr/bin/env bash
# Checks and measures Ditto on the GPU of this machine, with synthetic weights of the published size.
#
#   scripts/gpu_check.sh [SECTION ...]       all of them where none is named
#
#   env        the GPU, the versions of what is installed, how the device and its convolutions were chosen
#   kernels    Triton's kernels against PyTorch
#   parity     every fast path against plain networks in float32: frames in dB, motion as a part of its largest value
#   servers    sessions that share batches against the same sessions one by one
#   stages     milliseconds of each stage by batch, beside the published way
#   recording  16 s of sound whole, beside the published way
#   streams    delay of the first frame, and how many streams keep real time
#   speech     the speech encoder in PyTorch, beside ONNX Runtime
#   latency    delay, work and motion of shorter windows and of a shorter context
#   tensorrt_build  engines by scripts/cvt_onnx_to_trt.py, of networks exported to ONNX; what was built stays when it is run again
#   tensorrt   these engines against plain networks in float32, and their speed beside PyTorch's
#
# The last two need requirements-tensorrt.txt, onnx, onnxscript and onnxruntime as well, speech needs onnx and onnxruntime: each is left out
# where one of them is missing.
#
# Needs bash, coreutils and a Python with torch, numpy and OpenCV; none of what decodes, encodes, finds faces or serves. In the environment:
# OUT, the folder of the results (default: gpu_check below the current one); PYTHON; DEVICE, such as cuda:1; SMALL=1, networks with few
# channels and short sound, to try the script on a CPU. Each section gets 480 s (SECTION_S) and writes SECTION.log beside its files;
# summary.txt has a line for each with its exit code and seconds. Exit code 1 where one failed.
set -uo pipefail

ROOT="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
OUT="${OUT:-gpu_check}"
SECTION_S="${SECTION_S:-480}"
PYTHON="${PYTHON:-python3}"
SECTIONS=(env kernels parity servers stages recording streams speech latency tensorrt_build tensorrt)

mkdir -p "$OUT" || exit 1
common=()
if [ -n "${DEVICE:-}" ]; then common+=(--device "$DEVICE"); fi
stages=() recording=() streams=() speech=() latency=()
if [ "${SMALL:-}" = 1 ]; then
  common+=(--small)
  stages=(--repeats 1 --batches 1 2)
  recording=(--seconds 0.4 --steps 2 --shared)
  speech=(--windows 1 2 --repeats 1)
  latency=(--seconds 1 --steps 2)
  streams=(--stream_seconds 1 --most_streams 2 --shared)
fi

# Results that another section wrote in the same folder stay: each has its own files.
section() {
  case "$1" in
    env) python "$ROOT/benchmarks/ditto_checks.py" env --out "$OUT" ;;
    kernels | parity | servers) python "$ROOT/benchmarks/ditto_checks.py" "$1" --out "$OUT" ;;
    stages) python "$ROOT/benchmarks/ditto_stages.py" --profile --out "$OUT/stages" "${stages[@]+"${stages[@]}"}" ;;
    recording | streams)
      local name="$1[@]"
      python "$ROOT/benchmarks/ditto_end_to_end.py" --parts "$1" --out "$OUT/$1" "${!name+"${!name}"}"
      ;;
    speech) python "$ROOT/benchmarks/ditto_speech.py" --out "$OUT" "${speech[@]+"${speech[@]}"}" ;;
    latency) python "$ROOT/benchmarks/ditto_latency.py" --out "$OUT" "${latency[@]+"${latency[@]}"}" ;;
    tensorrt_build) python "$ROOT/benchmarks/ditto_tensorrt.py" build --work "$OUT/tensorrt" --out "$OUT" ;;
    tensorrt) python "$ROOT/benchmarks/ditto_tensorrt.py" check --work "$OUT/tensorrt" --out "$OUT" ;;
    *)
      printf 'gpu_check.sh: there is no section %s; there are: %s\n' "$1" "${SECTIONS[*]}" >&2
      return 2
      ;;
  esac
}

python() { timeout --kill-after=10 "$SECTION_S" "$PYTHON" "$@" "${common[@]+"${common[@]}"}"; }

if [ $# -eq 0 ]; then set -- "${SECTIONS[@]}"; fi
failed=0
for name in "$@"; do
  started=$SECONDS
  section "$name" >"$OUT/$name.log" 2>&1
  code=$?
  tail -n 3 "$OUT/$name.log" | cut -c 1-400
  printf '%-10s exit code %d, %d s\n' "$name" "$code" "$((SECONDS - started))" | tee -a "$OUT/summary.txt"
  if [ "$code" -ne 0 ]; then failed=1; fi
done
exit "$failed"
