//! The way to an SSH server: the network of this computer, or a tunnel.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::http::Stream;
use crate::resolve;
use crate::wireguard::share::Share;

/// How a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// By the network of this computer.
    #[default]
    Direct,
    /// Through a tunnel.
    Tunnel(Arc<Share>),
}

impl Route {
    /// Connects to a server on this way within `limit`.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or not within that time.
    pub async fn dial(&self, host: &str, port: u16, limit: Duration) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Direct => Ok(Box::new(resolve::dial(host, port, limit).await?)),
            Self::Tunnel(tunnel) => through(tunnel, host, port, limit).await,
        }
    }
}

/// Tries the addresses to which the tunnel leads, one after the other; all of them when it leads to none, for the reason.
async fn through(tunnel: &Share, host: &str, port: u16, limit: Duration) -> io::Result<Box<dyn Stream>> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut addresses = tokio::time::timeout(limit, resolve::addresses(host, port)).await.map_err(late)??;
    if addresses.iter().any(|address| tunnel.leads_to(address.ip())) {
        addresses.retain(|address| tunnel.leads_to(address.ip()));
    }
    let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, format!("no address for `{host}`")));
    for address in addresses {
        outcome = connected(tunnel, address, limit).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn connected(tunnel: &Share, address: SocketAddr, limit: Duration) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tunnel.connect(address, limit).await?))
}
