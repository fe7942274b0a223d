# Makes the images of the testbed and the quickstart from Debian's packages, once, into the cache.
# Sourced after lib.sh.

# The name of a made thing carries a digest of how it is made, so a changed recipe makes it anew.
recipe() { declare -f "$@" | sha256sum | cut -c 1-12; }

# Debian 12 with systemd, cloud-init and sshd, as a unified image that LXD and Incus take.
debian_image() { # prints the path
    local file
    file=$RYO_CACHE/debian-12-$(recipe make_debian_image image_metadata image_template).tar.zst
    [ -e "$file" ] || make_debian_image "$file"
    echo "$file"
}

make_debian_image() { # FILE
    local file=$1 dir root
    install_packages mmdebstrap zstd
    say "making the Debian 12 base image (once, about two minutes)"
    mkdir -p "$RYO_CACHE"
    dir=$(mktemp -d -p "$RYO_CACHE")
    root=$dir/rootfs
    mmdebstrap --quiet --variant=minbase \
        --include=systemd,systemd-sysv,systemd-resolved,dbus,openssh-server,iproute2,cloud-init,netbase,sudo \
        --include=ca-certificates,nftables,procps,udev \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --aptopt='Acquire::Languages "none"' \
        bookworm "$root" \
        "deb $(debian_source) bookworm main" \
        "deb $(debian_source bookworm-updates) bookworm-updates main" \
        "deb $(debian_source bookworm-security) bookworm-security main" >&2

    cat >"$root/etc/systemd/network/10-eth0.network" <<'END'
[Match]
Name=eth0

[Network]
DHCP=yes

# Identities by hardware address: an image made from a container carries that container's machine-id.
[DHCPv4]
ClientIdentifier=mac

[DHCPv6]
DUIDType=link-layer
END
    cat >"$root/etc/cloud/cloud.cfg.d/90-container.cfg" <<'END'
datasource_list: [NoCloud, None]
network: {config: disabled}
apt: {preserve_sources_list: true}
ssh_genkeytypes: [ed25519, ecdsa]
locale: false
END
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    systemctl --quiet --root="$root" enable systemd-networkd systemd-resolved
    # Timers that would hold the package lock while somebody else works, and units that make no sense in a container.
    systemctl --quiet --root="$root" mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \
        systemd-networkd-wait-online.service getty-static.service console-getty.service systemd-timesyncd.service \
        systemd-binfmt.service
    rm -f "$root"/etc/ssh/ssh_host_*_key*
    : >"$root/etc/machine-id"
    echo localhost >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"

    image_metadata >"$dir/metadata.yaml"
    mkdir "$dir/templates"
    image_template hostname >"$dir/templates/hostname.tpl"
    image_template meta-data >"$dir/templates/meta-data.tpl"
    image_template user-data >"$dir/templates/user-data.tpl"
    image_template vendor-data >"$dir/templates/vendor-data.tpl"
    : >"$dir/templates/empty.tpl"
    tar -C "$dir" --numeric-owner --xattrs -cf - metadata.yaml templates rootfs | zstd -q -T0 -3 -o "$file.new" --force
    mv "$file.new" "$file"
    rm -rf "$dir"
}

image_metadata() {
    cat <<'END'
architecture: x86_64
creation_date: 1704067200
properties:
  architecture: amd64
  description: Debian 12 with cloud-init
  os: debian
  release: bookworm
templates:
  /etc/hostname: {when: [create, copy, rename], template: hostname.tpl}
  /etc/machine-id: {when: [create, copy], template: empty.tpl}
  /var/lib/cloud/seed/nocloud-net/meta-data: {when: [create, copy], template: meta-data.tpl}
  /var/lib/cloud/seed/nocloud-net/user-data:
    {when: [create, copy], template: user-data.tpl, properties: {default: "#cloud-config\n{}\n"}}
  /var/lib/cloud/seed/nocloud-net/vendor-data:
    {when: [create, copy], template: vendor-data.tpl, properties: {default: "#cloud-config\n{}\n"}}
END
}

image_template() { # NAME
    case $1 in
    hostname) echo '{{ container.name }}' ;;
    meta-data)
        printf 'instance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n'
        echo '{{ config_get("user.meta-data", "") }}'
        ;;
    *) echo "{{ config_get(\"user.$1\", properties.default) }}" ;;
    esac
}

# busybox and forty lines: for tests that need an instance but no system in it. Starts in a fraction of a second.
tiny_image() { # prints the path
    local file
    file=$RYO_CACHE/tiny-$(recipe make_tiny_image).tar.zst
    [ -e "$file" ] || make_tiny_image "$file"
    echo "$file"
}

make_tiny_image() { # FILE
    local file=$1 dir root applet
    install_packages busybox-static zstd
    mkdir -p "$RYO_CACHE"
    dir=$(mktemp -d -p "$RYO_CACHE")
    root=$dir/rootfs
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,etc,root,tmp,var/log,usr/bin,usr/sbin,home}
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    cp "$(dpkg -L busybox-static | grep -m 1 '/bin/busybox$')" "$root/bin/busybox"
    for applet in $("$root/bin/busybox" --list); do
        [ -e "$root/bin/$applet" ] || ln -s /bin/busybox "$root/bin/$applet"
    done
    cat >"$root/sbin/init" <<'END'
#!/bin/sh
# The first process: brings the network up, then waits for the signal that says to halt.
trap 'halt=yes' PWR TERM USR1 USR2
hostname "$(cat /etc/hostname)"
ip link set lo up
if [ -d /sys/class/net/eth0 ]; then
    udhcpc -q -f -n -t 5 -T 1 -i eth0 -s /etc/udhcpc.sh >/var/log/udhcpc.log 2>&1 &
fi
while [ -z "$halt" ]; do
    sleep 3600 &
    wait $!
done
exit 0
END
    cat >"$root/etc/udhcpc.sh" <<'END'
#!/bin/sh
case $1 in
bound | renew)
    ip link set "$interface" up
    ip addr add "$ip/${mask:-24}" dev "$interface"
    [ -z "$router" ] || ip route add default via "${router%% *}"
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
    ;;
deconfig) ip link set "$interface" up ;;
esac
END
    chmod 755 "$root/sbin/init" "$root/etc/udhcpc.sh"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
    echo tiny >"$root/etc/hostname"
    mkdir "$dir/templates"
    image_template hostname >"$dir/templates/hostname.tpl"
    cat >"$dir/metadata.yaml" <<'END'
architecture: x86_64
creation_date: 1704067200
properties: {architecture: amd64, description: busybox, os: tiny, release: "1"}
templates:
  /etc/hostname: {when: [create, copy, rename], template: hostname.tpl}
END
    tar -C "$dir" --numeric-owner --owner=0 --group=0 -cf - metadata.yaml templates rootfs |
        zstd -q -o "$file.new" --force
    mv "$file.new" "$file"
    rm -rf "$dir"
}

# A kernel with WireGuard, which the one of this machine may not have: Debian's own, with the modules that a virtual machine
# on a network needs, numbered in the order in which they are loaded. It is unpacked, not installed.
debian_kernel() { # prints the directory
    local dir
    dir=$RYO_CACHE/kernel-$(recipe make_debian_kernel)
    [ -e "$dir" ] || make_debian_kernel "$dir"
    echo "$dir"
}

make_debian_kernel() { # DIR
    local dir package version module
    install_packages kmod
    say "fetching a kernel of Debian 12"
    mkdir -p "$RYO_CACHE"
    dir=$(mktemp -d -p "$RYO_CACHE")
    apt-get -qq -o DPkg::Lock::Timeout=600 update >&2
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
    (cd "$dir"; apt-get -qq -o APT::Sandbox::User=root download "$package" >&2)
    dpkg -x "$dir"/*.deb "$dir/root"
    version=$(ls "$dir/root/lib/modules")
    depmod -b "$dir/root" "$version"
    mkdir "$dir/made"
    cp "$dir/root/boot/vmlinuz-$version" "$dir/made/vmlinuz"
    for module in virtio_pci virtio_net wireguard; do
        modprobe --show-depends -d "$dir/root" -S "$version" "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | nl -w 3 -n rz | while read -r number module; do
        cp "$module" "$dir/made/$number-${module##*/}"
    done
    mv "$dir/made" "$1"
    rm -rf "$dir"
}

# A Debian 11 without Python, as an archive: the older system on which the agent has to run too.
debian_11_archive() { # prints the path
    local file
    file=$RYO_CACHE/debian-11-$(recipe make_debian_11_archive).tar.zst
    [ -e "$file" ] || make_debian_11_archive "$file"
    echo "$file"
}

make_debian_11_archive() { # FILE
    install_packages mmdebstrap zstd
    say "making the Debian 11 root (once, about a minute)"
    mkdir -p "$RYO_CACHE"
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        bullseye - "deb $(debian_source) bullseye main" | zstd -q -T0 -3 -o "$1.new" --force
    mv "$1.new" "$1"
}
