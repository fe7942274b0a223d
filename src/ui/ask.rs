//! Questions to a person.

use std::io::{self, IsTerminal as _};

use inquire::validator::{StringValidator, Validation};
use inquire::{Confirm, InquireError, Password, PasswordDisplayMode, Text};
use thiserror::Error;

use crate::secret::Secret;

/// What an empty answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// There is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody can be asked.
    #[error("cannot ask `{question}`: standard input is no terminal")]
    NoTerminal {
        /// The question.
        question: String,
        /// What answers it on the command line, e.g. `--yes`.
        flag: String,
    },
    /// The person pressed Ctrl-C or Escape.
    #[error("interrupted at the question `{question}`")]
    Interrupted {
        /// The question.
        question: String,
    },
    /// The terminal does not work.
    #[error("cannot ask `{question}`")]
    Terminal {
        /// The question.
        question: String,
        /// Why.
        source: io::Error,
    },
}

/// Asks a person to confirm `question`; `flag` is what answers it on the command line.
///
/// Blocks.
///
/// # Errors
///
/// See [`Error`]; none is an answer.
pub fn confirm(question: &str, default: Default, flag: &str) -> Result<bool, Error> {
    needs_terminal(question, flag)?;
    Confirm::new(question).with_default(default == Default::Yes).prompt().map_err(|error| told(question, error))
}

/// Asks a person for a secret; `flag` is what answers it without a person.
///
/// Blocks. What is typed is not shown.
///
/// # Errors
///
/// See [`Error`].
pub fn password(question: &str, flag: &str) -> Result<Secret, Error> {
    checked_password(question, flag, |_| Ok(()))
}

/// Asks a person for a secret until `check` has nothing against it; `flag` is what answers it without a person.
///
/// Blocks. What is typed is not shown.
///
/// # Errors
///
/// See [`Error`].
pub fn checked_password(question: &str, flag: &str, check: Read<()>) -> Result<Secret, Error> {
    needs_terminal(question, flag)?;
    let prompt = Password::new(question).without_confirmation().with_display_mode(PasswordDisplayMode::Hidden);
    prompt.with_validator(validator(check)).prompt().map(Secret::new).map_err(|error| told(question, error))
}

/// Reads an answer, or says what it must be.
pub type Read<T> = fn(&str) -> Result<T, String>;

fn validator<T: 'static>(read: Read<T>) -> impl StringValidator {
    move |text: &str| {
        Ok(match read(text) {
            Ok(_) => Validation::Valid,
            Err(problem) => Validation::Invalid(problem.into()),
        })
    }
}

/// Asks a person until the answer can be read; `default` is what an empty answer means, `flag` what answers it on the
/// command line.
///
/// Blocks.
///
/// # Errors
///
/// See [`Error`].
pub fn checked<T: 'static>(question: &str, default: Option<&str>, flag: &str, read: Read<T>) -> Result<T, Error> {
    needs_terminal(question, flag)?;
    let prompt = Text::new(question).with_validator(validator(read));
    let prompt = match default {
        Some(default) => prompt.with_default(default),
        None => prompt,
    };
    let answer = prompt.prompt().map_err(|error| told(question, error))?;
    read(&answer).map_err(|problem| told(question, InquireError::InvalidConfiguration(problem)))
}

/// Asks a person for text; `default` is what an empty answer means.
///
/// Blocks.
///
/// # Errors
///
/// See [`Error`].
pub fn text(question: &str, default: Option<&str>, flag: &str) -> Result<String, Error> {
    needs_terminal(question, flag)?;
    let prompt = Text::new(question);
    let prompt = match default {
        Some(default) => prompt.with_default(default),
        None => prompt,
    };
    prompt.prompt().map_err(|error| told(question, error))
}

/// Whether somebody can be asked.
pub fn is_possible() -> bool {
    io::stdin().is_terminal()
}

fn needs_terminal(question: &str, flag: &str) -> Result<(), Error> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Error::NoTerminal { question: question.to_owned(), flag: flag.to_owned() })
}

fn told(question: &str, error: InquireError) -> Error {
    let question = question.to_owned();
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Error::Interrupted { question },
        InquireError::IO(source) => Error::Terminal { question, source },
        other => Error::Terminal { question, source: io::Error::other(other.to_string()) },
    }
}
