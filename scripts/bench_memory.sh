#!/usr/bin/env bash
# Memory over a long run: events and retractions go in for so many minutes, and then a trim. Prints a table.
# Arguments: how many events, of each thousand how many are retracted, minutes at most, a folder to work in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
events="${1:-200000000}" retract="${2:-500}" minutes="${3:-60}" place="${4:-}"
if [ -z "${NEARLINE:-}" ]; then
    # shellcheck source=scripts/setup.sh
    . scripts/setup.sh
    cargo build --release --locked --quiet
    NEARLINE="$CARGO_TARGET_DIR/release/nearline"
fi
if [ -z "$place" ]; then
    place="$(mktemp -d)"
    trap 'rm -rf "$place"' EXIT
fi
data="$place/data"
mkdir "$place/more"
mkfifo "$place/log"
"$NEARLINE" bench-log "$place/log" --events "$events" --members 100000 --items 26000 \
    --retract "$retract" --behind 1000000 2>/dev/null &
writer=$!
"$NEARLINE" --data "$data" run --epoch-ms 500 --follow "$place/log" "$place/more" 2>"$place/said" &
reader=$!
trap 'kill $writer $reader 2>/dev/null || true; [ -n "${4:-}" ] || rm -rf "$place"' EXIT

# A number out of the answer of `status`.
field() { grep -o "\"$1\":[0-9]*" <<<"$status" | head -1 | cut -d: -f2; }
row() {
    status="$("$NEARLINE" --data "$data" status --json 2>/dev/null)" || return 0
    local live accepted without resident disk tombstones bytes
    live="$(field live_events)" accepted="$(field accepted)" without="$(field without_effect)" disk="$(field on_disk)"
    resident="$(awk '/^VmRSS/ { print $2 }' "/proc/$reader/status")"
    tombstones=$(((accepted - without - live) / 2))
    bytes=$(((resident * 1024 - 24 * tombstones) / (live > 0 ? live : 1)))
    printf '| %s | %d | %d | %d | %d | %d | %d |\n' "$1" $((accepted / 1000000)) $((live / 1000)) \
        $((tombstones / 1000)) $((resident / 1024)) "$bytes" $((disk >> 20))
}

echo "| minute | records, millions | live, thousands | tombstones, thousands | resident, MB | bytes a live event, 24 a tombstone left out | on disk, MB |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for ((minute = 1; minute <= minutes; minute++)); do
    for ((second = 0; second < 60; second++)); do
        kill -0 "$writer" 2>/dev/null || break 2
        sleep 1
    done
    row "$minute"
done
# What is on its way comes to its end.
kill "$writer" 2>/dev/null || true
before=-1
while row end >"$place/row" && [ "$before" != "$(field accepted)" ]; do
    before="$(field accepted)"
    sleep 5
done
cat "$place/row"
now="$(field now)"
# Half of the time that the log spans, and then all but its last minutes.
for share in 2 20; do
    at=$((now - (now - 1777680000000) / share))
    printf '{"type":"trim","at":%d}\n' "$at" >"$place/more/trim-$share.jsonl"
    # The events that are trimmed go in steps; then what is left of them is merged away.
    for ((second = 0; second < 600; second++)); do
        status="$("$NEARLINE" --data "$data" status --json 2>/dev/null)" || continue
        [ "$(field accepted)" = "$before" ] || break
        sleep 1
    done
    before="$(field accepted)"
    sleep 20
    row "trimmed to 1/$share"
done
echo "largest resident memory: $(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$reader/status") MB"
