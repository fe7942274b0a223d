//! What the connections of an account must have of TLS.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::module::{arguments, program};
use crate::sql::mysql::literal;

/// `REQUIRE …`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requires {
    /// Any TLS.
    Ssl,
    /// A certificate that is valid.
    X509,
    /// Properties of the certificate or the cipher, by their names.
    Fields(BTreeMap<String, String>),
}

impl Requires {
    /// Reads what a task wants; nothing if it wants nothing.
    pub fn wanted(map: &Map<String, Value>) -> Option<Self> {
        let upper: BTreeMap<String, String> =
            map.iter().map(|(name, value)| (name.to_uppercase(), arguments::text(value))).collect();
        if upper.is_empty() {
            return None;
        }
        let fields = ["CIPHER", "ISSUER", "SUBJECT"];
        if upper.keys().any(|name| fields.contains(&name.as_str())) {
            let kept = upper.into_iter().filter(|(name, _)| name != "SSL" && name != "X509");
            return Some(Self::Fields(kept.collect()));
        }
        Some(if upper.contains_key("X509") { Self::X509 } else { Self::Ssl })
    }

    /// Reads what `SHOW CREATE USER` says.
    pub fn read(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(" REQUIRE ")?;
        let rest = rest.split(" PASSWORD ").next().unwrap_or_default().trim();
        match rest.split_whitespace().next()? {
            "SSL" => Some(Self::Ssl),
            "X509" => Some(Self::X509),
            "NONE" => None,
            _ => {
                let words = program::split(rest).unwrap_or_default();
                let pairs = words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
                Some(Self::Fields(pairs.collect()))
            }
        }
    }

    /// What stands in a statement.
    pub fn clause(&self) -> String {
        match self {
            Self::Ssl => "SSL".to_owned(),
            Self::X509 => "X509".to_owned(),
            Self::Fields(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{name} {}", literal(value)));
                fields.collect::<Vec<_>>().join(" AND ")
            }
        }
    }
}
