# Finds the Python that the environment is made of. Sourced by setup.sh.

python_version() { "$1" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

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
