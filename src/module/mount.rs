//! `mount`: file systems in `/etc/fstab`, and mounted.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::module::action::{Action, Bytes, Write, act, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, text, typed};

const STATES: Kind =
    Kind::Choice(&["absent", "absent_from_fstab", "mounted", "present", "unmounted", "remounted", "ephemeral"]);

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["name"]).required(),
    Parameter::new("state", STATES).required(),
    Parameter::new("src", Kind::Text),
    Parameter::new("fstype", Kind::Text),
    Parameter::new("opts", Kind::Text),
    Parameter::new("dump", Kind::Text),
    Parameter::new("passno", Kind::Text),
    Parameter::new("fstab", Kind::Text),
    Parameter::new("boot", Kind::Flag),
    Parameter::new("backup", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// What becomes of it.
    pub state: State,
    /// What is mounted.
    pub src: Option<String>,
    /// Its kind.
    pub fstype: Option<String>,
    /// How, separated by commas.
    #[serde(default = "defaults")]
    pub opts: String,
    /// The fifth field.
    #[serde(default = "zero")]
    pub dump: String,
    /// The sixth field.
    #[serde(default = "zero")]
    pub passno: String,
    /// The file, if it is not the usual one.
    #[serde(default = "usual")]
    pub fstab: String,
    /// Whether it is mounted at every start.
    #[serde(default = "yes")]
    pub boot: bool,
    /// Whether the old file is kept.
    #[serde(default)]
    pub backup: bool,
}

/// What becomes of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is neither mounted nor in the file.
    Absent,
    /// It is not in the file.
    AbsentFromFstab,
    /// It is in the file and mounted.
    Mounted,
    /// It is in the file.
    Present,
    /// It is not mounted.
    Unmounted,
    /// It is mounted again.
    Remounted,
    /// It is mounted, the file left alone.
    Ephemeral,
}

fn defaults() -> String {
    "defaults".to_owned()
}

fn zero() -> String {
    "0".to_owned()
}

fn usual() -> String {
    "/etc/fstab".to_owned()
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("mount", arguments)?;
    let missing = |name: &str| Err(Error::Missing { module: "mount".to_owned(), name: name.to_owned() });
    match arguments.state {
        State::Mounted | State::Present | State::Ephemeral if arguments.src.is_none() => missing("src"),
        State::Mounted | State::Present | State::Ephemeral if arguments.fstype.is_none() => missing("fstype"),
        _ => Ok(arguments),
    }
}

/// Fields of the file cannot have these letters.
fn escaped(field: &str) -> String {
    field.replace('\\', "\\134").replace(' ', "\\040").replace('&', "\\046")
}

impl Arguments {
    /// Warnings about options that contradict each other; `noauto` is added where it is meant.
    fn settle(&mut self) -> Vec<String> {
        let has = |name: &str| self.opts.split(',').any(|option| option == name);
        if has("noauto") {
            return vec!["Ignore the 'boot' due to 'opts' contains 'noauto'.".to_owned()];
        }
        if self.boot {
            return vec![];
        }
        if has("defaults") {
            return vec!["Ignore the 'boot' due to 'opts' contains 'defaults'.".to_owned()];
        }
        self.opts.push_str(",noauto");
        vec![]
    }

    fn fields(&self) -> [String; 6] {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        [
            text(&self.src),
            self.path.clone(),
            text(&self.fstype),
            self.opts.clone(),
            self.dump.clone(),
            self.passno.clone(),
        ]
        .map(|field| escaped(&field))
    }

    /// Whether a line of the file is about the mount. Swap is known by what is mounted.
    fn means(&self, fields: &[&str]) -> bool {
        let [src, path, kind, ..] = fields else { return false };
        let other_swap = *path == "none" && *kind == "swap" && self.src.as_deref().is_some_and(|wanted| wanted != *src);
        *path == escaped(&self.path) && !other_swap
    }
}

/// Fields of a line; none of a blank one, a comment, or one that is not whole.
fn fields(line: &str, least: usize) -> Option<Vec<&str>> {
    let fields = line.split_whitespace().collect::<Vec<_>>();
    let whole = (least..=6).contains(&fields.len()) && !line.trim_start().starts_with('#');
    whole.then_some(fields)
}

/// The file as wanted; nothing if it is so already, or is left alone.
pub fn plan(arguments: &Arguments, before: &str) -> Option<String> {
    let lines = before.split_inclusive('\n').map(|line| line.trim_end_matches('\n').to_owned() + "\n");
    let lines = lines.collect::<Vec<_>>();
    match arguments.state {
        State::Unmounted | State::Remounted | State::Ephemeral => None,
        State::Absent | State::AbsentFromFstab => {
            let meant = |line: &&String| fields(line, 6).is_some_and(|fields| arguments.means(&fields));
            let some = lines.iter().any(|line| meant(&line));
            some.then(|| lines.iter().filter(|line| !meant(line)).cloned().collect())
        }
        State::Mounted | State::Present => {
            let wanted = arguments.fields();
            let (mut after, mut found, mut changed) = (String::new(), false, false);
            for line in &lines {
                let Some(mut has) = fields(line, 4).filter(|fields| arguments.means(fields)) else {
                    after.push_str(line);
                    continue;
                };
                found = true;
                has.resize(6, "0");
                changed |= has != wanted;
                after.push_str(&if changed { wanted.join(" ") + "\n" } else { line.clone() });
            }
            if !found {
                after.push_str(&(wanted.join(" ") + "\n"));
            }
            (changed || !found).then_some(after)
        }
    }
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut wanted = arguments.clone();
    let warnings = wanted.settle();
    wanted.path = host.system.path(&wanted.path);
    if wanted.path.len() > 1 {
        wanted.path.truncate(wanted.path.trim_end_matches('/').len());
    }
    let fstab = host.system.path(&wanted.fstab);
    let before = text::read(&fstab, host.system)?;
    let old = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let after = plan(&wanted, &old);
    let work = Work { wanted: &wanted, fstab: &fstab, host };
    let mut outcome = Outcome { changed: after.is_some(), warnings, values: told(&wanted), ..Outcome::default() };
    if let Some(after) = &after {
        outcome.diffs.push(text::diff(&fstab, old.as_bytes(), after.as_bytes()));
    }
    let acts = mode == Mode::Apply;
    if acts && (after.is_some() || before.is_none()) && wanted.state != State::Ephemeral {
        let backup = work.write(after.as_deref().unwrap_or_default(), before.is_some())?;
        outcome.values.insert("backup_file".to_owned(), json!(backup));
    }
    let mounted = work.mounted()?;
    match wanted.state {
        State::Present | State::AbsentFromFstab => {}
        State::Absent => {
            if acts && after.is_some() {
                if mounted {
                    work.unmount().map_err(|why| Failed::new(format!("Error unmounting {}: {why}", wanted.path)))?;
                }
                work.remove()?;
            }
        }
        State::Unmounted => {
            outcome.changed = mounted;
            if acts && mounted {
                work.unmount().map_err(|why| Failed::new(format!("Error unmounting {}: {why}", wanted.path)))?;
            }
        }
        State::Remounted => {
            outcome.changed = true;
            if acts {
                work.again().map_err(|why| Failed::new(format!("Error remounting {}: {why}", wanted.path)))?;
            }
        }
        State::Mounted | State::Ephemeral => {
            let again = after.is_some() || wanted.state == State::Ephemeral;
            outcome.changed |= !mounted || again;
            if acts && (!mounted || again) {
                let done = work.up(mounted);
                if done.is_err() && after.is_some() {
                    work.write(&old, true)?;
                }
                done.map_err(|why| Failed::new(format!("Error mounting {}: {why}", wanted.path)))?;
            }
        }
    }
    Ok(outcome)
}

fn told(wanted: &Arguments) -> serde_json::Map<String, Value> {
    let mut values = serde_json::Map::new();
    let pairs = [
        ("name", json!(wanted.path)),
        ("opts", json!(wanted.opts)),
        ("dump", json!(wanted.dump)),
        ("passno", json!(wanted.passno)),
        ("fstab", json!(wanted.fstab)),
        ("boot", json!(if wanted.boot || wanted.opts.split(',').all(|it| it != "noauto") { "yes" } else { "no" })),
        ("backup_file", json!("")),
    ];
    values.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
    values.extend(wanted.src.as_ref().map(|src| ("src".to_owned(), json!(src))));
    values.extend(wanted.fstype.as_ref().map(|kind| ("fstype".to_owned(), json!(kind))));
    values
}

/// The mount on its host.
struct Work<'w> {
    wanted: &'w Arguments,
    fstab: &'w str,
    host: &'w Context<'w>,
}

impl Work<'_> {
    /// Writes the file. Returns where the old one is kept.
    fn write(&self, content: &str, is_there: bool) -> Result<String, Failed> {
        let path = self.fstab.to_owned();
        let backup = (self.wanted.backup && is_there).then(|| act(&Action::Backup { path: path.clone() }, self.host));
        let mode = (!is_there).then(|| octal(0o666 & !umask()));
        let bytes = Bytes::Text(content.as_bytes().to_vec());
        act(&Action::Write(Write { path, bytes, mode, ..Write::default() }), self.host)?;
        Ok(backup.transpose()?.flatten().unwrap_or_default())
    }

    /// Whether something is mounted at the path.
    fn mounted(&self) -> Result<bool, Failed> {
        let table = text::read("/proc/self/mountinfo", self.host.system)?.unwrap_or_default();
        let table = String::from_utf8_lossy(&table).into_owned();
        let path = self.wanted.path.replace('\\', "\\134").replace(' ', "\\040");
        Ok(table.lines().any(|line| line.split_whitespace().nth(4) == Some(&path)))
    }

    fn said(&self, words: &[&str]) -> Result<(), String> {
        let ran = program::english(words, self.host).map_err(|failed| failed.message)?;
        if ran.status == 0 { Ok(()) } else { Err(ran.stdout + &ran.stderr) }
    }

    fn unmount(&self) -> Result<(), String> {
        self.said(&["umount", &self.wanted.path])
    }

    /// What names the mount: the line of the file, or all that the task says.
    fn named(&self) -> Vec<&str> {
        let wanted = self.wanted;
        let mut words = vec![];
        if wanted.state == State::Ephemeral {
            words.extend(["-t", wanted.fstype.as_deref().unwrap_or_default()]);
            if wanted.opts != "defaults" {
                words.extend(["-o", &wanted.opts]);
            }
            words.push(wanted.src.as_deref().unwrap_or_default());
        } else if self.fstab != "/etc/fstab" {
            words.extend(["-T", self.fstab]);
        }
        words.push(&wanted.path);
        words
    }

    fn mount(&self) -> Result<(), String> {
        self.said(&["mount"].into_iter().chain(self.named()).collect::<Vec<_>>())
    }

    /// Mounts again; unmounts first where that is not possible.
    fn again(&self) -> Result<(), String> {
        let own = self.wanted.state == State::Remounted && self.wanted.opts != "defaults";
        let option = if own { format!("remount,{}", self.wanted.opts) } else { "remount".to_owned() };
        let words = ["mount", "-o", &option].into_iter().chain(self.named()).collect::<Vec<_>>();
        match self.said(&words) {
            Ok(()) => Ok(()),
            Err(why) if own => Err(why),
            Err(_) => self.unmount().and_then(|()| self.mount()),
        }
    }

    fn up(&self, mounted: bool) -> Result<(), String> {
        let real = self.host.system.real(&self.wanted.path);
        if !real.exists() {
            std::fs::create_dir_all(&real).map_err(|error| error.to_string())?;
        }
        if mounted { self.again() } else { self.mount() }
    }

    /// Removes the empty directory that is left.
    fn remove(&self) -> Result<(), Failed> {
        let path = &self.wanted.path;
        if !self.host.system.real(path).exists() {
            return Ok(());
        }
        let told = |failed: Failed| Failed::new(format!("Error rmdir {path}: {}", failed.message));
        act(&Action::RemoveDirectory { path: path.clone() }, self.host).map(drop).map_err(told)
    }
}
