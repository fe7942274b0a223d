//! `async`: tasks that go on beside the others, and `async_status`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use crate::playbook::run::result::{self, Result as TaskResult};

/// One that was started.
struct Job {
    /// Whether it may still need something from here.
    sent: bool,
    work: Option<JoinHandle<TaskResult>>,
    result: Option<TaskResult>,
}

/// Those of a run.
#[derive(Default)]
pub struct Jobs(Mutex<BTreeMap<String, Job>>);

impl Jobs {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one that was begun, and whether it is sent contents from here. Returns what is registered of it.
    pub fn start(&self, sent: bool, work: impl Future<Output = TaskResult> + Send + 'static) -> TaskResult {
        let mut jobs = self.jobs();
        let id = format!("j{}.{}", rand::random_range(100_000_000_000_u64..1_000_000_000_000), std::process::id());
        jobs.insert(id.clone(), Job { sent, work: Some(tokio::spawn(work)), result: None });
        result::pairs([
            ("ansible_job_id", json!(id)),
            ("started", json!(1)),
            ("finished", json!(0)),
            ("results_file", json!(format!("/root/.ansible_async/{id}"))),
            ("changed", json!(true)),
            ("failed", json!(false)),
        ])
    }

    /// What has become of one: `async_status`.
    pub async fn status(&self, id: &str) -> TaskResult {
        let work = {
            let mut jobs = self.jobs();
            let Some(job) = jobs.get_mut(id) else {
                let mut result = result::failed("could not find job");
                result.extend(result::pairs([
                    ("ansible_job_id", json!(id)),
                    ("started", json!(1)),
                    ("finished", json!(1)),
                ]));
                return result;
            };
            job.work.take_if(|work| work.is_finished())
        };
        if let Some(work) = work {
            let ended = work.await.unwrap_or_else(|error| result::failed(error.to_string()));
            if let Some(job) = self.jobs().get_mut(id) {
                job.result = Some(ended);
            }
        }
        let known = self.jobs().get(id).and_then(|job| job.result.clone());
        let done = known.is_some();
        let mut result = known.unwrap_or_else(|| result::pairs([("changed", json!(false)), ("failed", json!(false))]));
        result.insert("ansible_job_id".to_owned(), json!(id));
        result.insert("started".to_owned(), json!(1));
        result.insert("finished".to_owned(), Json::from(u8::from(done)));
        result
    }

    /// Forgets one: `async_status` with `mode: cleanup`.
    pub fn forget(&self, id: &str) -> TaskResult {
        self.jobs().remove(id);
        result::pairs([("changed", json!(false)), ("failed", json!(false)), ("erased", json!(id))])
    }

    /// Waits for those that may still need something from here. The others go on by themselves.
    pub async fn wait(&self) {
        let open: Vec<JoinHandle<TaskResult>> =
            self.jobs().values_mut().filter(|job| job.sent).filter_map(|job| job.work.take()).collect();
        for work in open {
            drop(work.await);
        }
    }
}
