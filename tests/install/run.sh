#!/usr/bin/env bash
# Usage: tests/install/run.sh BUILD
# Installs what BUILD holds into an empty folder and builds outside.cpp against it the way a stranger
# would: with what pkg-config says and nothing of this tree, by g++ and clang++. The program is run
# too, beside the daemon that was installed. The manuals must be where man(1) looks for them.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
build=$(readlink -f "$1")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

meson install -C "$build" --destdir "$root" --no-rebuild --quiet

pc=$(find "$root" -name shmbus.pc)
header=$(find "$root" -path '*/include/shmbus/shmbus.hpp')
library=$(find "$root" -name libshmbus.so)
for installed in "$pc" "$header" "$library"; do
    [ -f "$installed" ] || { echo 'missing: shmbus.pc, shmbus/shmbus.hpp or libshmbus.so'; exit 1; }
done
for page in man1/shmbus.1 man5/shmbusd.conf.5 man8/shmbusd.8; do
    [ -n "$(find "$root" -path "*/man/$page")" ] || { echo "missing: $page"; exit 1; }
done
diff -r "$here/../../libshmbus/include/shmbus" "$(dirname "$header")"

export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH
PKG_CONFIG_PATH=$(dirname "$pc")
LD_LIBRARY_PATH=$(dirname "$library")
read -ra flags < <(pkg-config --cflags --libs shmbus)
read -ra capnp_flags < <(PKG_CONFIG_SYSROOT_DIR='' pkg-config --cflags --libs capnp)

cd "$root" # so that nothing of the tree is found by accident
export SHMBUS_SOCKET=$root/bus.sock
daemon=$(find "$root" -name shmbusd -type f)
exec {log}< <(exec "$daemon" --socket "$SHMBUS_SOCKET" 2>&1)
trap 'kill $!; rm -rf "$root"' EXIT
until [[ ${line:-} == *ready ]]; do
    read -r line <&"$log" || { echo "shmbusd did not start: ${line:-}"; exit 1; }
done

capnp compile -oc++:. --src-prefix="$here" "$here/order.capnp"
for compiler in g++ clang++; do
    "$compiler" -std=c++20 -Wall -Wextra -Werror -I. "$here/outside.cpp" order.capnp.c++ -o outside \
        "${flags[@]}" "${capnp_flags[@]}"
    ./outside
    # Not -q: a grep that ends at the first match ends ldd with SIGPIPE, and this script with it.
    ldd outside | grep "$LD_LIBRARY_PATH/libshmbus" >/dev/null
    echo "outside.cpp: $compiler ${flags[*]} ${capnp_flags[*]}: well"
done
