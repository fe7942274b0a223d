//! The control node's end of the tunnel, written down in `ryo-host/configuration/<h>_wg_local.conf`.
//!
//! Its key is made here once. It is written down as soon as the host has told its own: until then the host can be
//! reached without the tunnel, so a key that was lost on the way is made anew, and the host is told again.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::place::Problem;
use crate::project::host::Host;
use crate::wireguard::{Configuration, Endpoint, Interface, Network, Peer, PresharedKey, PrivateKey, PublicKey};

/// Seconds between packets that keep the ways through NAT open.
const KEEPALIVE: u16 = 25;

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

/// The two ends as far as they are known. Clones share it.
#[derive(Clone, Debug)]
pub struct Ends {
    file: PathBuf,
    private_key: PrivateKey,
    preshared_key: PresharedKey,
    template: Arc<Interface>,
    peer: Arc<Mutex<Peer>>,
}

/// Returns where the control node's end is written down.
fn file(working_directory: &Path, host: &str) -> PathBuf {
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
    let known = read(&file)?;
    let interface = Interface {
        private_key: known.as_ref().map_or_else(PrivateKey::generate, |known| known.interface.private_key.clone()),
        addresses: vec![
            single(&format!("{}.1", host.wireguard_part))?,
            single(&format!("{}::1", host.wireguard_prefix))?,
        ],
        listen_port: None,
        mtu: None,
    };
    let there = known.as_ref().and_then(|known| known.peers.first());
    let preshared_key = match there {
        Some(peer) => peer.preshared_key.clone().ok_or_else(|| Error::Alone(file.clone()))?,
        None => PresharedKey::generate(),
    };
    let peer = Peer {
        public_key: there.map_or_else(|| interface.private_key.public(), |peer| peer.public_key),
        preshared_key: Some(preshared_key.clone()),
        allowed: allowed(host)?,
        endpoint: Some(endpoint(host)?),
        keepalive: Some(KEEPALIVE),
    };
    Ok(Ends {
        file,
        private_key: interface.private_key.clone(),
        preshared_key,
        template: Arc::new(interface),
        peer: Arc::new(Mutex::new(peer)),
    })
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
            let known = crate::wireguard::parse(file, &text).map_err(|problem| Error::Problem(Box::new(problem)))?;
            if known.peers.is_empty() { Err(Error::Alone(file.to_owned())) } else { Ok(Some(known)) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path: file.to_owned(), source }),
    }
}

/// What is sent into the tunnel: the host's end, and the bridge of its containers.
fn allowed(host: &Host) -> Result<Vec<Network>, Error> {
    let prefix = host.public_ipv6.as_ref().map_or(&host.bridge_prefix, |public| &public.prefix);
    let bridge = format!("{}.0/24", host.bridge_part);
    let bridge_v6 = format!("{prefix}::{}:0/112", host.bridge_subnet);
    let mut allowed = vec![single(&format!("{}.2", host.wireguard_part))?, single(&host.tunnel_address())?];
    for text in [bridge, bridge_v6] {
        allowed.push(text.parse().map_err(|_| Error::Address(text))?);
    }
    Ok(allowed)
}

fn single(text: &str) -> Result<Network, Error> {
    let address: IpAddr = text.parse().map_err(|_| Error::Address(text.to_owned()))?;
    Ok(Network::single(address))
}

fn endpoint(host: &Host) -> Result<Endpoint, Error> {
    let text = format!("{}:{}", host.control_ip, host.wireguard_port);
    text.parse().map_err(|_| Error::Address(text))
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

    /// Whether the host's end is known: it has been written down.
    pub fn is_known(&self) -> bool {
        self.file.exists()
    }

    /// The control node's end.
    pub fn configuration(&self) -> Configuration {
        let peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Configuration { interface: self.template.as_ref().clone(), peers: vec![peer] }
    }

    /// Writes the control node's end down, with the key that the host left in `told`.
    pub(super) fn introduce(&self, told: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(told).map_err(|_| Error::NoKey)?;
        let key: PublicKey = text.trim().parse().map_err(|_| Error::NoKey)?;
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).public_key = key;
        let configuration = self.configuration();
        if read(&self.file)?.is_some_and(|known| known == configuration) {
            return Ok(());
        }
        self.write(configuration.render().reveal()).map_err(|source| Error::File { path: self.file.clone(), source })
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let draft = self.file.with_extension("conf.new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.file)
    }
}
