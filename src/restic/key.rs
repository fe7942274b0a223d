//! What encrypts a repository: its key, and what a password makes of it.

use aes256ctr_poly1305aes::aead::Aead as _;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Nonce};
use rand::Rng as _;
use rustic_core::jiff::Zoned;
use rustic_core::repofile::{KeyFile, MasterKey};
use rustic_core::{ErrorKind, FileType, Id, RusticError, RusticResult};
use sha2::{Digest as _, Sha256};

use crate::restic::Trouble;
use crate::restic::local::Local;
use crate::secret::Secret;

/// Bytes of what makes two messages different.
const NONCE: usize = 16;

/// How hard it is to try passwords: as hard as `rustic_core` makes it, in a quarter of the memory (32 MiB).
const COST: (u32, u32, u32) = (1 << 15, 8, 3);

/// Keeps `key` so that `password` opens it.
pub(super) fn write(local: &Local, key: &MasterKey, password: &Secret) -> Result<(), Trouble> {
    let mut salt = vec![0; 64];
    rand::rng().fill_bytes(&mut salt);
    let (n, r, p) = COST;
    let (kdf, created) = ("scrypt".to_owned(), Some(Zoned::now()));
    let mut file = KeyFile { hostname: None, username: None, kdf, n, r, p, created, data: vec![], salt };
    let (encrypt, k, mac) = file.kdf_key(&password.reveal())?.to_keys();
    let told = |error: serde_json::Error| Trouble(error.to_string());
    file.data = Cipher::of([&encrypt, &k, &mac]).seal(&serde_json::to_vec(key).map_err(told)?)?;
    let bytes = serde_json::to_vec(&file).map_err(told)?;
    let id: Id = hex::encode(Sha256::digest(&bytes)).parse()?;
    Ok(local.write(FileType::Key, &id, &[bytes.into()])?)
}

/// Encrypts as restic does.
pub(super) struct Cipher(Aes256CtrPoly1305Aes);

impl Cipher {
    /// With the key of a repository.
    pub(super) fn new(key: &MasterKey) -> Self {
        Self::of([&key.encrypt, &key.mac.k, &key.mac.r])
    }

    fn of(parts: [&[u8]; 3]) -> Self {
        Self(Aes256CtrPoly1305Aes::new(aes256ctr_poly1305aes::Key::from_slice(&parts.concat())))
    }

    pub(super) fn seal(&self, bytes: &[u8]) -> RusticResult<Vec<u8>> {
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), bytes);
        let sealed = sealed.map_err(|_| RusticError::new(ErrorKind::Cryptography, "it cannot be encrypted"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Nothing if it is not what was sealed with this key.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        self.0.decrypt(Nonce::from_slice(nonce), sealed).ok()
    }
}
