# Sourced by quickstart, build-deb and tests/run: long work as numbered steps with progress. What a
# step prints goes to a log file, which is named when it fails.
# The caller sets steps_total and steps_logs (a folder), then calls: run_step "title" command…
# shellcheck shell=bash disable=SC2034,SC2154

steps_number=0
steps_child=

steps_duration() {
  if [ "$1" -ge 60 ]; then
    printf '%d min %02d s' $(($1 / 60)) $(($1 % 60))
  else
    printf '%d s' "$1"
  fi
}

steps_elapsed() {
  steps_duration $(($(date +%s) - $1))
}

# Ends the step that runs, with all its processes: a step is its own process group.
steps_stop() {
  if [ -n "$steps_child" ]; then
    kill -TERM -- "-$steps_child" 2>/dev/null || true
    wait "$steps_child" 2>/dev/null || true
    steps_child=
  fi
}

# The last thing that the log says, when it is a progress line of ninja ("[12/345] …") or ours.
steps_hint() {
  tail -c 4096 "$1" 2>/dev/null | tr '\r' '\n' | grep -oE '^\[[0-9]+/[0-9]+\]' | tail -n 1 || true
}

# run_step "title" command…: 0 if the command ended with 0. Sets step_log and step_seconds.
run_step() {
  local title="$1" begin now next status=0 hint
  shift
  steps_number=$((steps_number + 1))
  local label="[$steps_number/$steps_total] $title"
  mkdir -p "$steps_logs"
  step_log="$steps_logs/$(printf '%02d' "$steps_number")-$(tr -cs 'a-zA-Z0-9' '-' <<<"$title" | sed 's/^-*//; s/-*$//').log"
  begin="$(date +%s)"
  next=$((begin + 30))
  if [ -t 1 ]; then printf '%s …' "$label"; else printf '%s …\n' "$label"; fi
  # Job control gives the step a process group of its own, so that all of it can be ended.
  set -m
  "$@" >"$step_log" 2>&1 </dev/null &
  steps_child=$!
  set +m
  while kill -0 "$steps_child" 2>/dev/null; do
    now="$(date +%s)"
    hint="$(steps_hint "$step_log")"
    if [ -t 1 ]; then
      printf '\r\033[K%s … %s %s' "$label" "$(steps_elapsed "$begin")" "$hint"
    elif [ "$now" -ge "$next" ]; then
      printf '    %s so far %s\n' "$(steps_elapsed "$begin")" "$hint"
      next=$((now + 30))
    fi
    sleep 0.3
  done
  wait "$steps_child" || status=$?
  steps_child=
  step_seconds=$(($(date +%s) - begin))
  local verdict="done"
  [ "$status" -eq 0 ] || verdict="FAILED ($status)"
  if [ -t 1 ]; then printf '\r\033[K'; fi
  printf '%s: %s, %s\n' "$label" "$verdict" "$(steps_elapsed "$begin")"
  if [ "$status" -ne 0 ]; then
    echo "----- last lines of $step_log" >&2
    tail -n "${steps_tail:-40}" "$step_log" >&2
    echo "-----" >&2
  fi
  return "$status"
}
