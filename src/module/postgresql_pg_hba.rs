//! `postgresql_pg_hba`: who may connect to a PostgreSQL server, and how.
//!
//! The file is written anew: comments first, then the rules from the most to the least specific.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_pg_hba.py`.

pub mod network;
pub mod rule;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, octal};
use crate::module::arguments::{self, Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES, What};
use crate::module::edit;
use crate::module::lineinfile::State;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, plan as planned, text, typed};
use rule::{Rule, Wrong};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("address", Kind::Text).or(&["source", "src"]),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("backup_file", Kind::Text),
    Parameter::new("contype", Kind::Choice(&rule::KINDS)),
    Parameter::new("comment", Kind::Text),
    Parameter::new("create", Kind::Flag),
    Parameter::new("databases", Kind::Text),
    Parameter::new("method", Kind::Choice(&rule::METHODS)),
    Parameter::new("netmask", Kind::Text),
    Parameter::new("options", Kind::Text),
    Parameter::new("order", Kind::Choice(&["sdu", "sud", "dsu", "dus", "usd", "uds"])),
    Parameter::new("keep_comments_at_rules", Kind::Flag),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("users", Kind::Text),
    Parameter::new("rules", Kind::Any),
    Parameter::new("rules_behavior", Kind::Choice(&["combine", "conflict"])),
    Parameter::new("overwrite", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The file.
    pub dest: String,
    /// Whether the old file is kept.
    #[serde(default)]
    pub backup: bool,
    /// Where.
    pub backup_file: Option<String>,
    /// Whether a missing file is made.
    #[serde(default)]
    pub create: bool,
    /// Whether a comment behind a rule stays there.
    #[serde(default)]
    pub keep_comments_at_rules: bool,
    /// Whether the rules of the file go.
    #[serde(default)]
    pub overwrite: bool,
    /// The rules that are added or removed.
    pub wanted: Vec<Wanted>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// One rule, or several that differ in databases and users only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The kind of connection; nothing is done if there is none.
    pub contype: Option<String>,
    /// Databases, comma-separated.
    #[serde(default = "all")]
    pub databases: String,
    /// Accounts, comma-separated.
    #[serde(default = "all")]
    pub users: String,
    /// From where.
    #[serde(default = "samehost")]
    pub address: String,
    /// The mask of the address.
    pub netmask: Option<String>,
    /// How they prove themselves.
    #[serde(default = "md5")]
    pub method: String,
    /// What the method is told.
    pub options: Option<String>,
    /// What stands behind it.
    pub comment: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
}

fn all() -> String {
    "all".to_owned()
}

fn samehost() -> String {
    "samehost".to_owned()
}

fn md5() -> String {
    "md5".to_owned()
}

/// The parameters that describe one rule, with their defaults.
const OF_A_RULE: [(&str, Option<&str>); 9] = [
    ("address", Some("samehost")),
    ("comment", None),
    ("contype", None),
    ("databases", Some("all")),
    ("method", Some("md5")),
    ("netmask", None),
    ("options", None),
    ("state", Some("present")),
    ("users", Some("all")),
];

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    let wrong = |value: String, wanted: &str| Error::Value {
        module: "postgresql_pg_hba".to_owned(),
        name: "rules".to_owned(),
        value,
        wanted: wanted.to_owned(),
    };
    let own: Map<String, Value> =
        OF_A_RULE.iter().filter_map(|(name, _)| Some(((*name).to_owned(), arguments.shift_remove(*name)?))).collect();
    let combine = arguments.shift_remove("rules_behavior") == Some(json!("combine"));
    let wanted = match arguments.shift_remove("rules") {
        None => vec![Value::Object(own)],
        Some(Value::Array(rules)) => {
            let set = OF_A_RULE.iter().find(|(name, default)| own.get(*name).is_some_and(|it| it.as_str() != *default));
            if let Some((name, _)) = set.filter(|_| !combine) {
                return Err(Error::Together {
                    module: "postgresql_pg_hba".to_owned(),
                    first: "rules".to_owned(),
                    second: (*name).to_owned(),
                });
            }
            let one = |rule: Value| match rule {
                Value::Object(rule) => Ok(Value::Object(filled(rule, &own))),
                other => Err(wrong(arguments::text(&other), "a list of maps")),
            };
            rules.into_iter().map(one).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(wrong(arguments::text(&other), "a list of maps")),
    };
    arguments.insert("wanted".to_owned(), Value::Array(wanted));
    let arguments: Arguments = typed("postgresql_pg_hba", arguments)?;
    attributes::check("postgresql_pg_hba", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

/// A rule of the list, with what the task says for all of them.
fn filled(rule: Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    let mut whole = own.clone();
    for (name, value) in rule {
        let name = if name == "source" || name == "src" { "address".to_owned() } else { name };
        match value {
            Value::Null => drop(whole.shift_remove(&name)),
            value => drop(whole.insert(name, Value::from(arguments::text(&value)))),
        }
    }
    whole
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let scene = edit::look(&arguments.dest, &arguments.attributes, host, mode)?;
    planned::finish(plan(arguments, &scene, mode)?, host, mode)
}

/// A file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct File {
    comments: Vec<String>,
    rules: Vec<Rule>,
}

impl File {
    fn read(content: &str, keep_comments: bool) -> Result<Self, Wrong> {
        let mut file = Self::default();
        for line in content.lines().map(str::trim) {
            let (line, comment) = match line.split_once('#') {
                Some((line, comment)) => (line.trim_end(), Some(comment).filter(|comment| !comment.is_empty())),
                None => (line, None),
            };
            let beside = comment.filter(|_| keep_comments && !line.is_empty());
            if beside.is_none() {
                file.comments.extend(comment.map(|comment| format!("#{comment}")));
            }
            match (!line.is_empty()).then(|| Rule::read(line, beside)) {
                Some(Ok(rule)) => file.add(rule),
                // What is no whole rule is left out.
                None | Some(Err(Wrong::Rule(_))) => {}
                Some(Err(wrong)) => return Err(wrong),
            }
        }
        Ok(file)
    }

    fn add(&mut self, rule: Rule) {
        match self.rules.iter_mut().find(|other| other.key() == rule.key()) {
            Some(same) => *same = rule,
            None => self.rules.push(rule),
        }
    }

    fn remove(&mut self, rule: &Rule) {
        self.rules.retain(|other| other.key() != rule.key());
    }

    fn sorted(&self) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = self.rules.iter().collect();
        rules.sort_by(|left, right| left.order(right));
        rules
    }

    fn text(&self) -> String {
        let lines = self.sorted().into_iter().map(|rule| match &rule.comment {
            Some(comment) => format!("{}\t#{comment}", rule.line()),
            None => rule.line(),
        });
        let text = format!("{}\n{}", self.comments.join("\n"), lines.collect::<Vec<_>>().join("\n"));
        if text.ends_with('\n') { text } else { text + "\n" }
    }

    /// Whether the same rules are in both, in whatever order.
    fn same(&self, other: &Self) -> bool {
        self.rules.len() == other.rules.len() && self.rules.iter().all(|rule| other.rules.contains(rule))
    }
}

/// Plans the file.
///
/// # Errors
///
/// [`Failed`]: the file or a rule cannot be read, or there is no file and none is to be made.
pub fn plan(arguments: &Arguments, scene: &edit::Scene, mode: Mode) -> Result<Plan, Failed> {
    let content = scene.content.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let read = File::read(content.as_deref().unwrap_or_default(), arguments.keep_comments_at_rules);
    let before = read.map_err(|wrong| Failed::new(format!("Error reading file:\n{}", wrong.message())))?;
    let mut after = before.clone();
    if arguments.overwrite {
        after.rules.clear();
    }
    let mut messages = vec![];
    for wanted in &arguments.wanted {
        edited(wanted, &mut after, &mut messages)
            .map_err(|wrong| Failed::new(format!("Error modifying rules:\n{}", wrong.message())))?;
    }
    let mut plan = Plan::default();
    if !before.same(&after) {
        messages.push("Changed".to_owned());
        if mode == Mode::Apply {
            messages.push("Writing".to_owned());
            if content.is_none() && !arguments.create {
                return Err(Failed::new(format!(
                    "Error writing file:\npg_hba file '{}' doesn't exist. Use create option to autocreate.",
                    arguments.dest
                )));
            }
        }
        write(arguments, scene, &after.text(), &mut plan);
    }
    plan.tell("msgs", json!(messages));
    plan.tell("pg_hba", Value::from(after.sorted().iter().map(|rule| rule.json()).collect::<Vec<_>>()));
    Ok(plan)
}

fn edited(wanted: &Wanted, file: &mut File, messages: &mut Vec<String>) -> Result<(), Wrong> {
    if wanted.contype.is_none() {
        return Ok(());
    }
    for database in wanted.databases.split(',') {
        for user in wanted.users.split(',') {
            let rule = Rule::wanted(wanted, database, user)?;
            let shown = arguments::python(&rule.json());
            if wanted.state == State::Present {
                messages.push(format!("Adding rule {shown}"));
                file.add(rule);
            } else {
                messages.push(format!("Removing rule {shown}"));
                file.remove(&rule);
            }
        }
    }
    Ok(())
}

fn write(arguments: &Arguments, scene: &edit::Scene, after: &str, plan: &mut Plan) {
    let before = scene.content.as_deref().unwrap_or_default();
    let path = &scene.canonical;
    if arguments.backup && scene.content.is_some() {
        let usual = || format!("/tmp/pg_hba{:08x}", rand::random::<u32>());
        let kept = arguments.backup_file.clone().filter(|path| !path.is_empty()).unwrap_or_else(usual);
        let mode = scene.found.as_ref().map(|found| octal(found.mode));
        let bytes = Bytes::Target(path.clone());
        plan.actions.push(Action::Write(Write { path: kept.clone(), bytes, mode, ..Write::default() }));
        plan.tell("backup_file", kept);
    }
    plan.diffs.push(text::diff(path, before, after.as_bytes()));
    let mode = scene.wanted.mode.as_ref().map(|_| {
        let current = scene.found.as_ref().map_or(0o644, |found| found.mode);
        octal(scene.wanted.bits(current, What::File))
    });
    plan.actions.push(Action::Write(Write {
        path: path.clone(),
        bytes: Bytes::Text(after.as_bytes().to_vec()),
        mode,
        ids: scene.wanted.ids,
        unsafe_writes: arguments.attributes.unsafe_writes,
        ..Write::default()
    }));
    plan.warnings.extend(scene.wanted.warnings.iter().cloned());
}
