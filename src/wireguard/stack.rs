//! TCP within the tunnel: packets in, packets out, and a socket for each stream. It does no I/O.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpListenEndpoint};

use crate::wireguard::link::Link;
use crate::wireguard::{Error, Network};

/// Bytes that a peer may send ahead on one stream: 300 Mbit/s with a twentieth of a second of delay. Memory is taken
/// only where there are bytes.
const WINDOW: usize = 2 << 20;
/// Bytes that wait for being sent and for being acknowledged on one stream.
const UNSENT: usize = 1 << 20;
/// Streams at once, those that are ending included.
const MOST_STREAMS: usize = 1024;
/// Ports of this end (RFC 6335).
const FIRST_PORT: u16 = 49152;
/// How long the end of a stream that nobody holds any more may take.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// How long a stream that has ended is remembered, for the other end to hear of it.
const REST: Duration = Duration::from_secs(1);

/// All TCP connections of a tunnel.
pub(super) struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    link: Link,
    addresses: Vec<IpAddr>,
    began: Instant,
    next_port: u16,
    /// Streams that were dropped, and when.
    left: Vec<(SocketHandle, Instant)>,
    /// Why there is no tunnel any more.
    ended: Option<String>,
}

impl Stack {
    /// Makes a stack with the addresses of this end.
    pub(super) fn new(addresses: &[Network], mtu: u16) -> Self {
        let mut link = Link::new(mtu.into());
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = rand::random();
        let mut interface = Interface::new(config, &mut link, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|own| {
            for Network { address, length } in addresses.iter().filter(|own| of_one(own.address)) {
                // Room for eight; who has more is not refused, the others are not used.
                let _ = own.push(IpCidr::new((*address).into(), *length));
            }
        });
        let routes = interface.routes_mut();
        // Where a packet goes is the peer's business: any gateway will do.
        let _ = routes.add_default_ipv4_route(Ipv4Addr::LOCALHOST);
        let _ = routes.add_default_ipv6_route(Ipv6Addr::LOCALHOST);
        let addresses = interface.ip_addrs().iter().map(|own| own.address().into()).collect();
        let next_port = FIRST_PORT + rand::random::<u16>() % (u16::MAX - FIRST_PORT);
        let sockets = SocketSet::new(vec![]);
        Self { interface, sockets, link, addresses, began: Instant::now(), next_port, left: vec![], ended: None }
    }

    /// Returns the address of this end that speaks to `other`, if it has one of that kind.
    pub(super) fn own(&self, other: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|own| own.is_ipv4() == other.is_ipv4())
    }

    /// Begins a connection.
    pub(super) fn begin(&mut self, from: IpAddr, to: SocketAddr) -> Result<SocketHandle, Error> {
        if self.sockets.iter().count() >= MOST_STREAMS {
            return Err(Error::TooMany { most: MOST_STREAMS });
        }
        let mut socket = Socket::new(SocketBuffer::new(vec![0; WINDOW]), SocketBuffer::new(vec![0; UNSENT]));
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(CongestionControl::Cubic);
        let here = IpListenEndpoint { addr: Some(from.into()), port: self.port() };
        let begun = socket.connect(self.interface.context(), IpEndpoint::from(to), here);
        // Nobody can listen on port 0, or on no address.
        begun.map_err(|_| Error::Refused { address: to })?;
        Ok(self.sockets.add(socket))
    }

    /// Returns a port of this end that no stream uses.
    fn port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if self.tcp().all(|(_, socket)| socket.local_endpoint().is_none_or(|local| local.port != port)) {
                return port;
            }
        }
    }

    fn tcp(&mut self) -> impl Iterator<Item = (SocketHandle, &mut Socket<'static>)> {
        self.sockets.iter_mut().map(|(handle, socket)| match socket {
            smoltcp::socket::Socket::Tcp(socket) => (handle, socket),
        })
    }

    /// Returns the socket of a stream.
    pub(super) fn socket(&mut self, stream: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(stream)
    }

    /// Gives a stream up: what was written is still sent, what was not read is lost, and the other end hears of it.
    pub(super) fn leave(&mut self, stream: SocketHandle) {
        self.left.push((stream, Instant::now()));
        let socket = self.socket(stream);
        if socket.recv_queue() > 0 {
            socket.abort();
        } else {
            socket.close();
        }
    }

    /// Whether streams that were given up have still something to send.
    pub(super) fn has_last_words(&mut self) -> bool {
        let left: Vec<SocketHandle> = self.left.iter().map(|(stream, _)| *stream).collect();
        left.into_iter().any(|stream| !ended(self.socket(stream)))
    }

    /// Ends every stream. They say `reason` from now on.
    pub(super) fn end(&mut self, reason: String) {
        self.ended.get_or_insert(reason);
        // Whoever waits is woken by this.
        self.tcp().for_each(|(_, socket)| socket.abort());
    }

    /// Why there is no tunnel any more.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Takes in a packet from within the tunnel.
    pub(super) fn deliver(&mut self, packet: Vec<u8>) {
        self.link.received.push_back(packet);
    }

    /// Handles what was delivered and what is due, and returns packets to be sent: a bounded number.
    pub(super) fn turn(&mut self) -> VecDeque<Vec<u8>> {
        let now = self.now();
        self.interface.poll(now, &mut self.link, &mut self.sockets);
        self.forget();
        std::mem::take(&mut self.link.unsent)
    }

    /// Returns how long nothing is due.
    pub(super) fn idle(&mut self) -> Option<Duration> {
        let now = self.now();
        self.interface.poll_delay(now, &self.sockets).map(Into::into)
    }

    fn now(&self) -> smoltcp::time::Instant {
        smoltcp::time::Instant::from_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Takes streams away that nobody holds and that have said all.
    fn forget(&mut self) {
        for (stream, since) in std::mem::take(&mut self.left) {
            let socket = self.sockets.get_mut::<Socket>(stream);
            let age = since.elapsed();
            // Nobody will read it: the other end is told, as a kernel does.
            if socket.recv_queue() > 0 || age > LAST_WORDS {
                socket.abort();
            }
            let silent = socket.remote_endpoint().is_none() || socket.state() == State::TimeWait && age > REST;
            if silent || age > LAST_WORDS + REST {
                self.sockets.remove(stream);
            } else {
                self.left.push((stream, since));
            }
        }
    }
}

/// Whether an address can be that of one computer.
fn of_one(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn ended(socket: &Socket) -> bool {
    socket.remote_endpoint().is_none() || socket.state() == State::TimeWait
}
