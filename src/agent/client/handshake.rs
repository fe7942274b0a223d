//! What is said before an agent is at work.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::Pending;
use crate::agent::{Error, Given};
use crate::secret::Secret;

/// What may happen before the agent says its first word.
pub(in crate::agent) struct Handshake<'a> {
    /// A password may be asked for.
    pub(in crate::agent) prompt: Option<Prompt<'a>>,
}

/// How a password is asked for.
pub(in crate::agent) struct Prompt<'a> {
    /// What is then written to standard error.
    pub(in crate::agent) text: &'static str,
    /// Whose account it is for.
    pub(in crate::agent) user: &'a str,
    /// The password, if there is one.
    pub(in crate::agent) password: Option<&'a Secret>,
}

impl Handshake<'_> {
    /// Gives the password once it is asked for; asked for again, it is wrong.
    pub(super) async fn answer(
        &self,
        machine: &str,
        pending: &Pending,
        answered: &mut bool,
        stdin: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Error> {
        let Some(prompt) = &self.prompt else { return Ok(()) };
        let asked = pending.said().matches(prompt.text.trim()).count();
        let refused = |given| Error::Password { user: prompt.user.to_owned(), machine: machine.to_owned(), given };
        match (asked, prompt.password) {
            (0, _) => Ok(()),
            (_, None) => Err(refused(Given::Missing)),
            (1, Some(_)) if *answered => Ok(()),
            (1, Some(password)) => {
                *answered = true;
                // A closed pipe is noticed by what follows: no agent.
                let _ = stdin.write_all(format!("{}\n", password.reveal()).as_bytes()).await;
                let _ = stdin.flush().await;
                Ok(())
            }
            _ => Err(refused(Given::Wrong)),
        }
    }
}
