//! What is wrong with a playbook, and which files it needs, without touching anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::module::{Mode, program};
use crate::place::{Place, Problem};
use crate::playbook::inventory;
use crate::playbook::jinja::{self, Fault, names_in, names_in_expression, tree};
use crate::playbook::model::{Play, Playbook, Task, Vars, Written};
use crate::playbook::parse::{self, each_brought, each_task};
use crate::playbook::scope::{Cast, TaskScope, Trust, World};
use crate::playbook::{Known, files, run};

/// What the walk through a playbook finds.
struct Walk {
    world: Arc<World>,
    problems: Vec<Problem>,
    files: BTreeSet<PathBuf>,
    /// Names that tasks make up on their way: registered, set, included.
    made: BTreeSet<String>,
    /// Whether names may come from places that cannot be seen, e.g. a file whose name is computed.
    open: bool,
}

/// Finds every problem.
pub fn check(playbook: &Path, known: &Known) -> Vec<Problem> {
    walk(playbook, known).0
}

/// Lists the files.
pub fn inputs(playbook: &Path, known: &Known) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let (_, reader) = parse::playbook(playbook, &known.reading);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let (_, found) = walk(playbook, known);
    let mut all = BTreeSet::new();
    for path in found.into_iter().chain(reader.files).chain(reader.roles) {
        below(&path, &mut all, 0);
    }
    Ok(all.into_iter().collect())
}

/// Adds a file, or every file of a directory.
fn below(path: &Path, all: &mut BTreeSet<PathBuf>, depth: usize) {
    let real_directory = path.is_dir() && (depth == 0 || !path.is_symlink());
    if !real_directory {
        all.insert(path.to_owned());
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if depth < 50 {
            below(&entry.path(), all, depth + 1);
        }
    }
}

fn walk(path: &Path, known: &Known) -> (Vec<Problem>, BTreeSet<PathBuf>) {
    let (playbook, reader) = parse::playbook(path, &known.reading);
    let (mut inventory, mut problems) = inventory::load(&known.inventory, &known.reading);
    problems.extend(reader.problems);
    let directory = run::playbook_directory(path);
    inventory.beside(&directory, &known.reading, &mut problems);
    let inventory_files: BTreeSet<PathBuf> = inventory.files.iter().cloned().collect();
    let world = Arc::new(
        World::new(inventory, known.extra_vars.clone(), Mode::Check, directory).reading(known.reading.clone()),
    );
    let mut walk = Walk { world, problems, files: reader.files, made: BTreeSet::new(), open: false };
    walk.collect(&playbook);
    for play in &playbook.plays {
        walk.play(play);
    }
    walk.problems.sort();
    walk.problems.dedup();
    let files = walk.files.difference(&inventory_files).cloned().collect();
    (walk.problems, files)
}

impl Walk {
    /// Collects the names that tasks make.
    fn collect(&mut self, playbook: &Playbook) {
        for play in &playbook.plays {
            for_all(play, &mut |task| {
                self.made.extend(task.register.clone());
                match task.module.as_str() {
                    "set_fact" => {
                        self.made.extend(task.args.iter().map(|(name, _)| name.clone()));
                        self.open |= task.args_template.is_some();
                    }
                    // Hosts and groups that are made bring variables that cannot be seen here.
                    "include_vars" | "add_host" | "group_by" => self.open = true,
                    // What is included when it is reached may see and make anything.
                    "include_tasks" | "include_role" => self.open |= task.repeat.is_some() || is_late(task),
                    _ => {}
                }
            });
        }
    }

    fn play(&mut self, play: &Play) {
        let hosts = self.hosts(play);
        let vars = self.vars_files(play, &hosts[0]);
        for value in play.vars.values().chain(vars.values()) {
            self.syntax(value, &play.place);
        }
        for written in &play.vars_files {
            self.syntax(&written.value, &written.place);
        }
        self.world.conceal();
        let mut handlers = play.handlers.clone();
        for list in play.lists() {
            each_brought(list, &mut |brought| {
                self.world.expose(&brought.roles);
                handlers.extend(brought.handlers.iter().cloned());
            });
        }
        let handlers: BTreeSet<String> = handlers
            .iter()
            .flat_map(|task| {
                let title = task.name.clone().unwrap_or_default();
                let prefixed = task.role.as_ref().map(|role| format!("{} : {title}", role.name));
                let topics = task.listen.iter().filter_map(|topic| topic.text()).map(str::to_owned);
                prefixed.into_iter().chain([title]).chain(topics).collect::<Vec<_>>()
            })
            .collect();
        for_all(play, &mut |task| {
            self.task(play, task, &vars, &hosts[0]);
            for name in task.notify.iter().filter(|name| name.text().is_some_and(|text| !jinja::is_template(text))) {
                let text = name.text().unwrap_or_default();
                let templated = handlers.iter().any(|known| jinja::is_template(known));
                if !handlers.contains(text) && !templated {
                    self.problems.push(Problem::new(name.place.clone(), format!("there is no handler `{text}`")));
                }
            }
        });
    }

    fn hosts(&self, play: &Play) -> Vec<String> {
        let pattern = play.hosts.text().unwrap_or("all");
        match self.world.inventory().select(pattern) {
            Ok(hosts) if !hosts.is_empty() => hosts,
            _ => vec!["localhost".to_owned()],
        }
    }

    fn scope<'w>(
        world: &'w Arc<World>,
        play: &'w Play,
        task: Option<&'w Task>,
        vars: &Vars,
        host: &str,
    ) -> TaskScope<'w> {
        let cast = Arc::new(Cast::default());
        let mut scope = TaskScope::new(world, host, Some(play), task, &cast);
        let mut below = vars.clone();
        below.retain(|name, _| !world.extra.contains_key(name));
        scope.add(below, Trust::Rendered);
        scope
    }

    /// Renders a name if everything it needs is known.
    fn computed(&self, play: &Play, task: Option<&Task>, vars: &Vars, host: &str, value: &Json) -> Option<String> {
        let scope = Self::scope(&self.world, play, task, vars, host);
        let rendered = scope.render(value).ok()?;
        // A variable that will be given, with a value that is not known, stands as nothing.
        let unknown = value.as_str().is_some_and(|text| {
            jinja::parse_text(text).is_ok_and(|parsed| {
                names_in(&parsed).needed.iter().any(|(name, _)| self.world.extra.get(name).is_some_and(Json::is_null))
            })
        });
        (!unknown).then(|| rendered.to_string())
    }

    fn vars_files(&mut self, play: &Play, host: &str) -> Vars {
        let mut vars = Vars::new();
        for written in &play.vars_files {
            let names = match &written.value {
                Json::Array(names) => names.clone(),
                name => vec![name.clone()],
            };
            let mut candidates = vec![];
            for name in &names {
                let Some(name) = self.computed(play, None, &vars, host, name) else {
                    self.open = true;
                    continue;
                };
                let found = files::candidates("vars", &name, None, &play.directory, &play.directory);
                candidates.extend(found.into_iter().rev());
            }
            let Some(path) = files::find(&candidates).cloned() else {
                if let Some(first) = candidates.first().filter(|_| names.len() == 1 || !self.open) {
                    let message = format!("`{}` is not there", files::tidy(first).display());
                    self.files.insert(first.clone());
                    self.problems.push(Problem::new(written.place.clone(), message));
                    self.open = true;
                }
                continue;
            };
            self.files.insert(path.clone());
            match self.world.reading.vars(&files::tidy(&path)) {
                Ok(read) => vars.extend(read),
                Err(problem) => self.problems.push(*problem),
            }
        }
        vars
    }

    fn task(&mut self, play: &Play, task: &Task, vars: &Vars, host: &str) {
        let conditions =
            [&task.settings.when, &task.changed_when, &task.failed_when, &task.until].into_iter().flatten();
        for condition in conditions {
            self.condition(play, task, vars, host, condition);
        }
        let repeat = task.repeat.as_ref();
        for (_, written) in &task.args {
            if matches!(task.module.as_str(), "debug" | "assert") {
                self.syntax(&written.value, &written.place);
            } else {
                self.text(play, task, vars, host, written);
            }
        }
        for written in task.free_form.iter().chain(&task.args_template).chain(repeat.map(|repeat| &repeat.over)) {
            self.text(play, task, vars, host, written);
        }
        self.source(play, task, vars, host);
        if matches!(task.module.as_str(), "include_tasks" | "include_role") && is_late(task) {
            self.perhaps_included(play, task);
        }
    }

    /// Whatever an include may read whose name is a template.
    fn perhaps_included(&mut self, play: &Play, task: &Task) {
        let is_yaml = |path: &PathBuf| path.extension().is_some_and(|end| end == "yml" || end == "yaml");
        if task.module == "include_role" {
            self.files.extend(files::below(&play.directory.join("roles")));
        } else {
            self.files.extend(files::within(&task.directory, 1).into_iter().filter(is_yaml));
        }
    }

    fn condition(&mut self, play: &Play, task: &Task, vars: &Vars, host: &str, written: &Written) {
        let Some(text) = written.text().filter(|text| !jinja::is_template(text) && !text.trim().is_empty()) else {
            self.syntax(&written.value, &written.place);
            return;
        };
        match tree::parse_expression(text.trim_end()) {
            Ok(expr) => {
                let names = names_in_expression(&expr);
                self.names(play, task, vars, host, &written.place, names);
            }
            Err(error) => {
                let message = format!("the condition `{}` cannot be read: {}", text.trim(), error.message);
                self.problems.push(Problem::new(written.place.clone(), message));
            }
        }
    }

    /// Parses every text in a value.
    fn syntax(&mut self, value: &Json, place: &Place) {
        match value {
            Json::String(text) if jinja::is_template(text) => match jinja::parse_text(text) {
                Ok(parsed) => {
                    for (message, _) in names_in(&parsed).unknown {
                        self.problems.push(Problem::new(place.clone(), message));
                    }
                }
                Err(error) => self
                    .problems
                    .push(Problem::new(place.clone(), format!("the template cannot be read: {}", error.message))),
            },
            Json::Array(items) => items.iter().for_each(|item| self.syntax(item, place)),
            Json::Object(entries) => entries.values().for_each(|item| self.syntax(item, place)),
            _ => {}
        }
    }

    fn text(&mut self, play: &Play, task: &Task, vars: &Vars, host: &str, written: &Written) {
        self.syntax(&written.value, &written.place);
        let mut texts = vec![];
        leaves(&written.value, &mut texts);
        for text in texts {
            if let Ok(parsed) = jinja::parse_text(text) {
                let mut names = names_in(&parsed);
                names.unknown.clear();
                self.names(play, task, vars, host, &written.place, names);
            }
        }
    }

    fn names(&mut self, play: &Play, task: &Task, vars: &Vars, host: &str, place: &Place, names: jinja::Names) {
        for (message, _) in names.unknown {
            self.problems.push(Problem::new(place.clone(), message));
        }
        for (name, _) in names.needed {
            if self.missing(play, task, vars, host, &name) {
                self.problems.push(Problem::new(place.clone(), format!("`{name}` is undefined")));
            }
        }
    }

    /// Whether a name is surely not there.
    fn missing(&self, play: &Play, task: &Task, vars: &Vars, host: &str, name: &str) -> bool {
        let scope = Self::scope(&self.world, play, Some(task), vars, host);
        let looped = task.repeat.as_ref().is_some_and(|repeat| {
            repeat.var == name || repeat.index_var.as_deref() == Some(name) || name.starts_with("ansible_loop")
        });
        let handled = name.starts_with("ansible_") || self.open || looped || self.made.contains(name);
        // Without hosts it cannot be known what the inventory gives.
        let hosts_known = !self.world.inventory().hosts.is_empty();
        !handled && hosts_known && matches!(jinja::Scope::variable(&scope, name), Ok(None))
    }

    /// The file or directory of the control node that a task reads.
    fn source(&mut self, play: &Play, task: &Task, vars: &Vars, host: &str) {
        let Some((kind, src)) = read_here(task) else { return };
        if task.repeat.is_some() {
            return;
        }
        let Some(name) = self.computed(play, Some(task), vars, host, &src.value) else { return };
        let name = match task.module.as_str() {
            "script" => program::split(&name).ok().and_then(|words| words.into_iter().next()).unwrap_or_default(),
            "synchronize" => name.trim_end_matches('/').to_owned(),
            _ => name,
        };
        let scope = Self::scope(&self.world, play, Some(task), vars, host);
        let candidates = scope.candidates(kind, &name);
        let Some(path) = files::find(&candidates).cloned() else {
            self.files.extend(candidates.first().cloned());
            // What is pushed may be made by a task before.
            if task.module == "synchronize" {
                return;
            }
            let what = if kind == "templates" { "template" } else { "file" };
            let first = candidates.first().map(|path| path.display().to_string()).unwrap_or_default();
            self.problems
                .push(Problem::new(src.place.clone(), format!("there is no {what} `{name}`: `{first}` is not there")));
            return;
        };
        self.files.insert(path.clone());
        if kind == "templates" {
            self.template(play, task, vars, host, &path);
        }
    }

    fn template(&mut self, play: &Play, task: &Task, vars: &Vars, host: &str, path: &Path) {
        let Ok(text) = self.world.reading.vault.text(path) else {
            self.problems.push(Problem::new(Place::file(path), "the template is no text"));
            return;
        };
        let own_syntax = task.args.iter().any(|(name, _)| name.ends_with("_string") || name.ends_with("_blocks"));
        if own_syntax {
            return;
        }
        match jinja::parse_file(&text) {
            Ok(parsed) => {
                let names = names_in(&parsed);
                let at = |at: jinja::At| Place::new(path, at.line, at.column);
                for (message, place) in names.unknown {
                    self.problems.push(Problem::new(at(place), message));
                }
                for (name, place) in names.needed {
                    if self.missing(play, task, vars, host, &name) {
                        self.problems.push(Problem::new(at(place), format!("`{name}` is undefined")));
                    }
                }
            }
            Err(error) => {
                let place = Place::new(path, error.at.line, error.at.column);
                let message = match error.fault {
                    Fault::Syntax | Fault::Undefined | Fault::Failed => error.message,
                };
                self.problems.push(Problem::new(place, message));
            }
        }
    }
}

/// Whether it is known only when it is reached what a task includes.
fn is_late(task: &Task) -> bool {
    let named = task.args.iter().map(|(_, value)| value).chain(&task.free_form);
    named.filter_map(Written::text).any(jinja::is_template)
}

/// What a task reads of the control node: the sort of file, and its name as written.
fn read_here(task: &Task) -> Option<(&'static str, &Written)> {
    let src = task.arg("src");
    match task.module.as_str() {
        "template" => Some(("templates", src?)),
        "copy" if task.arg("content").is_none() && !is(task, "remote_src", false) => Some(("files", src?)),
        "unarchive" if !is(task, "remote_src", false) && is(task, "copy", true) => Some(("files", src?)),
        "assemble" if !is(task, "remote_src", true) => Some(("files", src?)),
        "uri" if !is(task, "remote_src", false) => Some(("files", src?)),
        "synchronize" if task.arg("mode").and_then(Written::text) != Some("pull") => Some(("files", src?)),
        "script" => task.free_form.as_ref().or_else(|| task.arg("cmd")).map(|line| ("files", line)),
        _ => None,
    }
}

/// What a parameter says that is yes or no, as far as it can be known before it is rendered.
fn is(task: &Task, name: &str, usual: bool) -> bool {
    task.arg(name).map_or(usual, |value| match &value.value {
        Json::Bool(value) => *value,
        Json::String(text) => !matches!(text.as_str(), "no" | "false" | "False"),
        _ => false,
    })
}

fn leaves<'v>(value: &'v Json, out: &mut Vec<&'v str>) {
    match value {
        Json::String(text) if jinja::is_template(text) => out.push(text),
        Json::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Json::Object(entries) => entries.values().for_each(|item| leaves(item, out)),
        _ => {}
    }
}

/// Calls `work` with every task and handler of a play.
fn for_all(play: &Play, work: &mut dyn FnMut(&Task)) {
    for list in play.lists() {
        each_task(list, &mut |task| work(task));
        each_brought(list, &mut |brought| brought.handlers.iter().for_each(|handler| work(handler)));
    }
    for handler in &play.handlers {
        work(handler);
    }
}
