//! Preparing the control node: the operator's key pair, and whom it belongs to. Nothing else is needed there: tunnels are
//! within the process.
//!
//! Everything is done as the account that the configuration names, so that files belong to it and links in its home lead
//! nowhere that it could not go itself.

use std::path::PathBuf;

use thiserror::Error;

use crate::event::Events;
use crate::flow::progress::Progress;
use crate::project::Control;

mod account;
mod apply;
mod look;
mod pair;
mod plan;

pub use account::{Acting, acting};
pub use look::{Found, Seen};
pub use plan::{Step, plan};

/// The control node cannot be prepared. What was done before stays and is right.
#[derive(Debug, Error)]
pub enum Error {
    /// The configured account is not there.
    #[error("there is no account `{0}` on this computer")]
    NoAccount(String),
    /// Somebody else runs us.
    #[error("the control node belongs to the account `{owner}`, not to `{acting}`")]
    OtherAccount {
        /// The configured account.
        owner: String,
        /// Who runs us.
        acting: String,
    },
    /// The account's rights cannot be taken on.
    #[error("cannot act as the account `{user}`")]
    Act {
        /// The account.
        user: String,
        /// Why.
        source: std::io::Error,
    },
    /// A path is not absolute.
    #[error("the path `{0}` of the key does not begin with `/`")]
    Relative(PathBuf),
    /// Something cannot be read or written.
    #[error("cannot {what} `{}`", path.display())]
    File {
        /// E.g. `read`.
        what: &'static str,
        /// What it was about.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory would have to be made in one that is not there.
    #[error("there is no directory `{}` for `{}`", above.display(), path.display())]
    NoDirectory {
        /// What is not there.
        above: PathBuf,
        /// What would be made in it.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("`{}` is there, but no {wanted}", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// It belongs to another account.
    #[error("`{}` belongs to the account with number {uid}, not to `{user}`", path.display())]
    Foreign {
        /// What.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose it should be.
        user: String,
    },
    /// There is a public key without its private one.
    #[error("the public key `{}` is there, but its private key `{}` is not", public.display(), private.display())]
    Alone {
        /// The public key.
        public: PathBuf,
        /// The private one.
        private: PathBuf,
    },
    /// A key cannot be read.
    #[error("`{}` is no {half} key of SSH", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// `private` or `public`.
        half: &'static str,
    },
    /// A key is encrypted in a way that hides its public half.
    #[error("the public half of `{}` is not to be had without its passphrase", .0.display())]
    Locked(PathBuf),
    /// The two halves are of different pairs.
    #[error("`{}` is not the public key of `{}`", public.display(), private.display())]
    Strangers {
        /// The public key.
        public: PathBuf,
        /// The private one.
        private: PathBuf,
    },
    /// A key cannot be made.
    #[error("cannot make a key")]
    Make(#[source] russh::keys::ssh_key::Error),
    /// The new files could not be made.
    #[error(transparent)]
    Fresh(#[from] crate::flow::fresh::Error),
}

/// Looks, plans and carries out, all as `acting`. Returns what was done.
///
/// # Errors
///
/// See [`Error`].
pub fn set_up(control: &Control, acting: &Acting, comment: &str, events: &Events) -> Result<Vec<Step>, Error> {
    acting.work(|| {
        let seen = Seen::look(control, acting)?;
        let steps = plan(control, &seen)?;
        for (at, step) in steps.iter().enumerate() {
            let begun = Progress { events: events.clone(), number: at + 1 }.begin(steps.len(), &step.to_string());
            match apply::apply(step, comment) {
                Ok(()) => begun.done(&step.to_string()),
                Err(error) => {
                    begun.failed();
                    return Err(error);
                }
            }
        }
        Ok(steps)
    })?
}

/// Reads the public key.
///
/// # Errors
///
/// See [`Error`].
pub fn public_key(control: &Control, acting: &Acting) -> Result<String, Error> {
    let path = PathBuf::from(&control.public_key);
    let read = acting.work(|| std::fs::read_to_string(&path))?;
    let text = read.map_err(|source| Error::File { what: "read", path, source })?;
    Ok(text.trim().to_owned())
}
