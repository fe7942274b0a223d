//! Making a connection: reach, verify, log in.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, PublicKey};
use russh::{Preferred, cipher};

use crate::event::Events;
use crate::ssh::host_key::{self, Ended, Guard, Stop};
use crate::ssh::known_hosts::{self, Entry};
use crate::ssh::{Error, NewHost, OnNew, Session, Settings, Target, login};

/// Bytes that the server may send ahead: a gigabit with a quarter of a second of delay.
const WINDOW: u32 = 32 << 20;

/// A connection on which nobody is logged in yet.
pub(super) struct Line {
    /// The library's handle.
    pub(super) handle: Handle<Guard>,
    /// How it ended, once it has.
    pub(super) ended: Arc<OnceLock<Ended>>,
    /// Kind and fingerprint of the key that the server has shown.
    pub(super) shown: Arc<OnceLock<String>>,
}

/// Connects to `target`, verifies the host and logs in.
///
/// A new host's key is remembered before anything but the handshake is exchanged with it. Warns through `events`.
///
/// # Errors
///
/// See [`Error`]; after each of them nothing has been done on the host.
pub async fn connect(target: &Target, settings: &Settings, events: &Events) -> Result<Session, Error> {
    let mut known = read_known(settings)?;
    let line = match verified(target, settings, &known).await {
        Err(Stop::New(key)) => {
            let remembered = introduce(target, settings, events, &key).await?;
            known.extend(remembered);
            verified(target, settings, &known).await
        }
        result => result,
    };
    let mut line = line.map_err(|stop| told(target, stop))?;
    login::login(&mut line, target, settings).await?;
    Ok(Session::new(target.name.clone(), line))
}

fn told(target: &Target, stop: Stop) -> Error {
    let Target { host, port, .. } = target;
    match stop {
        Stop::Identity(error) => error,
        Stop::New(key) => {
            Error::HostKeyUnknown { host: known_hosts::written(host, *port), fingerprint: host_key::fingerprint(&key) }
        }
        Stop::Protocol(error) => {
            Error::Handshake { host: host.clone(), port: *port, source: host_key::text(&error).into() }
        }
    }
}

/// Shakes hands. A pinned server is asked for each kind of key until it shows the pinned one.
async fn verified(target: &Target, settings: &Settings, known: &[Entry]) -> Result<Line, Stop> {
    let known = Arc::new(known.to_vec());
    let kinds = preferred_kinds(&known_hosts::kinds(&known, &target.host, target.port));
    if settings.pinned.is_none() {
        return shake_hands(target, settings, known, kinds).await;
    }
    let mut first = None;
    for family in families(&kinds) {
        match shake_hands(target, settings, known.clone(), family).await {
            Err(stop @ Stop::Identity(Error::HostKeyNotPinned { .. })) => first = first.or(Some(stop)),
            // The server has no key of this kind.
            Err(Stop::Protocol(russh::Error::NoCommonAlgo { .. })) => {}
            result => return result,
        }
    }
    Err(first.unwrap_or(Stop::Protocol(russh::Error::UnknownKey)))
}

/// Returns the kinds of keys that a server may show, those that are known first.
fn preferred_kinds(known: &[Algorithm]) -> Vec<Algorithm> {
    let usable = Preferred::DEFAULT.key.iter().filter(|kind| **kind != Algorithm::Rsa { hash: None });
    let (mut first, rest): (Vec<Algorithm>, Vec<Algorithm>) =
        usable.cloned().partition(|kind| known.iter().any(|known| family(known) == family(kind)));
    first.extend(rest);
    first
}

fn families(kinds: &[Algorithm]) -> Vec<Vec<Algorithm>> {
    let mut families: Vec<Vec<Algorithm>> = vec![];
    for kind in kinds {
        match families.iter_mut().find(|members| members.iter().any(|member| family(member) == family(kind))) {
            Some(members) => members.push(kind.clone()),
            None => families.push(vec![kind.clone()]),
        }
    }
    families
}

/// An RSA key is the same key whatever digest it signs with.
fn family(kind: &Algorithm) -> Algorithm {
    match kind {
        Algorithm::Rsa { .. } => Algorithm::Rsa { hash: None },
        other => other.clone(),
    }
}

async fn shake_hands(
    target: &Target,
    settings: &Settings,
    known: Arc<Vec<Entry>>,
    kinds: Vec<Algorithm>,
) -> Result<Line, Stop> {
    let Target { host, port, .. } = target;
    let unreachable = |source| Stop::Identity(Error::Unreachable { host: host.clone(), port: *port, source });
    let stream = target.route.dial(host, *port, settings.timeout).await.map_err(unreachable)?;
    let guard = Guard::new(host, *port, known, settings.pinned.clone());
    let (ended, shown) = (guard.ended(), guard.shown());
    let greeting = client::connect_stream(Arc::new(config(kinds, settings.patience)), stream, guard);
    let handle = tokio::time::timeout(settings.timeout, greeting).await.map_err(|_| {
        let source = format!("no answer within {} s", settings.timeout.as_secs());
        Stop::Identity(Error::Handshake { host: host.clone(), port: *port, source: source.into() })
    })??;
    Ok(Line { handle, ended, shown })
}

fn config(kinds: Vec<Algorithm>, patience: Duration) -> client::Config {
    let ciphers = &[cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
    client::Config {
        preferred: Preferred {
            key: Cow::Owned(kinds),
            cipher: Cow::Borrowed(ciphers),
            compression: Cow::Borrowed(&[russh::compression::NONE]),
            ..Preferred::default()
        },
        window_size: WINDOW,
        maximum_packet_size: 65535,
        nodelay: true,
        keepalive_interval: Some(patience),
        keepalive_max: 3,
        ..client::Config::default()
    }
}

/// Reads every file of known hosts.
fn read_known(settings: &Settings) -> Result<Vec<Entry>, Error> {
    let mut known = vec![];
    for file in settings.known_hosts.iter().chain([&settings.remember_in]) {
        match std::fs::read(file) {
            Ok(bytes) => known.extend(known_hosts::parse(file, &String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::KnownHosts { file: file.clone(), source }),
        }
    }
    Ok(known)
}

/// Decides about a new host and remembers its key.
async fn introduce(
    target: &Target,
    settings: &Settings,
    events: &Events,
    key: &PublicKey,
) -> Result<Vec<Entry>, Error> {
    let new = NewHost {
        host: known_hosts::written(&target.host, target.port),
        algorithm: key.algorithm().to_string(),
        fingerprint: host_key::digest(key),
    };
    let right = match settings.on_new.clone() {
        OnNew::Refuse => false,
        OnNew::Accept => {
            events.warn(format!("{new}; it is trusted from now on"));
            true
        }
        OnNew::Ask(question) => answered(question, new).await,
    };
    if right {
        remember(&settings.remember_in, target, key)
    } else {
        Err(told(target, Stop::New(Box::new(key.clone()))))
    }
}

async fn answered(question: crate::ssh::Question, new: NewHost) -> bool {
    tokio::task::spawn_blocking(move || question(&new)).await.unwrap_or(false)
}

fn remember(file: &Path, target: &Target, key: &PublicKey) -> Result<Vec<Entry>, Error> {
    let line = known_hosts::line(&target.host, target.port, key);
    let line = line.ok_or_else(|| io::Error::other("the key cannot be written"));
    let written = line.and_then(|line| append(file, &line).map(|()| known_hosts::parse(file, &line)));
    written.map_err(|source| Error::KnownHosts { file: file.to_owned(), source })
}

/// Forgets which keys a host had that has shown by another way that it has the one of `fingerprint`, e.g.
/// `ssh-ed25519 SHA256:…`. Returns whether it had another one. Only what is remembered in `file` is forgotten: other files
/// are a person's own.
///
/// # Errors
///
/// [`Error::KnownHosts`].
pub fn forget_others(file: &Path, host: &str, port: u16, fingerprint: &str) -> Result<bool, Error> {
    let failed = |source| Error::KnownHosts { file: file.to_owned(), source };
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        text => text.map_err(failed)?,
    };
    let Some(rest) = known_hosts::without(&text, host, port, fingerprint) else { return Ok(false) };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(rest.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    new.persist(file).map_err(|error| failed(error.error))?;
    Ok(true)
}

/// Appends `line` with one write, so that two programs do not mix theirs.
fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let ends_open = std::fs::read(file).is_ok_and(|bytes| !bytes.is_empty() && !bytes.ends_with(b"\n"));
    let mut to = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    to.write_all(format!("{}{line}", if ends_open { "\n" } else { "" }).as_bytes())?;
    to.sync_all()
}
