//! The whole name of a machine, as Python's `socket.getfqdn` finds it: the machine's address by the sources that
//! `/etc/nsswitch.conf` names, then the name of that address.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::runtime::Builder;

use crate::module::System;

/// How long a name server may take: facts do not wait for one that is not there.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where names are looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `/etc/hosts`
    Hosts,
    /// Name servers.
    Servers,
    /// What knows that a name is the machine's own.
    Itself,
}

/// Finds the whole name of the machine that calls itself `node`; that name again if there is none.
pub(crate) fn whole(node: &str, system: &System) -> String {
    let read = |path: &str| fs::read_to_string(system.real(path)).ok();
    let hosts = read("/etc/hosts").unwrap_or_default();
    let mut places = places(&read("/etc/nsswitch.conf").unwrap_or_default());
    if read("/etc/resolv.conf").is_none_or(|text| !text.contains("nameserver")) {
        places.retain(|place| *place != Place::Servers);
    }
    let address = places.iter().find_map(|place| match place {
        Place::Hosts => {
            lines(&hosts).find(|(_, names)| names.contains(&node)).and_then(|(address, _)| address.parse().ok())
        }
        Place::Servers => asked(node, Question::Address).and_then(|answer| answer.parse().ok()),
        Place::Itself => own_address(),
    });
    let names = address.and_then(|address: IpAddr| names_of(address, &hosts, &places)).unwrap_or_default();
    let dotted = names.iter().find(|name| name.contains('.')).or(names.first());
    dotted.cloned().unwrap_or_else(|| node.to_owned())
}

/// The sources of names, in order.
fn places(text: &str) -> Vec<Place> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("hosts:")).unwrap_or("files dns");
    let place = |word: &str| match word {
        "files" => Some(Place::Hosts),
        "dns" => Some(Place::Servers),
        "myhostname" => Some(Place::Itself),
        _ => None,
    };
    line.split_whitespace().filter_map(place).collect()
}

/// Address and names of each line.
fn lines(hosts: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    lines.filter_map(|mut words| Some((words.next()?, words.collect())))
}

fn names_of(address: IpAddr, hosts: &str, places: &[Place]) -> Option<Vec<String>> {
    places.iter().find_map(|place| match place {
        Place::Hosts => {
            let (_, names) = lines(hosts).find(|(known, _)| known.parse() == Ok(address))?;
            Some(names.into_iter().map(str::to_owned).collect())
        }
        Place::Servers => asked(&address.to_string(), Question::Name).map(|name| vec![name]),
        Place::Itself => None,
    })
}

/// The address that this machine has towards others; nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(8, 8, 8, 8), 53)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What is asked of name servers.
#[derive(Clone, Copy)]
enum Question {
    /// The address of a name.
    Address,
    /// The name of an address.
    Name,
}

/// Asks the name servers; who calls may be in a runtime of its own.
fn asked(text: &str, question: Question) -> Option<String> {
    let ask = || {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(async { tokio::time::timeout(2 * PATIENCE, answer(text, question)).await.ok()? })
    };
    thread::scope(|scope| scope.spawn(ask).join().ok()?)
}

async fn answer(text: &str, question: Question) -> Option<String> {
    let mut builder: ResolverBuilder<_> = TokioResolver::builder_tokio().ok()?;
    builder.options_mut().timeout = PATIENCE;
    builder.options_mut().attempts = 1;
    let resolver = builder.build().ok()?;
    match question {
        Question::Address => {
            let found = resolver.ipv4_lookup(text).await.ok()?;
            found.answers().iter().find_map(|record| match &record.data {
                RData::A(address) => Some(address.to_string()),
                _ => None,
            })
        }
        Question::Name => {
            let name = Name::from(text.parse::<IpAddr>().ok()?);
            let found = resolver.reverse_lookup(name).await.ok()?;
            found.answers().iter().find_map(|record| match &record.data {
                RData::PTR(name) => Some(name.to_string().trim_end_matches('.').to_owned()),
                _ => None,
            })
        }
    }
}
