//! Keys as `wg` writes them: 32 bytes in base64, 44 characters.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use x25519_dalek::StaticSecret;

use crate::secret::Secret;
use crate::wireguard::Invalid;

/// Characters of a key.
const LENGTH: usize = 44;

/// What one end proves who it is with. It does not leave its machine, and is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateKey(Secret);

/// What the other end knows one by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// What both ends know beside their keys, mixed into each handshake. It is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresharedKey(Secret);

impl PrivateKey {
    /// Makes a new key from the random numbers of the system, as `wg genkey` does.
    pub fn generate() -> Self {
        let mut bytes = StaticSecret::random().to_bytes();
        // The three bits that X25519 sets anyway; `wg` writes keys with them set.
        bytes[0] &= 0b1111_1000;
        bytes[31] = bytes[31] & 0b0111_1111 | 0b0100_0000;
        Self(written(&bytes))
    }

    /// Returns the key that others know this one by, as `wg pubkey` does.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&self.secret()).to_bytes())
    }

    /// Returns the key as it is written to a file.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    pub(super) fn secret(&self) -> StaticSecret {
        StaticSecret::from(read_again(&self.0))
    }
}

impl FromStr for PrivateKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read(text).map(|bytes| Self(written(&bytes)))
    }
}

impl PresharedKey {
    /// Makes a new key from the random numbers of the system, as `wg genpsk` does.
    pub fn generate() -> Self {
        Self(written(&StaticSecret::random().to_bytes()))
    }

    /// Returns the key as it is written to a file.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    pub(super) fn bytes(&self) -> [u8; 32] {
        read_again(&self.0)
    }
}

impl FromStr for PresharedKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read(text).map(|bytes| Self(written(&bytes)))
    }
}

impl PublicKey {
    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl FromStr for PublicKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read(text).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Reads a key; what is wrong with a text is said without it, for it may be most of a private key.
fn read(text: &str) -> Result<[u8; 32], Invalid> {
    let length = text.chars().count();
    if length != LENGTH {
        return Err(Invalid::KeyLength(length));
    }
    BASE64_STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Invalid::KeyText)
}

fn written(bytes: &[u8; 32]) -> Secret {
    Secret::new(BASE64_STANDARD.encode(bytes))
}

/// Reads what was written here.
fn read_again(key: &Secret) -> [u8; 32] {
    read(key.reveal()).unwrap_or_default()
}
