# Makes a host of rollyourown.xyz out of an LXD or an Incus daemon: storage, bridges, profiles, images, Consul.
# Sourced after lib.sh and images.sh. Everything here finds what is done already and goes on from there.
#
# A host is described by these variables, set by `host_local` and `host_incus1`:
#   HOST ENGINE ENGINE_DIR CONSUL_DIR     its name, lxd or incus, and where each daemon keeps its state
#   V4 V6 SUBNET BUILD_BRIDGE BUILD_V4    addresses, as in the host's configuration file
# The bridge is named like the host, as is Consul's datacenter.

host_local() {
    HOST=local ENGINE=lxd ENGINE_DIR=${1:-$RYO_BED/lxd} CONSUL_DIR=$RYO_BED/consul-local
    V4=10.10.1 V6=fd10:10:10:1 SUBNET=1 BUILD_BRIDGE=build BUILD_V4=10.10.101
}

host_incus1() {
    HOST=incus1 ENGINE=incus ENGINE_DIR=$RYO_BED/incus CONSUL_DIR=$RYO_BED/consul-incus1
    V4=10.10.2 V6=fd10:10:10:2 SUBNET=2 BUILD_BRIDGE=build-incus1 BUILD_V4=10.10.102
}

bridge_v6() { echo "$V6::$SUBNET:1"; }
consul_address() { echo "http://[$(bridge_v6)]:8500"; }
engine_socket() { echo "$ENGINE_DIR/unix.socket"; }

# The command line client of the engine, with settings of its own.
engine() {
    case $ENGINE in
    lxd) LXD_DIR=$ENGINE_DIR LXD_CONF=$RYO_BED/client/lxd lxc "$@" ;;
    incus) INCUS_DIR=$ENGINE_DIR INCUS_CONF=$RYO_BED/client/incus incus "$@" ;;
    esac </dev/null
}

engine_answers() { engine query /1.0; }

# --- the daemon, started by hand --------------------------------------------------------------------------------------

# What LXD 5.0 needs preloaded on this kernel so that `shift=true` works: mostly nothing. See idmap-probe.c.
idmap_help() { # prints a path or nothing
    local source=${BASH_SOURCE[0]%/*}/idmap-probe.c made
    install_packages gcc libc6-dev
    made=$RYO_CACHE/idmap-probe-$(sha256sum "$source" | cut -c 1-12)
    if [ ! -e "$made.so" ]; then
        mkdir -p "$RYO_CACHE"
        gcc -O2 -Wall -DTEST -o "$made.test" "$source"
        gcc -O2 -Wall -shared -fPIC -o "$made.so" "$source" -ldl
    fi
    "$made.test" "$RYO_CACHE" || echo "$made.so"
}

start_engine() {
    ! engine_answers >/dev/null 2>&1 || return 0
    say "starting $ENGINE ($ENGINE_DIR)"
    [ -d "$ENGINE_DIR" ] || own_directory "$ENGINE_DIR" 711
    case $ENGINE in
    lxd)
        LD_PRELOAD=$(idmap_help) LXD_DIR=$ENGINE_DIR start_process "$RYO_BED/$ENGINE.pid" "$RYO_BED/$ENGINE.log" \
            lxd --group root
        ;;
    incus)
        INCUS_DIR=$ENGINE_DIR start_process "$RYO_BED/$ENGINE.pid" "$RYO_BED/$ENGINE.log" \
            /usr/libexec/incus/incusd --group root
        ;;
    esac
    wait_for 60 "an answer of $ENGINE (see $RYO_BED/$ENGINE.log)" engine_answers
}

# Instances first, then the daemon, then what it leaves behind: bridges, their dnsmasq, mounts.
stop_engine() {
    local name pidfile pid point
    if process_runs "$RYO_BED/$ENGINE.pid"; then
        say "stopping $ENGINE"
        for name in $(engine list -f csv -c n status=running); do engine stop --force "$name" >&2 || true; done
        case $ENGINE in
        lxd) LXD_DIR=$ENGINE_DIR timeout 60 lxd shutdown --timeout 30 >&2 || true ;;
        incus) INCUS_DIR=$ENGINE_DIR timeout 60 /usr/libexec/incus/incusd shutdown --timeout 30 >&2 || true ;;
        esac
    fi
    stop_process "$RYO_BED/$ENGINE.pid"
    # Somebody else's daemon, then: it needs what it has.
    ! engine_answers >/dev/null 2>&1 || return 0
    for name in "$HOST" "$BUILD_BRIDGE"; do
        # A bridge is this daemon's own if the dnsmasq that it started for it still runs. Another daemon may have made
        # one of the same name since.
        pidfile=$ENGINE_DIR/networks/$name/dnsmasq.pid
        pid=$(sed -n 's/^pid: //p' "$pidfile" 2>/dev/null) || continue
        grep -qaF "$ENGINE_DIR/networks/$name/" "/proc/$pid/cmdline" 2>/dev/null || continue
        kill "$pid" 2>/dev/null || true
        ip link delete "$name" 2>/dev/null || true
    done
    while point=$(findmnt -rno TARGET | grep -F "$ENGINE_DIR/" | tail -n 1); [ -n "$point" ]; do
        umount "$point" 2>/dev/null || umount --lazy "$point" || break
    done
}

# A ledger of what was made on a host, so that exactly this can be taken away again.
made() { echo "$*" >>"$RYO_BED/made-$HOST"; }

# --- what the daemon holds --------------------------------------------------------------------------------------------

# RYO_POOL says which storage: btrfs in a file of 20 GB, or dir. Without it btrfs where the kernel and a loop device
# allow it, since there a copy of an image costs nothing.
pool_driver() {
    case ${RYO_POOL:-auto} in
    btrfs | dir) echo "$RYO_POOL" ;;
    auto)
        modprobe btrfs 2>/dev/null || true
        if grep -qw btrfs /proc/filesystems && have mkfs.btrfs && [ -n "$(losetup -f 2>/dev/null)" ]; then
            echo btrfs
        else
            echo dir
        fi
        ;;
    *) die "RYO_POOL is '$RYO_POOL'; it can be btrfs, dir or auto" ;;
    esac
}

make_pool() {
    local driver
    ! engine storage show default >/dev/null 2>&1 || return 0
    driver=$(pool_driver)
    say "$HOST: storage pool 'default' on $driver"
    case $driver in
    btrfs) engine storage create default btrfs size=20GiB >&2 ;;
    dir) engine storage create default dir >&2 ;;
    esac
    made storage default
}

make_bridge() { # NAME SETTING...
    local name=$1
    shift
    # The daemon also lists interfaces that it did not make.
    ! engine query "/1.0/networks/$name" 2>/dev/null | grep -q '"managed": true' || return 0
    [ ! -e "/sys/class/net/$name" ] ||
        die "there is an interface named '$name' already, made by somebody else (tests/bed/down ends the testbed)"
    say "$HOST: bridge '$name'"
    engine network create "$name" "$@" >&2
    made network "$name"
}

make_profile_device() { # PROFILE DEVICE SETTING...
    local profile=$1 device=$2
    shift 2
    ! engine profile device list "$profile" | grep -qx "$device" || return 0
    engine profile device add "$profile" "$device" "$@" >&2
    made profile-device "$profile" "$device"
}

import_image() { # FILE ALIAS
    local fingerprint current
    [ "$1.fingerprint" -nt "$1" ] || sha256sum "$1" | cut -d ' ' -f 1 >"$1.fingerprint"
    fingerprint=$(cat "$1.fingerprint")
    current=$(engine image list -f csv -c lF "$2" | sed -n "s|^$2,||p")
    [ "$current" != "$fingerprint" ] || return 0
    if [ -n "$current" ] && ! grep -qx "image $2" "$RYO_BED/made-$HOST" 2>/dev/null; then
        say "$HOST: takes the image '$2' that is there already"
        return
    fi
    say "$HOST: image '$2'"
    [ -z "$current" ] || engine image delete "$2" >&2
    if engine image info "$fingerprint" >/dev/null 2>&1; then
        engine image alias create "$2" "$fingerprint" >&2
    else
        engine image import --quiet "$1" --alias "$2" >&2
    fi
    made image "$2"
}

# Bridges take the packet size of the way out: behind a tunnel, larger packets of a container would be lost.
way_out_mtu() {
    local device
    device=$(ip -o route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    cat "/sys/class/net/$device/mtu" 2>/dev/null || echo 1500
}

furnish_host() {
    local mtu
    mtu=$(way_out_mtu)
    make_pool
    make_bridge "$HOST" ipv4.address="$V4.1/24" ipv4.nat=true ipv4.dhcp.ranges="$V4.100-$V4.254" \
        ipv6.address="$(bridge_v6)/112" ipv6.nat=true ipv6.dhcp.stateful=true \
        ipv6.dhcp.ranges="$V6::$SUBNET:1000-$V6::$SUBNET:ffff" dns.domain="$HOST" bridge.mtu="$mtu"
    make_bridge "$BUILD_BRIDGE" ipv4.address="$BUILD_V4.1/24" ipv4.nat=true ipv6.address=none \
        bridge.mtu="$mtu"
    if ! engine profile show build >/dev/null 2>&1; then
        engine profile create build >&2
        made profile build
    fi
    make_profile_device default root disk path=/ pool=default
    make_profile_device build root disk path=/ pool=default
    make_profile_device build eth0 nic name=eth0 network="$BUILD_BRIDGE"
}

# --- Consul -----------------------------------------------------------------------------------------------------------

consul_configuration() {
    cat <<END
{
  "server": true,
  "bootstrap_expect": 1,
  "datacenter": "$HOST",
  "node_name": "$HOST",
  "domain": "ryo",
  "data_dir": "$CONSUL_DIR/data",
  "client_addr": "$(bridge_v6)",
  "bind_addr": "$(bridge_v6)",
  "advertise_addr_ipv4": "$V4.1",
  "advertise_addr_ipv6": "$(bridge_v6)",
  "disable_update_check": true,
  "leave_on_terminate": false,
  "dns_config": {"enable_truncate": true, "a_record_limit": 100}
}
END
}

consul_leads() { curl -gsf "$(consul_address)/v1/status/leader" | grep -q '[0-9]' &&
    curl -gsf "$(consul_address)/v1/kv/?keys" -o /dev/null -w '%{http_code}' | grep -qE '200|404'; }

start_consul() { # BINARY
    ! consul_leads >/dev/null 2>&1 || return 0
    say "starting consul for $HOST ($(consul_address))"
    # One that runs and cannot be asked has lost the bridge that it listened on.
    stop_process "$CONSUL_DIR.pid"
    own_directory "$CONSUL_DIR" 700
    mkdir -p "$CONSUL_DIR/data"
    consul_configuration >"$CONSUL_DIR/consul.json"
    start_process "$CONSUL_DIR.pid" "$CONSUL_DIR.log" "$1" agent -config-file="$CONSUL_DIR/consul.json"
    wait_for 60 "an answer of Consul (see $CONSUL_DIR.log)" consul_leads
}

stop_consul() {
    ! process_runs "$CONSUL_DIR.pid" || say "stopping consul of $HOST"
    stop_process "$CONSUL_DIR.pid"
}
