#!/usr/bin/env bash
# How far a mirror is behind while lists change: `scripts/bench_mirrors.sh memcached [RATE] [SECONDS]`, or redis, mysql, cassandra, kafka.
#
# Members play items, RATE of them a second (50,000), through a pipe, without a model: each event changes a list of
# `continue_watching`. Every tenth of a second the metrics say how long ago the store was read of which the server has everything.
# At the end the mirror is compared with the store. The server is a real one, by scripts/services.sh, on the same machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
root="$PWD"
kind="${1:-memcached}" rate="${2:-50000}" seconds="${3:-20}"
if [ -z "${NEARLINE_BINARY:-}" ]; then
    cargo build --release --locked --features cassandra,mysql >&2
fi
program="${NEARLINE_BINARY:-$CARGO_TARGET_DIR/release/nearline}"
place="$(mktemp -d)"
export NEARLINE_SERVICES="$place/services"
trap 'kill $(jobs -p) 2>/dev/null || true; bash "$root/scripts/services.sh" down; rm -rf "$place"' EXIT
told="$(bash scripts/services.sh up "$kind")"
eval "$told"
cd "$place"
case "$kind" in
    memcached) server="url = \"memcached://$NEARLINE_MEMCACHED\"" ;;
    redis) server="url = \"redis://$NEARLINE_REDIS\"" ;;
    mysql) server="url = \"mysql://$NEARLINE_MYSQL/nearline\"
user = \"$NEARLINE_MYSQL_USER\"
password = \"$NEARLINE_MYSQL_PASSWORD\"" ;;
    cassandra) server="url = \"cassandra://$NEARLINE_CASSANDRA/nearline\"
${NEARLINE_CASSANDRA_USER:+user = \"$NEARLINE_CASSANDRA_USER\"
password = \"$NEARLINE_CASSANDRA_PASSWORD\"}
replication = 1" ;;
    kafka) server="url = \"kafka://$NEARLINE_KAFKA/nearline\"" ;;
    *) echo "usage: scripts/bench_mirrors.sh memcached|redis|mysql|cassandra|kafka [RATE] [SECONDS]" >&2; exit 2 ;;
esac
printf '[mirrors.there]\n%s\n' "$server" >nearline.toml
"$program" bench-log log.jsonl --events "$((rate * (seconds + 2)))" --members 138000 --items 26000 >/dev/null
mkfifo pipe
"$program" run - --follow --listen 127.0.0.1:7979 <pipe 2>run.log &
python3 - "$rate" "$seconds" <<'PYTHON'
import re, subprocess, sys, time, threading, urllib.request
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
text = lambda: urllib.request.urlopen("http://127.0.0.1:7979/metrics", timeout=5).read().decode()
def value(name):
    found = re.search(r"^nearline_" + name + r"(?:_total)?(?:\{[^}]*\})? ([0-9.e+-]+)$", text(), re.M)
    return float(found.group(1)) if found else 0.0
pipe = open("pipe", "wb", buffering=0)
for _ in range(600):
    try:
        if urllib.request.urlopen("http://127.0.0.1:7979/health/ready", timeout=5).status == 200:
            break
    except OSError:
        time.sleep(0.1)
lines = open("log.jsonl", "rb").readlines()
behind, late, ended = [], [0.0], threading.Event()
def watch():
    # Not before the first epochs, of which there is nothing to be behind of.
    time.sleep(2)
    while not ended.is_set():
        behind.append(value("mirror_behind_seconds"))
        time.sleep(0.1)
began = time.monotonic()
written = value("mirror_entries_written")
threading.Thread(target=watch, daemon=True).start()
sent, step = 0, 0.01
while time.monotonic() - began < seconds:
    due = int((time.monotonic() - began) * rate)
    if due > sent:
        pipe.write(b"".join(lines[sent:due]))
        sent = due
    time.sleep(step)
took = time.monotonic() - began
# What was written while events came in.
done = value("mirror_entries_written") - written
ended.set()
behind.sort()
at = lambda part: behind[min(len(behind) - 1, int(len(behind) * part))]
print(f"{sent / took:,.0f} events/s sent, {done / took:,.0f} entries/s written to the server;"
      f" behind: {at(0.5) * 1000:.0f} ms in the middle, {at(0.99) * 1000:.0f} ms at the 99th of a hundred, {behind[-1] * 1000:.0f} ms at most")
began = time.monotonic()
pipe.close()
PYTHON
sleep 2
kill -TERM "$(jobs -p | tail -n 1)" 2>/dev/null || true
wait || true
"$program" verify --mirror there
