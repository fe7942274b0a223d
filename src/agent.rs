//! The agent: the same binary at work on a target, over one pair of pipes.
//!
//! [`Client`] is this side, [`serve`] the other, [`wire`] what goes between, [`place`] how the binary gets there.

use std::path::PathBuf;

use thiserror::Error;

use crate::machine;

pub mod account;
pub mod client;
pub mod data;
pub mod facts;
mod files;
mod locks;
mod packing;
pub mod place;
pub mod serve;
pub mod snapshot;
pub mod wire;

pub use client::{Client, Lock, Packed, Packing};
pub use place::Binary;

/// The agent did not start, went away, or could not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The machine went away. What was under way may have been carried out.
    #[error(transparent)]
    Lost(#[from] machine::Lost),
    /// The agent ended before it answered. What was under way may have been carried out.
    #[error("the agent on {machine} ended{}", because(said))]
    Gone {
        /// The machine.
        machine: String,
        /// What it last wrote to standard error.
        said: String,
    },
    /// What came back is not what an agent says.
    #[error("cannot understand the agent on {machine}")]
    Wire {
        /// The machine.
        machine: String,
        /// Why.
        source: wire::Error,
    },
    /// The account cannot be taken on.
    #[error("cannot become `{user}` on {machine}{}", because(said))]
    Become {
        /// The account wanted.
        user: String,
        /// The machine.
        machine: String,
        /// What `sudo` or `su` said.
        said: String,
    },
    /// A password is asked for, and none was given or it is wrong.
    #[error("the password to become `{user}` on {machine} is {}", match given { Given::Wrong => "wrong", Given::Missing => "not given" })]
    Password {
        /// The account wanted.
        user: String,
        /// The machine.
        machine: String,
        /// Which.
        given: Given,
    },
    /// The target has another processor than this computer.
    #[error("{machine} has a `{found}` processor, this `ryo` is for `{ours}`")]
    Architecture {
        /// The machine.
        machine: String,
        /// What `uname -m` says there.
        found: String,
        /// What this program is made for.
        ours: String,
    },
    /// The binary could not be put on the target.
    #[error("cannot put the agent on {machine}{}", because(said))]
    Place {
        /// The machine.
        machine: String,
        /// What the target said.
        said: String,
    },
    /// The binary cannot be read here.
    #[error("cannot read `{}`", path.display())]
    Binary {
        /// The binary.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another one holds the lock.
    #[error("{who} has been at work on {machine} since {since}")]
    Held {
        /// The machine.
        machine: String,
        /// Who and what.
        who: String,
        /// Since when, e.g. `2026-11-23T03:07:43Z`.
        since: String,
    },
    /// The target could not do it; nothing half done is left of a write.
    #[error("{machine}: {message}")]
    Refused {
        /// The machine.
        machine: String,
        /// Why.
        message: String,
    },
}

/// What was given when a password was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// One that is not accepted.
    Wrong,
    /// None.
    Missing,
}

fn because(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
