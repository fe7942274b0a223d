//! What a playbook would do, without hosts: its tasks and tags, as `--list-tasks` and `--list-tags` show them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::place::Problem;
use crate::playbook::model::{Item, Play, Task};
use crate::playbook::parse;
use crate::playbook::reading::Reading;
use crate::playbook::tags::Wanted;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Every task with its tags.
    Tasks,
    /// The tags alone.
    Tags,
}

/// Lists a playbook's tasks or tags as Ansible does.
///
/// # Errors
///
/// What cannot be read of the playbook.
pub fn list(path: &Path, wanted: &Wanted, listed: Listed, reading: &Reading) -> Result<String, Vec<Problem>> {
    let (playbook, reader) = parse::playbook(path, reading);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let mut out = format!("\nplaybook: {}\n", path.display());
    for (number, play) in (1..).zip(&playbook.plays) {
        let hosts = match &play.hosts.value {
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(",")
            }
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let name = play.name.as_deref().unwrap_or(&hosts);
        let _ = writeln!(out, "\n  play #{number} ({hosts}): {name}\tTAGS: [{}]", play.tags.join(", "));
        let mut all = vec![];
        for list in play.lists() {
            tasks(list, &mut all);
        }
        write(&mut out, play, &all, wanted, listed);
    }
    Ok(out)
}

fn write(out: &mut String, play: &Play, all: &[&Task], wanted: &Wanted, listed: Listed) {
    let sorted = |task: &Task| {
        let mut tags = task.settings.tags.clone();
        tags.sort();
        tags
    };
    match listed {
        Listed::Tasks => {
            out.push_str("    tasks:\n");
            for task in all.iter().filter(|task| wanted.includes(&task.settings.tags)) {
                let role = task.role.as_ref().filter(|_| task.name.is_some());
                let role = role.map(|role| format!("{} : ", role.name)).unwrap_or_default();
                let _ = writeln!(out, "      {role}{}\tTAGS: [{}]", task.title(), sorted(task).join(", "));
            }
        }
        Listed::Tags => {
            let tags: BTreeSet<String> =
                all.iter().flat_map(|task| sorted(task)).chain(play.tags.iter().cloned()).collect();
            let _ = writeln!(out, "      TASK TAGS: [{}]", tags.into_iter().collect::<Vec<_>>().join(", "));
        }
    }
}

/// The tasks of a list. Of an include that is read when it is reached, itself and not what it brings.
fn tasks<'p>(items: &'p [Item], all: &mut Vec<&'p Task>) {
    for item in items {
        let task = match item {
            Item::Task(task) => task,
            Item::Include(include) => &include.task,
            Item::End(_) => continue,
            Item::Block(block) => {
                let Some(gate) = &block.gate else {
                    for list in [&block.body, &block.rescue, &block.always] {
                        tasks(list, all);
                    }
                    continue;
                };
                gate
            }
        };
        if task.module != "meta" {
            all.push(task);
        }
    }
}
