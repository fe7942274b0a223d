//! `*.tf.json`: Terraform's files in JSON, written again as HCL.
//!
//! Source: Terraform's language reference, "JSON Configuration Syntax".

use std::path::Path;

use crate::hcl::Source;
use crate::place::{self, Place, Problem};

mod read;
mod rules;
mod write;

/// Reads and parses `file`.
///
/// # Errors
///
/// All [`Problem`]s: the file cannot be read, is not JSON, or says something that its syntax does not have.
pub fn read(file: &Path) -> Result<Source, Vec<Problem>> {
    let bytes = std::fs::read(file)
        .map_err(|error| vec![Problem::new(Place::file(file), format!("cannot be read: {error}"))])?;
    parse(file, place::text(file, bytes).map_err(|problem| vec![problem])?)
}

/// Parses `text`; `file` is for messages.
///
/// # Errors
///
/// All [`Problem`]s: it is not JSON, or says something that its syntax does not have.
pub fn parse(file: &Path, text: String) -> Result<Source, Vec<Problem>> {
    let node = read::node(file, &text).map_err(|problem| vec![problem])?;
    let place = |at: usize| read::place(file, &text, at);
    let rewritten = write::rewritten(&node, &place)?;
    Source::rewritten(file, text, rewritten).map_err(|problem| vec![problem])
}
