//! `stat`: what is at a path. Changes nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Error, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "name"]).required(),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("get_md5", Kind::Flag),
    Parameter::new("get_checksum", Kind::Flag),
    Parameter::new("get_mime", Kind::Flag).or(&["mime", "mime_type", "mime-type"]),
    Parameter::new("get_attributes", Kind::Flag).or(&["attr", "attributes"]),
    Parameter::new("checksum_algorithm", Kind::Choice(&["sha1", "sha224", "sha256", "sha384", "sha512"]))
        .or(&["checksum", "checksum_algo"]),
];

/// What is wanted. The media type and the file system's own flags of a file are not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// Whether a link there is followed.
    #[serde(default)]
    pub follow: bool,
    /// Whether a file's checksum is told.
    #[serde(default = "yes")]
    pub get_checksum: bool,
    /// Which one.
    #[serde(default)]
    pub checksum_algorithm: Algorithm,
}

/// A digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-1
    #[default]
    Sha1,
    /// SHA-224
    Sha224,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Arguments, Error> {
    typed("stat", arguments)
}
