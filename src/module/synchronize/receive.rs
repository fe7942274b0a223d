//! The side that is made the same.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as IoWrite;
use std::path::Path;

use serde_json::{Map, json};

use crate::module::action::{Action, Time, Write, act, chown, octal, touch, umask};
use crate::module::attributes::Ids;
use crate::module::draft::Draft;
use crate::module::stat::{self, Algorithm};
use crate::module::synchronize::filter::Filter;
use crate::module::synchronize::tree::{Node, NodeKind};
use crate::module::synchronize::{Arguments, Options};
use crate::module::system::{FileKind, Found};
use crate::module::{Context, Failed, Mode, Outcome};

/// Which way the files went, as rsync marks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To another machine.
    Sent,
    /// From another machine.
    Received,
}

/// Writes the content of a file of the other side.
pub type Fetch<'a> = dyn Fn(&Node, &mut dyn IoWrite) -> Result<(), Failed> + 'a;

/// Makes what is at `dest` be as `nodes`, or says what would be done.
///
/// # Errors
///
/// [`Failed`]: something cannot be written; what was done before stays.
pub fn receive(
    arguments: &Arguments,
    nodes: &[Node],
    dest: &str,
    (direction, fetch): (Direction, &Fetch<'_>),
    host: &Context,
    mode: Mode,
) -> Result<Outcome, Failed> {
    let (base, nodes) = placed(nodes, dest, host);
    let mark = if direction == Direction::Sent { '<' } else { '>' };
    let mut side = Side { options: &arguments.options, host, mode, base, mark, fetch, said: vec![], later: vec![] };
    side.top(&nodes)?;
    for node in &nodes {
        side.bring(node)?;
    }
    if arguments.options.delete {
        side.delete(&nodes)?;
    }
    side.finish()?;
    let said = side.said;
    let message = said.iter().fold(String::new(), |text, line| text + line + "\n");
    let values = Map::from_iter([
        ("cmd".to_owned(), json!(format!("synchronize {} {}", arguments.src, arguments.dest))),
        ("msg".to_owned(), json!(message)),
        ("rc".to_owned(), json!(0)),
        ("stdout_lines".to_owned(), json!(said)),
    ]);
    Ok(Outcome { changed: !said.is_empty(), values, ..Outcome::default() })
}

/// The directory that the tree goes below. A single file can get another name.
fn placed(nodes: &[Node], dest: &str, host: &Context) -> (String, Vec<Node>) {
    let bare = dest.trim_end_matches('/');
    let directory = dest.ends_with('/') || host.system.real(dest).is_dir();
    match nodes {
        [node] if !directory && node.kind != NodeKind::Directory => {
            let (above, name) = bare.rsplit_once('/').unwrap_or(("", bare));
            (above.to_owned(), vec![Node { path: name.to_owned(), ..node.clone() }])
        }
        _ => (bare.to_owned(), nodes.to_vec()),
    }
}

struct Side<'a> {
    options: &'a Options,
    host: &'a Context<'a>,
    mode: Mode,
    base: String,
    mark: char,
    fetch: &'a Fetch<'a>,
    said: Vec<String>,
    /// Directories whose times are set at the end.
    later: Vec<(String, i64)>,
}

impl Side<'_> {
    fn path(&self, node: &Node) -> String {
        if node.path.is_empty() { format!("{}/", self.base) } else { format!("{}/{}", self.base, node.path) }
    }

    fn found(&self, path: &str) -> Result<Option<Found>, Failed> {
        self.host.system.found(path).map_err(|error| Failed::new(format!("cannot look at {path}: {error}")))
    }

    /// Makes the directory that the tree goes below, as rsync does: not those above it.
    fn top(&mut self, nodes: &[Node]) -> Result<(), Failed> {
        let itself = nodes.first().is_some_and(|node| node.path.is_empty());
        let real = self.host.system.real(&format!("{}/", self.base));
        if itself || real.is_dir() || self.mode == Mode::Check || self.options.existing_only {
            return Ok(());
        }
        fs::create_dir(&real).map_err(|error| Failed::new(format!("mkdir \"{}\" failed: {error}", self.base)))
    }

    fn bring(&mut self, node: &Node) -> Result<(), Failed> {
        let path = self.path(node);
        let found = if node.path.is_empty() {
            self.host.system.followed(&path).map_err(|error| Failed::new(format!("cannot look at {path}: {error}")))?
        } else {
            self.found(&path)?
        };
        if found.is_none() && self.options.existing_only {
            return Ok(());
        }
        match &node.kind {
            NodeKind::Directory => self.directory(node, &path, found.as_ref()),
            NodeKind::Link { target } => self.link(node, &path, target, found.as_ref()),
            NodeKind::File { size, sha256 } => self.file(node, &path, (*size, sha256.as_deref()), found.as_ref()),
        }
    }

    /// Owner and group wanted, where they are other than what is there.
    fn ids(&self, node: &Node, found: Option<&Found>) -> Ids {
        if !rustix::process::geteuid().is_root() {
            return Ids::default();
        }
        let system = self.host.system;
        let uid = node.user.as_ref().and_then(|name| system.uid(name)).unwrap_or(node.uid);
        let gid = node.group.as_ref().and_then(|name| system.gid(name)).unwrap_or(node.gid);
        let other = |wanted: u32, has: Option<u32>| (has != Some(wanted)).then_some(wanted);
        Ids {
            uid: self.options.owner.then(|| other(uid, found.map(|it| it.uid))).flatten(),
            gid: self.options.group.then(|| other(gid, found.map(|it| it.gid))).flatten(),
        }
    }

    fn mode(&self, node: &Node, found: Option<&Found>) -> u32 {
        match found {
            _ if self.options.perms => node.mode,
            Some(found) => found.mode,
            None => node.mode & !umask(),
        }
    }

    /// What rsync's `%i` says of an attribute.
    fn itemized(&self, node: &Node, found: &Found, size: bool) -> String {
        let ids = self.ids(node, Some(found));
        let link = matches!(node.kind, NodeKind::Link { .. });
        let time = self.options.times && !same_time(found, node.mtime);
        let mode = !link && self.options.perms && node.mode != found.mode;
        let flag = |letter: char, set: bool| if set { letter } else { '.' };
        let letters = ['.', flag('s', size), flag('t', time), flag('p', mode), flag('o', ids.uid.is_some())];
        format!("{}{}...", letters.iter().collect::<String>(), flag('g', ids.gid.is_some()))
    }

    fn say(&mut self, what: &str, node: &Node) {
        let name = if node.path.is_empty() { "." } else { &node.path };
        let name = match &node.kind {
            NodeKind::Directory => format!("{name}/"),
            NodeKind::Link { target } => format!("{name} -> {target}"),
            NodeKind::File { .. } => name.to_owned(),
        };
        self.said.push(format!("{what} {name}"));
    }

    fn directory(&mut self, node: &Node, path: &str, found: Option<&Found>) -> Result<(), Failed> {
        let there = found.filter(|found| found.kind == FileKind::Directory);
        if let (Some(_), None) = (found, there) {
            self.clear(path)?;
        }
        match there {
            None => self.say("cd+++++++++", node),
            Some(found) => {
                let changes = self.itemized(node, found, false);
                if changes.contains(|letter| letter != '.') {
                    self.say(&format!(".d{changes}"), node);
                }
            }
        }
        if self.mode == Mode::Check {
            return Ok(());
        }
        let real = self.host.system.real(path);
        let told = |error: std::io::Error| Failed::new(format!("cannot make {path}: {error}"));
        if there.is_none() {
            fs::create_dir(&real).map_err(told)?;
        }
        let ids = self.ids(node, there);
        if ids != Ids::default() {
            chown(&real, &ids).map_err(told)?;
        }
        let mode = octal(self.mode(node, there));
        act(&Action::Chmod { path: path.to_owned(), mode }, self.host)?;
        if self.options.times {
            self.later.push((path.to_owned(), node.mtime));
        }
        Ok(())
    }

    fn link(&mut self, node: &Node, path: &str, target: &str, found: Option<&Found>) -> Result<(), Failed> {
        let same = found.is_some_and(|found| found.target.as_deref() == Some(target));
        if same && self.ids(node, found) == Ids::default() {
            return Ok(());
        }
        let new = found.is_none_or(|found| found.kind != FileKind::Link);
        self.say(if new { "cL+++++++++" } else { "cLc........" }, node);
        if found.is_some_and(|found| found.kind == FileKind::Directory) {
            self.clear(path)?;
        }
        if self.mode == Mode::Check {
            return Ok(());
        }
        act(&Action::Link { path: path.to_owned(), target: target.to_owned() }, self.host)?;
        let ids = self.ids(node, None);
        let told = |error: std::io::Error| Failed::new(format!("cannot make {path}: {error}"));
        chown(&self.host.system.real(path), &ids).map_err(told)
    }

    fn file(
        &mut self,
        node: &Node,
        path: &str,
        (size, sha256): (u64, Option<&str>),
        found: Option<&Found>,
    ) -> Result<(), Failed> {
        let there = found.filter(|found| found.kind == FileKind::File);
        if found.is_some_and(|found| found.kind == FileKind::Directory) {
            self.clear(path)?;
        }
        let Some(found) = there else {
            self.say(&format!("{}f+++++++++", self.mark), node);
            return self.written(node, path, None);
        };
        let resized = found.size != size;
        let suspect = resized || (!self.options.checksum && !same_time(found, node.mtime));
        let digest = || stat::checksum(&self.host.system.real(path), Algorithm::Sha256).ok();
        let asked = !resized && (suspect || self.options.checksum);
        let differs = resized || (asked && sha256.is_none_or(|wanted| digest().as_deref() != Some(wanted)));
        let differs = differs && (suspect || self.options.checksum);
        let changes = self.itemized(node, found, resized);
        let dressed = changes.contains(|letter| letter != '.');
        if !differs && !dressed && !suspect {
            return Ok(());
        }
        let mark = if differs || suspect { self.mark } else { '.' };
        self.say(&format!("{mark}f{changes}"), node);
        if differs {
            return self.written(node, path, Some(found));
        }
        self.dress(node, path, found)
    }

    fn written(&mut self, node: &Node, path: &str, found: Option<&Found>) -> Result<(), Failed> {
        if self.mode == Mode::Check {
            return Ok(());
        }
        let mut draft = Draft::new(path, self.host)?;
        (self.fetch)(node, &mut draft.file)?;
        let write = Write {
            path: path.to_owned(),
            mode: Some(octal(self.mode(node, found))),
            ids: self.ids(node, found),
            ..Write::default()
        };
        draft.place(&write, self.host)?;
        self.timed(path, node)
    }

    fn dress(&mut self, node: &Node, path: &str, found: &Found) -> Result<(), Failed> {
        if self.mode == Mode::Check {
            return Ok(());
        }
        let ids = self.ids(node, Some(found));
        if ids != Ids::default() {
            act(&Action::Chown { path: path.to_owned(), ids }, self.host)?;
        }
        act(&Action::Chmod { path: path.to_owned(), mode: octal(self.mode(node, Some(found))) }, self.host)?;
        self.timed(path, node)
    }

    fn timed(&self, path: &str, node: &Node) -> Result<(), Failed> {
        if !self.options.times {
            return Ok(());
        }
        let told = |error: std::io::Error| Failed::new(format!("cannot set times of {path}: {error}"));
        touch(&self.host.system.real(path), None, Some(Time::At(node.mtime))).map_err(told)
    }

    /// Takes away what is in the place of something of another kind.
    fn clear(&self, path: &str) -> Result<(), Failed> {
        if self.mode == Mode::Check {
            return Ok(());
        }
        let path = path.trim_end_matches('/').to_owned();
        let tree = fs::symlink_metadata(self.host.system.real(&path)).is_ok_and(|about| about.is_dir());
        act(&if tree { Action::RemoveTree { path } } else { Action::Remove { path } }, self.host).map(|_| ())
    }

    /// Removes what the source does not have, except what is left out.
    fn delete(&mut self, nodes: &[Node]) -> Result<(), Failed> {
        let known: BTreeSet<&str> = nodes.iter().map(|node| node.path.as_str()).collect();
        let filter = Filter::new(&self.options.rules);
        for node in nodes.iter().filter(|node| node.kind == NodeKind::Directory) {
            let directory = self.path(node);
            let entries = fs::read_dir(self.host.system.real(&directory)).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            for name in names.into_iter().rev() {
                let below = if node.path.is_empty() { name } else { format!("{}/{name}", node.path) };
                let path = format!("{}/{below}", self.base);
                let is_directory = is_directory(&self.host.system.real(&path));
                if known.contains(below.as_str()) || filter.leaves_out(&below, is_directory) {
                    continue;
                }
                let end = if is_directory { "/" } else { "" };
                self.said.push(format!("*deleting   {below}{end}"));
                self.clear(&path)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failed> {
        for (path, mtime) in self.later.iter().rev() {
            let told = |error: std::io::Error| Failed::new(format!("cannot set times of {path}: {error}"));
            touch(&self.host.system.real(path), None, Some(Time::At(*mtime))).map_err(told)?;
        }
        Ok(())
    }
}

fn is_directory(real: &Path) -> bool {
    fs::symlink_metadata(real).is_ok_and(|about| about.is_dir())
}

/// Whether a file was last changed then, to the second.
#[expect(clippy::cast_possible_truncation, reason = "seconds are compared")]
fn same_time(found: &Found, mtime: i64) -> bool {
    found.mtime.floor() as i64 == mtime
}
