//! WireGuard: keys, configuration files, and a peer within this process.
//!
//! - [`PrivateKey`], [`PublicKey`] and [`PresharedKey`] are those of `wg`; private ones are never shown.
//! - [`parse`] reads what `wg-quick` reads, [`Configuration::render`] writes it; [`pair`] makes both ends of the tunnel
//!   between a control node and a host.
//! - A [`Tunnel`] is a whole WireGuard peer with a TCP stack of its own in this process. It needs no rights, no module of
//!   the kernel and no interface; nothing but this program sees what is behind it.
//! - [`kernel`] makes an interface of this computer, where there are rights and a kernel for it.
//! - [`share`] lets other programs of the same account through it.
//!
//! The peer is not trusted with more than its packets: from addresses that it may not use they are dropped, what is kept
//! for it is bounded, and it is only followed to another address when it has proven who it is.
//!
//! Sources: the WireGuard paper (Donenfeld, NDSS 2017) for the protocol, `wg(8)` and `wg-quick(8)` for files.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use defguard_wireguard_rs::error::WireguardInterfaceError;
use thiserror::Error;

mod address;
mod configuration;
mod driver;
mod invalid;
pub mod kernel;
mod key;
mod link;
mod noise;
pub mod pair;
mod parse;
pub mod share;
mod stack;
mod stream;
mod tunnel;

pub use address::{Endpoint, Network};
pub use configuration::{Configuration, Interface, Peer};
pub use invalid::Invalid;
pub use key::{PresharedKey, PrivateKey, PublicKey};
pub use parse::parse;
pub use stream::Stream;
pub use tunnel::Tunnel;

/// There is no tunnel, or no connection through it.
#[derive(Debug, Error)]
pub enum Error {
    /// A tunnel of this process has two ends.
    #[error("a tunnel leads to one peer, and the configuration has {0}")]
    Peers(usize),
    /// Nobody knows where the peer is.
    #[error("the configuration does not say where its peer is: there is no `Endpoint`")]
    NoEndpoint,
    /// The name of the peer's host has no address. Nothing was sent.
    #[error("cannot find the WireGuard peer's host `{host}`")]
    Unresolved {
        /// As in the configuration.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// There is no UDP socket. Nothing was sent.
    #[error("cannot open UDP port {port}")]
    Socket {
        /// As in the configuration; 0 is any.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The system refuses what an interface needs.
    #[error("cannot set up the WireGuard interface `{name}`")]
    Interface {
        /// Its name.
        name: String,
        /// Why.
        source: WireguardInterfaceError,
    },
    /// The peer is not there, or does not know our key: it answers nobody else. Nothing tells the two apart.
    #[error("no answer of the WireGuard peer at {address} within {} s", limit.as_secs())]
    NoAnswer {
        /// Where it should be.
        address: SocketAddr,
        /// How long we waited.
        limit: Duration,
        /// Why nothing could be sent, if so.
        source: Option<io::Error>,
    },
    /// The peer knows our key, and what it answers does not fit the preshared one.
    #[error("the WireGuard peer at {address} answers by other keys: the `PresharedKey` here is not the one there")]
    OtherKeys {
        /// Where it is.
        address: SocketAddr,
    },
    /// Packets for this address do not go to the peer. Nothing was sent.
    #[error("the tunnel does not lead to {}: it is not among the `AllowedIPs` of the peer", address.ip())]
    NotAllowed {
        /// Where to.
        address: SocketAddr,
    },
    /// This end has no address to speak from. Nothing was sent.
    #[error("this end of the tunnel has no {} address to reach {} from", family(address), address.ip())]
    NoAddress {
        /// Where to.
        address: SocketAddr,
    },
    /// Nobody listens there.
    #[error("{address} behind the tunnel refuses the connection")]
    Refused {
        /// Where to.
        address: SocketAddr,
    },
    /// No answer, of this address or of the peer.
    #[error("no answer of {address} behind the tunnel within {} s", limit.as_secs())]
    Silent {
        /// Where to.
        address: SocketAddr,
        /// How long we waited.
        limit: Duration,
    },
    /// Nothing was sent.
    #[error("{most} connections go through the tunnel already")]
    TooMany {
        /// As many as there may be.
        most: usize,
    },
    /// There is no tunnel any more.
    #[error("{reason}")]
    Ended {
        /// Why.
        reason: String,
    },
}

/// Whether a tunnel that is there will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It will.
    Any,
    /// It is to prove that one can be opened: what goes through an older one ends.
    New,
}

fn family(address: &SocketAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

impl Error {
    /// Says how long all of it took, where only a part of it is known.
    fn after(self, whole: Duration) -> Self {
        match self {
            Self::NoAnswer { address, source, .. } => Self::NoAnswer { address, limit: whole, source },
            other => other,
        }
    }

    /// What it is to those who only know of connections.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Refused { .. } => io::ErrorKind::ConnectionRefused,
            Self::NoAnswer { .. } | Self::Silent { .. } => io::ErrorKind::TimedOut,
            Self::Unresolved { .. } => io::ErrorKind::NotFound,
            Self::NotAllowed { .. } | Self::NoAddress { .. } => io::ErrorKind::HostUnreachable,
            Self::Ended { .. } => io::ErrorKind::BrokenPipe,
            _ => io::ErrorKind::Other,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}
