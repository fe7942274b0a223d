//! `file`: a file's kind, owner, group and mode.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::action::{Action, Time, Write, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::attributes::{Ids, Wanted, What, pretty};
use crate::module::system::{FileKind, Found, System};
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, Plan, clock, edit, plan as planned, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "name"]).required(),
    Parameter::new("state", Kind::Choice(&["absent", "directory", "file", "hard", "link", "touch"])),
    Parameter::new("src", Kind::Text),
    Parameter::new("recurse", Kind::Flag),
    Parameter::new("force", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("modification_time", Kind::Text),
    Parameter::new("modification_time_format", Kind::Text),
    Parameter::new("access_time", Kind::Text),
    Parameter::new("access_time_format", Kind::Text),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where; `~` is the agent's home.
    pub path: String,
    /// What it shall be; without one: what it is, or a file.
    pub state: Option<State>,
    /// What a link points at.
    pub src: Option<String>,
    /// Whether the attributes are meant for everything below a directory too.
    #[serde(default)]
    pub recurse: bool,
    /// Whether a link may replace a file, or point at nothing.
    #[serde(default)]
    pub force: bool,
    /// Whether a link at `path` is followed.
    #[serde(default = "yes")]
    pub follow: bool,
    /// `preserve`, `now` or a time.
    pub modification_time: Option<String>,
    /// How it is written (strftime).
    pub modification_time_format: Option<String>,
    /// `preserve`, `now` or a time.
    pub access_time: Option<String>,
    /// How it is written (strftime).
    pub access_time_format: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// What a path shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    Absent,
    /// A directory, its parents too.
    Directory,
    /// A file that is already there.
    File,
    /// A hard link to `src`.
    Hard,
    /// A symbolic link to `src`.
    Link,
    /// A file, made empty if it is not there, its times set.
    Touch,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("file", arguments)?;
    attributes::check("file", "mode", arguments.attributes.mode.as_deref())?;
    let wants = |state| arguments.state == Some(state);
    if arguments.recurse && !matches!(arguments.state, None | Some(State::Directory)) {
        return Err(Error::Missing { module: "file".to_owned(), name: "state: directory (for `recurse`)".to_owned() });
    }
    if wants(State::Hard) && arguments.src.is_none() {
        return Err(Error::Missing { module: "file".to_owned(), name: "src".to_owned() });
    }
    Ok(arguments)
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The path meant, absolute.
    pub path: String,
    /// What is there, a link not followed.
    pub found: Option<Found>,
    /// Where a link at the path leads, and what is there.
    pub beyond: Option<Spot>,
    /// Parent directories that are not there, outermost first.
    pub parents: Vec<String>,
    /// What is at `src`, as seen from the link.
    pub source: Option<Found>,
    /// What is below, for `recurse`.
    pub below: Vec<Spot>,
    /// Whether a directory has nothing in it.
    pub empty: bool,
    /// Mode, owner and group wanted.
    pub wanted: Wanted,
}

/// Something at a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    /// Where.
    pub path: String,
    /// What.
    pub found: Option<Found>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let scene = look(arguments, host, mode)?;
    planned::finish(plan(arguments, &scene)?, host, mode)
}

fn look(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Scene, Failed> {
    let system = host.system;
    let mut path = system.path(&arguments.path);
    let told = |error| Failed::new(format!("cannot look at {}: {error}", arguments.path));
    let directory = system.followed(&path).map_err(told)?.is_some_and(|it| it.kind == FileKind::Directory);
    if let (true, Some(src)) = (directory, &arguments.src)
        && !matches!(arguments.state, Some(State::Link | State::Absent))
    {
        path = format!("{}/{}", path.trim_end_matches('/'), src.rsplit('/').next().unwrap_or_default());
    }
    if path.len() > 1 {
        path.truncate(path.trim_end_matches('/').len());
    }
    let found = system.found(&path).map_err(told)?;
    let link = found.as_ref().is_some_and(|found| found.kind == FileKind::Link);
    let beyond = link.then(|| system.canonical(&path));
    let beyond = match beyond {
        Some(path) => Some(Spot { found: system.found(&path).map_err(told)?, path }),
        None => None,
    };
    let top = beyond.as_ref().filter(|_| arguments.follow).map_or(&path, |spot| &spot.path);
    Ok(Scene {
        parents: if found.is_none() { edit::missing_parents(&path, host)? } else { vec![] },
        source: source(arguments, &path, found.as_ref(), system).map_err(told)?,
        below: if arguments.recurse { below(top, arguments.follow, system).map_err(told)? } else { vec![] },
        empty: std::fs::read_dir(system.real(&path)).is_ok_and(|mut entries| entries.next().is_none()),
        wanted: attributes::look(&arguments.attributes, system, mode)?,
        path,
        found,
        beyond,
    })
}

/// What `src` is. That of a symbolic link is seen from the directory of the link.
fn source(arguments: &Arguments, path: &str, found: Option<&Found>, system: &System) -> std::io::Result<Option<Found>> {
    let Some(src) = &arguments.src else { return Ok(None) };
    let directory = found.is_some_and(|found| found.kind == FileKind::Directory);
    let above = if directory { path } else { path.rsplit_once('/').map_or("", |(above, _)| above) };
    let whole = if src.starts_with('/') || arguments.state == Some(State::Hard) {
        system.path(src)
    } else {
        format!("{above}/{src}")
    };
    system.followed(&whole)
}

fn below(top: &str, follow: bool, system: &System) -> std::io::Result<Vec<Spot>> {
    let mut spots = vec![];
    let mut names = match std::fs::read_dir(system.real(top)) {
        Ok(entries) => entries.map(|it| it.map(|it| it.file_name())).collect::<Result<Vec<_>, _>>()?,
        Err(_) => return Ok(spots),
    };
    names.sort();
    for name in names {
        let path = format!("{}/{}", top.trim_end_matches('/'), name.to_string_lossy());
        let found = system.found(&path)?;
        let kind = found.as_ref().map(|found| found.kind);
        spots.push(Spot { path: path.clone(), found });
        match kind {
            Some(FileKind::Directory) => spots.extend(below(&path, follow, system)?),
            Some(FileKind::Link) if follow => {
                let real = system.canonical(&path);
                let found = system.found(&real)?;
                // A link to a directory above would never end.
                let directory = found.as_ref().is_some_and(|found| found.kind == FileKind::Directory);
                if found.is_some() {
                    spots.push(Spot { path: real.clone(), found });
                }
                if directory && !top.starts_with(&real) {
                    spots.extend(below(&real, follow, system)?);
                }
            }
            _ => {}
        }
    }
    Ok(spots)
}

/// Plans to make the path what is wanted.
///
/// # Errors
///
/// [`Failed`]: what is there cannot be made into it, or is needed and missing.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Plan, Failed> {
    let found = planned::state(scene.found.as_ref());
    let state = arguments.state.unwrap_or(match found {
        "link" => State::Link,
        "directory" => State::Directory,
        "hard" => State::Hard,
        "absent" if arguments.recurse => State::Directory,
        _ => State::File,
    });
    if arguments.recurse && state != State::Directory {
        let why = "recurse option requires state to be 'directory'";
        return Err(Failed::new(why).with("path", scene.path.clone()));
    }
    if arguments.src.is_some() && !matches!(state, State::Link | State::Hard) {
        let why = "src option requires state to be 'link' or 'hard'";
        return Err(Failed::new(why).with("path", scene.path.clone()));
    }
    let times = Times::read(arguments, state)?;
    let mut plan = match state {
        State::Absent => absent(scene),
        State::Directory => directory(arguments, scene, times)?,
        State::File => file(arguments, scene, times)?,
        State::Link => link(arguments, scene, times)?,
        State::Hard => hard(arguments, scene, times)?,
        State::Touch => touched(arguments, scene, times),
    };
    plan.warnings.extend(scene.wanted.warnings.clone());
    Ok(plan)
}

/// The times wanted; none are kept.
#[derive(Clone, Copy)]
struct Times {
    access: Option<Time>,
    modification: Option<Time>,
}

impl Times {
    fn read(arguments: &Arguments, state: State) -> Result<Self, Failed> {
        let read = |text: Option<&str>, format: Option<&str>| match text {
            None if state == State::Touch => Ok(Some(Time::Now)),
            None | Some("preserve") => Ok(None),
            Some("now") => Ok(Some(Time::Now)),
            Some(text) => {
                let format = format.unwrap_or("%Y%m%d%H%M.%S");
                let why = || format!("Error while obtaining timestamp for time {text} using format {format}");
                clock::read(text, format).map(|at| Some(Time::At(at))).ok_or_else(|| Failed::new(why()))
            }
        };
        Ok(Self {
            access: read(arguments.access_time.as_deref(), arguments.access_time_format.as_deref())?,
            modification: read(arguments.modification_time.as_deref(), arguments.modification_time_format.as_deref())?,
        })
    }

    /// What is to be done so that `found` has them.
    #[expect(clippy::cast_precision_loss, reason = "times are compared as Python compares them")]
    fn plan(self, path: &str, found: Option<&Found>) -> Option<Action> {
        let other = |wanted: Option<Time>, has: f64| match wanted {
            Some(Time::At(at)) if (at as f64 - has).abs() < f64::EPSILON => None,
            wanted => wanted,
        };
        let access = other(self.access, found.map_or(0.0, |found| found.atime));
        let modification = other(self.modification, found.map_or(0.0, |found| found.mtime));
        let needed = access.is_some() || modification.is_some();
        needed.then(|| Action::Touch { path: path.to_owned(), access, modification })
    }
}

/// Adds what makes attributes and times of `found` at `path` as wanted.
fn dress(plan: &mut Plan, path: &str, found: &Found, scene: &Scene, times: Times) {
    let actions = attributes::plan(path, found, &scene.wanted);
    plan.diffs.extend(attributes::diff(path, found, &actions));
    plan.actions.extend(actions);
    plan.actions.extend(times.plan(path, Some(found)));
}

/// Says that a path becomes another thing.
fn becomes(path: &str, before: &str, after: &str) -> Diff {
    let text =
        |state: &str| pretty(Map::from_iter([("path".to_owned(), json!(path)), ("state".to_owned(), json!(state))]));
    Diff { subject: path.to_owned(), before: text(before), after: text(after) }
}

fn absent(scene: &Scene) -> Plan {
    let mut plan = Plan::default();
    let path = scene.path.clone();
    if let Some(found) = &scene.found {
        plan.diffs.push(becomes(&path, planned::state(Some(found)), "absent"));
        plan.actions.push(match found.kind {
            FileKind::Directory => Action::RemoveTree { path: path.clone() },
            _ => Action::Remove { path: path.clone() },
        });
    }
    plan.tell("path", path);
    plan
}

fn directory(arguments: &Arguments, scene: &Scene, times: Times) -> Result<Plan, Failed> {
    let mut plan = Plan::default();
    let (path, found) = match &scene.beyond {
        Some(spot) if arguments.follow => (&spot.path, &spot.found),
        _ => (&scene.path, &scene.found),
    };
    match found {
        None => {
            for path in scene.parents.iter().chain([path]) {
                plan.actions.extend(made(path, &scene.wanted));
            }
            plan.actions.extend(times.plan(path, None));
            plan.diffs.push(becomes(path, "absent", "directory"));
        }
        Some(found) if found.kind == FileKind::Directory => {
            dress(&mut plan, path, found, scene, times);
            for spot in &scene.below {
                if let Some(found) = &spot.found {
                    dress(&mut plan, &spot.path, found, scene, times);
                }
            }
        }
        Some(found) => {
            let state = planned::state(Some(found));
            return Err(Failed::new(format!("{path} already exists as a {state}")).with("path", path.clone()));
        }
    }
    plan.tell("path", path.clone());
    Ok(plan)
}

/// Makes a directory with what is wanted.
pub(crate) fn made(path: &str, wanted: &Wanted) -> Vec<Action> {
    let mode = octal(wanted.bits(0o777 & !umask(), What::Directory));
    let path = path.to_owned();
    let mut actions = vec![Action::Mkdir { path: path.clone(), mode: mode.clone() }];
    if wanted.ids != Ids::default() {
        actions.push(Action::Chown { path: path.clone(), ids: wanted.ids });
        if wanted.bits(0, What::Directory) & 0o6000 != 0 {
            actions.push(Action::Chmod { path, mode });
        }
    }
    actions
}

fn file(arguments: &Arguments, scene: &Scene, times: Times) -> Result<Plan, Failed> {
    let (path, found) = match &scene.beyond {
        Some(spot) if arguments.follow => (&spot.path, &spot.found),
        _ => (&scene.path, &scene.found),
    };
    let state = planned::state(found.as_ref());
    let mut plan = Plan::default();
    match found {
        Some(found) if matches!(state, "file" | "hard") => dress(&mut plan, path, found, scene, times),
        _ => {
            let why = format!("file ({path}) is {state}, cannot continue");
            return Err(Failed::new(why).with("path", path.clone()).with("state", state));
        }
    }
    plan.tell("path", path.clone());
    Ok(plan)
}

fn touched(arguments: &Arguments, scene: &Scene, times: Times) -> Plan {
    let mut plan = Plan::default();
    let (path, found) = match &scene.beyond {
        Some(spot) if arguments.follow => (&spot.path, &spot.found),
        _ => (&scene.path, &scene.found),
    };
    if let Some(found) = found {
        dress(&mut plan, path, found, scene, times);
    } else {
        let mode = scene.wanted.mode.is_some().then(|| octal(scene.wanted.bits(0o666 & !umask(), What::File)));
        let write = Write { path: path.clone(), mode, ids: scene.wanted.ids, ..Write::default() };
        plan.actions.push(Action::Write(write));
        let said = arguments.modification_time.is_some() || arguments.access_time.is_some();
        plan.actions.extend(times.plan(path, None).filter(|_| said));
        plan.diffs.push(becomes(path, "absent", "touch"));
    }
    plan.tell("dest", path.clone());
    plan
}

fn link(arguments: &Arguments, scene: &Scene, times: Times) -> Result<Plan, Failed> {
    let path = &scene.path;
    let state = planned::state(scene.found.as_ref());
    let fail = |why: String| Err(Failed::new(why).with("path", path.clone()));
    let current = scene.found.as_ref().and_then(|found| found.target.clone());
    let Some(src) = arguments.src.clone().or_else(|| current.clone()) else {
        return fail("src is required for creating new symlinks".to_owned());
    };
    if !arguments.force {
        if arguments.src.is_some() && scene.source.is_none() {
            return fail(format!(
                "src file does not exist, use \"force=yes\" if you really want to create the link: {src}"
            ));
        }
        if matches!(state, "directory" | "file" | "hard") {
            return fail(format!("refusing to convert from {state} to symlink for {path}"));
        }
    } else if state == "directory" && !scene.empty {
        return fail(format!("the directory {path} is not empty, refusing to convert it"));
    }
    let mut plan = Plan::default();
    let changes = current.as_ref() != Some(&src);
    if changes {
        if state == "directory" {
            plan.actions.push(Action::RemoveDirectory { path: path.clone() });
        }
        plan.actions.push(Action::Link { path: path.clone(), target: src.clone() });
        plan.diffs.push(linked(path, state, current.as_deref(), &src));
    }
    let target = if arguments.follow {
        let canonical = scene.beyond.as_ref().map(|spot| spot.path.clone());
        let seen = if changes { scene.source.clone() } else { scene.beyond.as_ref().and_then(|it| it.found.clone()) };
        seen.map(|found| (canonical.filter(|_| !changes).unwrap_or_else(|| beside(path, &src)), found))
    } else {
        scene.found.clone().filter(|_| !changes).map(|found| (path.clone(), found))
    };
    match target {
        Some((target, found)) => dress(&mut plan, &target, &found, scene, times),
        None if arguments.follow && scene.wanted != Wanted::default() => plan.warnings.push(
            "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this."
                .to_owned(),
        ),
        None if scene.wanted.ids != Ids::default() => {
            plan.actions.push(Action::Chown { path: path.clone(), ids: scene.wanted.ids });
        }
        None => {}
    }
    plan.tell("dest", path.clone());
    plan.tell("src", src);
    Ok(plan)
}

/// Where a link at `path` to `src` leads.
fn beside(path: &str, src: &str) -> String {
    if src.starts_with('/') {
        return src.to_owned();
    }
    format!("{}/{src}", path.rsplit_once('/').map_or("", |(above, _)| above))
}

fn linked(path: &str, state: &str, before: Option<&str>, src: &str) -> Diff {
    let text = |state: &str, src: Option<&str>| {
        pretty(Map::from_iter([
            ("path".to_owned(), json!(path)),
            ("src".to_owned(), json!(src)),
            ("state".to_owned(), json!(state)),
        ]))
    };
    Diff { subject: path.to_owned(), before: text(state, before), after: text("link", Some(src)) }
}

fn hard(arguments: &Arguments, scene: &Scene, times: Times) -> Result<Plan, Failed> {
    let path = &scene.path;
    let fail = |why: &str| Err(Failed::new(why).with("dest", path.clone()).with("src", arguments.src.clone()));
    let state = planned::state(scene.found.as_ref());
    let mut plan = Plan::default();
    let same = match (&scene.found, &scene.source) {
        (Some(found), Some(source)) => found.inode == source.inode && found.device == source.device,
        _ => false,
    };
    match (&arguments.src, &scene.source) {
        (None, _) if state != "hard" => return fail("src is required for creating new hardlinks"),
        (Some(_), None) => return fail("src does not exist"),
        (Some(src), Some(_)) if !same => {
            match state {
                "hard" if !arguments.force => {
                    return fail("Cannot link, different hard link exists at destination");
                }
                "file" if !arguments.force => return fail("Cannot link, file exists at destination"),
                "directory" => return fail("Cannot link: different hard link exists at destination"),
                _ => {}
            }
            plan.actions.push(Action::Name { path: path.clone(), target: src.clone() });
            plan.diffs.push(becomes(path, state, "hard"));
        }
        _ => {}
    }
    let found = if plan.actions.is_empty() { &scene.found } else { &scene.source };
    if let Some(found) = found {
        dress(&mut plan, path, found, scene, times);
    }
    plan.tell("dest", path.clone());
    plan.tell("src", arguments.src.clone());
    Ok(plan)
}
