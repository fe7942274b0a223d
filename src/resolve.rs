//! Names → addresses → a connection, without the C library: a static binary has no name service of its own.
//!
//! Looked at in order: addresses as they are, `localhost`, `/etc/hosts`, the name servers of `/etc/resolv.conf`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::net::TcpStream;

/// How long one address has before the next one is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// Returns the addresses of `host`, those of the two families in turn, IPv6 first.
///
/// `host` is an address (in brackets or not, with a zone or not) or a name.
///
/// # Errors
///
/// `NotFound` when the name has no address, otherwise what the name servers said.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = literal(host, port)? {
        return Ok(vec![address]);
    }
    let hosts = std::fs::read("/etc/hosts").unwrap_or_default();
    let mut found = listed(&String::from_utf8_lossy(&hosts), host);
    if found.is_empty() {
        found = looked_up(host).await?;
    }
    Ok(in_turn(found).into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Connects to the first address of `host` that answers, without delay for small writes.
///
/// # Errors
///
/// `TimedOut` when none answered within `timeout`; otherwise one error that names what each address said.
pub async fn dial(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", timeout.as_secs()));
    let stream = tokio::time::timeout(timeout, race(host, port)).await.map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn race(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut waiting = addresses(host, port).await?.into_iter();
    let mut running = FuturesUnordered::new();
    let mut failed = vec![];
    loop {
        let next = waiting.next();
        let last = next.is_none();
        running.extend(next.map(|address| async move { (address, TcpStream::connect(address).await) }));
        if running.is_empty() {
            return Err(all_failed(failed));
        }
        let head_start =
            async { if last { std::future::pending().await } else { tokio::time::sleep(HEAD_START).await } };
        tokio::select! {
            Some((address, outcome)) = running.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => failed.push((address, error)),
            },
            () = head_start => {}
        }
    }
}

fn all_failed(mut failed: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let kind = failed.first().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
    if failed.len() == 1 {
        return failed.remove(0).1;
    }
    let each: Vec<String> = failed.iter().map(|(address, error)| format!("{}: {error}", address.ip())).collect();
    io::Error::new(kind, each.join(", "))
}

/// Returns the address that `host` is, if it is one.
fn literal(host: &str, port: u16) -> io::Result<Option<SocketAddr>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Some(SocketAddr::new(address, port)));
    }
    let Some((Ok(address), zone)) = bare.split_once('%').map(|(it, zone)| (it.parse::<Ipv6Addr>(), zone)) else {
        return Ok(None);
    };
    let scope = zone.parse().or_else(|_| interface(zone))?;
    Ok(Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope))))
}

/// Returns the number of the network interface called `name`.
fn interface(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET6, rustix::net::SocketType::DGRAM, None)?;
    Ok(rustix::net::netdevice::name_to_index(socket, name)?)
}

/// Returns the addresses that the text of a hosts file gives `name`. `localhost` is this computer, whatever it says.
pub fn listed(hosts: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    if name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost") {
        return vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
    }
    let lines = hosts.lines().filter_map(|line| line.split('#').next());
    lines
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}

async fn looked_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let missing = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::NotFound, format!("no address for `{name}`: {error}"))
    };
    let resolver = TokioResolver::builder_tokio().and_then(ResolverBuilder::build).map_err(|it| missing(&it))?;
    let found = resolver.lookup_ip(name).await.map_err(|error| missing(&error))?;
    Ok(found.iter().collect())
}

fn in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let longest = six.len().max(four.len());
    let pairs = (0..longest).flat_map(|at| [six.get(at), four.get(at)]);
    pairs.flatten().copied().collect()
}
