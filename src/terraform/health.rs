//! What an instance has to answer before it counts as healthy: the value of its configuration key `user.ryo.health`.
//!
//! Addresses as seen from the host, separated by spaces: `tcp://:25`, `http://:8000/health`. Without a host it is the
//! instance itself; a host names another one, e.g. a proxy that leads there. The key is the instance's own, so that it
//! is checked wherever an instance is started: when it is replaced, changed, restored or rolled back.

use std::fmt;

/// The key.
pub const KEY: &str = "user.ryo.health";

/// One thing that has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// How it is asked.
    pub way: Way,
    /// Name or address, if it is not the instance itself.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
}

/// How something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A connection is opened.
    Tcp,
    /// A page is fetched: it has to have a status from 200 to 399.
    Http {
        /// Path with a leading slash.
        path: String,
    },
}

impl Check {
    /// The address as a URL, with `own` for the instance itself.
    pub fn url(&self, own: &str) -> String {
        let host = self.host.as_deref().unwrap_or(own);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match &self.way {
            Way::Tcp => format!("tcp://{host}:{}", self.port),
            Way::Http { path } => format!("http://{host}:{}{path}", self.port),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url(""))
    }
}

/// Reads the value of the key.
///
/// # Errors
///
/// The first address that is none, as it stands there.
pub fn parse(value: &str) -> Result<Vec<Check>, String> {
    value.split_whitespace().map(|text| check(text).ok_or_else(|| text.to_owned())).collect()
}

fn check(text: &str) -> Option<Check> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |inner| inner.strip_suffix(']'))?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let printable = |c: char| c.is_ascii_graphic();
    if !host.chars().all(letters) || !path.chars().all(printable) {
        return None;
    }
    let way = match (scheme, path) {
        ("tcp", "") => Way::Tcp,
        ("http", "") => Way::Http { path: "/".to_owned() },
        ("http", path) => Way::Http { path: path.to_owned() },
        _ => return None,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Check { way, host: (!host.is_empty()).then(|| host.to_owned()), port })
}
