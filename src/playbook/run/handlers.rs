//! Handlers, and `meta`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use serde_json::Value as Json;

use crate::playbook::model::{Play, Task, Vars, Written};
use crate::playbook::run::task::Spot;
use crate::playbook::run::{Engine, Hope, Stop, connect, result};
use crate::playbook::scope::TaskScope;

/// What a handler answers to: its name, with its role in front too, and its topics.
struct Answers {
    title: String,
    names: BTreeSet<String>,
    topics: BTreeSet<String>,
}

impl Engine<'_> {
    /// Those who may run handlers: hosts that failed do so where handlers are forced.
    fn able(&self, play: &Play, hosts: &[String]) -> Vec<String> {
        if !play.force_handlers {
            return self.alive(hosts);
        }
        let fates = self.fates();
        hosts.iter().filter(|host| fates.get(*host).is_none_or(|fate| !fate.out && !fate.done)).cloned().collect()
    }

    /// All handlers of a play, those of roles that were included on the way last.
    fn handlers(&self, play: &Play) -> Vec<Arc<Task>> {
        let late = self.late_handlers.lock().unwrap_or_else(PoisonError::into_inner);
        play.handlers.iter().chain(late.iter()).cloned().collect()
    }

    pub(super) fn is_handler(&self, play: &Play, task: &Task) -> bool {
        self.handlers(play).iter().any(|known| std::ptr::eq(&raw const **known, task))
    }

    /// Runs the handlers that were notified, in the order of their definition, until none is left.
    pub(super) async fn flush(&self, play: &Play, hosts: &[String]) -> Result<(), Stop> {
        for _ in 0..20 {
            let alive = self.able(play, hosts);
            let waiting = alive.iter().any(|host| self.fates().get(host).is_some_and(|fate| !fate.notified.is_empty()));
            if !waiting {
                return Ok(());
            }
            let wanted: BTreeMap<String, BTreeSet<String>> = {
                let mut fates = self.fates();
                alive
                    .iter()
                    .map(|host| (host.clone(), std::mem::take(&mut fates.entry(host.clone()).or_default().notified)))
                    .collect()
            };
            let handlers = self.handlers(play);
            let all: Vec<Answers> = handlers.iter().map(|handler| self.answers(play, handler, &alive[0])).collect();
            for (at, handler) in handlers.iter().enumerate() {
                // Of several with one name the last one answers, to a topic, too.
                let (own, later) = (&all[at], &all[at + 1..]);
                let names = own.names.iter().filter(|name| !later.iter().any(|it| it.names.contains(*name)));
                let again = |it: &Answers, topic: &String| it.title == own.title && it.topics.contains(topic);
                let unheard = |topic: &&String| own.title.is_empty() || !later.iter().any(|it| again(it, topic));
                let answers: BTreeSet<String> = names.chain(own.topics.iter().filter(unheard)).cloned().collect();
                let chosen: Vec<String> = self
                    .able(play, &alive)
                    .into_iter()
                    .filter(|host| {
                        let late = self
                            .fates()
                            .get(host)
                            .is_some_and(|fate| fate.notified.iter().any(|name| answers.contains(name)));
                        late || wanted.get(host).is_some_and(|names| names.iter().any(|name| answers.contains(name)))
                    })
                    .collect();
                if chosen.is_empty() {
                    continue;
                }
                for host in &chosen {
                    if let Some(fate) = self.fates().get_mut(host) {
                        fate.notified.retain(|name| !answers.contains(name));
                    }
                }
                self.everywhere(play, handler, &chosen, Hope::None).await?;
            }
        }
        Ok(())
    }

    /// The first of `names` that no handler answers to.
    pub(super) fn lost(&self, play: &Play, host: &str, names: &[String]) -> Option<String> {
        let handlers = self.handlers(play);
        let all: Vec<Answers> = handlers.iter().map(|handler| self.answers(play, handler, host)).collect();
        let known = |name: &&String| all.iter().any(|it| it.names.contains(*name) || it.topics.contains(*name));
        names.iter().find(|name| !known(name)).cloned()
    }

    fn answers(&self, play: &Play, handler: &Task, host: &str) -> Answers {
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(handler), &cast);
        let title = handler.name.clone().unwrap_or_default();
        let rendered = scope.render(&Json::from(title.as_str())).map_or(title, |value| value.to_string());
        let prefixed = handler.role.as_ref().map(|role| format!("{} : {rendered}", role.name));
        Answers {
            title: rendered.clone(),
            names: prefixed.into_iter().chain([rendered]).filter(|name| !name.is_empty()).collect(),
            topics: handler.listen.iter().filter_map(|topic| topic.text()).map(str::to_owned).collect(),
        }
    }

    /// The hosts that a `meta` is meant for.
    async fn meant(&self, play: &Play, task: &Task, hosts: &[String]) -> Result<Vec<String>, Stop> {
        let mut meant = vec![];
        for host in hosts {
            match self.wanted(play, task, host).await {
                Ok(true) => meant.push(host.clone()),
                Ok(false) => {}
                Err(ended) => {
                    let spot = Spot { play, task, host, cast: &self.cast() };
                    let report = self.finish(spot, &[], ended, Some(Instant::now()));
                    // Nobody knows what was wanted: as in Ansible, that ends everything.
                    if self.count(play, task, host, report, Hope::None) {
                        return Err(Stop::All);
                    }
                }
            }
        }
        Ok(meant)
    }

    pub(super) async fn meta(&self, play: &Play, task: &Task, hosts: &[String]) -> Result<Vec<String>, Stop> {
        let word = task.free_form.as_ref().and_then(Written::text).unwrap_or_default().trim();
        let unconditional = matches!(word, "noop" | "refresh_inventory" | "reset_connection");
        if unconditional && !task.settings.when.is_empty() {
            self.events.warn(format!("{}: `when` does not count for `{word}`", task.place));
        }
        let meant = if unconditional { hosts.to_vec() } else { self.meant(play, task, hosts).await? };
        match word {
            "flush_handlers" => Box::pin(self.flush(play, &meant)).await?,
            "end_play" | "end_batch" if !meant.is_empty() => return Err(Stop::Play),
            "end_host" => {
                // Out for the rest of the play only.
                let mut fates = self.fates();
                for host in &meant {
                    fates.entry(host.clone()).or_default().done = true;
                }
            }
            "refresh_inventory" => {
                if let Err(message) = self.refresh() {
                    let report = self.told(task, &hosts[0], result::failed(message));
                    self.count(play, task, &hosts[0], report, Hope::None);
                    return Err(Stop::All);
                }
            }
            "clear_facts" => meant.iter().for_each(|host| self.world.forget_facts(host)),
            "clear_host_errors" => self.fates().values_mut().for_each(|fate| {
                fate.failed = false;
                fate.out = false;
            }),
            "reset_connection" => {
                for host in &meant {
                    let spot = Spot { play, task, host, cast: &self.cast() };
                    let way = self.look(spot, &Vars::new(), |scope| connect::way(scope, self.request)).await;
                    if let Ok(Ok(way)) = way {
                        self.agents.lost(&way.connection).await;
                    }
                }
            }
            _ => {}
        }
        Ok(vec![])
    }
}
