//! A control node whose kernel has WireGuard: a virtual machine with Debian's kernel and `ryo`, on a cable to a host.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::ssh::Sshd;
use crate::support::bed::var;
use crate::wireguard::{Host, INSIDE, run};

/// What the machine does, and tells on its console from `== begin` to `== end`.
const INIT: &str = r"#!/bin/sh
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module; done
ip link set lo up
ip address add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1
cd /work
ask() {
    ryo --settings /settings.yml host shell web -- echo here </dev/null 2>&1 || echo exit code $?
    if [ -e /sys/class/net/web ]; then echo $(grep DEVTYPE /sys/class/net/web/uevent); else echo no interface; fi
    echo $(ps | grep -c '[e]xe tunnel') processes
}
file=ryo-host/configuration/web_wg_local.conf
echo == begin
echo = for the first time
ask
ip -o address show dev web | sed 's/^[^i]*\(inet6* [^ ]*\).*/\1/'
ip route show dev web | cut -d ' ' -f 1
ip -6 route show dev web | cut -d ' ' -f 1 | grep fd
echo = again
ask
echo = with another key than that of the host
cp $file right
sed 's/^PresharedKey = ./PresharedKey = A/; s/^PresharedKey = AA/PresharedKey = AB/' right >$file
ask
echo = with an address that an interface cannot have
sed 's/^Address = /ListenPort = 5353\nAddress = ::1, /' right >$file
ask
echo = with the right one
cp right $file
ask
echo = as somebody who may not change it
chmod -R a+rX . /root $file
chmod a+rw /dev/null
su nobody -s /bin/sh -c 'HOME=/tmp ryo --settings /settings.yml host shell web -- echo here </dev/null 2>&1'
echo = by a kernel without WireGuard
ip link delete web
rmmod wireguard
ask
echo == end
poweroff -f
";

/// What it tells; the address of the host's end differs.
const TOLD: &str = "\
= for the first time
here
DEVTYPE=wireguard
0 processes
inet 10.0.1.1/32
inet6 fd10:10:0:1::1/128
10.0.1.2
10.10.1.0/24
fd10:10:0:1::1
fd10:10:0:1::2
= again
here
DEVTYPE=wireguard
0 processes
= with another key than that of the host
error: no answer of the WireGuard peer at PEER within 10 s
hint: check that the host is up, and that its WireGuard port can be reached
exit code 1
DEVTYPE=wireguard
0 processes
= with an address that an interface cannot have
error: cannot set up the WireGuard interface `web`
  because: Netlink error: Netlink payload error: Cannot assign requested address (os error 99)
hint: check that the host is up, and that its WireGuard port can be reached
exit code 1
DEVTYPE=wireguard
0 processes
= with the right one
here
DEVTYPE=wireguard
0 processes
= as somebody who may not change it
here
= by a kernel without WireGuard
here
no interface
1 processes
";

/// Returns the files of a machine: busybox, `ryo`, the modules and what `ryo init` has written.
fn files(host: &Host, sshd: &Sshd) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let at = |path: &str| place.path().join("root").join(path);
    for directory in ["bin", "dev", "proc", "sys", "etc", "tmp", "modules", "work", "root/.ssh", "root/.config"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::copy("/bin/busybox", at("bin/busybox")).unwrap();
    let applets = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(applets).unwrap().lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", at("bin").join(applet)).unwrap();
    }
    fs::copy(var("RYO_BIN"), at("bin/ryo")).unwrap();
    for module in fs::read_dir(var("RYO_KERNEL")).unwrap().map(|entry| entry.unwrap().path()) {
        if module.extension().is_some_and(|extension| extension == "ko") {
            fs::copy(&module, at("modules").join(module.file_name().unwrap())).unwrap();
        }
    }
    fs::write(at("init"), INIT).unwrap();
    fs::set_permissions(at("init"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(at("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n").unwrap();
    fs::write(at("etc/group"), "root:x:0:\nnogroup:x:65534:\n").unwrap();
    let words = "init . --host web --address 192.0.2.1 --user anna --local-user root --yes --password-file secret";
    fs::write(at("work/secret"), "none").unwrap();
    let mut init = Command::new(var("RYO_BIN"));
    init.args(words.split(' ')).current_dir(at("work")).stdin(Stdio::null()).stdout(Stdio::null());
    assert!(init.status().unwrap().success());
    fs::write(at("work/ryo-host/configuration/web_wg_local.conf"), host.ours.render().reveal()).unwrap();
    fs::copy(sshd.target.key.as_ref().unwrap(), at("root/.ssh/ryo_id_ed25519")).unwrap();
    let settings = format!(
        "hosts:\n  web:\n    user: root\n    port: {}\n    host_key: {}\n",
        sshd.target.port,
        sshd.fingerprint()
    );
    fs::write(at("settings.yml"), settings).unwrap();
    place
}

/// Starts the machine in the network namespace of the host, and returns what it tells.
fn told(host: &Host, files: &Path) -> String {
    let pack = "bsdtar --format newc --uid 0 --gid 0 -C root -cf - . | gzip -1 >initrd";
    assert!(Command::new("sh").args(["-ec", pack]).current_dir(files).status().unwrap().success());
    for words in ["tuntap add vm0 mode tap", "address add 192.0.2.1/24 dev vm0", "link set vm0 up"] {
        run(&format!("ip -n {} {words}", host.name), "");
    }
    let mut machine = Command::new("ip");
    machine.args(["netns", "exec", &host.name, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512"]);
    machine.args(["-nographic", "-no-reboot", "-append", "console=ttyS0 quiet panic=-1"]);
    machine.args(["-netdev", "tap,id=cable,ifname=vm0,script=no,downscript=no"]);
    machine.args(["-device", "virtio-net-pci,netdev=cable"]);
    machine.arg("-kernel").arg(Path::new(&var("RYO_KERNEL")).join("vmlinuz"));
    machine.arg("-initrd").arg(files.join("initrd")).stdin(Stdio::null());
    let output = machine.output().unwrap();
    let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let told = console.split_once("== begin\n").and_then(|(_, rest)| rest.split_once("== end"));
    told.unwrap_or_else(|| panic!("{console}{}", String::from_utf8_lossy(&output.stderr))).0.to_owned()
}

#[test]
fn the_interface_is_made_once_and_mended_by_a_kernel_with_wireguard() {
    let host = Host::start(4);
    let sshd = Sshd::start_at(&["ip", "netns", "exec", &host.name], &format!("[{}]", INSIDE[1]), "");
    let files = files(&host, &sshd);
    let peer = host.ours.peers[0].endpoint.clone().unwrap();
    assert_eq!(told(&host, files.path()), TOLD.replace("PEER", &peer.to_string()));
}
