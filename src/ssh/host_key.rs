//! The client's side of the handshake: is the server who it should be?

use std::sync::{Arc, OnceLock};

use russh::client::{DisconnectReason, Handler, Session};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};

use crate::ssh::Error;
use crate::ssh::known_hosts::{self, Entry, Verdict};

/// Why a handshake was stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The server is not who it should be.
    Identity(Error),
    /// Nobody knows who the server should be.
    New(Box<PublicKey>),
    /// The two did not understand each other.
    Protocol(russh::Error),
}

impl From<russh::Error> for Stop {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

/// How a connection ended, once it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server said goodbye, and why.
    Said(String),
    /// It broke.
    Broke(String),
}

/// Judges the server's key.
pub(super) struct Guard {
    host: String,
    port: u16,
    known: Arc<Vec<Entry>>,
    pinned: Option<String>,
    accepted: Option<KeyData>,
    shown: Arc<OnceLock<String>>,
    ended: Arc<OnceLock<Ended>>,
}

impl Guard {
    pub(super) fn new(host: &str, port: u16, known: Arc<Vec<Entry>>, pinned: Option<String>) -> Self {
        Self {
            host: host.to_owned(),
            port,
            known,
            pinned,
            accepted: None,
            shown: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Returns where the end of the connection will be written down.
    pub(super) fn ended(&self) -> Arc<OnceLock<Ended>> {
        self.ended.clone()
    }

    /// Returns where the fingerprint of the accepted key will be written down, e.g. `ssh-ed25519 SHA256:…`.
    pub(super) fn shown(&self) -> Arc<OnceLock<String>> {
        self.shown.clone()
    }

    fn judge(&self, key: &PublicKey) -> Result<(), Stop> {
        let (host, fingerprint) = (known_hosts::written(&self.host, self.port), fingerprint(key));
        let error = match (known_hosts::judge(&self.known, &self.host, self.port, key), &self.pinned) {
            (Verdict::Revoked(Entry { file, line, .. }), _) => {
                Error::HostKeyRevoked { host, fingerprint, file: file.clone(), line: *line }
            }
            (_, Some(pinned)) if *pinned == digest(key) => return Ok(()),
            (_, Some(pinned)) => Error::HostKeyNotPinned { host, fingerprint, pinned: pinned.clone() },
            (Verdict::Known, None) => return Ok(()),
            (Verdict::Changed(Entry { file, line, .. }), None) => {
                Error::HostKeyChanged { host, fingerprint, file: file.clone(), line: *line }
            }
            (Verdict::Unknown, None) => return Err(Stop::New(Box::new(key.clone()))),
        };
        Err(Stop::Identity(error))
    }
}

impl Handler for Guard {
    type Error = Stop;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Stop> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        // Once accepted, a connection keeps its key: when keys are exchanged again nothing is judged anew.
        if self.accepted.as_ref().is_some_and(|accepted| accepted == key.key_data()) {
            return Ok(true);
        }
        self.judge(key)?;
        let _ = self.shown.set(fingerprint(key));
        Ok(self.accepted.get_or_insert_with(|| key.key_data().clone()) == key.key_data())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Stop>) -> Result<(), Stop> {
        let (ended, result) = match reason {
            DisconnectReason::ReceivedDisconnect(said) => (Ended::Said(said.message), Ok(())),
            DisconnectReason::Error(Stop::Protocol(error)) => (Ended::Broke(text(&error)), Err(error.into())),
            DisconnectReason::Error(stop) => (Ended::Broke("the host key was not accepted".to_owned()), Err(stop)),
        };
        let _ = self.ended.set(ended);
        result
    }

    async fn auth_banner(&mut self, _banner: &str, _session: &mut Session) -> Result<(), Stop> {
        Ok(())
    }
}

/// Says what a library's error means to a person.
pub(super) fn text(error: &russh::Error) -> String {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError | russh::Error::RecvError => {
            "the server closed the connection".to_owned()
        }
        russh::Error::KeepaliveTimeout => "the server does not answer any more".to_owned(),
        russh::Error::Version => "the answer is not SSH".to_owned(),
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            format!("nothing in common for {kind:?}: the server offers {}", theirs.join(", "))
        }
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        other => other.to_string(),
    }
}

/// Returns the kind and the digest of `key`, e.g. `ssh-ed25519 SHA256:…`.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), digest(key))
}

/// Returns the digest of `key`, e.g. `SHA256:…`.
pub(super) fn digest(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
