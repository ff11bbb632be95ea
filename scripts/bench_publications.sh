#!/usr/bin/env bash
# How long it takes from a publication to whoever is told of it, and to publish a file of 1 GB beside copying it. Arguments: how
# many publications, how many MB, how many runs of each.
#
#   scripts/bench_publications.sh 50 1000 3
#
# All on one machine, in a folder. The clock starts when the publisher decides that the version is the newest, which is before
# the letters to webhooks and the pointer are written and synced, and stops when the subscriber has the news in its hands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
count="${1:-50}"
megabytes="${2:-1000}"
runs="${3:-3}"
if [ -z "${NEARLINE_BINARY:-}" ]; then
    cargo build --release --locked --quiet
fi
nearline="${NEARLINE_BINARY:-$CARGO_TARGET_DIR/release/nearline}"
work="$(mktemp -d "${NEARLINE_BENCH_DIR:-${TMPDIR:-/tmp}}/nearline-bench-XXXXXX")"
started=()
finish() {
    for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
cd "$work"

# ---- From a publication to whoever is told ------------------------------------------------------------------------

cat >hook.py <<'PYTHON'
import http.server, json, time

class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        now = time.time() * 1000
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        print(now - told["data"]["published_at"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
cat >listen.py <<'PYTHON'
import json, sys, time

for line in sys.stdin:
    now = time.time() * 1000
    if line.startswith("data: "):
        told = json.loads(line[6:])
        if told["happened"] == "published":
            print(now - told["newest"]["published_at"], flush=True)
    elif line.startswith("{"):
        print(now - json.loads(line)["published_at"], flush=True)
PYTHON
python3 hook.py >hook & started+=($!)
until [ -s hook ]; do sleep 0.05; done
cat >nearline.toml <<TOML
[publications]
repository = "repository"
[publications.notify.hook]
url = "http://127.0.0.1:$(head -n 1 hook)/"
secret = "a secret for measuring alone"
[subscriptions.news]
use = "watch"
TOML
"$nearline" run --follow --listen 127.0.0.1:0 </dev/null 2>said & started+=($!)
until grep -q listening said; do sleep 0.05; done
address="$(sed -n 's/^listening at //p' said | head -n 1)"
until curl -sf "$address/health/ready" >/dev/null; do sleep 0.05; done
curl -sN "$address/v1/publications/changes" > >(python3 -u listen.py >pipeline) & started+=($!)
"$nearline" subscribe news --json > >(python3 -u listen.py >subscribe) & started+=($!)
sleep 1
for number in $(seq "$count"); do
    echo "$number" >news.txt
    "$nearline" publish news --files news.txt --kind query >/dev/null
done
sleep 1
tail -n +2 hook >webhook

# The median, the 99th percentile and the greatest of numbers, a line each.
of_times() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f ms | %.1f ms | %.1f ms | %d", v[int((NR + 1) / 2)], v[int(NR * 0.99 + 0.99)], v[NR], NR }'; }
cat <<TABLE
| from a publication until told, $count publications, $(nproc) cores | median | 99th percentile | greatest | told |
| --- | --- | --- | --- | --- |
| a running pipeline, by an event of its server | $(of_times pipeline) |
| \`nearline subscribe\`, a line on its standard output | $(of_times subscribe) |
| a webhook | $(of_times webhook) |

TABLE

# ---- A large file -------------------------------------------------------------------------------------------------

head -c "${megabytes}000000" /dev/urandom >large
# A command's time in milliseconds.
time_of() {
    local began
    began="$(date +%s%N)"
    "$@" >/dev/null
    echo $((($(date +%s%N) - began) / 1000000))
}
copied() { cp large copy && sync copy; }
rm nearline.toml
for _ in $(seq "$runs"); do
    rm -rf copy && sync
    time_of copied >>copying
    rm -rf copy away && sync
    time_of "$nearline" publish large --files large --kind query --to away >>publishing
done
# The median, the least and the greatest.
of_runs() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%d ms | %d to %d ms", v[int((NR + 1) / 2)], v[1], v[NR] }'; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
cat <<TABLE
| $megabytes MB, $runs runs of each in turn | median | least to greatest |
| --- | --- | --- |
| \`cp\`, and \`sync\` of the copy | $(of_runs copying) |
| \`nearline publish\` | $(of_runs publishing) |
| ratio | $(awk -v p="$(median publishing)" -v c="$(median copying)" 'BEGIN { printf "%.2f", p / c }') | |
TABLE
