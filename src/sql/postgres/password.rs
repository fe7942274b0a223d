//! What PostgreSQL keeps of a password.
//!
//! Sources: PostgreSQL's documentation, `pg_authid`; RFC 5802.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Rounds that are computed at most: what a server names is not trusted.
const MOST_ROUNDS: u32 = 1 << 20;

/// How a server keeps passwords (`password_encryption`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `md5`, of password and name.
    Md5,
    /// `scram-sha-256`.
    Scram,
}

impl Method {
    /// What the server calls it.
    pub fn of(setting: &str) -> Self {
        if setting == "scram-sha-256" { Self::Scram } else { Self::Md5 }
    }
}

/// Whether `text` is what a server keeps rather than a password.
pub fn is_kept(text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Scram::read(text).is_some() || text.strip_prefix("md5").is_some_and(|rest| rest.len() == 32 && hex(rest))
}

/// What a server would keep of the password of `user`: the clear one need never reach it, or its log.
pub fn kept(password: &str, user: &str, method: Method) -> String {
    match method {
        _ if is_kept(password) => password.to_owned(),
        Method::Md5 => postgres_protocol::password::md5(password.as_bytes(), user),
        Method::Scram => postgres_protocol::password::scram_sha_256(password.as_bytes()),
    }
}

/// Whether `kept` is what is kept of the password of `user`.
pub fn is_of(kept: &str, password: &str, user: &str) -> bool {
    if is_kept(password) {
        return kept == password;
    }
    match Scram::read(kept) {
        Some(scram) => scram.server_key(password).as_deref() == Some(&scram.key),
        None => kept == postgres_protocol::password::md5(password.as_bytes(), user),
    }
}

/// `SCRAM-SHA-256$<rounds>:<salt>$<stored key>:<server key>`.
struct Scram {
    rounds: u32,
    salt: Vec<u8>,
    key: Vec<u8>,
}

impl Scram {
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let ((rounds, salt), (stored, key)) = (head.split_once(':')?, keys.split_once(':')?);
        STANDARD.decode(stored).ok()?;
        let rounds = rounds.parse().ok().filter(|rounds| (1..=MOST_ROUNDS).contains(rounds))?;
        Some(Self { rounds, salt: STANDARD.decode(salt).ok()?, key: STANDARD.decode(key).ok()? })
    }

    fn server_key(&self, password: &str) -> Option<Vec<u8>> {
        let prepared = stringprep::saslprep(password);
        let prepared = prepared.as_deref().unwrap_or(password);
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(prepared.as_bytes(), &self.salt, self.rounds);
        let mut mac = Hmac::<Sha256>::new_from_slice(&salted).ok()?;
        mac.update(b"Server Key");
        Some(mac.finalize().into_bytes().to_vec())
    }
}
