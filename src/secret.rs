//! A value that is never shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A password, token or key. Its `Debug` and `Display` are `***`.
///
/// It serialises in clear, because it has to cross the wire to the agent; nothing that is printed is serialised from a
/// type that holds one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `clear`.
    pub fn new(clear: impl Into<String>) -> Self {
        Self(clear.into())
    }

    /// Returns the clear text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
