//! `archive`: files and directories packed into one file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::action::{Action, Write, act, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES, Wanted, What};
use crate::module::command::glob;
use crate::module::draft::Draft;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, plan, typed};

mod contents;
mod write;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::List).required(),
    Parameter::new("format", Kind::Choice(&["bz2", "gz", "tar", "xz", "zip"])),
    Parameter::new("dest", Kind::Text),
    Parameter::new("exclude_path", Kind::List),
    Parameter::new("exclusion_patterns", Kind::List),
    Parameter::new("force_archive", Kind::Flag),
    Parameter::new("remove", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// What is packed; `*` and `?` allowed.
    pub path: Vec<String>,
    /// The sort of archive, or of compression for a single file.
    #[serde(default)]
    pub format: Format,
    /// Where it goes.
    pub dest: Option<String>,
    /// What is not packed of `path`.
    #[serde(default)]
    pub exclude_path: Vec<String>,
    /// Patterns of names that are not packed.
    #[serde(default)]
    pub exclusion_patterns: Vec<String>,
    /// Whether a single file becomes an archive, too.
    #[serde(default)]
    pub force_archive: bool,
    /// Whether what was packed goes.
    #[serde(default)]
    pub remove: bool,
    /// Mode, owner, group of the archive.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// A sort of archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// tar and bzip2, or bzip2 alone.
    Bz2,
    /// tar and gzip, or gzip alone.
    #[default]
    Gz,
    /// tar
    Tar,
    /// tar and xz, or xz alone.
    Xz,
    /// zip
    Zip,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Bz2 => "bz2",
            Self::Gz => "gz",
            Self::Tar => "tar",
            Self::Xz => "xz",
            Self::Zip => "zip",
        }
    }
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("archive", arguments)?;
    attributes::check("archive", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

/// What is there.
struct Scene {
    /// What the patterns stand for.
    expanded: Vec<String>,
    /// And those of what is left out.
    excluded: Vec<String>,
    /// What is packed, in order.
    paths: Vec<String>,
    /// Where all of them are; names in the archive begin behind it.
    root: String,
    /// Where the archive goes.
    dest: String,
    /// Whether it is an archive, or one file compressed.
    whole: bool,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let scene = look(arguments, host)?;
    let wanted = attributes::look(&arguments.attributes, host.system, mode)?;
    let there = |path: &&String| fs::symlink_metadata(host.system.real(path)).is_ok();
    let (targets, missing): (Vec<&String>, Vec<&String>) = scene.paths.iter().partition(there);
    let real = host.system.real(&scene.dest);
    let (mut changed, mut state, mut packed) = (false, "absent", vec![]);
    if targets.is_empty() {
        let archive = ["tar", "tar.gz", "tar.bz2", "tar.xz", "tgz", "tbz2", "zip"];
        let is = archive.iter().any(|end| scene.dest.to_lowercase().ends_with(&format!(".{end}")));
        state = match (real.exists(), is) {
            (false, _) => "absent",
            (true, true) => "archive",
            (true, false) => "compress",
        };
    } else if mode == Mode::Check {
        changed = scene.whole || !real.exists();
    } else {
        let written = pack(arguments, &scene, &targets, &wanted, host)?;
        (changed, packed) = written;
        state = match (scene.whole || matches!(arguments.format, Format::Zip | Format::Tar), missing.is_empty()) {
            (true, false) if scene.whole => "incomplete",
            (true, _) => "archive",
            (false, _) => "compress",
        };
        if arguments.remove {
            remove(&scene, &packed, host)?;
        }
    }
    let mut dressing = Plan { warnings: wanted.warnings.clone(), ..Plan::default() };
    if let Some(found) = host.system.followed(&scene.dest).ok().flatten() {
        dressing.actions = attributes::plan(&scene.dest, &found, &wanted);
        dressing.diffs.extend(attributes::diff(&scene.dest, &found, &dressing.actions));
    }
    dressing.values = Map::from_iter([
        ("archived".to_owned(), json!(packed)),
        ("dest".to_owned(), json!(scene.dest)),
        ("dest_state".to_owned(), json!(state)),
        ("arcroot".to_owned(), json!(scene.root)),
        ("missing".to_owned(), json!(missing)),
        ("expanded_paths".to_owned(), json!(scene.expanded)),
        ("expanded_exclude_paths".to_owned(), json!(scene.excluded)),
    ]);
    let outcome = plan::finish(dressing, host, mode)?;
    Ok(Outcome { changed: changed || outcome.changed, ..outcome })
}

fn look(arguments: &Arguments, host: &Context) -> Result<Scene, Failed> {
    let (expanded, globs) = expand(&arguments.path, host);
    let (excluded, _) = expand(&arguments.exclude_path, host);
    let chosen: BTreeSet<String> = expanded.iter().filter(|path| !excluded.contains(path)).cloned().collect();
    let paths: Vec<String> = chosen.into_iter().collect();
    let all = arguments.path.join(", ");
    let Some(first) = paths.first() else {
        return Err(Failed::new("Error, no source paths were found")
            .with("path", all)
            .with("expanded_paths", expanded.join(", "))
            .with("expanded_exclude_paths", excluded.join(", ")));
    };
    let whole = arguments.force_archive || globs || host.system.real(first).is_dir() || paths.len() > 1;
    let dest = match &arguments.dest {
        Some(dest) => host.system.path(dest),
        None if whole => {
            let why = "Error, must specify \"dest\" when archiving multiple files or trees";
            return Err(Failed::new(why).with("path", all));
        }
        None => format!("{first}.{}", arguments.format.name()),
    };
    let within = |path: &&String| {
        host.system.real(path).is_dir() && dest.starts_with(&format!("{}/", path.trim_end_matches('/')))
    };
    if arguments.remove && paths.iter().any(|path| within(&path)) {
        let why = "Error, created archive can not be contained in source paths when remove=true";
        return Err(Failed::new(why).with("path", paths.join(", ")));
    }
    let root = root(&paths);
    Ok(Scene { expanded, excluded, paths, root, dest, whole })
}

/// Fills patterns in. Returns also whether there were any.
fn expand(written: &[String], host: &Context) -> (Vec<String>, bool) {
    let mut found = vec![];
    let mut globs = false;
    for path in written {
        let absolute = host.system.path(path);
        if absolute.contains(['*', '?']) {
            globs = true;
            found.extend(glob(&absolute, host.system));
        } else {
            found.push(absolute);
        }
    }
    (found, globs)
}

/// The directory that all of `paths` are in, with a `/` at its end.
pub fn root(paths: &[String]) -> String {
    let above = |path: &String| path.rfind('/').map_or(String::new(), |at| path[..=at].to_owned());
    let mut common = paths.first().map(above).unwrap_or_default();
    for path in paths {
        let other = above(path);
        let same = common.bytes().zip(other.bytes()).take_while(|(left, right)| left == right).count();
        common.truncate(same);
    }
    common.truncate(common.rfind('/').map_or(0, |at| at + 1));
    common
}

/// Packs into a draft, which takes its place if something else comes of it. Returns whether, and what was packed.
fn pack(
    arguments: &Arguments,
    scene: &Scene,
    targets: &[&String],
    wanted: &Wanted,
    host: &Context,
) -> Result<(bool, Vec<String>), Failed> {
    let real = host.system.real(&scene.dest);
    let current = fs::metadata(&real).map_or(0o666 & !umask(), |about| about.mode() & 0o7777);
    let before = real.exists().then(|| contents::of(&real));
    let mut draft = Draft::new(&scene.dest, host)?;
    let packing = write::Packing { arguments, scene, host };
    let packed = if scene.whole || matches!(arguments.format, Format::Tar | Format::Zip) {
        packing.archive(&mut draft, targets)?
    } else {
        packing.single(&mut draft, targets[0])?
    };
    let changed = before.is_none_or(|before| before != contents::of(draft.path()));
    if changed {
        let write = Write {
            path: scene.dest.clone(),
            mode: Some(octal(wanted.bits(current, What::File))),
            ids: wanted.ids,
            unsafe_writes: arguments.attributes.unsafe_writes,
            ..Write::default()
        };
        draft.place(&write, host)?;
    }
    Ok((changed, packed))
}

fn remove(scene: &Scene, packed: &[String], host: &Context) -> Result<(), Failed> {
    let directories = scene.paths.iter().filter(|path| scene.whole && is_directory(path, host));
    for path in packed.iter().rev().chain(directories) {
        let real = host.system.real(path);
        if fs::symlink_metadata(&real).is_err() {
            continue;
        }
        let path = path.clone();
        let action = if is_directory(&path, host) { Action::RemoveTree { path } } else { Action::Remove { path } };
        act(&action, host)?;
    }
    Ok(())
}

fn is_directory(path: &str, host: &Context) -> bool {
    fs::symlink_metadata(host.system.real(path)).is_ok_and(|about| about.is_dir())
}

/// A path of the machine as the operating system has it, and as it is called in the archive.
fn named(path: &str, root: &str, host: &Context) -> (PathBuf, PathBuf) {
    let name = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
    (host.system.real(path), Path::new(name).to_owned())
}
