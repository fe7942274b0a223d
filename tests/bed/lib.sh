# What the scripts of the testbed and the quickstart have in common: words, packages, processes.
# Sourced, never run, by scripts that have `set -euo pipefail`.

shopt -s inherit_errexit                    # x=$(f) fails where f fails
PATH=$PATH:/usr/sbin:/sbin

RYO_BED=${RYO_BED:-/var/tmp/ryo-bed}        # the state of running servers; gone after `down --purge`
RYO_CACHE=${RYO_CACHE:-/var/cache/ryo}      # what is downloaded or built once; safe to delete at any time

say()  { printf '%s\n' "$*" >&2; }
die()  { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

require_root_on_debian_12() {
    [ "$(id -u)" = 0 ] || die "this has to run as root"
    local id='' version=''
    # shellcheck source=/dev/null
    . <(sed -n 's/^ID=/id=/p; s/^VERSION_ID=/version=/p' /etc/os-release)
    [ "$id $version" = "debian 12" ] || die "this is for Debian 12, not for '$id $version'"
}

# A directory that only root can have made: the state directory has a name anybody can guess.
own_directory() { # PATH MODE
    mkdir -p "$1"
    [ ! -L "$1" ] && [ "$(stat -c %u "$1")" = 0 ] || die "$1 exists and does not belong to root"
    chmod "$2" "$1"
}

# Runs COMMAND until it succeeds, for at most SECONDS.
wait_for() { # SECONDS WHAT COMMAND...
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || die "$what did not happen in time"
        sleep 0.1
    done
}

# --- Rust -------------------------------------------------------------------------------------------------------------

require_cargo() {
    have cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    have cargo || die "Rust is needed and is not here: cargo (see https://rustup.rs), then run this again"
    # For what the crates compile in C.
    install_packages build-essential pkg-config
}

# Where a release of ryo is built; .cargo/config.toml names the target.
release_binary() { # ROOT; prints the path
    echo "$(realpath -m "${CARGO_TARGET_DIR:-$1/target}")/$(rustc -vV | sed -n 's/^host: //p')/release/ryo"
}

# --- packages ---------------------------------------------------------------------------------------------------------

packages_missing() {
    local name
    for name; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || echo "$name"
    done
}

# Daemons are started by these scripts, each with a place of its own, and not because their package was installed.
without_starting() { # COMMAND...
    (
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            trap 'rm -f /usr/sbin/policy-rc.d' EXIT
            printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
            chmod 755 /usr/sbin/policy-rc.d
        fi
        "$@"
    )
}

install_packages() { # NAME...
    local missing
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    say "installing ${missing//$'\n'/ }"
    # A machine that has just been started may be at its own upgrades.
    apt-get -qq -o DPkg::Lock::Timeout=600 update >&2
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive without_starting \
        apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >&2
}

# Where this machine gets Debian from; another release is where this one is.
debian_source() { # [CODENAME]
    local codename=${1:-bookworm} uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
    if [ -z "$uri" ]; then
        case $codename in
        bookworm | *-security) die "apt of this machine has no source for $codename" ;;
        *) uri=$(debian_source) ;;
        esac
    fi
    echo "${uri%/}"
}

# apt-get with lists of its own, so that the machine keeps its sources as they are. Signatures are checked as ever.
apt_aside() { # NAME ARGUMENTS...
    local dir=$RYO_CACHE/apt/$1
    shift
    apt-get -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$dir/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -qq "$@"
}

apt_aside_sources() { # NAME SUITE...
    local dir=$RYO_CACHE/apt/$1 suite
    shift
    mkdir -p "$dir/lists/partial"
    for suite; do
        case $suite in
        *-security) echo "deb $(debian_source bookworm-security) $suite main" ;;
        *) echo "deb $(debian_source) $suite main" ;;
        esac
    done >"$dir/sources.list"
}

install_lxd() {
    # iptables first: the daemon refuses to make a network without it.
    install_packages iptables nftables iproute2 dnsmasq-base btrfs-progs squashfs-tools zstd xz-utils attr uidmap
    install_packages lxd lxd-client
}

# As `ryo host setup` does it (src/playbooks/host/server.yml).
no_pause_behind_stops() {
    local hook=/usr/share/lxcfs/lxc.reboot.hook
    [ -e "$hook.distrib" ] || dpkg-divert --quiet --local --rename --divert "$hook.distrib" --add "$hook" >&2
    printf '#!/bin/sh\n' >"$hook"
    chmod 755 "$hook"
}

install_incus() {
    [ -n "$(packages_missing incus-base incus-client)" ] || return 0
    install_packages iptables nftables iproute2 dnsmasq-base btrfs-progs squashfs-tools zstd xz-utils attr uidmap
    say "installing incus-base from bookworm-backports"
    apt_aside_sources incus bookworm bookworm-updates bookworm-security bookworm-backports
    apt_aside incus update >&2
    DEBIAN_FRONTEND=noninteractive without_starting apt_aside incus install -y --no-install-recommends -t bookworm-backports \
        incus-base incus-client >&2
}

# Debian 12 has no Consul. The one of Debian 11 is a single static file; it is unpacked, not installed.
consul_binary() { # prints its path
    local dir=$RYO_CACHE/consul
    if [ ! -x "$dir/usr/bin/consul" ]; then
        say "fetching consul from Debian 11"
        apt_aside_sources consul bullseye
        apt_aside consul update >&2
        rm -rf "$dir" "$dir.new"
        mkdir -p "$dir.new"
        (cd "$dir.new"; apt_aside consul download consul >&2)
        dpkg -x "$dir.new"/consul_*.deb "$dir.new"
        rm "$dir.new"/consul_*.deb
        mv "$dir.new" "$dir"
    fi
    echo "$dir/usr/bin/consul"
}

# The reference for playbooks, as the architecture's own tools were used with: Ansible 8.
ansible_reference() { # prints its directory
    local dir=$RYO_CACHE/ansible-2.15
    if [ ! -x "$dir/bin/ansible-playbook" ]; then
        install_packages python3 python3-venv
        say "installing ansible-core 2.15"
        rm -rf "$dir" "$dir.new"
        mkdir -p "$RYO_CACHE"
        /usr/bin/python3 -m venv "$dir.new"
        "$dir.new/bin/pip" install --quiet --disable-pip-version-check 'ansible-core==2.15.*' 'ansible==8.*' >&2
        # Its scripts name the directory that they were installed into.
        sed -i "s|$dir.new|$dir|g" "$dir.new"/bin/ansible*
        mv "$dir.new" "$dir"
    fi
    echo "$dir"
}

# --- processes --------------------------------------------------------------------------------------------------------

# A pid file holds "PID STARTTIME", so that a number that the kernel gave to somebody else is never taken for ours.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

process_runs() { # PIDFILE
    local pid started
    [ -e "$1" ] && read -r pid started <"$1" && [ "$(start_time "$pid")" = "$started" ]
}

# Whether anything runs that was started with this state directory.
processes_run() {
    local pidfile
    for pidfile in "$RYO_BED"/*.pid; do
        ! process_runs "$pidfile" || return 0
    done
    return 1
}

start_process() { # PIDFILE LOG COMMAND...
    local pidfile=$1 log=$2 pid
    shift 2
    # A session of its own, and none of our descriptors: the caller may hold a lock or be read to its end.
    setsid "$@" >>"$log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$pidfile"
}

stop_process() { # PIDFILE [SECONDS]
    local pid i
    if process_runs "$1"; then
        read -r pid _ <"$1"
        kill "$pid" 2>/dev/null || true
        for ((i = 0; i < ${2:-20} * 10; i++)); do
            process_runs "$1" || break
            sleep 0.1
        done
        if process_runs "$1"; then kill -9 "$pid" 2>/dev/null || true; fi
    fi
    rm -f "$1"
}
