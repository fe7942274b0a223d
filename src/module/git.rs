//! `git`: a working copy of a repository, through the target's own program, or libgit2 where there is none.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, apart, typed};

mod copy;
mod hand;
mod library;
mod place;
mod remote;

use hand::Hand;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("repo", Kind::Text).or(&["name"]).required(),
    Parameter::new("dest", Kind::Text),
    Parameter::new("version", Kind::Text),
    Parameter::new("remote", Kind::Text),
    Parameter::new("refspec", Kind::Text),
    Parameter::new("reference", Kind::Text),
    Parameter::new("force", Kind::Flag),
    Parameter::new("depth", Kind::Integer),
    Parameter::new("clone", Kind::Flag),
    Parameter::new("update", Kind::Flag),
    Parameter::new("accept_hostkey", Kind::Flag),
    Parameter::new("accept_newhostkey", Kind::Flag),
    Parameter::new("key_file", Kind::Text),
    Parameter::new("ssh_opts", Kind::Text),
    Parameter::new("executable", Kind::Text),
    Parameter::new("bare", Kind::Flag),
    Parameter::new("recursive", Kind::Flag),
    Parameter::new("single_branch", Kind::Flag),
    Parameter::new("track_submodules", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// Where it comes from.
    pub repo: String,
    /// Where it goes; may be left out if nothing is cloned.
    pub dest: Option<String>,
    /// A branch, a tag, a commit, or `HEAD` for the main branch.
    #[serde(default = "head")]
    pub version: String,
    /// What the remote is called.
    #[serde(default = "origin")]
    pub remote: String,
    /// What is fetched beside.
    pub refspec: Option<String>,
    /// A repository of the target to take objects from.
    pub reference: Option<String>,
    /// Whether local changes are thrown away.
    #[serde(default)]
    pub force: bool,
    /// How many commits are fetched.
    pub depth: Option<u32>,
    /// Whether it is cloned if it is not there.
    #[serde(default = "yes")]
    pub clone: bool,
    /// Whether what is there is brought up to date.
    #[serde(default = "yes")]
    pub update: bool,
    /// Whether any host key is accepted.
    #[serde(default)]
    pub accept_hostkey: bool,
    /// Whether one that is not known yet is accepted.
    #[serde(default)]
    pub accept_newhostkey: bool,
    /// The key for SSH.
    pub key_file: Option<String>,
    /// More options for SSH.
    pub ssh_opts: Option<String>,
    /// The program.
    pub executable: Option<String>,
    /// Whether it is without files.
    #[serde(default)]
    pub bare: bool,
    /// Whether its submodules come along.
    #[serde(default = "yes")]
    pub recursive: bool,
    /// Whether only one branch is fetched.
    #[serde(default)]
    pub single_branch: bool,
    /// Whether submodules are at the newest commit of their branch.
    #[serde(default)]
    pub track_submodules: bool,
}

fn yes() -> bool {
    true
}

fn head() -> String {
    "HEAD".to_owned()
}

fn origin() -> String {
    "origin".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("git", &arguments, &["accept_hostkey", "accept_newhostkey"])?;
    let arguments: Arguments = typed("git", arguments)?;
    if arguments.dest.is_none() && arguments.clone {
        return Err(Error::Missing { module: "git".to_owned(), name: "dest".to_owned() });
    }
    // What begins with a dash would be an option of the program.
    for (name, value) in [("repo", &arguments.repo), ("version", &arguments.version), ("remote", &arguments.remote)] {
        if value.starts_with('-') {
            return Err(Error::Value {
                module: "git".to_owned(),
                name: name.to_owned(),
                value: value.clone(),
                wanted: "something that does not begin with `-`".to_owned(),
            });
        }
    }
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut work = Work { copy: Hand::new(arguments, host)?, arguments, mode, values: Map::new() };
    work.values.insert("before".to_owned(), Value::Null);
    let ended = match &work.copy {
        Hand::Program(_) => work.bring(),
        Hand::Library(_) => library::driven(|| work.bring()),
    };
    let Work { values, copy, .. } = work;
    match ended {
        Ok(changed) => Ok(Outcome { changed, diffs: diffs(&copy, &values), values, ..Outcome::default() }),
        Err(failed) => {
            Err(Failed { message: failed.message, values: values.into_iter().chain(failed.values).collect() })
        }
    }
}

/// Which commit it was and is.
fn diffs(copy: &Hand, values: &Map<String, Value>) -> Vec<Diff> {
    let commit = |name: &str| values.get(name).and_then(Value::as_str).map(|it| format!("{it}\n")).unwrap_or_default();
    let (before, after) = (commit("before"), commit("after"));
    if before == after { vec![] } else { vec![Diff { subject: copy.place().path().to_owned(), before, after }] }
}

struct Work<'a> {
    copy: Hand<'a>,
    arguments: &'a Arguments,
    mode: Mode,
    values: Map<String, Value>,
}

impl Work<'_> {
    fn tell(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Makes the working copy be as the task says; returns whether something was, or would be, changed.
    fn bring(&mut self) -> Result<bool, Failed> {
        if !self.copy.place().there() {
            if self.mode == Mode::Check || !self.arguments.clone {
                let after = self.copy.newest(&self.copy.place().repo)?;
                self.tell("after", after);
                return Ok(true);
            }
            self.copy.clone_it()?;
        } else if !self.arguments.update {
            let commit = self.copy.commit()?;
            self.tell("before", commit.clone());
            self.tell("after", commit);
            return Ok(false);
        } else if let Some(changed) = self.update()? {
            return Ok(changed);
        }
        self.settle()
    }

    /// Fetches what is new. In check mode, says whether something is.
    fn update(&mut self) -> Result<Option<bool>, Failed> {
        let changes = self.copy.has_changes()?;
        let before = self.copy.commit()?;
        self.tell("before", before.clone());
        let dest = self.copy.place().path().to_owned();
        if changes && !self.arguments.force {
            return Err(Failed::new(format!("Local modifications exist in the destination: {dest} (force=no).")));
        }
        if changes && self.mode == Mode::Apply {
            self.copy.reset()?;
            self.tell("msg", format!("Local modifications exist in the destination: {dest}"));
        }
        let moved = self.copy.place().is_not(&self.copy.known()?);
        self.tell("remote_url_changed", moved);
        if self.mode == Mode::Check {
            let newest = self.copy.newest(&self.arguments.remote)?;
            let changed = newest != before || moved;
            self.tell("after", newest);
            return Ok(Some(changed));
        }
        if moved {
            self.copy.point()?;
        }
        self.copy.fetch()?;
        self.tell("modified", changes);
        Ok(None)
    }

    /// Switches to the version wanted, submodules included.
    fn settle(&mut self) -> Result<bool, Failed> {
        if !self.arguments.bare {
            self.copy.switch()?;
        }
        let submodules = self.arguments.recursive && !self.arguments.bare && self.copy.submodules()?;
        if submodules {
            self.tell("submodules_changed", true);
        }
        let after = self.copy.commit()?;
        let before = self.values.get("before").cloned().unwrap_or_default();
        let modified = self.values.shift_remove("modified") == Some(json!(true));
        let moved = self.values.get("remote_url_changed") == Some(&json!(true));
        self.tell("after", after.clone());
        Ok(before != json!(after) || modified || submodules || moved)
    }
}
