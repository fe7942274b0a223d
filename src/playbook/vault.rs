//! Text that `ansible-vault` encrypted: `$ANSIBLE_VAULT;1.1;AES256` and `;1.2;AES256;LABEL`.
//!
//! Source: ansible-core 2.15, `parsing/vault/__init__.py` (AES-256 in counter mode, the key from PBKDF2 with SHA-256, the
//! text guarded by an HMAC).

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

use crate::secret::Secret;
use crate::yaml::{Kind, Node};

/// The passwords of a run, and the values that they opened.
#[derive(Clone, Default)]
pub struct Vault {
    passwords: Arc<Vec<(String, Secret)>>,
    opened: Arc<Mutex<BTreeSet<String>>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} passwords)", self.passwords.len())
    }
}

/// Text cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// No password was given.
    #[error("encrypted by ansible-vault: its password must be given")]
    NoPassword,
    /// None of the passwords is the one.
    #[error("encrypted by ansible-vault: no password that was given opens it")]
    WrongPassword,
    /// It is damaged, or written by something newer.
    #[error("encrypted by ansible-vault in a way that cannot be read")]
    Format,
}

const HEAD: &str = "$ANSIBLE_VAULT;";

/// Whether text is encrypted.
pub fn is_encrypted(text: &str) -> bool {
    text.trim_start().starts_with(HEAD)
}

impl Vault {
    /// Makes a vault of passwords with their labels; `default` is the label of those that have none.
    pub fn new(passwords: Vec<(String, Secret)>) -> Self {
        Self { passwords: Arc::new(passwords), opened: Arc::default() }
    }

    /// Decrypts text.
    ///
    /// # Errors
    ///
    /// No password opens it, or it is no such text.
    pub fn open(&self, text: &str) -> Result<Vec<u8>, Error> {
        let sealed = Sealed::read(text)?;
        if self.passwords.is_empty() {
            return Err(Error::NoPassword);
        }
        // Those with the label of the text first.
        let (same, others): (Vec<_>, Vec<_>) =
            self.passwords.iter().partition(|(label, _)| sealed.label.as_deref() == Some(label.as_str()));
        let mut all = same.into_iter().chain(others);
        all.find_map(|(_, password)| sealed.open(password)).ok_or(Error::WrongPassword)
    }

    /// Reads a file of text, decrypted if it is encrypted.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no text, or cannot be decrypted.
    pub fn text(&self, path: &Path) -> std::io::Result<String> {
        let text = std::fs::read_to_string(path)?;
        if !is_encrypted(&text) {
            return Ok(text);
        }
        let bytes = self.open(&text).map_err(std::io::Error::other)?;
        let text = String::from_utf8(bytes).map_err(|_| std::io::Error::other("no text"))?;
        text.lines().for_each(|line| self.remember(line.trim()));
        Ok(text)
    }

    /// Decrypts every value of a document that is marked `!vault`.
    ///
    /// # Errors
    ///
    /// The value that cannot be, with its place.
    pub fn open_values(&self, node: &mut Node) -> Result<(), (usize, usize, Error)> {
        if matches!(node.tag.as_deref(), Some("!vault" | "!vault-encrypted"))
            && let Kind::Str(text) = &node.kind
        {
            let bytes = self.open(text).map_err(|error| (node.line, node.column, error))?;
            let text = String::from_utf8(bytes).map_err(|_| (node.line, node.column, Error::Format))?;
            self.remember(&text);
            node.kind = Kind::Str(text);
            node.tag = None;
        }
        match &mut node.kind {
            Kind::Map(entries) => entries.iter_mut().try_for_each(|(_, value)| self.open_values(value)),
            Kind::Seq(items) => items.iter_mut().try_for_each(|item| self.open_values(item)),
            _ => Ok(()),
        }
    }

    /// Keeps every text of a document that came from an encrypted file.
    pub fn remember_all(&self, node: &Node) {
        match &node.kind {
            Kind::Map(entries) => entries.iter().for_each(|(_, value)| self.remember_all(value)),
            Kind::Seq(items) => items.iter().for_each(|item| self.remember_all(item)),
            _ => self.remember(node.written().unwrap_or_default()),
        }
    }

    fn remember(&self, text: &str) {
        // What is short stands in too many places to be a secret there.
        if text.chars().count() >= 5 {
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
        }
    }

    /// Replaces every value that was decrypted by stars.
    pub fn hide(&self, text: &str) -> String {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = text.to_owned();
        for secret in opened.iter().rev() {
            for written in [secret.as_str(), secret.trim_end()] {
                if !written.is_empty() && out.contains(written) {
                    out = out.replace(written, "********");
                }
            }
        }
        out
    }
}

/// Encrypts text as `ansible-vault` does; the label `default` is not written.
///
/// # Errors
///
/// The salt cannot be used.
pub fn seal(text: &[u8], password: &Secret, salt: &[u8], label: &str) -> Result<String, Error> {
    let keys = keys(password, salt);
    let padding = 16 - text.len() % 16;
    let mut bytes = [text, &vec![u8::try_from(padding).unwrap_or(16); padding]].concat();
    apply(&keys, &mut bytes).ok_or(Error::Format)?;
    let guard = guard(&keys, &bytes).ok_or(Error::Format)?.finalize().into_bytes();
    let inner = [hex::encode(salt), hex::encode(guard), hex::encode(bytes)].join("\n");
    let head = match label {
        "" | "default" => format!("{HEAD}1.1;AES256"),
        label => format!("{HEAD}1.2;AES256;{label}"),
    };
    let outer = hex::encode(inner);
    let lines = outer.as_bytes().chunks(80).map(|line| String::from_utf8_lossy(line).into_owned());
    Ok(std::iter::once(head).chain(lines).map(|line| line + "\n").collect())
}

fn keys(password: &Secret, salt: &[u8]) -> [u8; 80] {
    let mut keys = [0; 80];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.reveal().as_bytes(), salt, 10_000, &mut keys);
    keys
}

fn guard(keys: &[u8; 80], text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut guard = Hmac::<Sha256>::new_from_slice(&keys[32..64]).ok()?;
    guard.update(text);
    Some(guard)
}

fn apply(keys: &[u8; 80], bytes: &mut [u8]) -> Option<()> {
    let mut cipher = ctr::Ctr128BE::<aes::Aes256>::new_from_slices(&keys[..32], &keys[64..]).ok()?;
    cipher.apply_keystream(bytes);
    Some(())
}

/// Encrypted text, taken apart.
struct Sealed {
    label: Option<String>,
    salt: Vec<u8>,
    guard: Vec<u8>,
    text: Vec<u8>,
}

impl Sealed {
    fn read(text: &str) -> Result<Self, Error> {
        let mut lines = text.trim().lines().map(str::trim);
        let head = lines.next().and_then(|line| line.strip_prefix(HEAD)).ok_or(Error::Format)?;
        let label = match head.split(';').collect::<Vec<_>>().as_slice() {
            ["1.1", "AES256"] => None,
            ["1.2", "AES256", label] => Some((*label).to_owned()),
            _ => return Err(Error::Format),
        };
        let unhex = |text: &str| hex::decode(text).map_err(|_| Error::Format);
        let inner = unhex(&lines.collect::<String>())?;
        let inner = String::from_utf8(inner).map_err(|_| Error::Format)?;
        match inner.split('\n').collect::<Vec<_>>().as_slice() {
            [salt, guard, text] => Ok(Self { label, salt: unhex(salt)?, guard: unhex(guard)?, text: unhex(text)? }),
            _ => Err(Error::Format),
        }
    }

    fn open(&self, password: &Secret) -> Option<Vec<u8>> {
        let keys = keys(password, &self.salt);
        guard(&keys, &self.text)?.verify_slice(&self.guard).ok()?;
        let mut bytes = self.text.clone();
        apply(&keys, &mut bytes)?;
        let padding = usize::from(*bytes.last()?);
        let length = bytes.len().checked_sub(padding).filter(|_| (1..=16).contains(&padding))?;
        bytes.truncate(length);
        Some(bytes)
    }
}
