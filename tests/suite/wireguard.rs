//! WireGuard: keys, files, both ends of a tunnel, and a peer that sends what it likes.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use defguard_boringtun::noise::{Tunn, TunnResult};
use defguard_boringtun::x25519;
use proptest::prelude::*;
use ryo::wireguard::pair::{self, Ends, Keys};
use ryo::wireguard::share::{self, Share};
use ryo::wireguard::{
    Configuration, Endpoint, Error, Interface, Network, Peer, PresharedKey, PrivateKey, PublicKey, Tunnel, parse,
};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UdpSocket, UnixListener, UnixStream};

/// Made by `wg genkey`, and what `wg pubkey` makes of it.
const PRIVATE: &str = "4ATpGz27snJIIJAQPEa805VZPGs1Aux5t6eJYYnwLn0=";
const PUBLIC: &str = "eUH4Ev8AqZGvarx2G1Gtdqb0qJGeDdK8lwhZ2Pn1HF4=";

fn read(text: &str) -> Result<Configuration, String> {
    parse(Path::new("wg0.conf"), text).map_err(|problem| problem.to_string())
}

fn key(byte: u8) -> PrivateKey {
    // A key of one byte, over and over.
    base64_of([byte; 32]).parse().unwrap()
}

fn base64_of(bytes: [u8; 32]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(bytes)
}

#[test]
fn what_no_configuration_says_is_told_with_its_place() {
    #[derive(Deserialize)]
    struct Case {
        text: String,
        problem: String,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../proto-fixtures/wireguard/refused.json")).unwrap();
    for Case { text, problem } in cases {
        assert_eq!(read(&text.replace("KEY", PRIVATE)).unwrap_err(), problem, "{text:?}");
    }
}

#[test]
fn a_file_may_be_written_as_wg_allows() {
    let text = format!(
        "# made by hand\r\n[INTERFACE]\r\nprivatekey={PRIVATE} # ours\r\nAddress = 10.0.1.1/32\r\nAddress=fd10:10:0:1::1\r\n\
         ListenPort = 0\r\n[peer]\r\nPublicKey = {PRIVATE}\r\nAllowedIPs =\r\nPersistentKeepalive = off\r\n\
         [Peer]\r\nPublicKey = {PRIVATE}\r\nPresharedKey = {PRIVATE}\r\nEndpoint = [fe80::1%eth0]:1\r\n\
         AllowedIPs = 0.0.0.0/0,::/0\r\nAllowedIPs = 10.0.0.0/8\r\nPersistentKeepalive = 25\r\n"
    );
    let public: PublicKey = PRIVATE.parse().unwrap();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Network>>();
    let expected = Configuration {
        interface: Interface {
            private_key: PRIVATE.parse().unwrap(),
            addresses: networks(&["10.0.1.1/32", "fd10:10:0:1::1/128"]),
            listen_port: Some(0),
            mtu: None,
        },
        peers: vec![
            Peer { public_key: public, preshared_key: None, allowed: vec![], endpoint: None, keepalive: None },
            Peer {
                public_key: public,
                preshared_key: Some(PRIVATE.parse().unwrap()),
                allowed: networks(&["0.0.0.0/0", "::/0", "10.0.0.0/8"]),
                endpoint: Some(Endpoint { host: "fe80::1%eth0".to_owned(), port: 1 }),
                keepalive: Some(25),
            },
        ],
    };
    assert_eq!(read(&text).unwrap(), expected);
}

#[test]
fn a_file_is_not_read_without_end() {
    let text = "#".repeat((64 << 10) + 1);
    assert_eq!(
        read(&text).unwrap_err(),
        "wg0.conf: a WireGuard configuration has at most 65536 bytes, and this has 65537"
    );
}

fn ends() -> Ends {
    let addresses = |texts: [&str; 2]| texts.map(|text| text.parse().unwrap()).to_vec();
    Ends {
        control: addresses(["10.0.1.1", "fd10:10:0:1::1"]),
        host: addresses(["10.0.1.2", "fd10:10:0:1::2"]),
        behind_control: ["10.100.100.1/32", "fd10:10:100:100::1/128"].map(|text| text.parse().unwrap()).to_vec(),
        behind_host: ["10.10.1.0/24", "fd10:10:10:1::1:0/112"].map(|text| text.parse().unwrap()).to_vec(),
        endpoint: "192.0.2.7:52222".parse().unwrap(),
    }
}

#[test]
fn both_ends_of_a_tunnel_are_written_as_the_architecture_has_them() {
    let keys = Keys { control: key(8), host: key(16), shared: base64_of([3; 32]).parse().unwrap() };
    let host = pair::host(&ends(), &keys);
    let control = pair::control(&ends(), &keys.control, &keys.shared, keys.host.public());
    assert_eq!(
        host.render().reveal(),
        format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.0.1.2/32, fd10:10:0:1::2/128\nListenPort = 52222\n\n\
             [Peer]\nPublicKey = {}\nPresharedKey = {}\n\
             AllowedIPs = 10.0.1.1/32, fd10:10:0:1::1/128, 10.100.100.1/32, fd10:10:100:100::1/128\n",
            base64_of([16; 32]),
            keys.control.public(),
            base64_of([3; 32]),
        )
    );
    assert_eq!(
        control.render().reveal(),
        format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.0.1.1/32, fd10:10:0:1::1/128\n\n\
             [Peer]\nPublicKey = {}\nPresharedKey = {}\n\
             AllowedIPs = 10.0.1.2/32, fd10:10:0:1::2/128, 10.10.1.0/24, fd10:10:10:1::1:0/112\n\
             Endpoint = 192.0.2.7:52222\nPersistentKeepalive = 25\n",
            base64_of([8; 32]),
            keys.host.public(),
            base64_of([3; 32]),
        )
    );
    for end in [host, control] {
        assert_eq!(read(end.render().reveal()).unwrap(), end);
    }
}

#[test]
fn keys_are_made_anew_as_wg_makes_them_and_are_never_shown() {
    let (one, other) = (Keys::generate(), Keys::generate());
    assert!(one.control != other.control && one.host != one.control && one.shared != other.shared);
    for private in [&one.control, &one.host, &other.control, &other.host] {
        let bytes = x25519::StaticSecret::from(bytes_of(private.reveal()));
        assert_eq!((bytes.as_bytes()[0] & 7, bytes.as_bytes()[31] >> 6), (0, 1), "not clamped");
        assert_eq!(private.public().to_string(), base64_of(x25519::PublicKey::from(&bytes).to_bytes()));
    }
    let shown = format!("{one:?} {:?}", pair::host(&ends(), &one));
    for private in [one.control.reveal(), one.host.reveal(), one.shared.reveal()] {
        assert!(!shown.contains(private));
        assert_eq!(private.len(), 44);
    }
    assert_eq!(PRIVATE.parse::<PrivateKey>().unwrap().public().to_string(), PUBLIC);
}

fn bytes_of(text: &str) -> [u8; 32] {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.decode(text).unwrap().try_into().unwrap()
}

#[test]
fn a_network_knows_what_is_in_it() {
    let cases = [
        ("10.0.1.2/32", "10.0.1.2", true),
        ("10.0.1.2/32", "10.0.1.3", false),
        ("10.0.1.2/24", "10.0.1.255", true),
        ("10.0.1.2/24", "10.0.2.1", false),
        ("0.0.0.0/0", "255.255.255.255", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "fd10::1", true),
        ("::/0", "10.0.0.1", false),
        ("fd10:10:10:1::1:0/112", "fd10:10:10:1::1:ffff", true),
        ("fd10:10:10:1::1:0/112", "fd10:10:10:1::2:0", false),
        ("fd10::1", "fd10::1", true),
        ("fd10::1", "fd10::", false),
    ];
    for (network, address, inside) in cases {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
    }
}

#[test]
fn a_route_has_nothing_beyond_the_length_of_its_network() {
    let cases = [
        ("10.0.1.2/32", "10.0.1.2/32"),
        ("10.10.1.7/24", "10.10.1.0/24"),
        ("10.10.1.7/0", "0.0.0.0/0"),
        ("fd10:10:10:1::1:5/112", "fd10:10:10:1::1:0/112"),
        ("fd10::1/0", "::/0"),
        ("fd10::1", "fd10::1/128"),
    ];
    for (network, masked) in cases {
        assert_eq!(network.parse::<Network>().unwrap().masked().to_string(), masked);
    }
}

fn network() -> impl Strategy<Value = Network> {
    let v4 = (any::<[u8; 4]>(), 0_u8..=32).prop_map(|(address, length)| Network { address: address.into(), length });
    let v6 = (any::<[u8; 16]>(), 0_u8..=128).prop_map(|(address, length)| Network { address: address.into(), length });
    prop_oneof![v4, v6]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let v6 = any::<[u8; 16]>().prop_map(|address| IpAddr::from(address).to_string());
    let host = prop_oneof!["[a-z0-9.-]{1,30}", v6];
    (host, 1_u16..).prop_map(|(host, port)| Endpoint { host, port })
}

fn peer() -> impl Strategy<Value = Peer> {
    let keys = (any::<[u8; 32]>(), proptest::option::of(any::<[u8; 32]>()));
    let rest =
        (proptest::collection::vec(network(), 0..4), proptest::option::of(endpoint()), proptest::option::of(1_u16..));
    (keys, rest).prop_map(|((public, preshared), (allowed, endpoint, keepalive))| Peer {
        public_key: base64_of(public).parse().unwrap(),
        preshared_key: preshared.map(|bytes| base64_of(bytes).parse().unwrap()),
        allowed,
        endpoint,
        keepalive,
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let interface = (
        any::<[u8; 32]>(),
        proptest::collection::vec(network(), 0..4),
        proptest::option::of(any::<u16>()),
        proptest::option::of(1280_u16..=9000),
    );
    (interface, proptest::collection::vec(peer(), 0..4)).prop_map(|((private, addresses, listen_port, mtu), peers)| {
        let private_key = base64_of(private).parse().unwrap();
        Configuration { interface: Interface { private_key, addresses, listen_port, mtu }, peers }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(configuration in configuration()) {
        prop_assert_eq!(read(configuration.render().reveal()), Ok(configuration));
    }

    #[test]
    fn any_text_is_read_or_told_at_a_place_that_is_there(text in any_file()) {
        if let Err(problem) = parse(Path::new("wg0.conf"), &text) {
            let line = text.lines().nth(problem.place.line.saturating_sub(1)).unwrap_or_default();
            prop_assert!(problem.place.column <= line.chars().count() + 1, "{}", problem);
            prop_assert!(!problem.to_string().contains(PRIVATE.trim_end_matches('=')), "{}", problem);
        }
    }
}

/// Pieces of configurations in any order, and what nobody would write.
fn any_file() -> impl Strategy<Value = String> {
    let pieces = vec![
        "[Interface]",
        "[Peer]",
        "PrivateKey",
        "PublicKey",
        "Address",
        "AllowedIPs",
        "Endpoint",
        "MTU",
        "ListenPort",
        "PersistentKeepalive",
        "=",
        " = ",
        "\n",
        "\r\n",
        "#",
        ",",
        " ",
        "\t",
        ":",
        "/",
        "[",
        "]",
        PRIVATE,
        "10.0.0.1",
        "fd10::1",
        "1",
        "ä",
    ];
    let piece = prop_oneof![4 => proptest::sample::select(pieces).prop_map(str::to_owned), 1 => any::<String>()];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A peer on a loopback port, driven by hand.
struct Other {
    udp: UdpSocket,
    protocol: Tunn,
    from: Option<SocketAddr>,
}

const LIMIT: Duration = Duration::from_secs(1);

impl Other {
    /// Returns a peer and the configuration that leads to it.
    async fn new() -> (Self, Configuration) {
        let keys = Keys::generate();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let endpoint = udp.local_addr().unwrap().to_string().parse().unwrap();
        let ends = Ends { endpoint, ..ends() };
        let configuration = pair::control(&ends, &keys.control, &keys.shared, keys.host.public());
        let private = bytes_of(keys.host.reveal()).into();
        let public = bytes_of(&keys.control.public().to_string()).into();
        let protocol = Tunn::new(private, public, Some(bytes_of(keys.shared.reveal())), None, 7, None);
        (Self { udp, protocol, from: None }, configuration)
    }

    /// Answers one datagram; returns the packet that was in it.
    async fn turn(&mut self) -> Option<Vec<u8>> {
        let (mut datagram, mut scratch) = (vec![0; 1 << 16], vec![0; 1 << 17]);
        let (length, from) = self.udp.recv_from(&mut datagram).await.unwrap();
        self.from = Some(from);
        match self.protocol.decapsulate(Some(from.ip()), &datagram[..length], &mut scratch) {
            TunnResult::WriteToNetwork(reply) => {
                self.udp.send_to(reply, from).await.unwrap();
                None
            }
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => Some(packet.to_vec()),
            TunnResult::Done => None,
            TunnResult::Err(error) => panic!("{error:?}"),
        }
    }

    async fn send(&mut self, packet: &[u8]) {
        let mut scratch = vec![0; 1 << 17];
        match self.protocol.encapsulate(packet, &mut scratch) {
            TunnResult::WriteToNetwork(datagram) => {
                self.udp.send_to(datagram, self.from.unwrap()).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn opened() -> (Other, Tunnel) {
    let (mut other, configuration) = Other::new().await;
    let (tunnel, ()) = tokio::join!(Tunnel::open(&configuration, Duration::from_secs(20)), async {
        // The greeting, and what says that the answer came.
        other.turn().await;
        other.turn().await;
    });
    (other, tunnel.unwrap())
}

#[tokio::test]
async fn a_peer_is_known_by_its_keys() {
    let (mut other, configuration) = Other::new().await;
    let address = other.udp.local_addr().unwrap();
    let error = Tunnel::open(&configuration, LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no answer of the WireGuard peer at {address} within 1 s"));

    let mut wrong = configuration.clone();
    wrong.peers[0].preshared_key = Some(PresharedKey::generate());
    let answering = async {
        loop {
            other.turn().await;
        }
    };
    let error =
        tokio::select! { opened = Tunnel::open(&wrong, LIMIT) => opened.unwrap_err(), () = answering => return };
    assert_eq!(
        error.to_string(),
        format!("the WireGuard peer at {address} answers by other keys: the `PresharedKey` here is not the one there")
    );
}

#[tokio::test]
async fn a_tunnel_needs_one_peer_and_the_way_to_it() {
    let (_other, configuration) = Other::new().await;
    let peers = configuration.peers.clone();
    let with = |peers: Vec<Peer>| Configuration { peers, ..configuration.clone() };
    let error = |peers: Vec<Peer>| {
        let configuration = with(peers);
        async move { Tunnel::open(&configuration, LIMIT).await.unwrap_err().to_string() }
    };
    assert_eq!(error(vec![]).await, "a tunnel leads to one peer, and the configuration has 0");
    assert_eq!(
        error([peers.clone(), peers.clone()].concat()).await,
        "a tunnel leads to one peer, and the configuration has 2"
    );
    let nowhere = Peer { endpoint: None, ..peers[0].clone() };
    assert_eq!(error(vec![nowhere]).await, "the configuration does not say where its peer is: there is no `Endpoint`");
    let nobody = Peer { endpoint: Some("nobody.invalid:1".parse().unwrap()), ..peers[0].clone() };
    assert_eq!(error(vec![nobody]).await, "cannot find the WireGuard peer's host `nobody.invalid`");
    let mut taken = with(peers);
    let port = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let number = port.local_addr().unwrap().port();
    taken.interface.listen_port = Some(number);
    let error = Tunnel::open(&taken, LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open UDP port {number}"));
}

#[tokio::test]
async fn nothing_is_sent_where_the_tunnel_does_not_lead() {
    let (_other, tunnel) = opened().await;
    let said = async |to: &str| tunnel.connect(to.parse().unwrap(), LIMIT).await.unwrap_err().to_string();
    assert_eq!(
        said("192.0.2.1:22").await,
        "the tunnel does not lead to 192.0.2.1: it is not among the `AllowedIPs` of the peer"
    );
    assert_eq!(said("10.0.1.2:0").await, "10.0.1.2:0 behind the tunnel refuses the connection");
    assert_eq!(said("10.0.1.2:22").await, "no answer of 10.0.1.2:22 behind the tunnel within 1 s");
    assert_eq!(said("[fd10:10:0:1::2]:22").await, "no answer of [fd10:10:0:1::2]:22 behind the tunnel within 1 s");

    let (mut other, mut configuration) = Other::new().await;
    configuration.interface.addresses.truncate(1);
    let (tunnel, _) = tokio::join!(Tunnel::open(&configuration, Duration::from_secs(20)), other.turn());
    let error = tunnel.unwrap().connect("[fd10:10:0:1::2]:22".parse().unwrap(), LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), "this end of the tunnel has no IPv6 address to reach fd10:10:0:1::2 from");
}

#[tokio::test]
async fn programs_share_a_tunnel_until_none_uses_it_or_one_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let serve = async |name: &str, idle: u64| {
        let (other, tunnel) = opened().await;
        let socket = directory.path().join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let serving = tokio::spawn(share::serve(listener, tunnel, Duration::from_millis(idle)));
        let ends = Ends { endpoint: "192.0.2.1:1".parse().unwrap(), ..ends() };
        let keys = Keys::generate();
        let configuration = pair::control(&ends, &keys.control, &keys.shared, keys.host.public());
        (other, Share::at(&socket, &configuration), socket, serving)
    };
    let (_other, shared, socket, serving) = serve("one", 200).await;
    assert!(shared.leads_to("10.0.1.2".parse().unwrap()) && !shared.leads_to("192.0.2.1".parse().unwrap()));
    let error = async |to: &str, limit| shared.connect(to.parse().unwrap(), limit).await.unwrap_err();
    let silent = error("10.0.1.2:22", LIMIT).await;
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
    assert_eq!(silent.to_string(), "no answer of 10.0.1.2:22 behind the tunnel within 1 s");
    let elsewhere = error("192.0.2.1:22", LIMIT).await;
    assert_eq!(elsewhere.kind(), ErrorKind::HostUnreachable);
    let line = "the tunnel does not lead to 192.0.2.1: it is not among the `AllowedIPs` of the peer";
    assert_eq!(elsewhere.to_string(), line);
    for nonsense in [&b"connect nowhere 1\n"[..], b"\n", b"\xff\n", &[b'x'; 5000]] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let _ = stream.write_all(nonsense).await;
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"", "{nonsense:?}");
    }
    assert!(shared.is_alive().await);
    serving.await.unwrap();
    assert!(!shared.is_alive().await);

    let (_other, shared, _, serving) = serve("two", 3_600_000).await;
    shared.end().await;
    serving.await.unwrap();
}

/// A packet from `10.0.1.2` to `10.0.1.1` with any content, its head in order up to a point.
fn odd_packet() -> impl Strategy<Value = Vec<u8>> {
    let head = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 1, 2, 10, 0, 1, 1];
    let six = {
        let mut head = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        for last in [2, 1] {
            head.extend([0xfd, 0x10, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        head
    };
    (prop_oneof![Just(head), Just(six)], any::<u8>(), any::<u16>(), proptest::collection::vec(any::<u8>(), 0..1400))
        .prop_map(|(mut head, protocol, length, content)| {
            let at = if head[0] == 0x45 { (2, 9) } else { (4, 6) };
            head[at.1] = [protocol, 6, 1, 17, 58, 0, 43, 44][usize::from(protocol % 8)];
            if length % 4 == 0 {
                head[at.0..at.0 + 2].copy_from_slice(&length.to_be_bytes());
            } else {
                let whole = u16::try_from(content.len() + if head[0] == 0x45 { 20 } else { 0 }).unwrap();
                head[at.0..at.0 + 2].copy_from_slice(&whole.to_be_bytes());
            }
            if head[0] == 0x45 && length % 3 > 0 {
                let sum = head.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
                let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0);
                head[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            head.extend(content);
            head
        })
}

#[tokio::test]
async fn no_packet_of_a_peer_ends_the_tunnel() {
    use proptest::strategy::ValueTree as _;
    let (mut other, tunnel) = opened().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let waiting = tunnel.connect("10.0.1.2:22".parse().unwrap(), Duration::from_secs(3));
    let attack = async {
        for _ in 0..3000 {
            let packet = odd_packet().new_tree(&mut runner).unwrap().current();
            other.send(&packet).await;
            other.udp.send_to(&packet, other.from.unwrap()).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (waited, ()) = tokio::join!(waiting, attack);
    assert!(matches!(waited.unwrap_err(), Error::Silent { .. }));
    let error = tunnel.connect("10.0.1.2:22".parse().unwrap(), LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer of 10.0.1.2:22 behind the tunnel within 1 s");
}

#[tokio::test]
async fn a_stranger_is_neither_followed_nor_heard() {
    let (mut other, tunnel) = opened().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut datagram = [0; 200];
    datagram[0] = 4;
    for length in [0, 1, 31, 32, 92, 148, 200] {
        stranger.send_to(&datagram[..length], other.from.unwrap()).await.unwrap();
    }
    // From an address that is not the peer's: dropped, so that nothing of it is ever answered.
    other.send(&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0x6f, 0xdd, 192, 0, 2, 1, 10, 0, 1, 1]).await;
    let (refused, packet) = tokio::join!(tunnel.connect("10.0.1.2:22".parse().unwrap(), LIMIT), async {
        loop {
            if let Some(packet) = other.turn().await {
                return packet;
            }
        }
    });
    assert!(matches!(refused.unwrap_err(), Error::Silent { .. }));
    // What comes first is what we asked for: a SYN to port 22.
    assert_eq!((&packet[12..20], packet[9], &packet[22..24]), (&[10, 0, 1, 1, 10, 0, 1, 2][..], 6, &[0, 22][..]));
    assert_eq!(packet[33], 2);
}
