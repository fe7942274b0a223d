//! A WireGuard peer within the kernel: an interface of this computer, as `wg-quick` makes it.
//!
//! Every program of this computer goes through it, and it stays until the system ends or somebody removes it
//! (`ip link delete`). What is there already is brought to what the configuration says.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime};

use defguard_wireguard_rs::error::WireguardInterfaceError;
use defguard_wireguard_rs::host::Host;
use defguard_wireguard_rs::key::Key;
use defguard_wireguard_rs::net::IpAddrMask;
use defguard_wireguard_rs::{InterfaceConfiguration, Kernel, WGApi, WireguardInterfaceApi as _, peer};
use rustix::thread::{CapabilitySet, capabilities};

use crate::wireguard::{Configuration, Error, Freshness, Interface, Network, Peer, tunnel};

/// A session that is younger does not ask for a new one before it sends (`REKEY_AFTER_TIME` of the WireGuard paper).
const YOUNG: Duration = Duration::from_mins(2);
/// How long is waited between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Whatever arrives at this UDP port is thrown away (RFC 863).
const DISCARD: u16 = 9;

/// Brings the interface `name` to what `configuration` says, and waits for the answer of its peer for at most `limit`.
/// Returns whether there is an interface to go through: there is none if we may not make it or the kernel has no
/// WireGuard. One that we may not change, or that is none of the kernel's WireGuard, stays as it is.
///
/// # Errors
///
/// [`Error::Peers`], [`Error::NoEndpoint`], [`Error::Unresolved`]: nothing was changed. [`Error::Interface`]: the system
/// refuses a part of it. [`Error::NoAnswer`]: the interface is as it should be, its peer does not answer.
pub async fn open(
    name: &str,
    configuration: &Configuration,
    freshness: Freshness,
    limit: Duration,
) -> Result<bool, Error> {
    let there = Path::new("/sys/class/net").join(name).exists();
    if !may_change_interfaces() {
        return Ok(there);
    }
    let [peer] = configuration.peers.as_slice() else { return Err(Error::Peers(configuration.peers.len())) };
    let failed = |source| Error::Interface { name: name.to_owned(), source };
    let addresses = tunnel::found(peer.endpoint.as_ref().ok_or(Error::NoEndpoint)?, limit).await?;
    let mut api = WGApi::<Kernel>::new(name).map_err(failed)?;
    if !there && api.create_interface().is_err() {
        return Ok(false);
    }
    let Ok(known) = api.read_interface_data() else { return Ok(there) };
    let wanted: Vec<_> = addresses.iter().map(|address| to(name, configuration, peer, *address)).collect();
    let is_right = |wanted: &&InterfaceConfiguration| freshness == Freshness::Any && is_as(&known, wanted);
    if let Some(right) = wanted.iter().find(is_right)
        && answers(&api, right, peer, limit).await.map_err(failed)?
    {
        return Ok(true);
    }
    let share = limit / u32::try_from(wanted.len()).unwrap_or(1).max(1);
    for one in &wanted {
        api.configure_interface(one).map_err(failed)?;
        api.configure_peer_routing(&one.peers).map_err(failed)?;
        if answers(&api, one, peer, share).await.map_err(failed)? {
            return Ok(true);
        }
    }
    Err(addresses.first().map_or(Error::NoEndpoint, |address| Error::NoAnswer {
        address: *address,
        limit,
        source: None,
    }))
}

fn may_change_interfaces() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
}

fn to(name: &str, configuration: &Configuration, other: &Peer, address: SocketAddr) -> InterfaceConfiguration {
    let Interface { private_key, addresses, listen_port, mtu } = &configuration.interface;
    let mut peer = peer::Peer::new(Key::new(other.public_key.bytes()));
    peer.preshared_key = other.preshared_key.as_ref().map(|key| Key::new(key.bytes()));
    peer.endpoint = Some(address);
    peer.persistent_keepalive_interval = other.keepalive;
    peer.allowed_ips = other.allowed.iter().map(|network| mask(&network.masked())).collect();
    InterfaceConfiguration {
        name: name.to_owned(),
        prvkey: private_key.reveal().to_owned(),
        addresses: addresses.iter().map(mask).collect(),
        // None is any other than the one before: what the firewall of the other end has let in on that proves nothing.
        port: listen_port.unwrap_or(0),
        peers: vec![peer],
        mtu: mtu.map(u32::from),
        fwmark: None,
    }
}

fn mask(network: &Network) -> IpAddrMask {
    IpAddrMask::new(network.address, network.length)
}

/// Whether the interface speaks to the peer of `wanted` by the same keys, at the same place, about the same addresses.
fn is_as(known: &Host, wanted: &InterfaceConfiguration) -> bool {
    let allowed = |peer: &peer::Peer| -> BTreeSet<(IpAddr, u8)> {
        peer.allowed_ips.iter().map(|network| (network.address, network.cidr)).collect()
    };
    let key = known.private_key.as_ref().map(ToString::to_string);
    let same = |wanted: &peer::Peer| {
        known.peers.get(&wanted.public_key).is_some_and(|known| {
            known.preshared_key.clone().unwrap_or_default() == wanted.preshared_key.clone().unwrap_or_default()
                && known.endpoint == wanted.endpoint
                && allowed(known) == allowed(wanted)
        })
    };
    let port = wanted.port == 0 || wanted.port == known.listen_port;
    port && key.as_ref() == Some(&wanted.prvkey)
        && known.peers.len() == wanted.peers.len()
        && wanted.peers.iter().all(same)
}

/// Waits until the peer has answered: there is a session that is young enough to be used.
async fn answers(
    api: &WGApi<Kernel>,
    wanted: &InterfaceConfiguration,
    peer: &Peer,
    limit: Duration,
) -> Result<bool, WireguardInterfaceError> {
    let is_young = |host: Host| {
        let last = wanted.peers.first().and_then(|peer| host.peers.get(&peer.public_key)?.last_handshake);
        last.is_some_and(|last| SystemTime::now().duration_since(last).is_ok_and(|age| age < YOUNG))
    };
    let waiting = async {
        loop {
            if is_young(api.read_interface_data()?) {
                return Ok(());
            }
            greet(peer);
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(limit, waiting).await {
        Ok(ended) => ended.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Sends something to the peer, for which the kernel has to have a session. That it may not arrive is why we ask.
fn greet(peer: &Peer) {
    for network in &peer.allowed {
        let any: SocketAddr = if network.address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        let sent = UdpSocket::bind(any).and_then(|socket| socket.send_to(&[0], (network.address, DISCARD)));
        if sent.is_ok() {
            return;
        }
    }
}
