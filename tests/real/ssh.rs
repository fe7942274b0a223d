//! The SSH carrier against OpenSSH: a server of the test's own on a loopback port, with keys of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};

use ryo::event::Events;
use ryo::machine::{self, Command, Machine as _};
use ryo::secret::Secret;
use ryo::ssh::{self, Session, Settings, Target};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

const SSHD: &str = "/usr/sbin/sshd";

/// An sshd that ends with the test.
pub(crate) struct Sshd {
    home: TempDir,
    child: Child,
    pub(crate) settings: Settings,
    pub(crate) target: Target,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Program::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key pair; `options` as for `ssh-keygen`.
fn key(path: &Path, options: &[&str]) -> String {
    let path_text = path.display().to_string();
    let passphrase = if options.contains(&"-N") { &[][..] } else { &["-N", ""][..] };
    run("ssh-keygen", &[&["-q", "-f", &path_text], options, passphrase].concat());
    fs::read_to_string(path.with_extension("pub")).unwrap()
}

impl Sshd {
    fn start(more: &str) -> Self {
        Self::start_at(&[], "127.0.0.1", more)
    }

    /// Starts one at an IPv4 address, by a program that runs others, e.g. `ip netns exec NAME`.
    pub(crate) fn start_at(by: &[&str], address: &str, more: &str) -> Self {
        assert!(Path::new(SSHD).exists(), "there is no {SSHD}: run tests/run");
        let home = TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        let host_key = key(&at("host_key"), &["-t", "ed25519"]);
        fs::write(at("authorized_keys"), key(&at("key"), &["-t", "ed25519"])).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = home.path().display();
        let config = format!(
            "ListenAddress {address}:{port}\nHostKey {directory}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n\
             AuthorizedKeysFile {directory}/authorized_keys\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n{more}\n"
        );
        fs::write(at("config"), config).unwrap();
        fs::write(at("known_hosts"), format!("[{address}]:{port} {host_key}")).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let config = at("config").display().to_string();
        let words = [by, &[SSHD, "-D", "-e", "-f", &config]].concat();
        let mut child =
            Program::new(words[0]).args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(log.any(|line| line.unwrap().contains("Server listening")), "sshd does not start");
        std::thread::spawn(move || log.for_each(drop));
        let settings =
            Settings { known_hosts: vec![at("known_hosts")], ..Settings::new(home.path(), at("ryo/known_hosts")) };
        let target = Target {
            name: "host-1".to_owned(),
            host: address.to_owned(),
            port,
            user: run("id", &["-un"]).trim().to_owned(),
            key: Some(at("key")),
            password: None,
            route: ssh::Route::Direct,
        };
        Self { home, child, settings, target }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Of its key, as `ssh-keygen -l` writes it.
    pub(crate) fn fingerprint(&self) -> String {
        let shown = run("ssh-keygen", &["-l", "-f", &self.at("host_key.pub").display().to_string()]);
        shown.split(' ').nth(1).unwrap().to_owned()
    }

    fn allow(&self, public: &str) {
        fs::write(self.at("authorized_keys"), public).unwrap();
    }

    pub(crate) async fn connect(&self) -> Result<Session, ssh::Error> {
        ssh::connect(&self.target, &self.settings, &Events::nowhere()).await
    }

    pub(crate) async fn error(&self) -> String {
        let error = self.connect().await.err().unwrap();
        error.to_string().replace(&self.home.path().display().to_string(), "~").replace(&self.target.user, "USER")
    }
}

/// An ssh-agent that ends with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    fn holding(directory: &Path, keys: &[PathBuf]) -> Self {
        let socket = directory.join("agent");
        let mut child =
            Program::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        for key in keys {
            let output = Program::new("ssh-add").arg(key).env("SSH_AUTH_SOCK", &socket).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Self { child, socket }
    }
}

async fn shell(session: &Session, line: &str) -> machine::Finished {
    machine::run(session, &Command::new(["sh", "-c", line]), b"").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_runs_commands_as_the_seam_says() {
    let sshd = Sshd::start("");
    let session = sshd.connect().await.unwrap();
    let command = Command::new(["sh", "-c", "cat; echo \"$1\" >&2; exit 3", "sh", "it's $HOME `x` \\ \"y\"\n!"]);
    let finished = machine::run(&session, &command, b"in").await.unwrap();
    let stderr = b"it's $HOME `x` \\ \"y\"\n!\n".to_vec();
    assert_eq!(finished, machine::Finished { status: 3, stdout: b"in".to_vec(), stderr });
    assert_eq!(machine::run(&session, &Command::new(["no-such-program"]), b"").await.unwrap().status, 127);
    assert_eq!(shell(&session, "kill -TERM $$").await.status, 143);
    assert_eq!(shell(&session, "kill -KILL $$").await.status, 137);
    let unread = vec![b'x'; 8 << 20];
    assert_eq!(machine::run(&session, &Command::new(["true"]), &unread).await.unwrap().status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_runs_more_commands_than_it_takes_at_once() {
    let sshd = Sshd::start("");
    let session = sshd.connect().await.unwrap();
    let lines: Vec<String> = (0..40).map(|number| format!("echo {number}")).collect();
    let all = futures_util::future::join_all(lines.iter().map(|line| shell(&session, line))).await;
    for (number, finished) in all.into_iter().enumerate() {
        assert_eq!(finished.stdout, format!("{number}\n").into_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_carries_a_hundred_megabytes_both_ways() {
    let sshd = Sshd::start("");
    let session = sshd.connect().await.unwrap();
    let mut process = session.open(&Command::new(["cat"])).await.unwrap();
    let block: Vec<u8> = (0_u32..1 << 18).flat_map(u32::to_le_bytes).collect();
    let sent = block.clone();
    let feed = tokio::spawn(async move {
        for _ in 0..100 {
            process.stdin.write_all(&sent).await.unwrap();
        }
        process.stdin.shutdown().await.unwrap();
    });
    let mut received = vec![0; block.len()];
    for _ in 0..100 {
        process.stdout.read_exact(&mut received).await.unwrap();
        assert!(received == block);
    }
    assert_eq!(process.stdout.read(&mut received).await.unwrap(), 0);
    feed.await.unwrap();
    assert_eq!(process.end.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_forwards_to_sockets_of_the_host() {
    let sshd = Sshd::start("");
    let session = sshd.connect().await.unwrap();
    let path = sshd.at("unix.socket");
    let (unix, tcp) = (UnixListener::bind(&path).unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = unix.accept().await.unwrap();
            let (mut from, mut to) = stream.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
        }
    });
    let path = path.display().to_string();
    // Not bound by the number of commands.
    let mut streams = vec![];
    for _ in 0..20 {
        streams.push(session.unix(&path).await.unwrap());
    }
    for stream in &mut streams {
        stream.write_all(b"lxd").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "lxd");
    }
    let port = tcp.local_addr().unwrap().port();
    let greeting = std::thread::spawn(move || std::io::Write::write_all(&mut tcp.accept().unwrap().0, b"consul"));
    let mut text = String::new();
    session.tcp("127.0.0.1", port).await.unwrap().read_to_string(&mut text).await.unwrap();
    greeting.join().unwrap().unwrap();
    assert_eq!(text, "consul");
    let error = session.unix("/nowhere").await.err().unwrap();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::ConnectionRefused, "the SSH server cannot connect to `/nowhere`".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_that_does_not_forward_says_so() {
    let sshd = Sshd::start("DisableForwarding yes");
    let session = sshd.connect().await.unwrap();
    let error = session.tcp("127.0.0.1", 1).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "the SSH server does not allow a connection to `127.0.0.1` port 1");
    // For a unix socket OpenSSH gives the same answer as for one that is not there.
    let error = session.unix("/nowhere").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_and_format_are_taken() {
    let mut sshd = Sshd::start("");
    let kinds: &[(&str, &[&str])] = &[
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa", &["-t", "ecdsa", "-b", "384"]),
        ("encrypted", &["-t", "ed25519", "-N", "open sesame"]),
        ("encrypted-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame"]),
    ];
    for (name, options) in kinds {
        sshd.allow(&key(&sshd.at(name), options));
        sshd.target.key = Some(sshd.at(name));
        if options.contains(&"-N") {
            sshd.settings.passphrase = None;
            assert_eq!(sshd.error().await, format!("the private key `~/{name}` is encrypted"));
            sshd.settings.passphrase = Some(std::sync::Arc::new(|_| Some(Secret::new("open sesame"))));
        }
        sshd.connect().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_keys_are_taken_and_too_many_are_a_refusal() {
    let mut sshd = Sshd::start("");
    sshd.target.key = None;
    let public = key(&sshd.at("held"), &["-t", "rsa", "-b", "2048", "-C", "the right one"]);
    sshd.allow(&public);
    let agent = Agent::holding(sshd.home.path(), &[sshd.at("key"), sshd.at("held")]);
    sshd.settings.agent = Some(agent.socket.clone());
    sshd.connect().await.unwrap();
    drop(agent);
    fs::remove_file(sshd.at("agent")).unwrap();

    let others: Vec<PathBuf> = (0..8).map(|number| sshd.at(&format!("other-{number}"))).collect();
    for (number, path) in others.iter().enumerate() {
        key(path, &["-t", "ed25519", "-C", &format!("other {number}")]);
    }
    let _agent = Agent::holding(sshd.home.path(), &others);
    assert_eq!(
        sshd.error().await,
        "`127.0.0.1` does not let `USER` in: tried agent key `other 0`, agent key `other 1`, agent key `other 2`, \
         agent key `other 3`, agent key `other 4`; it allows publickey"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_key_that_the_agent_holds_needs_no_passphrase() {
    let mut sshd = Sshd::start("");
    let path = sshd.at("locked");
    sshd.allow(&key(&path, &["-t", "ed25519"]));
    let agent = Agent::holding(sshd.home.path(), std::slice::from_ref(&path));
    run("ssh-keygen", &["-q", "-p", "-N", "open sesame", "-f", &path.display().to_string()]);
    sshd.target.key = Some(path);
    sshd.settings.agent = Some(agent.socket.clone());
    sshd.connect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_limits_tries_more_tightly_refuses_all_the_same() {
    let mut sshd = Sshd::start("MaxAuthTries 2");
    fs::create_dir(sshd.at(".ssh")).unwrap();
    for name in ["other", ".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"] {
        key(&sshd.at(name), &["-t", "ed25519"]);
    }
    sshd.target.key = Some(sshd.at("other"));
    assert_eq!(
        sshd.error().await,
        "`127.0.0.1` does not let `USER` in: tried key `~/other`, key `~/.ssh/id_ed25519`; it allows publickey"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hashed_known_hosts_are_understood() {
    let sshd = Sshd::start("");
    let known_hosts = sshd.at("known_hosts").display().to_string();
    run("ssh-keygen", &["-H", "-f", &known_hosts]);
    assert!(fs::read_to_string(&known_hosts).unwrap().starts_with("|1|"));
    sshd.connect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_its_server_does() {
    let sshd = Sshd::start("");
    let session = sshd.connect().await.unwrap();
    let process = session.open(&Command::new(["cat"])).await.unwrap();
    let sessions = run("pgrep", &["-P", &sshd.child.id().to_string()]);
    run("kill", &[&["-KILL"], sessions.lines().collect::<Vec<_>>().as_slice()].concat());
    let lost = process.end.await.unwrap_err();
    assert_eq!(lost.to_string(), "lost the connection to host-1");
}
