#!/usr/bin/env bash
# What several processes cost on one machine: a log into committed stores by one process with two workers, and by two processes
# with one worker each; and how long a posted event takes until it is acknowledged, which is when every process has it on disk. Medians
# of runs in turn, whole commands timed from outside. Arguments: how many events, how many runs, how many posts.
#
#   scripts/bench_processes.sh 2000000 3 2000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
events="${1:-1000000}" runs="${2:-3}" posts="${3:-1000}"
if [ -z "${NEARLINE_BINARY:-}" ]; then
    cargo build --release --locked --quiet
    NEARLINE_BINARY="$CARGO_TARGET_DIR/release/nearline"
fi
work="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
"$NEARLINE_BINARY" bench-log log.jsonl --events "$events"
printf '127.0.0.1:%s\n' 17471 17472 >hosts

# Each takes the place of the shell that it is begun in, so that a signal reaches it.
one() { exec "$NEARLINE_BINARY" --data whole "$@" --workers 2; }
part() { exec "$NEARLINE_BINARY" --data "part$1" "${@:2}" --workers 1 --processes 2 --process "$1" --hosts hosts; }

# One load into new folders: events a second.
load() {
    local began ended
    rm -rf whole part0 part1
    began="$(date +%s%N)"
    if [ "$1" = one ]; then
        (one replay log.jsonl 2>>said)
    else
        part 1 replay log.jsonl 2>>said &
        (part 0 replay log.jsonl 2>>said)
        wait $!
    fi
    ended="$(date +%s%N)"
    awk -v n="$events" -v t="$((ended - began))" 'BEGIN { printf "%.0f\n", n * 1e9 / t }' >>"load-$1"
}

# Events posted one after the other: milliseconds of each.
post() {
    python3 - "$1" "$posts" <<'PYTHON' >>"$2"
import http.client, json, sys, time
link = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for number in range(int(sys.argv[2])):
    event = {"member": f"m{number % 97}", "item": f"i{number % 89}", "kind": "play", "value": 0.5, "at": int(time.time() * 1000)}
    began = time.perf_counter()
    link.request("POST", "/v1/events", json.dumps(event))
    answer = link.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    print((time.perf_counter() - began) * 1000)
PYTHON
}
ready() { until curl --silent --fail --output /dev/null "http://127.0.0.1:$1/health/ready"; do sleep 0.1; done; }

for run in $(seq "$runs"); do
    load one
    if [ "$run" = 1 ]; then digest="$("$NEARLINE_BINARY" --data whole verify | awk '{ print $1 }')"; fi
    load two
    if [ "$run" = 1 ] && [ "$("$NEARLINE_BINARY" verify part0 part1 | awk '{ print $1 }')" != "$digest" ]; then
        echo "the digests differ" >&2
        exit 1
    fi
done
one run --listen 127.0.0.1:17481 2>>said &
ready 17481
post 17481 post-one
kill -TERM $!
wait
part 1 run --listen 127.0.0.1:17483 2>>said &
part 0 run --listen 127.0.0.1:17482 2>>said &
ready 17482
post 17482 post-two
kill -TERM $!
wait

# The median, the slowest and the fastest of numbers.
of_runs() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%d (%d to %d)", v[int((NR + 1) / 2)], v[1], v[NR] }'; }
of_posts() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f | %.1f", v[int((NR + 1) / 2)], v[int(NR * 0.99)] }'; }
cat <<TABLE
| $events events, $(nproc) cores, median of $runs; $posts posts | events/s | a post p50, ms | p99 |
| --- | --- | --- | --- |
| one process, two workers | $(of_runs load-one) | $(of_posts post-one) |
| two processes, one worker each | $(of_runs load-two) | $(of_posts post-two) |
TABLE
