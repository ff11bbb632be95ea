#!/usr/bin/env bash
# Serving under load, in one run: stored lists, online ranking, from a post to the list that shows it, and more than the
# server can do. Prints a table. The load comes from wrk on the same machine, and where that cannot say at which rate, from
# `benches/serving.rs`. Arguments: how many events there are, how many seconds each part takes, a folder to work in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
events="${1:-2000000}" seconds="${2:-10}" place="${3:-}"
for tool in wrk redis-server redis-benchmark; do
    if ! have "$tool"; then
        say "$tool is missing: install wrk, redis-server and redis-tools, and start again"
        exit 2
    fi
done
cargo build --release --locked --quiet
cargo build --release --locked --quiet --bench serving
nearline="$CARGO_TARGET_DIR/release/nearline"
client="$(cargo bench --profile release --locked --bench serving --no-run --message-format=json 2>/dev/null |
    grep -o '"executable":"[^"]*serving[^"]*"' | tail -n 1 | cut -d'"' -f4)"
if [ -z "$place" ]; then
    place="$(mktemp -d)"
    trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$place"' EXIT
else
    mkdir -p "$place"
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
fi
cd "$place"

if [ ! -d model ]; then
    "$nearline" bench-log log.jsonl --events "$events" >&2
    # Twenty genres, three to an item.
    awk 'BEGIN { for (i = 1; i <= 26000; i++)
        printf "{\"type\":\"item\",\"item\":\"i%d\",\"at\":1,\"title\":\"Title %d of the catalogue\",\"genres\":[\"g%d\",\"g%d\",\"g%d\"]}\n",
            i, i, i % 20, i * 7 % 20, i * 13 % 20 }' >items.jsonl
    "$nearline" --data data replay items.jsonl log.jsonl >&2
    "$nearline" --data data train --out model --rank 64 --iterations 4 >&2
    "$nearline" --data data replay --model model items.jsonl log.jsonl >&2
fi
port=7979
"$nearline" --data data run --model model --listen "127.0.0.1:$port" 2>server.log &
server=$!
# Another server may have the port, and would answer.
sleep 1
until kill -0 $server 2>/dev/null && curl -sf "127.0.0.1:$port/health/ready" >/dev/null; do
    kill -0 $server 2>/dev/null || { cat server.log >&2; exit 1; }
    sleep 0.2
done

cat >list.lua <<'LUA'
local n = 0
request = function()
    n = n + 7919
    return wrk.format("GET", "/v1/members/m" .. (n % 138000 + 1) .. "/lists/top_picks?limit=20")
end
LUA
cat >rank.lua <<'LUA'
local n = 0
request = function()
    n = n + 7919
    local session = {}
    for k = 1, 5 do session[k] = '{"item":"i' .. ((n * k) % 26000 + 1) .. '","kind":"play"}' end
    local body = '{"genre":"g' .. (n % 20) .. '","limit":20,"deadline_ms":1000,"session":[' .. table.concat(session, ",") .. ']}'
    return wrk.format("POST", "/v1/members/m" .. (n % 138000 + 1) .. "/rank", nil, body)
end
LUA
rate() { awk '/Requests\/sec/ { printf "%.0f", $2 }' "$1"; }
tail_of() { awk '$1 == "99%" { print $2 }' "$1"; }
resident() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$server/status"; }

wrk -t1 -c64 -d3s -s list.lua "http://127.0.0.1:$port" >/dev/null
wrk -t1 -c64 -d"${seconds}s" --latency -s list.lua "http://127.0.0.1:$port" >list.txt
bytes="$(curl -s "127.0.0.1:$port/v1/members/m1/lists/top_picks?limit=20" | wc -c)"
redis-server --port 7980 --save '' --appendonly no >/dev/null &
sleep 1
redis="$(redis-benchmark -p 7980 -c 64 -n 300000 -r 138000 -d "$bytes" -t set,get --csv | awk -F'"' '$2 == "GET" { print int($4) }')"
kill %2 2>/dev/null || true
wrk -t1 -c32 -d"${seconds}s" --latency -s rank.lua "http://127.0.0.1:$port" >rank.txt
read -r p50 p99 p999 <<<"$("$client" fresh "127.0.0.1:$port" 500 "$seconds")"
twice=$(($(rate rank.txt) * 2))
before="$(resident)"
read -r answered ok refused late other <<<"$("$client" overload "127.0.0.1:$port" "$twice" 60 50)"
after="$(resident)"
began="$(date +%s%N)"
curl -s -o /dev/null "127.0.0.1:$port/v1/members/m1/lists/top_picks"
recovered=$((($(date +%s%N) - began) / 1000000))

echo "| | measured | target |"
echo "| --- | --- | --- |"
echo "| a stored list of 20 over HTTP, 64 connections | $(rate list.txt) requests/s, p99 $(tail_of list.txt) | 25,000, p99 10 ms |"
echo "| Redis GET of as many bytes ($bytes), 64 connections, redis-benchmark | $redis requests/s | |"
echo "| online rank with five session events and a genre, 32 connections | $(rate rank.txt) requests/s, p99 $(tail_of rank.txt) | 3,000, p99 25 ms |"
echo "| POST of one event, then GET of the list that shows it, at 500 events/s | p50 $p50 ms, p99 $p99 ms, p99.9 $p999 ms | 10 ms, 30 ms |"
echo "| twice that many rankings ($twice/s) for 60 s, deadline 50 ms | $answered answered/s ($ok, of which $other from a lower rung), $refused refused, $late later than the deadline; memory $before to $after MB; an answer $recovered ms after | in time or refused; 1 s; flat |"
