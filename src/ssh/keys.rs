//! Private keys in files.

use std::path::Path;
use std::sync::Arc;

use russh::keys::{self, PrivateKey, PublicKey};

use crate::ssh::Passphrase;

/// A key file, read.
pub(super) enum Key {
    /// It can be used.
    Open(Arc<PrivateKey>),
    /// It is encrypted and there is no passphrase; its public half, if the file shows that.
    Locked(Option<PublicKey>),
}

/// Reads the key at `path`, asking for its passphrase if it needs one.
pub(super) async fn read(path: &Path, passphrase: Option<Passphrase>) -> Result<Key, keys::Error> {
    match keys::load_secret_key(path, None) {
        Ok(key) => return Ok(Key::Open(Arc::new(key))),
        Err(keys::Error::KeyIsEncrypted) => {}
        Err(error) => return Err(error),
    }
    let Some(passphrase) = passphrase else {
        return Ok(Key::Locked(public_half(path)));
    };
    let asked = path.to_owned();
    let given = tokio::task::spawn_blocking(move || passphrase(&asked)).await.ok().flatten();
    match given {
        Some(secret) => keys::load_secret_key(path, Some(secret.reveal())).map(|key| Key::Open(Arc::new(key))),
        None => Ok(Key::Locked(public_half(path))),
    }
}

/// `OpenSSH`'s format keeps the public half in clear.
fn public_half(path: &Path) -> Option<PublicKey> {
    let text = std::fs::read(path).ok()?;
    Some(PrivateKey::from_openssh(text).ok()?.public_key().clone())
}
