#!/usr/bin/env bash
# Usage: box.sh [DIRECTORY…] -- COMMAND…
# Boots the host's own systemd as PID 1 of a throw-away system, runs the command in it, as root and in no unit, and
# removes everything; exits as the command does. Needs root, and systemd, dbus and util-linux installed; none of
# them has to run on the host.
#
# It has namespaces of its own for processes, mounts, network, names, IPC and cgroups. /usr is an overlay over the
# host's, /etc a copy, the directories are there read-only at the same paths, and all else is empty and in memory.
# Nothing of the host can be written to.
set -euo pipefail
self=$(readlink -f "${BASH_SOURCE[0]}")
cgroups=/sys/fs/cgroup/unified # where controllers have hierarchies of version 1
[ -d $cgroups ] || cgroups=/sys/fs/cgroup

die() {
    echo "box: $*" >&2
    exit 125
}

# What would only slow it down, or look at the host's devices.
masked=(
    console-getty.service dev-hugepages.mount getty@tty1.service kmod-static-nodes.service ldconfig.service
    proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount
    sys-kernel-debug.mount sys-kernel-tracing.mount systemd-binfmt.service systemd-firstboot.service
    systemd-hwdb-update.service systemd-initctl.socket systemd-journal-catalog-update.service
    systemd-journald-audit.socket systemd-machine-id-commit.service systemd-modules-load.service
    systemd-networkd.service systemd-pcrphase-sysinit.service systemd-pcrphase.service
    systemd-random-seed.service systemd-repart.service systemd-sysusers.service systemd-timesyncd.service
    systemd-update-done.service systemd-update-utmp.service
)

# write_etc ETC: a copy of the host's, without the units that it has enabled; and what is booted.
write_etc() {
    local unit
    cp -a /etc/. "$1"
    rm -rf "$1"/systemd/{system,user} "$1"/{crypttab,resolv.conf,mtab,.pwd.lock}
    mkdir -p "$1"/systemd/{system,user,journald.conf.d,system.conf.d}
    : >"$1/fstab"
    echo box >"$1/hostname"
    echo '127.0.0.1 localhost box' >"$1/hosts"
    tr -d - </proc/sys/kernel/random/uuid >"$1/machine-id"
    mkdir -p "$1/tmpfiles.d"
    ln -s /dev/null "$1/tmpfiles.d/tmp.conf" # it empties /tmp, where the directories may be
    for unit in "${masked[@]}"; do ln -s /dev/null "$1/systemd/system/$unit"; done
    cat >"$1/systemd/system/box.target" <<'END'
[Unit]
Requires=basic.target
Wants=dbus.socket systemd-user-sessions.service
After=basic.target dbus.socket
AllowIsolate=yes
END
    cat >"$1/systemd/journald.conf.d/box.conf" <<'END'
[Journal]
Storage=volatile
RateLimitIntervalSec=0
ReadKMsg=no
Audit=no
ForwardToWall=no
END
    printf '[Manager]\nShowStatus=no\n' >"$1/systemd/system.conf.d/box.conf"
}

# mount_devices DEV: those that every program expects, and no other.
mount_devices() {
    local name
    mount -t tmpfs -o nosuid,mode=755,size=4m tmpfs "$1"
    for name in null zero full random urandom tty; do
        : >"$1/$name"
        mount --bind "/dev/$name" "$1/$name"
    done
    mkdir "$1"/{pts,shm,mqueue}
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts "$1/pts"
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$1/shm"
    ln -s pts/ptmx "$1/ptmx"
    ln -s /proc/self/fd "$1/fd"
    for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$1/${name#*:}"; done
}

# mount_proc PROC: what is the host's cannot be written to.
mount_proc() {
    local name
    mount -t proc -o nosuid,nodev,noexec proc "$1"
    mount --bind "$1/sys" "$1/sys"
    mount -o remount,bind,ro,nosuid,nodev,noexec "$1/sys"
    for name in sysrq-trigger kcore kmsg; do
        [ ! -e "$1/$name" ] || mount --bind /dev/null "$1/$name"
    done
}

# boot ROOT [DIRECTORY…]: as process 1 of the new namespaces, on an empty directory; becomes systemd.
boot() {
    local root=$1 name
    shift
    mount --make-rprivate /
    mount -t tmpfs -o mode=755,size=50% box "$root" # from here on in this namespace alone
    mkdir -p "$root"/{usr,etc,var,run,tmp,root,home,dev,proc,sys,opt,srv,mnt,old,.usr/up,.usr/work}
    chmod 700 "$root/root"
    for name in bin sbin lib lib32 lib64 libx32; do
        [ ! -L "/$name" ] || ln -s "usr/$name" "$root/$name"
    done
    mount -t overlay -o "lowerdir=/usr,upperdir=$root/.usr/up,workdir=$root/.usr/work" usr "$root/usr"
    write_etc "$root/etc"
    touch -r /usr "$root/etc/.updated" "$root/var/.updated" # nothing to bring up to date when it boots
    mount_proc "$root/proc"
    mount_devices "$root/dev"
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$root/run"
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
    for name; do
        mkdir -p "$root$name"
        mount --bind "$name" "$root$name"
        mount -o remount,bind,ro "$root$name"
    done
    hostname box
    cd "$root"
    pivot_root . old
    cd /
    umount -l /old
    rmdir /old
    mount --make-rshared / # as systemd expects of who starts it
    exec env -i container=box PATH="$PATH" LANG=C.UTF-8 /lib/systemd/systemd --system \
        --unit=box.target systemd.show_status=0 </dev/null >/dev/null 2>&1
}

is_running() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; } # and no zombie

# await WHAT COMMAND…: until it succeeds.
await() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || die "no $what after 60 s: $(cat "$here/log")"
        is_running "$unshare" || die "it did not boot: $(cat "$here/log")"
        sleep 0.02
    done
}

# The only child of unshare, once it is systemd.
find_systemd() {
    systemd=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null) && systemd=${systemd% }
    [ -n "$systemd" ] && [ "$(cat "/proc/$systemd/comm" 2>/dev/null)" = systemd ]
}

inside() {
    nsenter -t "$systemd" -m -u -i -n -p -C -- env -i container=box PATH="$PATH" HOME=/root \
        LANG=C.UTF-8 TERM=dumb SYSTEMD_PAGER=cat SYSTEMD_COLORS=0 "$@"
}

# clear NAME: removes what a box has outside of its namespaces, once nobody is in there any more.
clear() {
    local tries
    for ((tries = 0; tries < 500; ++tries)); do
        find "$cgroups/$1" -depth -type d -exec rmdir {} + 2>/dev/null || :
        [ -d "$cgroups/$1" ] || break
        sleep 0.02
    done
    rm -rf "/tmp/$1"
}

# What was killed with SIGKILL has left them; its systemd died with it.
clear_the_dead() {
    local left
    for left in /tmp/shmbus-box-*; do
        [ ! -d "$left" ] || is_running "${left##*-}" || clear "${left##*/}"
    done
}

end() {
    # Process 1 of its namespace takes all others with it.
    [ -z "${systemd:-}" ] || kill -KILL "$systemd" 2>/dev/null || :
    [ -z "${unshare:-}" ] || kill -KILL "$unshare" 2>/dev/null || :
    clear "$name"
}

run() {
    local directories=() status=0
    while [ "${1:---}" != -- ]; do
        directories+=("$(readlink -e "$1")") || die "no directory $1"
        shift
    done
    shift || die "usage: box.sh [DIRECTORY…] -- COMMAND…"
    [ "$(id -u)" -eq 0 ] || die 'needs root'
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
    clear_the_dead
    name=shmbus-box-$$
    here=/tmp/$name
    mkdir -p "$here/root" "$cgroups/$name"
    trap end EXIT
    trap 'exit 143' TERM INT HUP
    (
        echo "$BASHPID" >"$cgroups/$name/cgroup.procs"
        exec setsid setpriv --pdeathsig KILL unshare --mount --pid --ipc --uts --net --cgroup --fork \
            --kill-child --propagation private \
            bash "$self" --boot "$here/root" "${directories[@]}" </dev/null >"$here/log" 2>&1
    ) &
    unshare=$!
    disown # its end is no news
    await 'process 1' find_systemd
    await 'socket of systemd' [ -S "/proc/$systemd/root/run/systemd/private" ]
    inside timeout 60 systemctl is-system-running --wait >"$here/log" || {
        inside systemctl --failed --no-legend --plain >&2
        inside journalctl --no-pager -n 50 >&2
        die "its state is $(cat "$here/log")"
    }
    inside "$@" || status=$?
    exit "$status"
}

case ${1:-} in
--boot)
    shift
    boot "$@"
    ;;
*)
    run "$@"
    ;;
esac
