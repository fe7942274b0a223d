//! The tunnel of this process against `wireguard-go`, in a network namespace of the test's own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use ryo::machine::{self, Command};
use ryo::ssh::Route;
use ryo::wireguard::pair::{self, Ends, Keys};
use ryo::wireguard::share::{self, Share};
use ryo::wireguard::{Configuration, PresharedKey, PrivateKey, Stream, Tunnel};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::ssh::Sshd;

const LIMIT: Duration = Duration::from_secs(20);
/// Within the tunnel, at the other end.
pub(crate) const INSIDE: [&str; 2] = ["10.0.1.2", "fd10:10:0:1::2"];

/// Runs a program to its end; `input` is not shown.
pub(crate) fn run(words: &str, input: &str) {
    let mut words = words.split_whitespace();
    let program = words.next().unwrap();
    let arguments: Vec<&str> = words.collect();
    let mut child = Program::new(program)
        .args(&arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: run tests/run"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A host at the other end of a cable and of a tunnel.
pub(crate) struct Host {
    pub(crate) name: String,
    /// Of the test's process, so that no two at a time are the same.
    number: u32,
    configuration: Configuration,
    pub(crate) ours: Configuration,
    /// Without what only `wg-quick` knows.
    file: PathBuf,
    _home: TempDir,
    process: Option<Child>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
        let _ = Program::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

impl Host {
    /// Returns a host whose WireGuard is up; `family` is that of the cable's addresses, 4 or 6.
    pub(crate) fn start(family: u8) -> Self {
        let number = std::process::id();
        let name = format!("wg{number}");
        let (a, b) = (number >> 8 & 0x3f, number & 0xff);
        let outside = |last: u8| match family {
            4 => format!("10.{}.{b}.{last}", 192 + a),
            _ => format!("fd77:{a:x}:{b:x}::{last}"),
        };
        let length = if family == 4 { "/24" } else { "/64 nodad" };
        run(&format!("ip netns add {name}"), "");
        run(&format!("ip link add {name}c type veth peer name eth0 netns {name}"), "");
        run(&format!("ip address add {}{length} dev {name}c", outside(1)), "");
        run(&format!("ip link set {name}c up"), "");
        for words in [format!("address add {}{length} dev eth0", outside(2)), "link set eth0 up".to_owned()] {
            run(&format!("ip -n {name} {words}"), "");
        }
        run(&format!("ip -n {name} link set lo up"), "");
        let (ends, keys) = (ends(&outside(2)), Keys::generate());
        let configuration = pair::host(&ends, &keys);
        let ours = pair::control(&ends, &keys.control, &keys.shared, keys.host.public());
        let home = TempDir::new().unwrap();
        let file = home.path().join("wg.conf");
        let mut host = Self { name, number, configuration, ours, file, _home: home, process: None };
        host.up();
        host
    }

    /// Starts `wireguard-go` and tells it what is in the configuration.
    fn up(&mut self) {
        let name = &self.name;
        let text = self.configuration.render().reveal().to_owned();
        let quick = |line: &&str| !line.starts_with("Address");
        fs::write(&self.file, text.lines().filter(quick).collect::<Vec<_>>().join("\n")).unwrap();
        let process = Program::new("ip")
            .args(["netns", "exec", name, "wireguard-go", "-f", name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let socket = format!("/var/run/wireguard/{name}.sock");
        // It makes the interface first and then the socket.
        while !Path::new(&socket).exists() {
            assert!(self.process.as_mut().unwrap().try_wait().unwrap().is_none(), "wireguard-go ended: run tests/run");
            std::thread::sleep(Duration::from_millis(20));
        }
        run(&format!("ip netns exec {name} wg setconf {name} {}", self.file.display()), "");
        for address in &self.configuration.interface.addresses {
            let nodad = if address.address.is_ipv6() { "nodad" } else { "" };
            run(&format!("ip -n {name} address add {address} dev {name} {nodad}"), "");
        }
        run(&format!("ip -n {name} link set {name} mtu 1420 up"), "");
        for network in &self.configuration.peers[0].allowed {
            run(&format!("ip -n {name} route add {network} dev {name}"), "");
        }
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
            let _ = fs::remove_file(format!("/var/run/wireguard/{}.sock", self.name));
            // The interface goes with the process, a moment later.
            while self.within(|| Path::new(&format!("/proc/thread-self/net/dev_snmp6/{}", self.name)).exists()) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Does something as a process of the host: what it opens stays there.
    fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let place = fs::File::open(format!("/var/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&place), Some(LinkNameSpaceType::Network)).unwrap();
                act()
            });
            thread.join().unwrap()
        })
    }

    /// Serves each connection to a new port of `address` with `serve`, in a thread of its own.
    fn serve(&self, address: &str, serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
        let listener = self.within(|| TcpListener::bind((address, 0)).unwrap());
        let local = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream.unwrap()));
            }
        });
        local
    }

    async fn open(&self) -> Tunnel {
        Tunnel::open(&self.ours, LIMIT).await.unwrap()
    }
}

fn ends(outside: &str) -> Ends {
    let inside = |last: u8| vec![format!("10.0.1.{last}"), format!("fd10:10:0:1::{last}")];
    let addresses = |last| inside(last).iter().map(|text| text.parse().unwrap()).collect();
    let bracketed = if outside.contains(':') { format!("[{outside}]") } else { outside.to_owned() };
    Ends {
        control: addresses(1),
        host: addresses(2),
        behind_control: vec![],
        behind_host: vec!["10.10.1.0/24".parse().unwrap()],
        endpoint: format!("{bracketed}:52222").parse().unwrap(),
    }
}

fn echo(mut stream: TcpStream) {
    let mut copy = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut stream, &mut copy);
    let _ = copy.shutdown(Shutdown::Write);
}

async fn connect(tunnel: &Tunnel, to: SocketAddr) -> Stream {
    tunnel.connect(to, LIMIT).await.unwrap()
}

/// Sends `bytes`, says that this is all, and returns what comes back.
async fn ask(mut stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let mut answer = vec![];
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

async fn speaks_over(family: u8) {
    let host = Host::start(family);
    let tunnel = host.open().await;
    for address in INSIDE {
        let to = host.serve(address, echo);
        assert_eq!(ask(connect(&tunnel, to).await, b"there and back").await, b"there and back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_pass_through_a_tunnel_over_ipv4() {
    speaks_over(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_pass_through_a_tunnel_over_ipv6() {
    speaks_over(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_arrive_whole_both_ways_after_a_half_close() {
    const BLOCKS: u32 = 64;
    let block = |number: u32| (0..1_u32 << 18).flat_map(|at| (at ^ number << 20).to_le_bytes()).collect::<Vec<u8>>();
    let mut digest = Sha256::new();
    (0..BLOCKS).for_each(|number| digest.update(block(number)));
    let expected = digest.finalize();
    let host = Host::start(4);
    let to = host.serve(INSIDE[0], move |mut stream| {
        let (mut digest, mut bytes) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match stream.read(&mut bytes).unwrap() {
                0 => break,
                count => digest.update(&bytes[..count]),
            }
        }
        stream.write_all(&digest.finalize()).unwrap();
        (0..BLOCKS).for_each(|number| stream.write_all(&block(number)).unwrap());
    });
    let tunnel = host.open().await;
    let mut stream = connect(&tunnel, to).await;
    for number in 0..BLOCKS {
        stream.write_all(&block(number)).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let mut theirs = [0; 32];
    stream.read_exact(&mut theirs).await.unwrap();
    assert_eq!(theirs[..], expected[..]);
    let (mut digest, mut bytes) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match stream.read(&mut bytes).await.unwrap() {
            0 => break,
            count => digest.update(&bytes[..count]),
        }
    }
    assert_eq!(digest.finalize()[..], expected[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_a_tunnel_and_one_that_is_not_read_holds_up_no_other() {
    let host = Host::start(4);
    let (to, talker) = (
        host.serve(INSIDE[1], echo),
        host.serve(INSIDE[0], |mut stream| while stream.write_all(&[7; 1 << 13]).is_ok() {}),
    );
    let tunnel = host.open().await;
    let unread = connect(&tunnel, talker).await;
    let each = (0_u8..100).map(|number| {
        let tunnel = &tunnel;
        async move {
            let sent = vec![number; 200_000];
            assert!(ask(connect(tunnel, to).await, &sent).await == sent, "stream {number}");
        }
    });
    futures_util::future::join_all(each).await;
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_a_restart_of_the_peer() {
    let mut host = Host::start(4);
    let to = host.serve("0.0.0.0", echo);
    let tunnel = host.open().await;
    let inside = SocketAddr::new(INSIDE[0].parse().unwrap(), to.port());
    let mut stream = connect(&tunnel, inside).await;
    let mut answer = [0; 6];
    stream.write_all(b"before").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    host.stop();
    stream.write_all(b"during").await.unwrap();
    host.up();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"during");
    assert_eq!(ask(connect(&tunnel, inside).await, b"after").await, b"after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_moves_is_followed() {
    let host = Host::start(4);
    let (say, heard) = mpsc::channel::<&[u8]>();
    let heard = Arc::new(std::sync::Mutex::new(heard));
    let to = host.serve(INSIDE[0], move |mut stream| {
        while let Ok(bytes) = heard.lock().unwrap().recv() {
            stream.write_all(bytes).unwrap();
        }
    });
    let tunnel = host.open().await;
    let mut stream = connect(&tunnel, to).await;
    run(&format!("ip netns exec {0} wg set {0} listen-port 52223", host.name), "");
    say.send(b"from elsewhere").unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"from elsewhere");
    let echo = host.serve(INSIDE[1], echo);
    assert_eq!(ask(connect(&tunnel, echo).await, b"found").await, b"found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_tunnel_is_said_within_the_limit() {
    let host = Host::start(4);
    let limit = Duration::from_secs(2);
    let peer = host.ours.peers[0].endpoint.clone().unwrap();
    let silent = format!("no answer of the WireGuard peer at {peer} within 2 s");
    let error = async |change: &dyn Fn(&mut Configuration)| {
        let mut ours = host.ours.clone();
        change(&mut ours);
        Tunnel::open(&ours, limit).await.unwrap_err().to_string()
    };
    assert_eq!(error(&|ours| ours.interface.private_key = PrivateKey::generate()).await, silent);
    assert_eq!(error(&|ours| ours.peers[0].public_key = PrivateKey::generate().public()).await, silent);
    assert_eq!(
        error(&|ours| ours.peers[0].preshared_key = Some(PresharedKey::generate())).await,
        format!("the WireGuard peer at {peer} answers by other keys: the `PresharedKey` here is not the one there")
    );
    let closed = format!("{}:9", peer.host);
    assert_eq!(
        error(&|ours| ours.peers[0].endpoint = Some(closed.parse().unwrap())).await,
        format!("no answer of the WireGuard peer at {closed} within 2 s")
    );

    let tunnel = host.open().await;
    let said = async |to: String| tunnel.connect(to.parse().unwrap(), limit).await.unwrap_err().to_string();
    for address in ["10.0.1.2:9", "[fd10:10:0:1::2]:9"] {
        assert_eq!(said(address.to_owned()).await, format!("{address} behind the tunnel refuses the connection"));
    }
    // The host routes nothing.
    assert_eq!(said("10.10.1.5:9".to_owned()).await, "no answer of 10.10.1.5:9 behind the tunnel within 2 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_with_the_last_that_holds_it_and_not_before() {
    let mut host = Host::start(4);
    let (ended, other_end) = mpsc::channel();
    let to = host.serve(INSIDE[0], move |mut stream| {
        let mut received = vec![];
        let outcome = stream.read_to_end(&mut received).map_err(|error| error.kind());
        ended.send((outcome, received)).unwrap();
    });
    let port = 20_000 + u16::try_from(host.number % 10_000).unwrap();
    host.ours.interface.listen_port = Some(port);
    let tunnel = host.open().await;
    let mut stream = connect(&tunnel, to).await;
    drop(tunnel);
    stream.write_all(b"last words").await.unwrap();
    assert!(std::net::UdpSocket::bind(("0.0.0.0", port)).is_err(), "the tunnel ended with a stream open");
    drop(stream);
    assert_eq!(other_end.recv().unwrap(), (Ok(10), b"last words".to_vec()));
    while std::net::UdpSocket::bind(("0.0.0.0", port)).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_server_is_reached_only_through_the_tunnel() {
    let host = Host::start(4);
    let mut sshd = Sshd::start_at(&["ip", "netns", "exec", &host.name], INSIDE[0], "");
    sshd.settings.timeout = Duration::from_secs(5);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("tunnel");
    let listener = UnixListener::bind(&socket).unwrap();
    let sharing = tokio::spawn(share::serve(listener, host.open().await, Duration::from_secs(1)));
    sshd.target.route = Route::Tunnel(Arc::new(Share::at(&socket, &host.ours)));
    let session = sshd.connect().await.unwrap();
    let other = sshd.connect().await.unwrap();
    let finished = machine::run(&session, &Command::new(["cat"]), &vec![b'x'; 4 << 20]).await.unwrap();
    assert_eq!((finished.status, finished.stdout.len()), (0, 4 << 20));
    // Each session holds the tunnel, however long it is silent.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(session);
    assert_eq!(machine::run(&other, &Command::new(["true"]), b"").await.unwrap().status, 0);
    drop(other);
    sharing.await.unwrap();
    sshd.target.route = Route::Direct;
    let error = sshd.error().await;
    assert_eq!(error, format!("cannot reach `10.0.1.2` on port {}", sshd.target.port));
}
