//! Keys, requests and certificates as OpenSSL reads and writes them, and what the modules that keep them have in common.
//!
//! What community.crypto does is taken from its release for Ansible 8.

pub mod certificate;
pub mod extension;
pub mod kept;
pub mod key;
pub mod locked;
pub mod name;
pub mod pem;
pub mod request;

use crate::module::Failed;

/// What a structure that cannot be written says.
pub(crate) fn unwritten(error: impl std::fmt::Display) -> Failed {
    Failed::new(format!("cannot be encoded: {error}"))
}
