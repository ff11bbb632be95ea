#!/usr/bin/env bash
# How fast a topic of Kafka goes into a committed store, beside the same log from a file: medians of three runs of each in
# turn, whole commands timed from outside, in one run on one machine. Arguments: how many events, how many runs of each.
#
#   scripts/bench_kafka.sh 2000000
#
# The broker is that of scripts/services.sh; it shares the machine's cores with what is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
events="${1:-2000000}"
runs="${2:-3}"
cargo build --release --locked --quiet
nearline="$CARGO_TARGET_DIR/release/nearline"
told="$(bash scripts/services.sh up kafka)"
broker="$(sed -n 's/^NEARLINE_KAFKA=//p' <<<"$told")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
"$nearline" bench-log log.jsonl --events "$events"
topic="kafka://$broker/bench-$$-$events"
"$nearline" produce log.jsonl --to "$topic"

# One load into a folder of its own: events a second.
load() {
    local began ended
    rm -rf data
    began="$(date +%s%N)"
    "$nearline" --data data replay "$1" 2>>said
    ended="$(date +%s%N)"
    awk -v n="$events" -v t="$((ended - began))" 'BEGIN { printf "%.0f\n", n * 1e9 / t }'
}
digest() { "$nearline" --data data verify | awk '{ print $1 }'; }
# The median, the slowest and the fastest of numbers, a line each.
of_runs() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[1], v[NR] }'; }

for run in $(seq "$runs"); do
    load log.jsonl >>file
    if [ "$run" = 1 ]; then from_file="$(digest)"; fi
    load "$topic" >>kafka
    if [ "$run" = 1 ] && [ "$(digest)" != "$from_file" ]; then
        echo "the digests differ" >&2
        exit 1
    fi
done
read -r file file_slowest file_fastest <<<"$(of_runs file)"
read -r kafka kafka_slowest kafka_fastest <<<"$(of_runs kafka)"
cat <<TABLE
| $events events, $(nproc) cores, median of $runs | events/s | slowest to fastest |
| --- | --- | --- |
| file to committed store | $file | $file_slowest to $file_fastest |
| Kafka to committed store | $kafka | $kafka_slowest to $kafka_fastest |
| ratio | $((kafka * 100 / file)) % | |
TABLE
