//! A play: its hosts, its batches, its sections.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::event::Event;
use crate::place::{Place, Problem};
use crate::playbook::jinja::{Fault, Value, is_template};
use crate::playbook::model::{Order, Play, Prompt, Vars};
use crate::playbook::run::{Engine, Hope, Stage, Stop};
use crate::playbook::scope::{Cast, TaskScope, Trust, Wanted};
use crate::playbook::{Asked, Error, files};

impl Engine<'_> {
    /// The hosts of a play in the order of the inventory.
    fn hosts(&self, play: &Play) -> Result<Vec<String>, Error> {
        let wrong = |place: &Place, message: String| Error::Problems(vec![Problem::new(place.clone(), message)]);
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, "localhost", Some(play), None, &cast);
        let value = scope.render(&play.hosts.value).map_err(|error| wrong(&play.hosts.place, error.message))?;
        let pattern = match value.as_list() {
            Some(items) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            None => value.to_string(),
        };
        let inventory = self.world.inventory();
        let mut hosts = inventory.select(&pattern).map_err(|message| wrong(&play.hosts.place, message))?;
        if let Some(limit) = &self.request.limit {
            let kept = inventory.select(limit).map_err(|message| wrong(&play.hosts.place, message))?;
            hosts.retain(|host| kept.contains(host));
        }
        Ok(hosts)
    }

    /// What a person calls a play: its name or its hosts, rendered where no host need be asked.
    fn title(&self, play: &Play, all: &[String]) -> String {
        let written = play.name.as_deref().map_or_else(|| play.hosts.value.clone(), Json::from);
        let cast = Arc::default();
        let mut scope = TaskScope::new(&self.world, "localhost", Some(play), None, &cast);
        if play.name.as_deref().is_some_and(is_template) {
            let mut vars = self.vars_files(play, "localhost", all, &Wanted::default()).unwrap_or_default();
            vars.retain(|name, _| !self.world.extra.contains_key(name));
            scope.add(vars, Trust::Rendered);
        }
        scope.render(&written).unwrap_or_else(|_| Value::from(&written)).to_string()
    }

    pub(super) async fn play(&self, play: &Play) -> Result<Option<Stop>, Error> {
        let asked;
        let mut play = play;
        if !play.prompts.is_empty() {
            let mut answered = play.clone();
            for prompt in &play.prompts {
                if let Some(answer) = self.answer(prompt)? {
                    answered.vars.insert(prompt.name.clone(), Json::from(answer));
                }
            }
            asked = answered;
            play = &asked;
        }
        let all = self.hosts(play)?;
        for fate in self.fates().values_mut() {
            fate.done = false;
            fate.begun.clear();
            fate.ended.clear();
        }
        if all.is_empty() {
            self.events.emit(Event::PlayStarted { name: self.title(play, &all) });
            self.events.warn(format!("{}: no hosts match", play.hosts.place));
            return Ok(None);
        }
        self.late_handlers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        self.world.conceal();
        for batch in self.batches(play, &in_order(play, &all))? {
            self.events.emit(Event::PlayStarted { name: self.title(play, &all) });
            let ended = self.batch(play, &batch, &all).await?;
            match ended {
                None => {}
                Some(Stop::Play) if !self.alive(&batch).is_empty() => {}
                Some(Stop::Play) => return Ok(Some(Stop::All)),
                Some(stop) => return Ok(Some(stop)),
            }
            // A batch that failed altogether ends everything: the next one would fail, too.
            let lost = |fate: &crate::playbook::run::Fate| fate.failed || fate.out;
            if batch.iter().all(|host| self.fates().get(host).is_some_and(lost)) {
                return Ok(Some(Stop::All));
            }
        }
        Ok(None)
    }

    fn answer(&self, prompt: &Prompt) -> Result<Option<String>, Error> {
        if self.request.extra_vars.contains_key(&prompt.name) {
            return Ok(None);
        }
        let wrong = |message: String| Error::Problems(vec![Problem::new(prompt.place.clone(), message)]);
        let Some(ask) = &self.request.ask else {
            return match &prompt.default {
                Some(default) => Ok(Some(default.clone())),
                None => Err(wrong(format!("`{}` is asked for: give it with `-e {}=…`", prompt.name, prompt.name))),
            };
        };
        let asked = Asked {
            question: prompt.question.clone(),
            default: prompt.default.clone(),
            private: prompt.private,
            confirm: prompt.confirm,
        };
        ask.answer(&asked).map(Some).map_err(wrong)
    }

    /// Cuts the hosts into batches as `serial` says: numbers or shares, the last one for all that are left.
    fn batches(&self, play: &Play, all: &[String]) -> Result<Vec<Vec<String>>, Error> {
        let hosts = self.alive(all);
        let Some(serial) = &play.serial else { return Ok(vec![hosts]) };
        let wrong = |message: String| Error::Problems(vec![Problem::new(serial.place.clone(), message)]);
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, "localhost", Some(play), None, &cast);
        let value = scope.render(&serial.value).map_err(|error| wrong(error.message))?;
        let sizes: Vec<Value> = value.as_list().map_or_else(|| vec![value.clone()], |list| list.to_vec());
        let mut batches = vec![];
        let mut rest = hosts.as_slice();
        let mut sizes = sizes.iter().peekable();
        while let Some(size) = sizes.next() {
            let written = size.to_string();
            let count = batch_size(&written, hosts.len())
                .ok_or_else(|| wrong(format!("`serial` is `{written}`, must be a number or a share")))?;
            let count = if count == 0 { rest.len() } else { count };
            loop {
                let (batch, after) = rest.split_at(count.min(rest.len()));
                if !batch.is_empty() {
                    batches.push(batch.to_vec());
                }
                rest = after;
                if rest.is_empty() || sizes.peek().is_some() {
                    break;
                }
            }
        }
        Ok(batches)
    }

    async fn batch(&self, play: &Play, hosts: &[String], all: &[String]) -> Result<Option<Stop>, Error> {
        *self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Stage { all: all.to_vec(), batch: hosts.to_vec() };
        for host in hosts {
            self.fates().entry(host.clone()).or_default();
            self.world.change(host, |state| state.vars_files = Arc::default());
            let gathers = self.gathers(play, host);
            // What is known of an earlier play stays until one is asked for.
            self.world.change(host, |state| state.due |= gathers);
            let told = |problem: Box<Problem>| Error::Problems(vec![*problem]);
            let wanted = Wanted::default();
            let read = || self.vars_files(play, host, all, &wanted).map(Arc::new).map_err(told);
            let vars = read()?;
            self.world.change(host, |state| state.vars_files = vars);
            if gathers {
                self.keep_due(play, host);
            }
            for other in wanted.hosts() {
                // Tasks tell if they are not to be had.
                drop(self.gather_due(&other).await);
            }
            if !wanted.hosts().is_empty() {
                let vars = read()?;
                self.world.change(host, |state| state.vars_files = vars);
            }
        }
        for list in play.lists() {
            if list.is_empty() {
                continue;
            }
            // Roles and tasks are one section: handlers run behind both.
            let ends_section = !std::ptr::eq(list, &raw const play.role_tasks) || play.tasks.is_empty();
            let mut ended = self.items(play, list, hosts, Hope::None).await.err();
            if ended.is_none() && ends_section {
                ended = self.flush(play, hosts).await.err();
            }
            if let Some(ended) = ended {
                if play.force_handlers && matches!(ended, Stop::All | Stop::Play) {
                    drop(self.flush(play, hosts).await);
                }
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// Reads the `vars_files` of a play as one host sees them, but those whose names are not known, as Ansible does:
    /// whoever needs their variables tells.
    pub(super) fn vars_files(
        &self,
        play: &Play,
        host: &str,
        all: &[String],
        wanted: &Wanted,
    ) -> Result<Vars, Box<Problem>> {
        let cast = Arc::new(Cast { alive: all.to_vec(), all: all.to_vec(), batch: all.to_vec() });
        let mut vars = Vars::new();
        for written in &play.vars_files {
            let names = match &written.value {
                Json::Array(names) => names.clone(),
                name => vec![name.clone()],
            };
            let mut scope = TaskScope::new(&self.world, host, Some(play), None, &cast);
            let mut before = vars.clone();
            before.retain(|name, _| !self.world.extra.contains_key(name));
            scope.add(before, Trust::Rendered);
            scope.wanted = wanted.clone();
            let (mut candidates, mut known) = (vec![], true);
            for name in names {
                let name = match scope.render(&name) {
                    Ok(name) => name,
                    Err(error) if error.fault == Fault::Undefined => {
                        known = false;
                        break;
                    }
                    Err(error) => return Err(Box::new(Problem::new(written.place.clone(), error.message))),
                };
                let found = files::candidates("vars", &name.to_string(), None, &play.directory, &play.directory);
                // Ansible looks beside the playbook first.
                candidates.extend(found.into_iter().rev());
            }
            if !known {
                continue;
            }
            let Some(path) = files::find(&candidates) else {
                let named = candidates.first().map(|path| path.display().to_string()).unwrap_or_default();
                return Err(Box::new(Problem::new(written.place.clone(), format!("`{named}` is not there"))));
            };
            vars.extend(self.request.reading.vars(path)?);
        }
        Ok(vars)
    }
}

/// The hosts in the order that a play asks for.
fn in_order(play: &Play, hosts: &[String]) -> Vec<String> {
    let mut hosts = hosts.to_vec();
    match play.order {
        Order::Inventory => {}
        Order::Reversed => hosts.reverse(),
        Order::Sorted => hosts.sort(),
        Order::ReverseSorted => hosts.sort_by(|a, b| b.cmp(a)),
        Order::Shuffled => rand::seq::SliceRandom::shuffle(hosts.as_mut_slice(), &mut rand::rng()),
    }
    hosts
}

fn batch_size(written: &str, hosts: usize) -> Option<usize> {
    match written.trim().strip_suffix('%') {
        Some(share) => {
            let share: usize = share.trim().parse().ok()?;
            Some((hosts * share / 100).max(1))
        }
        None => written.trim().parse().ok(),
    }
}
