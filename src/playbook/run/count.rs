//! What a result does to a host and to the recap.

use std::sync::{Arc, PoisonError};

use serde_json::{Value as Json, json};

use crate::event::TaskStatus;
use crate::playbook::model::{Play, Task};
use crate::playbook::run::task::Report;
use crate::playbook::run::{Engine, Hope, actions, result};
use crate::playbook::scope::TaskScope;

impl Engine<'_> {
    /// Counts a result. Returns whether the host failed.
    pub(super) fn count(&self, play: &Play, task: &Task, host: &str, report: Report, hope: Hope) -> bool {
        let changed = result::flag(&report.result, "changed");
        let mut fates = self.fates();
        let fate = fates.entry(host.to_owned()).or_default();
        let recap = &mut fate.recap;
        match report.status {
            TaskStatus::Ok => recap.ok += 1,
            TaskStatus::Changed => {
                recap.ok += 1;
                recap.changed += 1;
            }
            TaskStatus::Skipped => recap.skipped += 1,
            TaskStatus::Ignored => {
                recap.ok += 1;
                recap.ignored += 1;
                recap.changed += usize::from(changed);
            }
            TaskStatus::Unreachable if self.unreachable_is_ignored(play, task, host) => {
                recap.ok += 1;
                recap.ignored += 1;
            }
            TaskStatus::Unreachable => {
                recap.unreachable = 1;
                fate.out = true;
            }
            TaskStatus::Failed if hope == Hope::Rescue => recap.rescued += 1,
            TaskStatus::Failed => {
                recap.failed += 1;
                fate.failed = true;
            }
        }
        let mut lost = None;
        // Of a loop all items notify once one of them changed something, but those that were skipped.
        if report.status == TaskStatus::Changed {
            lost = self.lost(play, host, &report.notify);
            fate.notified.extend(report.notify);
        }
        if lost.is_some() {
            fate.recap.failed += 1;
            fate.failed = true;
        }
        drop(fates);
        if let Some(name) = lost {
            self.told(task, host, result::failed(format!("{}: there is no handler `{name}`", task.place)));
            return true;
        }
        if let Some(refused) = report.refused
            && !self.unreachable_is_ignored(play, task, host)
        {
            let mut kept = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert((host.to_owned(), refused));
        }
        let failed = report.status == TaskStatus::Failed;
        if failed {
            let name = task.name.clone().unwrap_or_default();
            self.world.change(host, |state| {
                let set = Arc::make_mut(&mut state.set);
                set.insert("ansible_failed_result".to_owned(), Json::Object(report.result));
                let role = task.role.as_ref().map(|role| role.name.clone());
                let told = json!({ "name": name, "action": task.module, "register": task.register, "role": role });
                set.insert("ansible_failed_task".to_owned(), told);
            });
        }
        failed
    }

    fn unreachable_is_ignored(&self, play: &Play, task: &Task, host: &str) -> bool {
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(task), &cast);
        actions::keyword(&scope, &task.settings.ignore_unreachable).unwrap_or(false)
    }
}
