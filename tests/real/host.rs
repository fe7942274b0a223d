//! A freshly rented server becomes a host: a container of the bed that lets root in by a password, as providers hand them
//! over.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ryo::http::Body;
use ryo::lxd::file::Owner;
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::model::Devices;
use ryo::lxd::wait;

use crate::examples::{GREETING, expected_page, page};
use crate::play::{Instance, Kind};
use crate::support::bed::{unique, var};
use crate::support::mirror::{Mirror, Served, run};
use crate::support::work::{Host, Work};

/// The name of the host.
const NAME: &str = "rented";
/// The password that the provider gave.
const PASSWORD: &str = "word-of-the-provider-4711";

/// What a container has to be told so that containers run in it, on kernels like those of continuous integration: names of control groups, and a probe that such kernels answer wrongly.
const NESTED: &str = r"
cat >/usr/local/sbin/cgroup-names <<'END'
#!/bin/sh
[ -d /sys/fs/cgroup/unified ] || exit 0
mount -o remount,rw /sys/fs/cgroup
cd /sys/fs/cgroup
rm -f cpu cpuacct net_cls net_prio
rmdir cpu,cpuacct net_cls,net_prio hugetlb perf_event 2>/dev/null
for name in cpu cpuacct; do
    mountpoint -q $name || { mkdir -p $name && mount -t cgroup -o $name cgroup $name; }
done
exit 0
END
chmod 755 /usr/local/sbin/cgroup-names
cat >/etc/systemd/system/cgroup-names.service <<'END'
[Unit]
DefaultDependencies=no
Before=lxd.socket lxd.service incus.socket incus.service sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/cgroup-names
[Install]
WantedBy=sysinit.target
END
systemctl enable --quiet --now cgroup-names
if [ -e /usr/local/lib/idmap-probe.so ]; then
    mkdir -p /etc/systemd/system/lxd.service.d
    printf '[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/idmap-probe.so\n' >/etc/systemd/system/lxd.service.d/probe.conf
    systemctl daemon-reload
fi
";

/// How a provider hands a server over.
const RENTED: &str = r"
printf 'PermitRootLogin yes\nPasswordAuthentication yes\n' >/etc/ssh/sshd_config.d/10-provider.conf
rm -f /etc/ssh/sshd_config.d/50-cloud-init.conf
systemctl restart ssh
";

/// A server that still upgrades itself, until somebody else has wanted to for some seconds.
const UPGRADES_ITSELF: &str = r"
import fcntl, pathlib, subprocess, time
names = ['dpkg/lock-frontend', 'dpkg/lock', 'apt/lists/lock']
locks = [open('/var/lib/' + name, 'w') for name in names]
for lock in locks:
    fcntl.lockf(lock, fcntl.LOCK_EX)
pathlib.Path('/run/upgrading').touch()
while subprocess.run(['pgrep', '-x', 'apt-get'], stdout=subprocess.DEVNULL).returncode != 0:
    time.sleep(0.05)
time.sleep(5)
pathlib.Path('/run/upgraded').touch()
";

/// How SSH of a server takes its time to come up.
const STARTS_SLOWLY: &str = r"
cat >/etc/systemd/system/slow.service <<'END'
[Unit]
Before=ssh.service
[Service]
Type=oneshot
ExecStart=sleep 25
[Install]
WantedBy=multi-user.target
END
systemctl enable --quiet slow
";

/// The network in which a server is reached by IPv6: `::1` is the bed, `::2` the server.
const IPV6: &str = "fd42:7:7:7";

/// How a server has its address there again after each start.
const BY_IPV6: &str = r"
cat >/etc/systemd/system/provider-ipv6.service <<'END'
[Unit]
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip address replace fd42:7:7:7::2/64 dev eth0 nodad
[Install]
WantedBy=multi-user.target
END
systemctl enable --quiet --now provider-ipv6
";

/// An address of the bed that goes with the test, on a bridge that has IPv6 for as long.
struct OwnAddress {
    bridge: String,
}

impl OwnAddress {
    fn on_the_bridge_of(gateway: IpAddr) -> Self {
        let told = run("ip", &["-o", "address", "show", "to", &gateway.to_string()], Path::new("/"));
        let own = Self { bridge: String::from_utf8(told).unwrap().split_whitespace().nth(1).unwrap().to_owned() };
        own.disable("0").unwrap();
        run("ip", &["address", "replace", &format!("{IPV6}::1/64"), "dev", &own.bridge, "nodad"], Path::new("/"));
        own
    }

    fn disable(&self, ipv6: &str) -> std::io::Result<()> {
        fs::write(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.bridge), ipv6)
    }
}

impl Drop for OwnAddress {
    fn drop(&mut self) {
        // Without IPv6 the bridge has no such address either.
        let _ = self.disable("1");
    }
}

/// A server, as it was rented.
struct Server {
    instance: Instance,
    address: IpAddr,
    /// Where the control node reaches it.
    control: IpAddr,
    _own: Option<OwnAddress>,
    work: Work,
    mirror: Mirror,
}

impl Server {
    async fn rented(kind: &str) -> Self {
        let network = "10.30.1".to_owned();
        let (socket, consul, subnet) = (String::new(), String::new(), "3".to_owned());
        let work = Work::examples(Host { name: NAME.to_owned(), socket, network, consul, subnet });
        let server = Self::begun(kind, work, None).await;
        server.configure(kind);
        server
    }

    /// Another server in place of this one, which is gone with everything in it; what is on the control node stays.
    async fn lost(self) -> Self {
        let Self { instance, address, control, work, mirror, .. } = self;
        assert_eq!(address, control);
        drop(instance);
        let server = Self::begun("lxd", work, Some(mirror)).await;
        for file in ["configuration", "inventory"] {
            let extension = if file == "configuration" { ".yml" } else { "" };
            let file = format!("ryo-host/configuration/{file}_{NAME}{extension}");
            server.work.edit(&file, &address.to_string(), &server.address.to_string());
        }
        server
    }

    async fn begun(kind: &str, work: Work, mirror: Option<Mirror>) -> Self {
        let instance = Instance::of(Kind::Lxd, container(&unique("rented"))).await;
        let addresses = wait::address(&Kind::Lxd.client(), &instance.name, Duration::from_mins(1)).await.unwrap();
        // It ends, and not well: it takes the disk of a container that may do much for one that can grow.
        instance.shell("cloud-init status --wait >/dev/null || true").await;
        let address = addresses.into_iter().find(IpAddr::is_ipv4).unwrap();
        let mirror = mirror.unwrap_or_else(|| Mirror::new(gateway(address)));
        // The one is reached by IPv4, the other by nothing but IPv6.
        let own = (kind == "incus").then(|| OwnAddress::on_the_bridge_of(gateway(address)));
        let control = if own.is_some() { format!("{IPV6}::2").parse().unwrap() } else { address };
        let server = Self { instance, address, control, _own: own, work, mirror };
        server.push("/usr/local/share/ca-certificates/mirror.crt", server.mirror.authority().as_bytes().to_vec()).await;
        if let Some(probe) = probe() {
            server.push("/usr/local/lib/idmap-probe.so", probe).await;
        }
        server.inside(&format!("update-ca-certificates >/dev/null 2>&1; {NESTED} {RENTED}")).await;
        server.inside(&format!("{}; echo '{}:{PASSWORD}' | chpasswd", account(kind), first_user(kind))).await;
        if server.control != server.address {
            server.inside(BY_IPV6).await;
        }
        server
    }

    async fn push(&self, path: &str, content: Vec<u8>) {
        Kind::Lxd
            .client()
            .push_file(&self.instance.name, path, Owner { uid: 0, gid: 0, mode: 0o644 }, Body::Bytes(content.into()))
            .await
            .unwrap();
    }

    async fn inside(&self, line: &str) -> String {
        self.instance.shell(line).await
    }

    /// Does what an operator does before: `ryo init`, `ryo control setup`, the settings.
    fn configure(&self, kind: &str) {
        let file = format!("ryo-host/configuration/configuration_{NAME}.yml");
        let control = "ryo-control-node/configuration/configuration.yml";
        let inventory = format!("ryo-host/configuration/inventory_{NAME}");
        for file in [&file, &inventory, control] {
            fs::remove_file(self.work.path(file)).unwrap();
        }
        fs::write(self.work.path("password"), PASSWORD).unwrap();
        let (control_ip, public) = (self.control.to_string(), self.address.to_string());
        let words = ["init", ".", "--host", NAME, "--address", &control_ip, "--password-file", "password", "--yes"];
        let own = ["--public-address", &public, "--user", "anna", "--pool-size", "6GB", "--local-user", "root"];
        let at_home = format!("{IPV6}::2");
        let public: &[&str] = if kind == "incus" { &["--ipv6-prefix", IPV6, "--ipv6-address", &at_home] } else { &[] };
        self.work.ryo(&[words.as_slice(), &own, public, &["--first-user", first_user(kind)]].concat()).well();
        // The machine that runs the tests has the networks of this row itself.
        let chosen = ryo::project::host::read(&self.work.path("."), NAME).unwrap();
        self.work.edit(&file, &format!("\"{}\"", chosen.bridge_part), "\"10.30.1\"");
        let key = self.work.path("key").display().to_string();
        self.work.edit(control, "\"/{{ local_non_root_user }}/.ssh/ryo_id_ed25519\"", &format!("\"{key}\""));
        self.work.edit(control, "\"/{{ local_non_root_user }}/.ssh/ryo_id_ed25519.pub\"", &format!("\"{key}.pub\""));
        self.work.ryo(&["control", "setup"]).well();
        let zip = zipped(&fs::read(Path::new(&var("RYO_CACHE")).join("consul/usr/bin/consul")).unwrap());
        fs::write(self.work.path("consul.zip"), &zip).unwrap();
        let sum = run("sha256sum", &["consul.zip"], &self.work.path("."));
        let sum = String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned();
        self.mirror.put("consul.zip", Served::Bytes(zip));
        let url = self.mirror.url("consul.zip");
        let policy = if kind == "lxd" { "deny" } else { "allow" };
        let tls = if kind == "lxd" { String::new() } else { format!("tls: {}\n    ", self.work.path("tls").display()) };
        fs::write(
            self.work.path("settings.yml"),
            format!(
                "hosts:\n  {NAME}:\n    {tls}server: {kind}\n    consul_default_policy: {policy}\n    build_network: 10.30.99.1/24\n    consul_program:\n      \
                 url: {url}\n      sha256: {sum}\n"
            ),
        )
        .unwrap();
    }

    /// Lets the example have the configuration of a Consul agent, and a script that writes keys.
    fn writes_keys_of_its_own(&self) {
        let role = self.work.path("ryo-hello/image-build/playbooks/roles/set-up-hello");
        fs::write(role.join("files/seen.sh"), "#!/bin/sh\nconsul kv put service/hello/seen/$1 \"$2\"\n").unwrap();
        let tasks = role.join("tasks/main.yml");
        let more = "\n- name: \"Directory of Consul\"\n  file:\n    path: /etc/consul.d\n    state: directory\n    mode: 0755\n\n\
                    - name: \"Configuration of Consul\"\n  copy:\n    content: \"\"\n    dest: /etc/consul.d/consul.hcl\n    \
                    mode: 0640\n";
        fs::write(&tasks, fs::read_to_string(&tasks).unwrap() + more).unwrap();
    }

    /// Deploys the example onto the host, and fetches it from outside. The image that others are built on is given to its
    /// server by `client`, as the server would fetch it itself.
    async fn shows_the_example(&self, client: &str, pin: &str) {
        self.has_the_base(client).await;
        let deploy = ["deploy", "ryo-hello", "-n", NAME, "-v", "1", "--no-pull", "--yes", "--host-key", pin];
        self.work.ryo(&deploy).well();
        let proxy = format!("{}:8080", self.address);
        let visitor = gateway(self.address).to_string();
        assert_eq!(page(&proxy).await, expected_page(NAME, &visitor, GREETING, 1));
        assert_eq!(self.work.ryo(&deploy).well().stdout, "deploy ryo-hello 1 on rented: nothing to do\n");
    }

    async fn has_the_base(&self, client: &str) {
        self.push("/root/base", fs::read(var("RYO_DEBIAN_IMAGE")).unwrap()).await;
        self.inside(&format!("{client} image import --quiet /root/base --alias debian/12 && rm /root/base")).await;
    }

    /// Looks at the host, which has the example on it, works in it, and upgrades it, with a start that packages ask for.
    async fn is_cared_for(&self, pin: &str) {
        let work = &self.work;
        let on = |words: &[&str]| {
            let words: Vec<&str> = [&["host"], words].concat();
            let (own, command) = words.split_at(words.iter().position(|word| *word == "--").unwrap_or(words.len()));
            work.ryo(&[own, &["--host-key", pin], command].concat())
        };
        let status = on(&["status", NAME, "--json"]).well();
        let status: serde_json::Value = serde_json::from_str(status.stdout.lines().last().unwrap()).unwrap();
        let status = &status["result"];
        assert_eq!(status["system"].as_str().map(|system| system.starts_with("Debian 12")), Some(true), "{status}");
        assert_eq!(status["consul"].as_str().map(|version| version.starts_with("1.8.7")), Some(true), "{status}");
        assert_eq!(status["reboot"], serde_json::json!([]), "{status}");
        let instances = status["instances"].as_array().unwrap().iter();
        let instances: Vec<String> =
            instances.map(|it| format!("{} {} {}", it["name"], it["status"], it["owner"])).collect();
        assert_eq!(instances, [r#""hello" "Running" "ryo-hello""#, r#""web-proxy" "Running" "ryo-web-proxy""#]);

        let shell = on(&["shell", NAME, "--", "sh", "-c", "id -un; echo \"$0\" >&2; exit 7", "a 'word'"]);
        assert_eq!((shell.code, &*shell.stdout, &*shell.stderr), (Some(7), "anna\n", "a 'word'\n"));

        self.inside(&format!("{STARTS_SLOWLY} touch /run/reboot-required")).await;
        let upgraded = on(&["upgrade", NAME, "--yes"]).well();
        assert!(upgraded.stdout.starts_with("host rented is up to date: "), "{upgraded:?}");
        assert!(upgraded.stderr.contains("] The host\n"), "{upgraded:?}");
        assert_eq!(
            self.inside("ls /run/reboot-required 2>&1 || true").await,
            "ls: cannot access '/run/reboot-required': No such file or directory\n"
        );
        let address = self.address.to_string();
        let page = page(&format!("{address}:8080")).await;
        assert!(page.contains("You are visitor 2"), "{page}");

        let cleaned = on(&["clean", NAME]).well();
        assert!(cleaned.stdout.starts_with("host rented is clean: "), "{cleaned:?}");
        assert_eq!(self.inside("ls -d /var/lib/ryo/agent /var/tmp/ryo-* 2>/dev/null | wc -l").await, "0\n");
    }

    /// Loses its power, gets it back, and waits until its SSH server listens, on whichever port.
    async fn loses_its_power(&self) {
        let client = Kind::Lxd.client();
        client.kill(&self.instance.name).await.unwrap();
        client.start(&self.instance.name).await.unwrap();
        let ready = "until ss -Htln | grep -qE ':(22|2222) '; do sleep 0.2; done";
        self.inside(&format!("timeout 60 sh -c \"{ready}\"")).await;
    }

    async fn fingerprint(&self) -> String {
        let line = self.inside("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").await;
        line.split(' ').nth(1).unwrap().to_owned()
    }

    /// Whether somebody outside gets a connection.
    fn answers(&self, port: u16) -> bool {
        TcpStream::connect_timeout(&SocketAddr::new(self.address, port), Duration::from_millis(500)).is_ok()
    }
}

/// Who is let in first: root on the one, on the other an account that `sudo` asks for its password.
fn first_user(kind: &str) -> &'static str {
    if kind == "incus" { "provider" } else { "root" }
}

/// How that account is made.
fn account(kind: &str) -> &'static str {
    match first_user(kind) {
        "root" => ":",
        _ => {
            "useradd --create-home --groups sudo provider; echo 'PermitRootLogin no' >/etc/ssh/sshd_config.d/05-no-root.conf; \
              systemctl restart ssh"
        }
    }
}

/// A container that may have containers, loop devices and a tunnel.
fn container(name: &str) -> NewInstance {
    let device =
        |kind: &str, path: &str| [("type".to_owned(), kind.to_owned()), ("path".to_owned(), path.to_owned())].into();
    let mut devices: Devices = [
        ("tun".to_owned(), device("unix-char", "/dev/net/tun")),
        ("loop-control".to_owned(), device("unix-char", "/dev/loop-control")),
    ]
    .into();
    for number in 0..16 {
        let path = format!("/dev/loop{number}");
        if !Path::new(&path).exists() {
            run("mknod", &[&path, "b", "7", &number.to_string()], Path::new("/"));
        }
        devices.insert(format!("loop{number}"), device("unix-block", &path));
    }
    NewInstance {
        name: name.to_owned(),
        source: ImageSource::Alias("debian/12".to_owned()),
        virtual_machine: false,
        profiles: vec!["build".to_owned()],
        config: ["security.nesting", "security.privileged"].map(|key| (key.to_owned(), "true".to_owned())).into(),
        devices,
        ephemeral: false,
        description: "a test".to_owned(),
    }
}

/// The bed's own address on the bridge of `address`.
fn gateway(address: IpAddr) -> IpAddr {
    let text = address.to_string();
    format!("{}.1", text.rsplit_once('.').unwrap().0).parse().unwrap()
}

/// What LXD needs preloaded on this kernel, if anything (`idmap_help` of the bed).
fn probe() -> Option<Vec<u8>> {
    let made = fs::read_dir(var("RYO_CACHE")).unwrap().map(|entry| entry.unwrap().path());
    let made: Vec<_> = made.filter(|path| path.to_string_lossy().contains("idmap-probe-")).collect();
    let test = made.iter().find(|path| path.extension().is_some_and(|it| it == "test"))?;
    let works = Command::new(test).arg(var("RYO_CACHE")).status().unwrap().success();
    let library = made.iter().find(|path| path.extension().is_some_and(|it| it == "so"))?;
    (!works).then(|| fs::read(library).unwrap())
}

fn zipped(program: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    zip.start_file("consul", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(program).unwrap();
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn a_rented_server_becomes_a_host_that_lets_nobody_else_in() {
    let server = Server::rented("lxd").await;
    let work = &server.work;
    let file = format!("ryo-host/configuration/configuration_{NAME}.yml");
    let pin = server.fingerprint().await;
    let set_up = ["host", "setup", NAME, "--yes", "--host-key", &pin];

    let unknown = work.ryo(&["host", "setup", NAME, "--yes"]);
    assert_eq!(unknown.code, Some(12), "{unknown:?}");
    let mut other = set_up;
    other[5] = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let changed = work.ryo(&other);
    assert_eq!(changed.code, Some(12), "{changed:?}");
    work.edit(&file, PASSWORD, "wrong");
    let wrong = work.ryo(&set_up);
    assert_eq!(wrong.code, Some(12), "{wrong:?}");
    assert_eq!(
        wrong.stderr,
        format!(
            "looking at host {NAME}\nerror: there is no way in to host `{NAME}`\n  through the tunnel: the host has not told \
             its end of the tunnel yet\n  by the operator's account: `{0}` does not let `anna` in: tried key `{1}`, password; it \
             allows publickey, password\n  by the first login: `{0}` does not let `root` in: tried key `{1}`, password; it \
             allows publickey, password\nhint: check the account, the key and the password in the \
             configuration\n",
            server.address,
            work.path("key").display(),
        )
    );
    work.edit(&file, "wrong", PASSWORD);

    server.inside(&format!("useradd --create-home guest; echo 'guest:{PASSWORD}' | chpasswd")).await;
    let first_user = |name: &str| format!("host_root_user: \"{name}\"");
    work.edit(&file, &first_user("root"), &first_user("guest"));
    let powerless = work.ryo(&set_up);
    assert_eq!(powerless.code, Some(12), "{powerless:?}");
    let refused = "error: cannot look at the server on host `rented`\n  because: cannot reach rented\n  because: cannot \
                   become `root` on rented: guest is not in the sudoers file.\nhint: allow the account to use sudo without a \
                   password, or give its password\nhint: run the same command again: what is done is found done\n";
    assert!(powerless.stderr.ends_with(refused), "{powerless:?}");
    work.edit(&file, &first_user("guest"), &first_user("root"));
    server.inside("userdel --remove guest").await;

    server.push("/root/upgrades-itself.py", UPGRADES_ITSELF.as_bytes().to_vec()).await;
    server
        .inside("systemd-run --quiet python3 /root/upgrades-itself.py; until [ -e /run/upgrading ]; do sleep 0.1; done")
        .await;
    let first = work.ryo(&set_up).well();
    server.inside("ls /run/upgraded").await;
    assert!(first.stdout.starts_with("host rented is set up: ") && first.stdout.ends_with(" changes\n"), "{first:?}");
    assert!(!format!("{first:?}").contains(PASSWORD));
    let again = work.ryo(&set_up).well();
    assert_eq!(again.stdout, "host rented is set up: nothing to do\n");

    let listening = "ss -Htln | sed 's/.*LISTEN *[0-9]* *[0-9]* *//; s/ .*//' | grep -E ':(22|2222)$' | sort";
    assert_eq!(server.inside(listening).await, "0.0.0.0:2222\n[::]:2222\n");
    let effective = "sshd -T -C user=anna,host=x,addr=192.0.2.1 | grep -E '^(port|permitrootlogin|passwordauthentication|allowusers) '";
    let effective = server.inside(effective).await;
    let mut effective: Vec<&str> = effective.lines().collect();
    effective.sort_unstable();
    assert_eq!(effective, ["allowusers anna", "passwordauthentication no", "permitrootlogin no", "port 2222"]);
    assert_eq!(
        server.inside("stat -c '%a %U' /etc/wireguard/wg0.key /etc/wireguard/wg0.conf /etc/sudoers.d/90-anna").await,
        "600 root\n600 root\n440 root\n"
    );
    let own = fs::metadata(work.path(&format!("ryo-host/configuration/{NAME}_wg_local.conf"))).unwrap();
    assert_eq!(own.permissions().mode() & 0o777, 0o600);
    assert!(server.inside("nft list chain inet ryo input").await.contains("policy drop"));
    assert_eq!(server.inside("sysctl -n net.ipv4.ip_forward; cat /etc/hostname").await, "1\nrented\n");
    server.writes_keys_of_its_own();
    server.shows_the_example("lxc", &pin).await;
    // Who is in a container may read keys, and writes none but its own.
    let own = "lxc exec hello -- sed 's/.*default\":\"\\([^\"]*\\)\".*/\\1/' /etc/consul.d/ryo-token.json";
    let asked = "curl -s -o /dev/null -w '%{http_code} ' -X PUT -d x";
    let keys = "http://127.0.0.1:8500/v1/kv/service";
    let with_own = format!("{asked} -H \"X-Consul-Token: $({own})\" {keys}");
    let written = format!("{with_own}/hello/seen/once; {with_own}/hello/other; {with_own}/web-proxy/backends/hello");
    assert_eq!(server.inside(&written).await, "200 403 403 ");
    assert_eq!(server.inside("lxc exec hello -- stat -c '%a %U' /etc/consul.d/ryo-token.json").await, "640 root\n");
    assert_eq!(server.inside("lxc exec web-proxy -- ls /etc/consul.d 2>&1 | grep -c token || true").await, "0\n");
    let asked = "curl -s -o /dev/null -w '%{http_code} '";
    let key = "http://127.0.0.1:8500/v1/kv/service/web-proxy/backends/hello";
    assert_eq!(server.inside(&format!("{asked} {key}; {asked} -X PUT -d evil {key}")).await, "200 403 ");
    assert_eq!(server.inside("stat -c '%a %U' /var/lib/ryo/consul.token").await, "600 root\n");
    server.is_cared_for(&pin).await;

    let open: Vec<u16> =
        [22, 53, 80, 2222, 8080, 8300, 8443, 8500, 8600].into_iter().filter(|port| server.answers(*port)).collect();
    assert_eq!(open, [8080], "what somebody outside reaches");

    // Everything that was on it comes onto a server that has nothing.
    work.ryo(&["host", "backup", NAME, "-s", "last", "--yes", "--host-key", &pin]).well();
    let server = server.lost().await;
    let work = &server.work;
    let pin = server.fingerprint().await;
    work.ryo(&["host", "setup", NAME, "--yes", "--host-key", &pin]).well();
    server.has_the_base("lxc").await;
    work.ryo(&["host", "restore", NAME, "--yes", "--host-key", &pin]).well();
    let page = page(&format!("{}:8080", server.address)).await;
    assert!(page.contains("You are visitor 3"), "{page}");
    let status = work.ryo(&["status", "-n", NAME, "--json", "--host-key", &pin]).well();
    assert!(status.stdout.contains("ryo-hello"), "{status:?}");
}

/// What breaks.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// `ryo` is killed.
    Client,
    /// Every SSH connection to the server is cut.
    Connection,
    /// The server loses its power, and gets it back.
    Power,
}

/// Runs `ryo host setup` until it says `line`, and breaks something there.
async fn broken_at(server: &Server, words: &[&str], line: &str, broken: Broken) {
    let mut child = server.work.command(words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut said: Vec<String> = vec![];
    while !said.last().is_some_and(|last| last.starts_with(line)) {
        said.push(lines.next().unwrap_or_else(|| panic!("it never said `{line}`, but:\n{}", said.join("\n"))));
    }
    match broken {
        Broken::Client => child.kill().unwrap(),
        Broken::Connection => drop(server.inside("pkill -KILL -f '^sshd: [a-z]+[ @]' || true").await),
        Broken::Power => server.loses_its_power().await,
    }
    // It may also go on over a connection of its own that comes after this.
    lines.for_each(drop);
    child.wait().unwrap();
}

#[tokio::test]
async fn a_set_up_that_breaks_after_each_stage_goes_on_to_a_host_with_incus() {
    let server = Server::rented("incus").await;
    let pin = server.fingerprint().await;
    let set_up = ["host", "setup", NAME, "--yes", "--host-key", &pin];
    let places = [
        "[2] done",
        "[3] Packages of every host",
        "[3] done",
        "[4] Interface",
        "[4] done",
        "[5] Keep what was before",
        "[5] Firewall anew",
        "[5] done",
        "[6] done",
        "[7] Storage pool, bridges and profiles",
        "[7] done",
        "[8] Configuration",
    ];
    let kinds = [Broken::Client, Broken::Connection, Broken::Power].into_iter().cycle();
    for (place, broken) in places.into_iter().zip(kinds) {
        broken_at(&server, &set_up, place, broken).await;
    }
    server.work.ryo(&set_up).well();
    assert_eq!(server.work.ryo(&set_up).well().stdout, "host rented is set up: nothing to do\n");
    assert_eq!(server.inside("systemctl is-active ryo-revert.timer || true").await, "inactive\n");
    let networks = server.inside("incus network list -f csv -c n4 | grep -E '^(rented|build),' | sort").await;
    assert_eq!(networks, "build,10.30.99.1/24\nrented,10.30.1.1/24\n");
    server.shows_the_example("incus", &pin).await;
    // Who is in the public network reaches the host, and each container: the host answers for those, also when it has
    // started again.
    let bridge = ryo::project::host::read(&server.work.path("."), NAME).unwrap().bridge_ipv6();
    let (host, container) = (format!("[{IPV6}::2]:8080"), format!("[{bridge}:10]:80"));
    for (turn, address) in [(2, &host), (3, &container)] {
        let page = page(address).await;
        assert!(page.contains(&format!("You are visitor {turn}, asking from {IPV6}::1.")), "{page}");
    }
    server.loses_its_power().await;
    assert!(page(&container).await.contains("You are visitor 4, "));

    // It comes back with another key: perhaps it is another one.
    server
        .inside("echo y | ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key >/dev/null && systemctl restart ssh")
        .await;
    let changed = server.work.ryo(&["host", "setup", NAME, "--yes"]);
    assert_eq!(changed.code, Some(12), "{changed:?}");
    assert!(changed.stderr.contains("::2]:2222` has changed: it is ssh-ed25519 SHA256:"), "{changed:?}");
}
