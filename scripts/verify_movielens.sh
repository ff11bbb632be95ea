#!/usr/bin/env bash
# Takes the whole of MovieLens' ml-latest-small in, in every way that must end in the same digest: one event an epoch,
# shuffled, in one bulk replay, and with one and three workers. Prints the digests and fails where two differ.
#
#   scripts/verify_movielens.sh [FOLDER]
#
# FOLDER holds ratings.csv; without it, it is ml-latest-small in the folder that NEARLINE_TRIAL_DATA names.
# docs/recipes/movielens.md says where to download it.
set -euo pipefail
folder="${1:-${NEARLINE_TRIAL_DATA:+$NEARLINE_TRIAL_DATA/ml-latest-small}}"
if [ -z "$folder" ] || [ ! -f "$folder/ratings.csv" ]; then
    echo "there is no ratings.csv in '$folder': name the folder of ml-latest-small; docs/recipes/movielens.md says \
where to download it" >&2
    exit 2
fi
ratings="$(cd "$folder" && pwd)/ratings.csv"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
cargo build --release --locked --bin nearline
nearline="$CARGO_TARGET_DIR/release/nearline"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"

map=(--map 'member=userId,item=movieId,value=rating,at=timestamp,kind=rate,time=seconds')
# The same order every time: `shuf` draws from what it is given.
{ head -n 1 "$ratings"; tail -n +2 "$ratings" | shuf --random-source=<(yes); } >shuffled.csv
"$nearline" train "$ratings" "${map[@]}" --out model --rank 8 --iterations 3 --seed 1

first=''
# way NAME LOG COMMAND [FLAG…]
way() {
    local name="$1" log="$2" start=$SECONDS digest
    shift 2
    "$nearline" --data "$name" "$@" --model model "${map[@]}" - <"$log"
    # `verify` fails where the views are not what the records say.
    digest="$("$nearline" --data "$name" verify)"
    printf '%-22s %s  (%s s)\n' "$name" "$digest" "$((SECONDS - start))"
    digest="${digest%% *}"
    first="${first:-$digest}"
    if [ "$digest" != "$first" ]; then
        echo "$name ended in another digest" >&2
        exit 1
    fi
    rm -rf "${place:?}/$name"
}

way one-event-an-epoch "$ratings" run --epoch-records 1
way shuffled shuffled.csv run
way bulk "$ratings" replay
way bulk-one-worker "$ratings" replay --workers 1
way bulk-three-workers shuffled.csv replay --workers 3
way live-one-worker shuffled.csv run --workers 1
way live-three-workers "$ratings" run --workers 3
echo "every way ended in the same digest"
