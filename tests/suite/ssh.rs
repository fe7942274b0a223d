//! The SSH carrier against a server in this process.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey};
use ryo::event::{Event, Events};
use ryo::machine::{self, Command, Machine as _, Process};
use ryo::secret::Secret;
use ryo::ssh::{self, OnNew, Session, Settings, Target, known_hosts};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

#[path = "ssh/server.rs"]
pub(crate) mod server;

use server::{Lets, Sshd, Wire, new_key};

/// A home directory of its own, and a server that is known there.
struct Bed {
    home: TempDir,
    sshd: Sshd,
    settings: Settings,
    target: Target,
}

impl Bed {
    async fn new(lets: Lets) -> Self {
        Self::around(Sshd::start(lets).await)
    }

    async fn open() -> (Self, Session) {
        let bed = Self::new(Lets { anybody: true, ..Lets::default() }).await;
        let session = bed.connect().await.unwrap();
        (bed, session)
    }

    fn around(sshd: Sshd) -> Self {
        let home = TempDir::new().unwrap();
        let settings = Settings {
            known_hosts: vec![home.path().join("known_hosts")],
            ..Settings::new(home.path(), home.path().join("ryo/known_hosts"))
        };
        let target = Target {
            name: "host-1".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: sshd.address.port(),
            user: "operator".to_owned(),
            key: None,
            password: None,
            route: ssh::Route::Direct,
        };
        let bed = Self { home, sshd, settings, target };
        bed.know(&bed.entry(&bed.sshd.host_key));
        bed
    }

    fn entry(&self, key: &PublicKey) -> String {
        format!("[127.0.0.1]:{} {}\n", self.target.port, key.to_openssh().unwrap())
    }

    fn know(&self, lines: &str) {
        fs::write(self.home.path().join("known_hosts"), lines).unwrap();
    }

    async fn connect(&self) -> Result<Session, ssh::Error> {
        ssh::connect(&self.target, &self.settings, &Events::nowhere()).await
    }

    /// Returns the error of a connection, with its causes, the parts that differ from run to run replaced.
    async fn error(&self) -> String {
        let error = self.connect().await.err().unwrap();
        let home = self.home.path().display().to_string();
        chain(&error).replace(&home, "~").replace(&format!("{}", self.target.port), "2222")
    }

    fn key_file(&self, name: &str, key: &PrivateKey) -> PathBuf {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
        path
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn digest(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

async fn shell(session: &Session, line: &str) -> machine::Finished {
    machine::run(session, &Command::new(["sh", "-c", line]), b"").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_session_is_a_machine() {
    let (_bed, session) = Bed::open().await;
    crate::machines::contract(&session).await;
}

#[tokio::test]
async fn a_command_gets_its_words_and_its_input_and_gives_back_everything() {
    let (_bed, session) = Bed::open().await;
    let command = Command::new(["sh", "-c", "cat; echo \"$1\" >&2; exit 3", "sh", "it's $HOME `x` \\ \"y\"\n!"]);
    let finished = machine::run(&session, &command, b"in").await.unwrap();
    assert_eq!(
        finished,
        machine::Finished { status: 3, stdout: b"in".to_vec(), stderr: b"it's $HOME `x` \\ \"y\"\n!\n".to_vec() }
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_ends_with_127() {
    let (_bed, session) = Bed::open().await;
    assert_eq!(machine::run(&session, &Command::new(["no-such-program"]), b"").await.unwrap().status, 127);
    assert_eq!(machine::run(&session, &Command::new([""]), b"").await.unwrap().status, 127);
}

#[tokio::test]
async fn what_no_line_can_say_is_not_sent() {
    let (_bed, session) = Bed::open().await;
    for words in [vec![], vec!["echo", "a\0b"]] {
        let lost = session.open(&Command::new(words)).await.err().unwrap();
        assert_eq!(chain(&lost), "lost the connection to host-1: no command, or a NUL byte in one");
    }
}

#[tokio::test]
async fn any_words_arrive_as_they_are() {
    let (_bed, session) = Bed::open().await;
    let words = proptest::collection::vec("[^\0]{0,20}", 0..6);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..40 {
        let words = words.new_tree(&mut runner).unwrap().current();
        let given = ["printf", "%s\\0", "first"].into_iter().chain(words.iter().map(String::as_str));
        let finished = machine::run(&session, &Command::new(given), b"").await.unwrap();
        let mut expected = ["first"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("\0");
        expected.push('\0');
        assert_eq!(String::from_utf8(finished.stdout).unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn megabytes_pass_both_ways_at_once() {
    let (_bed, session) = Bed::open().await;
    let input: Vec<u8> = (0_u32..3 << 20).flat_map(u32::to_le_bytes).collect();
    let finished = machine::run(&session, &Command::new(["cat"]), &input).await.unwrap();
    assert_eq!(finished.status, 0);
    assert!(finished.stdout == input, "{} bytes of {}", finished.stdout.len(), input.len());
}

#[tokio::test]
async fn a_command_that_does_not_read_its_input_ends_all_the_same() {
    let (_bed, session) = Bed::open().await;
    let input = vec![b'x'; 8 << 20];
    assert_eq!(machine::run(&session, &Command::new(["true"]), &input).await.unwrap().status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_stops_no_other_command() {
    let (_bed, session) = Bed::open().await;
    let unread = session.open(&Command::new(["head", "-c", "12000000", "/dev/zero"])).await.unwrap();
    assert_eq!(shell(&session, "echo here").await.stdout, b"here\n");
    let Process { mut stdout, end, .. } = unread;
    let mut late = vec![];
    stdout.read_to_end(&mut late).await.unwrap();
    assert_eq!((late.len(), end.await.unwrap()), (12_000_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_was_given_up_holds_nothing_up() {
    let (_bed, session) = Bed::open().await;
    let Process { stdout, end, .. } =
        session.open(&Command::new(["head", "-c", "60000000", "/dev/zero"])).await.unwrap();
    drop(stdout);
    assert_eq!(end.await.unwrap(), 0);
}

#[tokio::test]
async fn a_dropped_command_is_ended() {
    let (bed, session) = Bed::open().await;
    let mut running = bed.sshd.running.clone();
    let process = session.open(&Command::new(["sleep", "1000"])).await.unwrap();
    running.wait_for(|count| *count == 1).await.unwrap();
    drop(process);
    running.wait_for(|count| *count == 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_commands_than_the_server_takes_at_once_take_turns() {
    let (_bed, session) = Bed::open().await;
    let lines: Vec<String> = (0..25).map(|number| format!("echo {number}")).collect();
    let all = futures_util::future::join_all(lines.iter().map(|line| shell(&session, line))).await;
    for (number, finished) in all.into_iter().enumerate() {
        assert_eq!(finished.stdout, format!("{number}\n").into_bytes());
    }
}

#[tokio::test]
async fn a_broken_connection_is_no_end_of_output() {
    let bed = Bed::new(Lets { anybody: true, ..Lets::default() }).await;
    let wire = Wire::to(bed.sshd.address).await;
    let target = Target { port: wire.address.port(), ..bed.target.clone() };
    bed.know(&format!("127.0.0.1 {}", bed.sshd.host_key.to_openssh().unwrap()));
    let session = ssh::connect(&target, &bed.settings, &Events::nowhere()).await.unwrap();
    let Process { mut stdout, end, stdin, .. } =
        session.open(&Command::new(["sh", "-c", "echo so far; cat"])).await.unwrap();
    let mut first = [0; 7];
    stdout.read_exact(&mut first).await.unwrap();
    wire.cut();
    let error = stdout.read_to_end(&mut vec![]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::ConnectionReset, "the server closed the connection".to_owned())
    );
    assert_eq!(chain(&end.await.unwrap_err()), "lost the connection to host-1: the server closed the connection");
    drop(stdin);
    let lost = session.open(&Command::new(["true"])).await.err().unwrap();
    assert_eq!(chain(&lost), "lost the connection to host-1: the server closed the connection");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_noticed() {
    let mut bed = Bed::new(Lets { anybody: true, ..Lets::default() }).await;
    bed.settings.patience = Duration::from_millis(100);
    let wire = Wire::to(bed.sshd.address).await;
    let target = Target { port: wire.address.port(), ..bed.target.clone() };
    bed.know(&format!("127.0.0.1 {}", bed.sshd.host_key.to_openssh().unwrap()));
    let session = ssh::connect(&target, &bed.settings, &Events::nowhere()).await.unwrap();
    let mut process = session.open(&Command::new(["cat"])).await.unwrap();
    process.stdin.write_all(b"x").await.unwrap();
    process.stdout.read_exact(&mut [0]).await.unwrap();
    wire.freeze();
    assert_eq!(
        chain(&process.end.await.unwrap_err()),
        "lost the connection to host-1: the server does not answer any more"
    );
}

#[tokio::test]
async fn sockets_of_the_host_are_reached_through_the_connection() {
    let (bed, session) = Bed::open().await;
    let path = bed.home.path().join("unix.socket");
    let (unix, tcp) = (UnixListener::bind(&path).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = tcp.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = unix.accept().await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
    });
    tokio::spawn(async move {
        let (mut stream, _) = tcp.accept().await.unwrap();
        stream.write_all(b"consul").await.unwrap();
    });
    let mut echo = session.unix(path.to_str().unwrap()).await.unwrap();
    echo.write_all(b"lxd").await.unwrap();
    echo.shutdown().await.unwrap();
    let mut text = String::new();
    echo.read_to_string(&mut text).await.unwrap();
    session.tcp("127.0.0.1", port).await.unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "lxdconsul");
}

#[tokio::test]
async fn a_socket_that_cannot_be_reached_says_why() {
    let (_bed, session) = Bed::open().await;
    let error = session.unix("/nowhere/unix.socket").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "the SSH server cannot connect to `/nowhere/unix.socket`");
    let error = session.unix("/forbidden/unix.socket").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "the SSH server does not allow a connection to `/forbidden/unix.socket`");
    let error = session.tcp("127.0.0.1", 1).await.err().unwrap();
    assert_eq!(error.to_string(), "the SSH server cannot connect to `127.0.0.1` port 1");
}

#[tokio::test]
async fn the_targets_key_the_usual_keys_and_the_password_let_us_in() {
    let (right, wrong) = (new_key(), new_key());
    let mut bed = Bed::new(Lets { key: Some(right.public_key().clone()), ..Lets::default() }).await;
    bed.key_file(".ssh/id_ed25519", &right);
    bed.connect().await.unwrap();
    bed.key_file(".ssh/id_ed25519", &wrong);
    bed.target.key = Some(bed.key_file("key", &right));
    bed.connect().await.unwrap();

    for (password, answer) in [(Some("pass"), None), (None, Some("pass"))] {
        let lets = Lets { password: password.map(str::to_owned), answer: answer.map(str::to_owned), ..Lets::default() };
        let mut bed = Bed::new(lets).await;
        bed.target.password = Some(Secret::new("pass"));
        bed.connect().await.unwrap();
    }
}

#[tokio::test]
async fn an_encrypted_key_is_opened_with_its_passphrase() {
    let right = new_key();
    let mut bed = Bed::new(Lets { key: Some(right.public_key().clone()), ..Lets::default() }).await;
    bed.target.key = Some(bed.key_file("key", &right.encrypt(&mut rand::rng(), "open").unwrap()));
    assert_eq!(bed.error().await, "the private key `~/key` is encrypted");
    bed.settings.passphrase = Some(Arc::new(|path: &Path| {
        assert!(path.ends_with("key"));
        Some(Secret::new("open"))
    }));
    bed.connect().await.unwrap();
}

#[tokio::test]
async fn being_refused_names_what_was_tried_and_no_secret() {
    let mut bed = Bed::new(Lets { password: Some("right".to_owned()), ..Lets::default() }).await;
    assert_eq!(
        bed.error().await,
        "`127.0.0.1` does not let `operator` in: tried nothing, for there is no key and no password; it allows publickey, password"
    );
    bed.key_file(".ssh/id_ed25519", &new_key());
    bed.key_file(".ssh/id_rsa", &new_key().encrypt(&mut rand::rng(), "x").unwrap());
    fs::write(bed.home.path().join(".ssh/id_ecdsa"), "no key").unwrap();
    bed.settings.agent = Some(bed.home.path().join("agent"));
    bed.target.key = Some(bed.key_file("key", &new_key()));
    bed.target.password = Some(Secret::new("wrong"));
    assert_eq!(
        bed.error().await,
        "`127.0.0.1` does not let `operator` in: tried key `~/key`, agent at `~/agent` (does not answer), \
         key `~/.ssh/id_ed25519`, key `~/.ssh/id_ecdsa` (cannot be read), key `~/.ssh/id_rsa` (encrypted, not used), \
         password; it allows publickey, password"
    );
}

#[tokio::test]
async fn a_server_that_falls_silent_during_the_login_is_given_up() {
    let mut bed = Bed::new(Lets { silent: true, ..Lets::default() }).await;
    bed.settings.timeout = Duration::from_secs(1);
    assert_eq!(
        bed.error().await,
        "lost the connection to `127.0.0.1` while logging in as `operator`: the server does not answer any more"
    );
}

#[tokio::test]
async fn a_key_file_that_cannot_be_used_is_named() {
    let mut bed = Bed::new(Lets::default()).await;
    bed.target.key = Some(bed.home.path().join("missing"));
    assert_eq!(bed.error().await, "cannot use the private key `~/missing`: No such file or directory (os error 2)");
    fs::write(bed.home.path().join("text"), "no key").unwrap();
    bed.target.key = Some(bed.home.path().join("text"));
    assert_eq!(bed.error().await, "cannot use the private key `~/text`: Could not read key");
}

#[tokio::test]
async fn a_new_host_is_refused_unless_somebody_vouches_for_it() {
    let mut bed = Bed::new(Lets { anybody: true, ..Lets::default() }).await;
    bed.know("# nothing yet\n");
    let digest = digest(&bed.sshd.host_key);
    let unknown = format!("the host key of `[127.0.0.1]:2222` is not known: ssh-ed25519 {digest}");
    assert_eq!(bed.error().await, unknown);

    let asked = Arc::new(Mutex::new(vec![]));
    let questions = asked.clone();
    bed.settings.on_new = OnNew::Ask(Arc::new(move |new| {
        questions.lock().unwrap().push(new.to_string());
        false
    }));
    assert_eq!(bed.error().await, unknown);
    let port = bed.target.port;
    assert_eq!(*asked.lock().unwrap(), [format!("the key of `[127.0.0.1]:{port}` is ssh-ed25519 {digest}")]);
    assert!(!bed.settings.remember_in.exists());

    bed.settings.on_new = OnNew::Ask(Arc::new(|_| true));
    bed.connect().await.unwrap();
    bed.settings.on_new = OnNew::Refuse;
    bed.connect().await.unwrap();
}

#[tokio::test]
async fn trust_on_first_use_shows_the_fingerprint_and_remembers_it() {
    let mut bed = Bed::new(Lets { anybody: true, ..Lets::default() }).await;
    bed.know("");
    bed.settings.on_new = OnNew::Accept;
    let seen = Arc::new(Mutex::new(vec![]));
    let events = {
        let seen = seen.clone();
        Events::new(move |event| seen.lock().unwrap().push(event))
    };
    for _ in 0..2 {
        ssh::connect(&bed.target, &bed.settings, &events).await.unwrap();
    }
    let (port, digest) = (bed.target.port, digest(&bed.sshd.host_key));
    let message = format!("the key of `[127.0.0.1]:{port}` is ssh-ed25519 {digest}; it is trusted from now on");
    assert_eq!(*seen.lock().unwrap(), [Event::Warned { message }]);
    let remembered = &bed.settings.remember_in;
    assert_eq!(fs::read_to_string(remembered).unwrap(), bed.entry(&bed.sshd.host_key));
    assert_eq!(fs::metadata(remembered).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(remembered.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_changed_or_revoked_key_is_refused_whatever_the_settings() {
    let mut bed = Bed::new(Lets { anybody: true, ..Lets::default() }).await;
    let digest = digest(&bed.sshd.host_key);
    bed.settings.on_new = OnNew::Accept;
    let changed = |line: usize| {
        format!(
            "the host key of `[127.0.0.1]:2222` has changed: it is ssh-ed25519 {digest}, not the one in ~/known_hosts:{line}"
        )
    };
    bed.know(&format!("# comment\n\n{}", bed.entry(new_key().public_key())));
    assert_eq!(bed.error().await, changed(3));

    // A server that leaves the known kind out must not pass for a new one.
    let other = PrivateKey::random(&mut rand::rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap();
    bed.know(&bed.entry(other.public_key()));
    assert_eq!(bed.error().await, changed(1));

    let right = bed.entry(&bed.sshd.host_key);
    bed.know(&format!("{right}@revoked {right}"));
    let revoked = format!("the host key of `[127.0.0.1]:2222`, ssh-ed25519 {digest}, is revoked in ~/known_hosts:2");
    assert_eq!(bed.error().await, revoked);
    bed.settings.pinned = Some(digest.clone());
    assert_eq!(bed.error().await, revoked);
}

#[tokio::test]
async fn a_pinned_key_decides_alone_whichever_the_server_prefers() {
    let (first, second) =
        (new_key(), PrivateKey::random(&mut rand::rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap());
    let pinned = digest(second.public_key());
    let sshd = Sshd::with_keys(Lets { anybody: true, ..Lets::default() }, vec![first, second]).await;
    let mut bed = Bed::around(sshd);
    bed.know("");
    bed.settings.pinned = Some(pinned);
    bed.connect().await.unwrap();
    assert!(!bed.settings.remember_in.exists());
    bed.settings.pinned = Some("SHA256:other".to_owned());
    let shown = digest(&bed.sshd.host_key);
    assert_eq!(
        bed.error().await,
        format!("the host key of `[127.0.0.1]:2222` is ssh-ed25519 {shown}, not the pinned SHA256:other")
    );
}

#[tokio::test]
async fn the_known_kind_of_key_is_asked_for_first() {
    let (first, second) =
        (new_key(), PrivateKey::random(&mut rand::rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap());
    let known = second.public_key().clone();
    let bed = Bed::around(Sshd::with_keys(Lets { anybody: true, ..Lets::default() }, vec![first, second]).await);
    bed.know(&bed.entry(&known));
    bed.connect().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_or_speaks_something_else_is_told_apart() {
    let mut bed = Bed::new(Lets::default()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    bed.target.port = free;
    assert_eq!(bed.error().await, "cannot reach `127.0.0.1` on port 2222: Connection refused (os error 111)");
    bed.settings.timeout = Duration::from_secs(1);
    bed.target.port = silent.local_addr().unwrap().port();
    assert_eq!(bed.error().await, "`127.0.0.1` on port 2222 does not complete the SSH handshake: no answer within 1 s");
    let answers = |text: &'static [u8]| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(text).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut vec![]).await;
        });
        port
    };
    bed.target.port = answers(b"").await;
    assert_eq!(
        bed.error().await,
        "`127.0.0.1` on port 2222 does not complete the SSH handshake: the server closed the connection"
    );
    bed.target.port = answers(b"SSH-2.0-x\r\n").await;
    assert_eq!(
        bed.error().await,
        "`127.0.0.1` on port 2222 does not complete the SSH handshake: the server closed the connection"
    );
    bed.target.port = answers(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(
        bed.error().await,
        "`127.0.0.1` on port 2222 does not complete the SSH handshake: the server closed the connection"
    );
}

#[tokio::test]
async fn a_name_without_an_address_cannot_be_reached() {
    let mut bed = Bed::new(Lets::default()).await;
    bed.target.host = "no such name".to_owned();
    let error = bed.error().await;
    assert!(error.starts_with("cannot reach `no such name` on port 2222: no address for `no such name`: "), "{error}");
}

#[test]
fn known_hosts_are_read_as_openssh_reads_them() {
    let key = new_key().public_key().clone();
    let text = key.to_openssh().unwrap();
    let cases: &[(&str, &str, u16, bool)] = &[
        ("host-1", "host-1", 22, true),
        ("host-1", "HOST-1", 22, true),
        ("host-1,192.0.2.7", "192.0.2.7", 22, true),
        ("[host-1]:2222", "host-1", 2222, true),
        ("[host-1]:2222", "host-1", 22, false),
        ("host-1", "host-1", 2222, true),
        ("*.example,!bad.example", "good.example", 22, true),
        ("*.example,!bad.example", "bad.example", 22, false),
        ("host-?", "host-7", 22, true),
        ("host-?", "host-77", 22, false),
        ("@cert-authority *", "host-1", 22, false),
        ("# host-1", "host-1", 22, false),
        // `ssh-keygen -H` of the name `host-1`.
        ("|1|AAECAwQFBgcICQoLDA0ODxAREhM=|xLq21BCxZ6nvN2a8FGMZprGIli0=", "host-1", 22, true),
        ("|1|AAECAwQFBgcICQoLDA0ODxAREhM=|xLq21BCxZ6nvN2a8FGMZprGIli0=", "host-2", 22, false),
        ("|1|not base64|x", "host-1", 22, false),
    ];
    for (patterns, host, port, known) in cases {
        let entries = known_hosts::parse(Path::new("known_hosts"), &format!("{patterns} {text}\n"));
        let verdict = known_hosts::judge(&entries, host, *port, &key);
        assert_eq!(verdict == known_hosts::Verdict::Known, *known, "{patterns} for {host}:{port}");
    }
}

#[test]
fn what_is_known_of_the_server_before_is_forgotten_and_nothing_else() {
    let (old, new) = (new_key().public_key().clone(), new_key().public_key().clone());
    let fingerprint = format!("ssh-ed25519 {}", digest(&new));
    let line = |patterns: &str, key: &PublicKey| format!("{patterns} {}\n", key.to_openssh().unwrap());
    let kept = [
        line("[fd10::2]:2222", &new),
        line("[fd10::2]:2223", &old),
        line("fd10::2", &old),
        line("[fd10::2]:2222,web", &old),
        line("@revoked [fd10::2]:2222", &old),
        "# [fd10::2]:2222\n".to_owned(),
    ]
    .concat();
    let known = line("[fd10::2]:2222", &old) + &kept + line("[fd10::2]:2222", &old).trim_end();
    assert_eq!(known_hosts::without(&known, "fd10::2", 2222, &fingerprint), Some(kept.clone()));
    assert_eq!(known_hosts::without(&kept, "fd10::2", 2222, &fingerprint), None);

    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("known_hosts");
    assert!(!ryo::ssh::forget_others(&file, "fd10::2", 2222, &fingerprint).unwrap());
    fs::write(&file, &known).unwrap();
    assert!(ryo::ssh::forget_others(&file, "fd10::2", 2222, &fingerprint).unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), kept);
    assert!(!ryo::ssh::forget_others(&file, "fd10::2", 2222, &fingerprint).unwrap());
}

proptest! {
    #[test]
    fn no_text_upsets_the_reader_of_known_hosts(text in ".{0,200}", host in ".{0,20}") {
        let key = new_key().public_key().clone();
        let entries = known_hosts::parse(Path::new("known_hosts"), &text);
        known_hosts::judge(&entries, &host, 22, &key);
    }
}
