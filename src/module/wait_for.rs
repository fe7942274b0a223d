//! `wait_for`: something that is waited for: a port, a file, a text in either.

use std::io::Read as _;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::pattern::Pattern;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("host", Kind::Text),
    Parameter::new("port", Kind::Integer),
    Parameter::new("path", Kind::Text),
    Parameter::new("search_regex", Kind::Text),
    Parameter::new("state", Kind::Choice(&["absent", "drained", "present", "started", "stopped"])),
    Parameter::new("timeout", Kind::Integer),
    Parameter::new("connect_timeout", Kind::Integer),
    Parameter::new("delay", Kind::Integer),
    Parameter::new("sleep", Kind::Integer),
    Parameter::new("active_connection_states", Kind::List),
    Parameter::new("exclude_hosts", Kind::List),
    Parameter::new("msg", Kind::Text),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where the port is.
    #[serde(default = "here")]
    pub host: String,
    /// The port.
    pub port: Option<u16>,
    /// The file.
    pub path: Option<String>,
    /// What the file holds, or the server says.
    pub search_regex: Option<String>,
    /// What is waited for.
    #[serde(default)]
    pub state: State,
    /// Seconds for all.
    #[serde(default = "five_minutes")]
    pub timeout: u64,
    /// Seconds for one connection.
    #[serde(default = "five")]
    pub connect_timeout: u64,
    /// Seconds before the first look.
    #[serde(default)]
    pub delay: u64,
    /// Seconds between two looks.
    #[serde(default = "one")]
    pub sleep: u64,
    /// The states of connections that count.
    #[serde(default = "active")]
    pub active_connection_states: Vec<String>,
    /// Addresses whose connections do not count.
    pub exclude_hosts: Option<Vec<String>>,
    /// What is said if the time is over.
    pub msg: Option<String>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not there any more.
    Absent,
    /// No connection is left.
    Drained,
    /// It is there.
    Present,
    /// It is there.
    #[default]
    Started,
    /// It is not there any more.
    Stopped,
}

fn here() -> String {
    "127.0.0.1".to_owned()
}

fn five_minutes() -> u64 {
    300
}

fn five() -> u64 {
    5
}

fn one() -> u64 {
    1
}

/// States of connections: name, and number in the kernel's table.
const STATES: &[(&str, &str)] = &[
    ("ESTABLISHED", "01"),
    ("SYN_SENT", "02"),
    ("SYN_RECV", "03"),
    ("FIN_WAIT1", "04"),
    ("FIN_WAIT2", "05"),
    ("TIME_WAIT", "06"),
];

fn active() -> Vec<String> {
    STATES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let together = |first: &str, second: &str| Error::Together {
        module: "wait_for".to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    };
    let arguments: Arguments = typed("wait_for", arguments)?;
    if let Some(pattern) = &arguments.search_regex
        && let Err(failed) = lines(pattern)
    {
        return Err(Error::Value {
            module: "wait_for".to_owned(),
            name: "search_regex".to_owned(),
            value: pattern.clone(),
            wanted: format!("a regular expression ({})", failed.message),
        });
    }
    let unknown = arguments.active_connection_states.iter().find(|it| STATES.iter().all(|(name, _)| name != it));
    if let Some(unknown) = unknown {
        return Err(Error::Value {
            module: "wait_for".to_owned(),
            name: "active_connection_states".to_owned(),
            value: unknown.clone(),
            wanted: STATES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        });
    }
    match (&arguments.path, arguments.state) {
        (Some(_), _) if arguments.port.is_some() => Err(together("port", "path")),
        (Some(_), State::Stopped) => Err(together("path", "state: stopped")),
        (Some(_), State::Drained) => Err(together("path", "state: drained")),
        (_, State::Drained) if arguments.port.is_none() => {
            Err(Error::Missing { module: "wait_for".to_owned(), name: "port (for `state: drained`)".to_owned() })
        }
        (_, state) if arguments.exclude_hosts.is_some() && state != State::Drained => Err(Error::Missing {
            module: "wait_for".to_owned(),
            name: "state: drained (for `exclude_hosts`)".to_owned(),
        }),
        _ => Ok(arguments),
    }
}

/// An expression whose `^` and `$` mean every line.
fn lines(pattern: &str) -> Result<Pattern, Failed> {
    Pattern::new(&format!("(?m){pattern}"))
}

/// What was found, if it was a text.
#[derive(Default)]
struct Found {
    groups: Vec<Value>,
    names: Map<String, Value>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if mode == Mode::Check {
        let why = "remote module (wait_for) does not support check mode";
        let values = Map::from_iter([("msg".to_owned(), json!(why))]);
        return Ok(Outcome { skipped: true, values, ..Outcome::default() });
    }
    let began = Instant::now();
    let seconds = Duration::from_secs;
    sleep(seconds(arguments.delay));
    let path = arguments.path.as_deref().map(|path| host.system.path(path));
    let pattern = arguments.search_regex.as_deref().map(lines).transpose()?;
    let watch = Watch { arguments, path: path.as_deref(), pattern, host, end: began + seconds(arguments.timeout) };
    let found = if arguments.port.is_none() && path.is_none() {
        sleep(seconds(arguments.timeout));
        Some(Found::default())
    } else {
        watch.until()?
    };
    let elapsed = began.elapsed().as_secs();
    let Some(Found { groups, names }) = found else {
        let why = arguments.msg.clone().unwrap_or_else(|| watch.missed());
        return Err(Failed::new(why).with("elapsed", elapsed));
    };
    let mut outcome = Outcome::default();
    let values = [
        ("state", json!(arguments.state)),
        ("port", json!(arguments.port)),
        ("search_regex", json!(arguments.search_regex)),
        ("match_groups", json!(groups)),
        ("match_groupdict", json!(names)),
        ("path", json!(path)),
        ("elapsed", json!(elapsed)),
    ];
    outcome.values.extend(values.map(|(name, value)| (name.to_owned(), value)));
    if let Some(path) = &path {
        crate::module::plan::about(path, host.system, &mut outcome.values);
    }
    Ok(outcome)
}

/// What is looked at again and again.
struct Watch<'w> {
    arguments: &'w Arguments,
    path: Option<&'w str>,
    pattern: Option<Pattern>,
    host: &'w Context<'w>,
    end: Instant,
}

impl Watch<'_> {
    fn until(&self) -> Result<Option<Found>, Failed> {
        while Instant::now() < self.end {
            let found = match self.arguments.state {
                State::Absent | State::Stopped => self.gone().then(Found::default),
                State::Drained => (self.connections()? == 0).then(Found::default),
                State::Present | State::Started => self.there()?,
            };
            if found.is_some() {
                return Ok(found);
            }
            sleep(Duration::from_secs(self.arguments.sleep));
        }
        Ok(None)
    }

    fn missed(&self) -> String {
        let Arguments { host, port, search_regex, state, .. } = self.arguments;
        let port = port.unwrap_or_default();
        match (self.path, search_regex, state) {
            (Some(path), _, State::Absent) => format!("Timeout when waiting for {path} to be absent."),
            (Some(path), Some(text), _) => format!("Timeout when waiting for search string {text} in {path}"),
            (Some(path), None, _) => format!("Timeout when waiting for file {path}"),
            (None, _, State::Absent | State::Stopped) => format!("Timeout when waiting for {host}:{port} to stop."),
            (None, _, State::Drained) => format!("Timeout when waiting for {host}:{port} to drain"),
            (None, Some(text), _) => format!("Timeout when waiting for search string {text} in {host}:{port}"),
            (None, None, _) => format!("Timeout when waiting for {host}:{port}"),
        }
    }

    fn gone(&self) -> bool {
        match self.path {
            Some(path) => !self.host.system.real(path).exists(),
            None => self.connected().is_none(),
        }
    }

    fn connected(&self) -> Option<TcpStream> {
        let left = self.end.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let limit = Duration::from_secs(self.arguments.connect_timeout).min(left);
        let target = (self.arguments.host.as_str(), self.arguments.port.unwrap_or_default());
        let mut addresses = target.to_socket_addrs().ok()?;
        addresses.find_map(|address: SocketAddr| TcpStream::connect_timeout(&address, limit).ok())
    }

    fn there(&self) -> Result<Option<Found>, Failed> {
        if let Some(path) = self.path {
            if !self.host.system.real(path).exists() {
                return Ok(None);
            }
            // A file that cannot be read may become one that can.
            return match (&self.pattern, text::read(path, self.host.system)) {
                (None, _) => Ok(Some(Found::default())),
                (Some(pattern), Ok(Some(bytes))) => matched(pattern, &bytes),
                _ => Ok(None),
            };
        }
        let Some(stream) = self.connected() else { return Ok(None) };
        let Some(pattern) = &self.pattern else {
            let _ = stream.shutdown(Shutdown::Both);
            return Ok(Some(Found::default()));
        };
        self.said(stream, pattern)
    }

    /// Listens to what the server says until it says the text.
    fn said(&self, mut stream: TcpStream, pattern: &Pattern) -> Result<Option<Found>, Failed> {
        let (mut all, mut piece) = (vec![], [0; 1024]);
        while let Some(left) = self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            let _ = stream.set_read_timeout(Some(left));
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return Ok(None),
                Ok(read) => all.extend(&piece[..read]),
            }
            if matched(pattern, &all)?.is_some() {
                return Ok(Some(Found::default()));
            }
            if all.len() > 16 << 20 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// How many connections to the port there are, as the kernel tells them.
    fn connections(&self) -> Result<usize, Failed> {
        let resolved = |name: &str| {
            let found = (name, 0).to_socket_addrs().into_iter().flatten();
            found.map(|address| address.ip()).collect::<Vec<_>>()
        };
        let hosts = resolved(&self.arguments.host);
        let others = self.arguments.exclude_hosts.iter().flatten().flat_map(|name| resolved(name)).collect::<Vec<_>>();
        let wanted = |number: &str| {
            let known = STATES.iter().find(|(_, known)| *known == number);
            known.is_some_and(|(name, _)| self.arguments.active_connection_states.iter().any(|it| it == name))
        };
        let mut count = 0;
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let bytes = text::read(table, self.host.system)?.unwrap_or_default();
            let table = String::from_utf8_lossy(&bytes).into_owned();
            let lines = table.lines().skip(1).filter_map(|line| {
                let mut words = line.split_whitespace().skip(1);
                Some((end(words.next()?)?, end(words.next()?)?, words.next()?.to_owned()))
            });
            count += lines
                .filter(|((local, port), (remote, _), state)| {
                    let any = hosts.iter().any(|host| host.is_unspecified() && host.is_ipv4() == local.is_ipv4());
                    Some(*port) == self.arguments.port
                        && wanted(state)
                        && !others.contains(remote)
                        && (any || hosts.contains(local))
                })
                .count();
        }
        Ok(count)
    }
}

/// Reads `0100007F:0016`: words of the machine's byte order.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = address
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes));
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some((address, port))
}

fn matched(pattern: &Pattern, bytes: &[u8]) -> Result<Option<Found>, Failed> {
    let Some(found) = pattern.find(bytes)? else { return Ok(None) };
    Ok(Some(Found { groups: found.groups(), names: found.names() }))
}
