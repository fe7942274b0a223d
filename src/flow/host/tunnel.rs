//! The control node's end of the tunnel, written down in `ryo-host/configuration/<h>_wg_local.conf`.
//!
//! Its key is made here once. It is written down as soon as the host has told its own: until then the host can be
//! reached without the tunnel, so a key that was lost on the way is made anew, and the host is told again.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::place::Problem;
use crate::project;
use crate::project::host::Host;
use crate::wireguard::{Configuration, PresharedKey, PrivateKey, PublicKey, pair, parse};

/// The end of the tunnel here cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not what it should be.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The file has no peer with a preshared key.
    #[error("`{}` names no other end with a preshared key", .0.display())]
    Alone(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot read or write `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An address in the configuration is none.
    #[error("`{0}` is no address")]
    Address(String),
    /// The host has told no key.
    #[error("the host has told no public key")]
    NoKey,
}

/// What the control node knows of the two ends.
#[derive(Clone, Debug)]
pub struct Ends {
    file: PathBuf,
    places: pair::Ends,
    private_key: PrivateKey,
    preshared_key: PresharedKey,
    /// The host's, once it has told it.
    host: Option<PublicKey>,
}

/// Returns where the control node's end is written down.
pub fn file(working_directory: &Path, host: &str) -> PathBuf {
    working_directory.join("ryo-host/configuration").join(format!("{host}_wg_local.conf"))
}

/// Returns where the playbook leaves the key of the host.
pub(super) fn told(directory: &Path, host: &str) -> PathBuf {
    directory.join(format!("{host}_wg.pub"))
}

/// Reads the control node's end, or makes it.
///
/// # Errors
///
/// The file is there and cannot be used.
pub fn ends(working_directory: &Path, host: &Host) -> Result<Ends, Error> {
    let file = file(working_directory, &host.name);
    let places = between(host)?;
    let Some(Configuration { interface, peers }) = read(&file)? else {
        let (private_key, preshared_key) = (PrivateKey::generate(), PresharedKey::generate());
        return Ok(Ends { file, places, private_key, preshared_key, host: None });
    };
    let peer = peers.into_iter().next().ok_or_else(|| Error::Alone(file.clone()))?;
    let preshared_key = peer.preshared_key.ok_or_else(|| Error::Alone(file.clone()))?;
    Ok(Ends { file, places, private_key: interface.private_key, preshared_key, host: Some(peer.public_key) })
}

/// Reads the control node's end as it is written down; there is none before the host is set up.
///
/// # Errors
///
/// The file is there and cannot be used.
pub fn written(working_directory: &Path, host: &str) -> Result<Option<Configuration>, Error> {
    read(&file(working_directory, host))
}

fn read(file: &Path) -> Result<Option<Configuration>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let known = parse(file, &text).map_err(|problem| Error::Problem(Box::new(problem)))?;
            if known.peers.is_empty() { Err(Error::Alone(file.to_owned())) } else { Ok(Some(known)) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path: file.to_owned(), source }),
    }
}

/// Who is where, by the configuration of the host.
fn between(host: &Host) -> Result<pair::Ends, Error> {
    let bridge = host.bridge_ipv6();
    Ok(pair::Ends {
        control: vec![
            address(&format!("{}.1", host.wireguard_part))?,
            address(&format!("{}::1", host.wireguard_prefix))?,
        ],
        host: vec![address(&format!("{}.2", host.wireguard_part))?, address(&host.tunnel_address())?],
        behind_control: vec![],
        behind_host: vec![address(&format!("{}.0/24", host.bridge_part))?, address(&format!("{bridge}:0/112"))?],
        endpoint: address(&SocketAddr::new(host.reached_at(), host.wireguard_port).to_string())?,
    })
}

fn address<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Address(text.to_owned()))
}

impl Ends {
    /// The public key of the control node.
    pub fn public_key(&self) -> String {
        self.private_key.public().to_string()
    }

    /// What both ends know. It goes into a file of the host, nowhere else.
    pub fn preshared_key(&self) -> &str {
        self.preshared_key.reveal()
    }

    /// The control node's end, once the host has told its own.
    pub fn configuration(&self) -> Option<Configuration> {
        self.host.map(|host| self.with(host))
    }

    fn with(&self, host: PublicKey) -> Configuration {
        pair::control(&self.places, &self.private_key, &self.preshared_key, host)
    }

    /// Writes the control node's end down, with the key that the host left in `told`.
    pub(super) fn introduce(&self, told: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(told).map_err(|_| Error::NoKey)?;
        let end = self.with(text.trim().parse().map_err(|_| Error::NoKey)?);
        if read(&self.file)?.is_some_and(|known| known == end) {
            return Ok(());
        }
        let failed = |source| Error::File { path: self.file.clone(), source };
        project::replace(&self.file, end.render().reveal(), 0o600).map_err(failed)
    }
}
