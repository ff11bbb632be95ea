#!/usr/bin/env bash
# Drives the page of Nearline in a headless Chromium, over a real server and an invented world: finds a member, plays,
# hides, likes and takes back, by mouse and by keyboard, on a desk and on a phone. tests/page/page.mjs says what must hold.
#
# Pictures are kept in NEARLINE_SCREENSHOTS, or in `page/screenshots` of the target folder. Chromium and Node are
# installed through the system's package manager where they are missing and that needs no password; where it does, the
# one command to type is printed, and the exit code is 2. Exit code 1: something does not hold.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

# ---- A browser, and Node to drive it ------------------------------------------------------------------------------

find_chromium() {
    local name
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome-stable google-chrome; do
        if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

recent_node() { have node && have npm && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ]; }

missing_for_the_page() {
    find_chromium >/dev/null || printf 'Chromium\n'
    recent_node || printf 'Node 18 or newer with npm\n'
}

install_for_the_page() {
    local missing wanted=()
    missing="$(missing_for_the_page | paste -sd, - | sed 's/,/, /g')"
    [ -n "$missing" ] || return 0
    find_chromium >/dev/null || wanted+=(chromium)
    recent_node || wanted+=(nodejs npm)
    if ! know_packages; then
        say "The test of the page needs $missing. Install that with your package manager and start again."
        exit 2
    fi
    typed="sudo ${install[*]} ${wanted[*]}"
    [ ${#update[@]} = 0 ] || typed="sudo apt-get update && sudo apt-get install -y ${wanted[*]}"
    if ! may_install; then
        say "The test of the page needs $missing. Type this and start again:"
        say ""
        say "    $typed"
        exit 2
    fi
    say "Installing what the page is tested with, as it is missing here: $missing"
    if ! { [ ${#update[@]} = 0 ] || as_root "${update[@]}"; } || ! as_root "${install[@]}" "${wanted[@]}"; then
        say "That failed. Type this, see what it says, and start again:"
        say ""
        say "    $typed"
        exit 2
    fi
    hash -r
    missing="$(missing_for_the_page | paste -sd, - | sed 's/,/, /g')"
    if [ -n "$missing" ]; then
        say "${wanted[*]} are installed, and still there is no sign of: $missing. CHROMIUM can name the browser."
        exit 2
    fi
}

install_for_the_page
CHROMIUM="$(find_chromium)"
if ! "$CHROMIUM" --version >/dev/null 2>&1; then
    say "$CHROMIUM does not start. CHROMIUM can name another browser."
    exit 2
fi
export CHROMIUM
if [ ! -d tests/page/node_modules/playwright-core ] || [ tests/page/package-lock.json -nt tests/page/node_modules ]; then
    if ! npm ci --prefix tests/page --no-audit --no-fund >&2; then
        say "npm could not fetch playwright-core (tests/page/package.json). Is the network there? Start again when it is."
        exit 2
    fi
    touch tests/page/node_modules
fi

# ---- A world and a server over it ---------------------------------------------------------------------------------

# The tests before it in CI have built it.
[ -n "${NEARLINE_BUILT:-}" ] || cargo build --release --locked --bin nearline
nearline="$CARGO_TARGET_DIR/release/nearline"
export NEARLINE_SCREENSHOTS="${NEARLINE_SCREENSHOTS:-$CARGO_TARGET_DIR/page/screenshots}"
world="$(mktemp -d)"
server=''
# Only the process that was started here, and only its folder.
clean() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$world"
}
trap clean EXIT
trap 'exit 130' INT TERM

echo "Making a world: logs, a store, three models, two variants"
"$nearline" demo --write "$world/logs" >/dev/null
"$nearline" --data "$world/data" replay "$world/logs/catalogue.jsonl" "$world/logs/events.jsonl" >/dev/null
"$nearline" --data "$world/data" train --out "$world/model" --rank 32 --iterations 8 >/dev/null
"$nearline" --data "$world/data" train --out "$world/other" --rank 16 --iterations 6 >/dev/null
"$nearline" --data "$world/data" train --out "$world/wider" --rank 48 --iterations 4 >/dev/null
printf 'experiment = "wider factors"\n[variants.control]\n[variants.wider]\nmodel = "%s"\n' "$world/wider" >"$world/nearline.toml"
port="$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')"
"$nearline" --data "$world/data" --config "$world/nearline.toml" run --model "$world/model" --listen "127.0.0.1:$port" --follow \
    "$world/logs/events.jsonl" >"$world/server.log" 2>&1 &
server=$!
export NEARLINE_PAGE="http://127.0.0.1:$port" NEARLINE_PAGE_MODEL="$world/other"
for _ in $(seq 600); do
    # Ready when the page is there and the readiness probe says so.
    if node -e 'fetch(process.argv[1]).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "$NEARLINE_PAGE/health/ready"; then
        break
    fi
    if ! kill -0 "$server" 2>/dev/null; then
        say "The server ended:"
        cat "$world/server.log" >&2
        exit 1
    fi
    sleep 0.2
done

# ---- The page -----------------------------------------------------------------------------------------------------

code=0
node tests/page/changes.mjs && node tests/page/page.mjs || code=$?
if [ "$code" != 0 ] && [ -s "$world/server.log" ]; then
    say "The server said:"
    tail -n 20 "$world/server.log" >&2
fi
echo "Pictures: $NEARLINE_SCREENSHOTS"
exit "$code"
