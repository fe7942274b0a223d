//! One file per Ansible module: typed arguments, look, pure plan, act. This part runs on the target, in the agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether to act or only to say what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Look and plan.
    Check,
    /// Look, plan and act.
    Apply,
}

/// What would change, or did, as two texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// What it is, e.g. the path.
    pub subject: String,
    /// The text before.
    pub before: String,
    /// The text after.
    pub after: String,
}

/// What a task left behind on one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether something was changed (in check mode: would be).
    pub changed: bool,
    /// Why it failed, if it did: a sentence for a person, as Ansible's `msg`.
    pub failed: Option<String>,
    /// What would change, or did.
    pub diffs: Vec<Diff>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// The keys of the registered result beside `changed`, `failed` and `msg`, named as Ansible names them,
    /// e.g. `stdout`, `rc`, `stat`, `path`, `mode`, `uid`.
    pub values: Map<String, Value>,
}

/// Bytes of the control node that a task needs on the target, by the lower-case hexadecimal SHA-256 of their content.
pub type Blobs = BTreeMap<String, Vec<u8>>;
