//! A playbook as a value: what is written, with positions; nothing rendered.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::place::Place;

/// A value as written, perhaps with templates in it, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The value.
    pub value: Value,
    /// Where.
    pub place: Place,
}

impl Written {
    /// Returns it if it is text.
    pub fn text(&self) -> Option<&str> {
        self.value.as_str()
    }
}

/// Variables in the order of the text.
pub type Vars = Map<String, Value>;

/// A playbook with everything it imports.
#[derive(Clone, Debug, PartialEq)]
pub struct Playbook {
    /// The file.
    pub path: PathBuf,
    /// Its plays.
    pub plays: Vec<Play>,
}

/// A play.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// Where it begins.
    pub place: Place,
    /// The directory of the playbook that it is written in.
    pub directory: PathBuf,
    /// Its name as written.
    pub name: Option<String>,
    /// Patterns as written.
    pub hosts: Written,
    /// Its variables.
    pub vars: Vars,
    /// Files of variables; of a list the first that is there.
    pub vars_files: Vec<Written>,
    /// Whether facts are gathered when they are asked for.
    pub gather_facts: Gather,
    /// The task that gathers them, with what the play says of itself.
    pub setup: Arc<Task>,
    /// Whether a failed host ends the play for all.
    pub any_errors_fatal: bool,
    /// How many hosts at a time go through all of the play; all where nothing is written.
    pub serial: Option<Written>,
    /// The share of hosts that may fail, in percent.
    pub max_fail_percentage: Option<Written>,
    /// Whether handlers run on hosts that failed.
    pub force_handlers: bool,
    /// The order of its hosts.
    pub order: Order,
    /// What a person is asked for.
    pub prompts: Vec<Prompt>,
    /// The tags of the play.
    pub tags: Vec<String>,
    /// Its roles in the order of running.
    pub roles: Vec<Arc<Role>>,
    /// Roles whose variables its tasks see, too: those that were imported.
    pub exposed: Vec<Arc<Role>>,
    /// `pre_tasks`.
    pub pre_tasks: Vec<Item>,
    /// The tasks of its roles.
    pub role_tasks: Vec<Item>,
    /// `tasks`.
    pub tasks: Vec<Item>,
    /// `post_tasks`.
    pub post_tasks: Vec<Item>,
    /// Its handlers, those of its roles first and those of imported ones last.
    pub handlers: Vec<Arc<Task>>,
}

/// What roles bring to a play beside their tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brought {
    /// Their handlers.
    pub handlers: Vec<Arc<Task>>,
    /// Those whose variables all tasks see.
    pub roles: Vec<Arc<Role>>,
}

/// The order of a play's hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As in the inventory.
    Inventory,
    /// The other way round.
    Reversed,
    /// By name.
    Sorted,
    /// By name, the other way round.
    ReverseSorted,
    /// By chance.
    Shuffled,
}

/// An entry of `vars_prompt`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The variable.
    pub name: String,
    /// What a person reads.
    pub question: String,
    /// What counts where nothing is typed.
    pub default: Option<String>,
    /// Whether what is typed is not shown.
    pub private: bool,
    /// Whether it must be typed twice.
    pub confirm: bool,
    /// Where it is written.
    pub place: Place,
}

/// Whether facts may be gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// When a task asks for one.
    WhenAsked,
    /// Never (`gather_facts: false`).
    Never,
}

/// A role as one play uses it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// `defaults/main.yml`.
    pub defaults: Vars,
    /// `vars/main.yml`.
    pub vars: Vars,
    /// The `vars` of its entry.
    pub given: Vars,
    /// What else its entry gives it.
    pub params: Vars,
    /// The roles that it depends on with theirs, in the order of running.
    pub dependencies: Vec<Arc<Role>>,
    /// What makes it the same role again: where it is, and what it is given.
    pub identity: String,
    /// Whether it runs once more where it has run (`allow_duplicates`).
    pub repeats: bool,
    /// Whether a task brought it, not `roles` or `dependencies`.
    pub included: bool,
}

/// A step of a play.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A task.
    Task(Arc<Task>),
    /// `block` with `rescue` and `always`.
    Block(Arc<Block>),
    /// Tasks that are known when it is reached.
    Include(Arc<Include>),
    /// The end of a role: where a task of it has run, it does not run again.
    End(Arc<Role>),
}

/// An `include_tasks` or `include_role` whose name is a template or that has a loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The include itself, with its conditions and its loop.
    pub task: Arc<Task>,
    /// What its tasks have from around them.
    pub settings: Settings,
    /// The directory of the playbook.
    pub playbook: PathBuf,
    /// How many includes it is in that were known when they were reached.
    pub depth: usize,
}

/// Tasks that may fail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The `include_tasks` or `include_role` that brought it: where it is skipped, all of it is.
    pub gate: Option<Arc<Task>>,
    /// What its roles bring to the play once a host is let in.
    pub brought: Brought,
    /// What is tried.
    pub body: Vec<Item>,
    /// What is done on hosts where it failed.
    pub rescue: Vec<Item>,
    /// What is done at the end in any case.
    pub always: Vec<Item>,
}

/// A keyword as it is written around a task and at last on it: where one is `omit`, the one before counts.
pub type Keyword = Vec<Written>;

/// What tasks have from themselves or from what is around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Conditions, outermost first.
    pub when: Vec<Written>,
    /// `become`.
    pub becomes: Keyword,
    /// `become_user`.
    pub become_user: Keyword,
    /// `become_method`.
    pub become_method: Keyword,
    /// `become_flags`.
    pub become_flags: Keyword,
    /// `connection`.
    pub connection: Keyword,
    /// `remote_user`.
    pub remote_user: Keyword,
    /// `environment`, outermost first.
    pub environment: Vec<Written>,
    /// Variables of blocks and of the task.
    pub vars: Vars,
    /// Variables that an `include_…` hands down: stronger than what tasks set.
    pub params: Vars,
    /// `delegate_to`.
    pub delegate_to: Keyword,
    /// `no_log`.
    pub no_log: Keyword,
    /// `ignore_errors`.
    pub ignore_errors: Keyword,
    /// `check_mode`.
    pub check_mode: Keyword,
    /// `run_once`.
    pub run_once: Keyword,
    /// `any_errors_fatal`.
    pub any_errors_fatal: Keyword,
    /// `ignore_unreachable`.
    pub ignore_unreachable: Keyword,
    /// `delegate_facts`.
    pub delegate_facts: Keyword,
    /// `diff`.
    pub diff: Keyword,
    /// `port`.
    pub port: Keyword,
    /// `throttle`.
    pub throttle: Keyword,
    /// `timeout`.
    pub timeout: Keyword,
    /// `module_defaults`: arguments by the name of a module.
    pub module_defaults: Vec<(String, Vec<(String, Written)>)>,
    /// `tags`, with those from around it.
    pub tags: Vec<String>,
}

/// A task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// Where it begins.
    pub place: Place,
    /// Its name as written.
    pub name: Option<String>,
    /// The module's short name.
    pub module: String,
    /// Where the module's name stands.
    pub module_place: Place,
    /// The module's line of text.
    pub free_form: Option<Written>,
    /// The module's arguments.
    pub args: Vec<(String, Written)>,
    /// The whole of the arguments as one template (`args: "{{ … }}"`, `set_fact: "{{ … }}"`).
    pub args_template: Option<Written>,
    /// What it has from itself and from around it.
    pub settings: Settings,
    /// Its own variables, without those from around it.
    pub vars: Vars,
    /// Where its result is kept.
    pub register: Option<String>,
    /// Over what it is repeated.
    pub repeat: Option<Repeat>,
    /// Handlers by name or topic.
    pub notify: Vec<Written>,
    /// Topics, for handlers.
    pub listen: Vec<Written>,
    /// `changed_when`.
    pub changed_when: Vec<Written>,
    /// `failed_when`.
    pub failed_when: Vec<Written>,
    /// `until`.
    pub until: Vec<Written>,
    /// `retries`.
    pub retries: Option<Written>,
    /// `delay`.
    pub delay: Option<Written>,
    /// `async`: the seconds that it may take beside the others.
    pub background: Option<Written>,
    /// `poll`: the seconds between looks at it; 0 for none.
    pub poll: Option<Written>,
    /// The role it belongs to.
    pub role: Option<Arc<Role>>,
    /// The roles that brought that role, the nearest first.
    pub chain: Vec<Arc<Role>>,
    /// The directory of its file.
    pub directory: PathBuf,
}

/// `loop` or `with_items`.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// Over what.
    pub over: Written,
    /// How the list is made of it.
    pub kind: RepeatKind,
    /// The variable's name.
    pub var: String,
    /// The name of the variable that counts, from 0.
    pub index_var: Option<String>,
    /// What is shown for an item.
    pub label: Option<Written>,
    /// Seconds between items.
    pub pause: Option<Written>,
    /// Whether `ansible_loop` tells of it.
    pub extended: Option<Written>,
}

/// How a list is made for a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepeatKind {
    /// `loop` and `with_list`: as it is.
    List,
    /// `with_items`: flattened by one level.
    Items,
    /// `with_…`: by the lookup of that name.
    Lookup(String),
}

impl Play {
    /// Its lists of tasks in the order of running.
    pub fn lists(&self) -> [&Vec<Item>; 4] {
        [&self.pre_tasks, &self.role_tasks, &self.tasks, &self.post_tasks]
    }
}

impl Item {
    /// The role whose step it is. A block without a gate leaves it to its tasks.
    pub fn role(&self) -> Option<&Role> {
        match self {
            Self::Task(task) => task.role.as_deref(),
            Self::Include(include) => include.task.role.as_deref(),
            Self::Block(block) => block.gate.as_ref()?.role.as_deref(),
            Self::End(_) => None,
        }
    }
}

impl Task {
    /// Returns an argument.
    pub fn arg(&self, name: &str) -> Option<&Written> {
        self.args.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What an argument says that is yes or no, where it can be known before it is rendered.
    pub fn says(&self, name: &str) -> Option<bool> {
        match &self.arg(name)?.value {
            Value::Bool(value) => Some(*value),
            Value::String(word) => match word.to_lowercase().as_str() {
                "yes" | "true" | "on" => Some(true),
                "no" | "false" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The names of the roles that included its role, the nearest first.
    pub fn parents(&self) -> Vec<String> {
        let children = self.role.iter().chain(&self.chain);
        let pairs = children.zip(&self.chain).filter(|(child, _)| child.included);
        pairs.map(|(_, parent)| parent.name.clone()).collect()
    }

    /// What a person calls it: its name, or the module's.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.module)
    }
}
