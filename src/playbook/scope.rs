//! The variables that a task sees on a host: which one wins, rendered when it is looked at.
//!
//! From the strongest: loop variables and magic ones, extra variables, those of an `include_…`, parameters of the role,
//! `set_fact` and registered results, `include_vars`, variables of task and blocks, of the role, of `vars_files`, of the
//! play, facts, the inventory, defaults of roles. Source: ansible-core 2.15, `vars/manager.py`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use crate::module::Mode;
use crate::playbook::inventory::Inventory;
use crate::playbook::jinja::value::Keys;
use crate::playbook::jinja::{self, Fault, NoValue, Source, Value};
use crate::playbook::model::{Keyword, Play, Role, Task, Vars};
use crate::playbook::reading::Reading;
use crate::playbook::{files, lookup};

mod magic;
mod roles;
mod wanted;

use magic::MAGIC;
pub use wanted::Wanted;

/// Stands for "leave this parameter out".
pub const OMIT: &str = "__omit_place_holder__";

/// What a run knows about one host.
#[derive(Clone, Debug, Default)]
pub struct HostState {
    /// What tasks registered and set.
    pub set: Arc<Vars>,
    /// What `include_vars` read.
    pub included: Arc<Vars>,
    /// Its facts, once they were asked for, without `ansible_` in front.
    pub facts: Option<Arc<Vars>>,
    /// Whether a play gathers its facts and none of them was asked for yet: those that are there are older.
    pub due: bool,
    /// Facts that modules told, as they named them.
    pub told: Arc<Vars>,
    /// What `vars_files` of the play hold for it.
    pub vars_files: Arc<Vars>,
}

/// What stays the same over a run, and what the hosts have gathered.
#[derive(Debug)]
pub struct World {
    /// Extra variables.
    pub extra: Vars,
    /// Whether tasks act.
    pub mode: Mode,
    /// The directory of the playbook that was named.
    pub directory: PathBuf,
    /// How files are read.
    pub reading: Reading,
    /// What the command line says.
    pub named: Named,
    inventory: Mutex<Arc<Inventory>>,
    hosts: Mutex<BTreeMap<String, HostState>>,
    base: Mutex<BTreeMap<String, Arc<Vars>>>,
    exposed: Mutex<Arc<Vec<Arc<Role>>>>,
}

/// What the command line says and magic variables tell.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Which tasks are carried out.
    pub tags: crate::playbook::tags::Wanted,
    /// Most hosts worked on at a time.
    pub forks: usize,
    /// The hosts that are meant.
    pub limit: Option<String>,
    /// The inventories.
    pub sources: Vec<String>,
}

impl World {
    /// The same with another way to read files.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// The same with what the command line says.
    #[must_use]
    pub fn named(mut self, named: Named) -> Self {
        self.named = named;
        self
    }

    /// Starts with nothing gathered.
    pub fn new(inventory: Inventory, extra: Vars, mode: Mode, directory: PathBuf) -> Self {
        Self {
            inventory: Mutex::new(Arc::new(inventory)),
            extra,
            mode,
            directory,
            reading: Reading::default(),
            named: Named::default(),
            hosts: Mutex::default(),
            base: Mutex::default(),
            exposed: Mutex::default(),
        }
    }

    /// Lets all tasks of the play see the variables of roles, the strongest last.
    pub fn expose(&self, roles: &[Arc<Role>]) {
        let mut exposed = self.exposed.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut exposed).extend_from_slice(roles);
    }

    /// Ends that for all of them.
    pub fn conceal(&self) {
        *self.exposed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, HostState>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known about a host now.
    pub fn state(&self, host: &str) -> HostState {
        self.states().get(host).cloned().unwrap_or_default()
    }

    /// Changes what is known about a host.
    pub fn change(&self, host: &str, work: impl FnOnce(&mut HostState)) {
        work(self.states().entry(host.to_owned()).or_default());
    }

    /// Forgets what is known about a machine itself.
    pub fn forget_facts(&self, host: &str) {
        self.change(host, |state| (state.facts, state.told, state.due) = (None, Arc::default(), false));
    }

    /// Returns the hosts and groups that there are now.
    pub fn inventory(&self) -> Arc<Inventory> {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes hosts and groups.
    pub fn change_inventory<T>(&self, work: impl FnOnce(&mut Inventory) -> T) -> T {
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(Arc::make_mut(&mut inventory));
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clear();
        done
    }

    /// Returns the inventory's variables of a host.
    pub fn base(&self, host: &str) -> Arc<Vars> {
        let inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        base.entry(host.to_owned()).or_insert_with(|| Arc::new(inventory.vars(host))).clone()
    }
}

/// Whether text of a layer is a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is rendered.
    Rendered,
    /// It is taken as it is: it came from a target.
    Plain,
}

/// The hosts that a play is working on.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// Those that are still in it.
    pub alive: Vec<String>,
    /// Those of them that are worked on together.
    pub batch: Vec<String>,
    /// All of them.
    pub all: Vec<String>,
}

/// The variables of one host for one task.
pub struct TaskScope<'w> {
    /// The run.
    pub world: &'w Arc<World>,
    /// The host's inventory name.
    pub host: String,
    /// The play.
    pub play: Option<&'w Play>,
    /// The task.
    pub task: Option<&'w Task>,
    /// Who plays.
    pub cast: Arc<Cast>,
    /// Variables over all others, the last ones strongest.
    pub over: Vec<(Vars, Trust)>,
    /// Whose facts were asked for that are not there yet, here and in scopes that were made of this one.
    pub wanted: Wanted,
    state: HostState,
    base: Arc<Vars>,
    exposed: Arc<Vec<Arc<Role>>>,
    delegated: std::cell::OnceCell<String>,
    memo: RefCell<HashMap<String, Option<Value>>>,
    active: RefCell<Vec<String>>,
}

impl<'w> TaskScope<'w> {
    /// Makes the scope of a task on a host.
    pub fn new(
        world: &'w Arc<World>,
        host: &str,
        play: Option<&'w Play>,
        task: Option<&'w Task>,
        cast: &Arc<Cast>,
    ) -> Self {
        Self {
            world,
            host: host.to_owned(),
            play,
            task,
            cast: cast.clone(),
            over: vec![],
            wanted: Wanted::default(),
            state: world.state(host),
            base: world.base(host),
            exposed: world.exposed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            delegated: std::cell::OnceCell::new(),
            memo: RefCell::default(),
            active: RefCell::default(),
        }
    }

    /// The same scope once more.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut scope = Self::new(self.world, &self.host, self.play, self.task, &self.cast);
        scope.over.clone_from(&self.over);
        scope.wanted = self.wanted.clone();
        scope
    }

    /// The host that facts are kept for: with `delegate_facts` the one that the task is delegated to.
    pub fn facts_host(&self) -> &str {
        self.delegated.get_or_init(|| {
            let settings = self.task.map(|task| &task.settings);
            let keyword = |written: &Keyword| self.keyword(written).ok().flatten();
            let meant = settings.and_then(|it| keyword(&it.delegate_facts));
            let wanted = meant.is_some_and(|value| match &value {
                Value::Str(text) => matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1" | "y" | "t"),
                other => other.truth(),
            });
            let target = settings.filter(|_| wanted).and_then(|it| keyword(&it.delegate_to));
            target.map_or_else(|| self.host.clone(), |target| target.to_string())
        })
    }

    /// The directory of the playbook.
    pub fn directory(&self) -> &'w Path {
        self.play.map_or(&self.world.directory, |play| &play.directory)
    }

    /// The names of all variables.
    pub fn all_names(&self) -> Vec<String> {
        let layers = self
            .over
            .iter()
            .map(|(vars, _)| vars)
            .chain([&self.world.extra, self.state.set.as_ref(), self.state.included.as_ref()])
            .chain(self.role_params())
            .chain(self.task.into_iter().flat_map(|task| [&task.settings.params, &task.settings.vars]))
            .chain([self.state.vars_files.as_ref()])
            .chain(self.play.map(|play| &play.vars))
            .chain([self.base.as_ref()])
            .chain(self.role_vars())
            .chain(self.role_defaults());
        let mut names: Vec<String> = vec![];
        let mut seen = BTreeSet::new();
        for name in layers.flat_map(Vars::keys) {
            if seen.insert(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The names of all variables, facts and magic ones among them, sorted.
    fn everything_named(&self) -> Vec<String> {
        let told = self.state.facts.iter().flat_map(|facts| facts.keys().map(|name| format!("ansible_{name}")));
        let told = told.chain(self.state.told.keys().cloned());
        let magic = MAGIC.iter().map(|name| (*name).to_owned());
        let mut names: Vec<String> = self.all_names().into_iter().chain(told).chain(magic).collect();
        names.sort();
        names.dedup();
        names
    }

    /// All variables, by name, as `value` gives them.
    fn everything(&self, value: impl Fn(&str) -> Option<Value>) -> Value {
        Value::dict(self.everything_named().iter().filter_map(|name| Some((Value::text(name), value(name)?))).collect())
    }

    /// A variable as it is written.
    fn written(&self, name: &str) -> Option<Value> {
        self.magic(name).or_else(|| self.raw(name).map(|(raw, _)| Value::from(raw)))
    }

    /// A variable with its value, or as it is written if it cannot be rendered.
    fn value(&self, name: &str) -> Option<Value> {
        match jinja::Scope::variable(self, name) {
            Ok(Some(value)) if value.find_missing().is_none() => Some(value),
            Ok(None) => None,
            _ => self.written(name),
        }
    }

    /// Adds variables over all others.
    pub fn add(&mut self, vars: Vars, trust: Trust) {
        self.memo.borrow_mut().clear();
        self.over.push((vars, trust));
    }

    /// Makes a value known over all variables, until one is added.
    pub fn know(&self, name: &str, value: Value) {
        self.memo.borrow_mut().insert(name.to_owned(), Some(value));
    }

    fn raw(&self, name: &str) -> Option<(&Json, Trust)> {
        if let Some((vars, trust)) = self.over.iter().rev().find(|(vars, _)| vars.contains_key(name)) {
            return vars.get(name).map(|value| (value, *trust));
        }
        let settings = self.task.map(|task| &task.settings);
        let rendered = |value| (value, Trust::Rendered);
        let plain = |value| (value, Trust::Plain);
        self.world
            .extra
            .get(name)
            .map(rendered)
            .or_else(|| settings.and_then(|settings| settings.params.get(name)).map(rendered))
            .or_else(|| self.role_params().find_map(|vars| vars.get(name)).map(rendered))
            .or_else(|| self.state.set.get(name).map(plain))
            .or_else(|| self.state.included.get(name).map(rendered))
            .or_else(|| settings.and_then(|settings| settings.vars.get(name)).map(rendered))
            .or_else(|| self.role_vars().find_map(|vars| vars.get(name)).map(rendered))
            .or_else(|| self.state.vars_files.get(name).map(rendered))
            .or_else(|| self.play.and_then(|play| play.vars.get(name)).map(rendered))
            .or_else(|| self.state.told.get(name).or_else(|| self.fact(name)).map(plain))
            .or_else(|| self.base.get(name).map(rendered))
            .or_else(|| self.role_defaults().find_map(|vars| vars.get(name)).map(rendered))
    }

    /// Notes that facts are asked for.
    fn ask(&self) {
        if self.state.due {
            self.wanted.add(&self.host);
        }
    }

    fn fact(&self, name: &str) -> Option<&Json> {
        self.state.facts.as_ref()?.get(name.strip_prefix("ansible_")?)
    }

    /// Whether a variable is set anywhere, without rendering it.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    fn find(&self, name: &str) -> Result<Option<Value>, String> {
        if let Some(value) = self.magic(name) {
            return Ok(Some(value));
        }
        let written = self.raw(name);
        let fact = name.starts_with("ansible_") && !NO_FACTS.contains(&name);
        if fact && (written.is_none() || self.fact(name).is_some()) {
            self.ask();
        }
        let Some((raw, trust)) = written else { return Ok(None) };
        if trust == Trust::Plain {
            return Ok(Some(Value::from(raw)));
        }
        if self.active.borrow().iter().any(|active| active == name) {
            let chain = self.active.borrow().join("` → `");
            return Err(format!("`{chain}` → `{name}`: a variable needs itself"));
        }
        self.active.borrow_mut().push(name.to_owned());
        let rendered = self.render(raw);
        self.active.borrow_mut().pop();
        match rendered {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.fault == Fault::Undefined => {
                let missing = jinja::Missing { name: name.to_owned(), reason: Some(error.message) };
                Ok(Some(Value::Undefined(Arc::new(missing))))
            }
            Err(error) if error.message.contains("a variable needs itself") => Err(error.message),
            Err(error) => Err(format!("variable `{name}`: {}", error.message)),
        }
    }

    /// Renders a value and everything in it.
    ///
    /// # Errors
    ///
    /// [`jinja::Error`] of the first text that cannot be rendered.
    pub fn render(&self, raw: &Json) -> Result<Value, jinja::Error> {
        match raw {
            Json::String(text) => jinja::render_text(text, self),
            Json::Array(items) => {
                Ok(Value::list(items.iter().map(|item| self.render(item)).collect::<Result<_, _>>()?))
            }
            Json::Object(entries) => {
                let mut dict = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = if jinja::is_template(key) { jinja::render_text(key, self)? } else { Value::text(key) };
                    dict.push((key, self.render(value)?));
                }
                Ok(Value::mapping(dict, Keys::Text))
            }
            other => Ok(Value::from(other)),
        }
    }

    /// What a keyword says; nothing if it is not given.
    ///
    /// # Errors
    ///
    /// Where it is written and why it cannot be rendered.
    pub fn keyword(&self, written: &Keyword) -> Result<Option<Value>, String> {
        for written in written.iter().rev() {
            match self.render(&written.value).map_err(|error| format!("{}: {}", written.place, error.message))? {
                Value::None => return Ok(None),
                value if value.as_str() == Some(OMIT) => {}
                value => return Ok(Some(value)),
            }
        }
        Ok(None)
    }

    /// The places that a file of that kind is looked for in.
    pub fn candidates(&self, kind: &str, name: &str) -> Vec<PathBuf> {
        let playbook = self.play.map_or(&self.world.directory, |play| &play.directory);
        let here = self.task.map_or(playbook, |task| &task.directory);
        files::candidates(kind, name, self.chain().map(|role| role.path.as_path()), here, playbook)
    }
}

/// Names that begin as facts do and are none.
const NO_FACTS: &[&str] = &[
    "ansible_become",
    "ansible_become_flags",
    "ansible_become_method",
    "ansible_become_pass",
    "ansible_become_password",
    "ansible_become_user",
    "ansible_connection",
    "ansible_host",
    "ansible_loop",
    "ansible_loop_var",
    "ansible_managed",
    "ansible_password",
    "ansible_port",
    "ansible_python_interpreter",
    "ansible_ssh_host",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_ssh_port",
    "ansible_ssh_private_key_file",
    "ansible_ssh_user",
    "ansible_sudo_pass",
    "ansible_user",
    "ansible_lxd_remote",
    "ansible_lxd_project",
    "ansible_lxd_host",
    "ansible_incus_remote",
    "ansible_incus_project",
    "ansible_private_key_file",
];

impl jinja::Scope for TaskScope<'_> {
    fn variable(&self, name: &str) -> Result<Option<Value>, String> {
        if let Some(known) = self.memo.borrow().get(name) {
            return Ok(known.clone());
        }
        let found = self.find(name)?;
        self.memo.borrow_mut().insert(name.to_owned(), found.clone());
        Ok(found)
    }

    fn whole(&self) -> Option<Value> {
        self.ask();
        Some(self.everything(|name| self.written(name)))
    }

    fn is_rendered(&self, name: &str) -> bool {
        let written =
            |(raw, trust): (&Json, Trust)| trust == Trust::Rendered && raw.as_str().is_some_and(jinja::is_template);
        self.raw(name).is_some_and(written)
    }

    fn lookup(&self, plugin: &str, terms: &[Value], options: &[(String, Value)]) -> Result<Vec<Value>, NoValue> {
        lookup::run(self, plugin, terms, options)
    }

    fn source(&self, name: &str) -> Result<Option<Source>, String> {
        let candidates = self.candidates("templates", name);
        let Some(path) = files::find(&candidates) else { return Ok(None) };
        let text = self
            .world
            .reading
            .vault
            .text(path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        Ok(Some(Source { path: path.clone(), text }))
    }
}
