//! Key pairs of SSH.

use russh::keys::ssh_key::{Algorithm, Error, LineEnding, PrivateKey, PublicKey};
use russh::keys::{self, decode_secret_key};

use crate::secret::Secret;

/// What a private key's file tells without a passphrase.
pub(super) enum Half {
    /// Its public half.
    Known(Box<PublicKey>),
    /// It is a key, but encrypted as a whole.
    Locked,
    /// It is no key.
    None,
}

/// Makes a pair: the texts of the private and of the public key.
pub(super) fn make(comment: &str) -> Result<(Secret, String), Error> {
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
    key.set_comment(comment);
    let private = key.to_openssh(LineEnding::LF)?;
    Ok((Secret::new(private.as_str()), line(key.public_key())?))
}

/// Returns the public half of a private key; `OpenSSH`'s format keeps it in clear.
pub(super) fn public_half(private: &Secret) -> Half {
    if let Ok(key) = PrivateKey::from_openssh(private.reveal()) {
        return Half::Known(Box::new(key.public_key().clone()));
    }
    match decode_secret_key(private.reveal(), None) {
        Ok(key) => Half::Known(Box::new(key.public_key().clone())),
        Err(keys::Error::KeyIsEncrypted) => Half::Locked,
        Err(_) => Half::None,
    }
}

/// The text of the file of a public key.
pub(super) fn line(public: &PublicKey) -> Result<String, Error> {
    Ok(format!("{}\n", public.to_openssh()?.trim_end()))
}

/// Reads a public key.
pub(super) fn public(text: &Secret) -> Option<PublicKey> {
    PublicKey::from_openssh(text.reveal().trim()).ok()
}
