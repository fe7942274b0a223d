//! A WireGuard peer within this process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::resolve;
use crate::wireguard::driver::{Driver, Shared, Silence};
use crate::wireguard::noise::Noise;
use crate::wireguard::stack::Stack;
use crate::wireguard::stream::Beginning;
use crate::wireguard::{Configuration, Endpoint, Error, Network, Peer, Stream};

/// Bytes of the largest packet unless a configuration says otherwise, as for `wg-quick` on Ethernet.
const MTU: u16 = 1420;
/// Addresses of a peer's name that are tried.
const MOST_ADDRESSES: usize = 4;

/// A tunnel to one peer, through which TCP connections are made. No rights are needed, and nothing of the system is
/// changed.
///
/// It ends when it and all of its streams are dropped.
pub struct Tunnel {
    lease: Arc<Lease>,
    allowed: Vec<Network>,
    peer: SocketAddr,
}

impl Tunnel {
    /// Opens a tunnel to the one peer of `configuration`, and waits for its answer for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Peers`], [`Error::NoEndpoint`]: this is no configuration for a tunnel. [`Error::NoAnswer`],
    /// [`Error::OtherKeys`]: there is no session within `limit`. [`Error::Unresolved`], [`Error::Socket`]: nothing was
    /// sent.
    pub async fn open(configuration: &Configuration, limit: Duration) -> Result<Self, Error> {
        let [peer] = configuration.peers.as_slice() else { return Err(Error::Peers(configuration.peers.len())) };
        let endpoint = peer.endpoint.as_ref().ok_or(Error::NoEndpoint)?;
        let addresses = found(endpoint, limit).await?;
        let (share, mut failed) = (limit / u32::try_from(addresses.len()).unwrap_or(1).max(1), None);
        for address in addresses {
            match to(configuration, peer, address, share).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or(Error::NoEndpoint)).map_err(|error| error.after(limit))
    }

    /// Where the peer was when the tunnel was opened.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether packets for `address` go to the peer.
    pub fn leads_to(&self, address: std::net::IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(address))
    }

    /// Connects to a TCP port on the other side, and waits for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`], [`Error::NoAddress`], [`Error::TooMany`]: nothing was sent. [`Error::Refused`]: nobody
    /// listens. [`Error::Silent`]: no answer. [`Error::Ended`]: there is no tunnel any more.
    pub async fn connect(&self, address: SocketAddr, limit: Duration) -> Result<Stream, Error> {
        if !self.leads_to(address.ip()) {
            return Err(Error::NotAllowed { address });
        }
        let socket = {
            let mut stack = self.lease.0.stack();
            if let Some(reason) = stack.ended() {
                return Err(Error::Ended { reason: reason.to_owned() });
            }
            let own = stack.own(address.ip()).ok_or(Error::NoAddress { address })?;
            stack.begin(own, address)?
        };
        self.lease.0.refresh();
        let stream = Stream::new(self.lease.clone(), socket);
        match tokio::time::timeout(limit, stream.begun()).await {
            Ok(Beginning::Open) => Ok(stream),
            Ok(Beginning::Refused) => Err(Error::Refused { address }),
            Ok(Beginning::Ended(reason)) => Err(Error::Ended { reason }),
            Err(_) => Err(Error::Silent { address, limit }),
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({})", self.peer)
    }
}

pub(super) async fn found(endpoint: &Endpoint, limit: Duration) -> Result<Vec<SocketAddr>, Error> {
    let unresolved = |source| Error::Unresolved { host: endpoint.host.clone(), source };
    let late = |_| unresolved(io::ErrorKind::TimedOut.into());
    let looked_up = tokio::time::timeout(limit, resolve::addresses(&endpoint.host, endpoint.port)).await;
    let mut addresses = looked_up.map_err(late)?.map_err(unresolved)?;
    addresses.truncate(MOST_ADDRESSES);
    Ok(addresses)
}

async fn to(configuration: &Configuration, peer: &Peer, address: SocketAddr, limit: Duration) -> Result<Tunnel, Error> {
    let interface = &configuration.interface;
    let stack = Stack::new(&interface.addresses, interface.mtu.unwrap_or(MTU));
    let shared = Arc::new(Shared::new(stack));
    let port = interface.listen_port.unwrap_or(0);
    let driver = Driver::new(Noise::new(interface, peer), address, port, shared.clone()).await;
    let mut driver = driver.map_err(|source| Error::Socket { port, source })?;
    driver.greet(limit).await.map_err(|silence| match silence {
        Silence::Mismatch => Error::OtherKeys { address },
        Silence::Nothing(source) => Error::NoAnswer { address, limit, source },
    })?;
    tokio::spawn(driver.run());
    Ok(Tunnel { lease: Arc::new(Lease(shared)), allowed: peer.allowed.clone(), peer: address })
}

/// What keeps the task of a tunnel alive: the tunnel and each of its streams have it in common.
pub(super) struct Lease(Arc<Shared>);

impl Lease {
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
