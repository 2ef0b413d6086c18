# Makes the environment, and says what of it is installed. Sourced by setup.sh.

missing_parts() { "$VPY" -I setup/stamps.py missing "$STATE" "$@"; }
write_stamps() { "$VPY" -I setup/stamps.py write "$STATE" "$@"; }

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
