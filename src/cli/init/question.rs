//! How `ryo init` asks, and what an answer has to be.

use crate::failure::Failure;
use crate::project::{host, value};
use crate::secret::Secret;
use crate::ui::{Ui, ask};

/// A question.
pub struct Question<T> {
    /// What is asked.
    pub text: &'static str,
    /// What answers it on the command line.
    pub flag: &'static str,
    /// What an answer has to be.
    pub read: ask::Read<T>,
}

/// What becomes of the defaults of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defaults {
    /// They are taken, and nobody is asked.
    Taken,
    /// A person is shown them.
    Shown,
}

/// How questions are answered that no flag has answered.
pub struct Asking<'a> {
    /// Where a person is asked.
    pub ui: &'a Ui,
    /// What becomes of defaults.
    pub defaults: Defaults,
}

impl Asking<'_> {
    /// Returns what was `given`, else the default if such are taken, else what a person says.
    ///
    /// # Errors
    ///
    /// There is nobody to ask.
    pub fn ask<T: Clone + 'static>(
        &self,
        question: &Question<T>,
        given: Option<&T>,
        default: Option<&str>,
    ) -> Result<T, Failure> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let taken =
            default.filter(|_| self.defaults == Defaults::Taken).and_then(|default| (question.read)(default).ok());
        if let Some(taken) = taken {
            return Ok(taken);
        }
        let flag = if default.is_some() { format!("{}` or `--yes", question.flag) } else { question.flag.to_owned() };
        let shown = default.filter(|default| !default.is_empty());
        Ok(self.ui.pause(|| ask::checked(question.text, shown, &flag, question.read))?)
    }

    /// Asks for a password, which may be empty.
    ///
    /// # Errors
    ///
    /// There is nobody to ask.
    pub fn password(&self, question: &str, flag: &str) -> Result<Secret, Failure> {
        if self.defaults == Defaults::Taken {
            return Ok(Secret::new(""));
        }
        let flag = format!("{flag}` or `--yes");
        Ok(self.ui.pause(|| ask::checked_password(question, &flag, value::password))?)
    }
}

/// The front of a public IPv6 network; empty if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(pub String);

/// Reads the name of a host that is set up through SSH.
///
/// # Errors
///
/// It is none.
pub fn name(text: &str) -> Result<String, String> {
    if text == "local" {
        return Err("`local` is this computer, which is not set up from outside".to_owned());
    }
    host::name_problem(text).map_or_else(|| Ok(text.to_owned()), Err)
}

/// Reads a public IPv6 network as providers write it: colons and length at its end are left out.
///
/// # Errors
///
/// It is none.
pub fn prefix(text: &str) -> Result<Prefix, String> {
    let front = text.split('/').next().unwrap_or_default();
    let front = front.strip_suffix("::").unwrap_or(front);
    if front.is_empty() && text.is_empty() {
        return Ok(Prefix(String::new()));
    }
    let wrong = |_| "must be an IPv6 network such as `2001:db8:1:2::/64`, or empty".to_owned();
    value::ipv6_prefix(front).map(Prefix).map_err(wrong)
}

/// Reads the name of the account that is made for the operator.
///
/// # Errors
///
/// It is none, or root.
pub fn operator(text: &str) -> Result<String, String> {
    if text == "root" {
        return Err("must not be root: a host that is set up lets nobody in as root".to_owned());
    }
    value::account(text)
}
