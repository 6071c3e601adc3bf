#!/usr/bin/env bash
# Usage: tests/install/abi.sh BUILD [--accept]
# Compares the binary interface of BUILD's libshmbus with the kept one. Every difference
# fails, additions too, so that none happens unnoticed; --accept keeps the new one. A change that is
# no addition needs a new soversion.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
library=$(readlink -f "$1/libshmbus/libshmbus.so")
about=(--suppressions "$here/libshmbus.suppr" --drop-private-types)
headers=$here/../../libshmbus/include

if [ "${2:-}" = --accept ]; then
    abidw "${about[@]}" --headers-dir "$headers" --no-corpus-path --no-comp-dir-path --no-show-locs \
        "$library" | xz -9 >"$here/libshmbus.abi.xz"
    exit
fi
kept=$(mktemp --suffix .abi)
trap 'rm -f "$kept"' EXIT
xz -dc "$here/libshmbus.abi.xz" >"$kept"
abidiff "${about[@]}" --headers-dir2 "$headers" --no-show-locs "$kept" "$library" || {
    echo "the binary interface changed; if that is meant: tests/install/abi.sh $1 --accept"
    exit 1
}
