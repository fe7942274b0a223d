//! What is wrong with a value of a configuration, and how it is written.

use thiserror::Error;

/// Most characters of a wrong value that are shown.
const SHOWN: usize = 60;
/// Letters of base64 in a row that may be a key, or most of one.
const MAY_BE_A_KEY: usize = 32;

/// A text that is not what it should be. No key is in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Not as long as a key.
    #[error("this is no key: a key has 44 characters, and this has {0}")]
    KeyLength(usize),
    /// As long as a key.
    #[error("this is no key: it is not 32 bytes in base64")]
    KeyText,
    /// No address, or a length that its kind does not have.
    #[error("{0} is no address with the length of its network")]
    Network(String),
    /// No host, no port, or an IPv6 address without brackets.
    #[error("{0} is no endpoint")]
    Endpoint(String),
    /// Not a whole number of 16 bits.
    #[error("{0} is no port")]
    Port(String),
    /// Neither `off` nor seconds.
    #[error("{0} is no number of seconds")]
    Keepalive(String),
    /// Too small, too large or no number.
    #[error("{0} is no size of packets")]
    Mtu(String),
}

impl Invalid {
    /// Returns how it is written.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::KeyLength(_) | Self::KeyText => "write it as `wg genkey`, `wg pubkey` and `wg genpsk` do",
            Self::Network(_) => "write it as `10.0.1.2/32` or `fd10:10:0:1::2/128`",
            Self::Endpoint(_) => "write HOST:PORT, an IPv6 address in brackets: `[2001:db8::7]:52222`",
            Self::Port(_) => "write a number from 0 to 65535",
            Self::Keepalive(_) => "write a number from 0 to 65535, or `off`",
            Self::Mtu(_) => "write a number from 1280 to 9000",
        }
    }
}

/// Returns a value as it is quoted in a message: cut when it is long, and not at all when a key may have come into it.
pub(super) fn shown(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/'));
    if words.any(|word| word.len() >= MAY_BE_A_KEY) {
        return "a key".to_owned();
    }
    let cut: String = text.chars().take(SHOWN).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", cut.escape_debug())
}
