//! `loop`, `with_…` and `loop_control`.

use std::path::Path;

use crate::playbook::lookup;
use crate::playbook::model::{Repeat, RepeatKind};
use crate::playbook::parse::{Reader, at, written};
use crate::yaml::Node;

/// The keywords of `loop_control`.
const CONTROL: &[&str] = &["extended", "extended_allitems", "index_var", "label", "loop_var", "pause"];

/// The lookup of a keyword `with_…`, if it is one.
pub(super) fn lookup_of(word: &str) -> Option<&str> {
    word.strip_prefix("with_")
}

impl Reader {
    pub(super) fn repeat(&mut self, file: &Path, node: &Node) -> Option<Repeat> {
        let (key, over, kind) = node.entries().iter().find_map(|(key, value)| {
            let word = key.written()?;
            let kind = match (word, lookup_of(word)) {
                ("loop" | "with_list", _) => RepeatKind::List,
                ("with_items", _) => RepeatKind::Items,
                (_, Some(name)) => RepeatKind::Lookup(lookup::short(name).to_owned()),
                _ => return None,
            };
            Some((key, written(file, value), kind))
        })?;
        if let RepeatKind::Lookup(name) = &kind
            && !lookup::NAMES.contains(&name.as_str())
        {
            self.problem(at(file, key), format!("there is no lookup `{name}` here"));
        }
        let control = node.get("loop_control");
        for (key, _) in control.map(Node::entries).unwrap_or_default() {
            let word = key.written().unwrap_or_default();
            if !CONTROL.contains(&word) {
                self.unknown(at(file, key), "`loop_control`", word, CONTROL);
            }
        }
        let text = |key: &str| control.and_then(|control| control.get(key)).and_then(Node::written).map(str::to_owned);
        let value = |key: &str| control.and_then(|control| control.get(key)).map(|value| written(file, value));
        Some(Repeat {
            over,
            kind,
            var: text("loop_var").unwrap_or_else(|| "item".to_owned()),
            index_var: text("index_var"),
            label: value("label"),
            pause: value("pause"),
            extended: value("extended"),
        })
    }
}
