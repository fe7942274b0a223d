//! Errors without the values that `ansible-vault` kept.

use std::error::Error as StdError;
use std::fmt;

use crate::place::Problem;
use crate::playbook::vault::Vault;
use crate::playbook::{Error, Refused, in_full};

/// What a carrier said, in which values that were decrypted are stars.
pub struct Masked {
    text: String,
    cause: Refused,
}

impl Masked {
    /// What it said in clear: to be looked at, never to be shown.
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.cause.as_ref()
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masked({})", self.text)
    }
}

/// Its causes are in its text.
impl StdError for Masked {}

/// Replaces what was decrypted in `error`.
pub(super) fn error(error: Error, vault: &Vault) -> Error {
    match error {
        Error::Problems(list) => Error::Problems(problems(list, vault)),
        Error::Stopped { task } => Error::Stopped { task: vault.hide(&task) },
        Error::Unreachable { host, recap, source } => {
            Error::Unreachable { host, recap, source: refused(source, vault) }
        }
        failed @ Error::Failed { .. } => failed,
    }
}

/// Replaces what was decrypted in `list`.
pub(super) fn problems(list: Vec<Problem>, vault: &Vault) -> Vec<Problem> {
    let hidden = |Problem { place, message, hint }| Problem {
        place,
        message: vault.hide(&message),
        hint: hint.map(|hint| vault.hide(&hint)),
    };
    list.into_iter().map(hidden).collect()
}

/// What tells nothing stays as it is.
fn refused(cause: Refused, vault: &Vault) -> Refused {
    let text = in_full(&cause);
    let hidden = vault.hide(&text);
    if hidden == text { cause } else { Box::new(Masked { text: hidden, cause }) }
}
