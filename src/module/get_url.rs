//! `get_url`: a file fetched from a server, checked before it takes its place.

use std::fs;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Write, backup, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES, Wanted, What};
use crate::module::draft::Draft;
use crate::module::stat::{self, Algorithm};
use crate::module::system::{FileKind, Found};
use crate::module::web::{self, Access, Answer, Redirects, Request};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, clock, plan, typed};

pub mod checksum;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("url", Kind::Text).required(),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("checksum", Kind::Text),
    Parameter::new("timeout", Kind::Integer),
    Parameter::new("headers", Kind::Any),
    Parameter::new("tmp_dest", Kind::Text),
    Parameter::new("force", Kind::Flag).or(&["thirsty"]),
    Parameter::new("decompress", Kind::Flag),
    web::USERNAME,
    web::PASSWORD,
    web::FORCE_BASIC_AUTH,
    web::VALIDATE_CERTS,
    web::USE_PROXY,
    web::HTTP_AGENT,
    web::CLIENT_CERT,
    web::CLIENT_KEY,
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where it is.
    pub url: String,
    /// Where it goes: a file or a directory.
    pub dest: String,
    /// Whether a replaced file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// `ALGORITHM:DIGEST`, or `ALGORITHM:URL` of a list of digests; empty if none.
    #[serde(default)]
    pub checksum: String,
    /// Seconds for which nothing may come.
    #[serde(default = "ten")]
    pub timeout: u64,
    /// Lines of the request's head.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Whether it is fetched although there is a file.
    #[serde(default)]
    pub force: bool,
    /// How the server is reached.
    #[serde(flatten)]
    pub access: Access,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn ten() -> u64 {
    10
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    // The draft is beside its place whatever is said: it could not be moved there at once from elsewhere.
    arguments.remove("tmp_dest");
    arguments.remove("decompress");
    let arguments: Arguments = typed("get_url", arguments)?;
    attributes::check("get_url", "mode", arguments.attributes.mode.as_deref())?;
    checksum::check(&arguments.checksum)?;
    Ok(arguments)
}

/// Lines of a head as a task writes them.
pub(crate) fn lines(headers: &Map<String, Value>) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.clone(), super::arguments::text(value))).collect()
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let dest = host.system.path(&arguments.dest);
    let mut fetching = Fetching { arguments, host, mode, began: Instant::now(), values: Map::new() };
    fetching.values.insert("url".to_owned(), json!(web::shown(&arguments.url)));
    fetching.values.insert("dest".to_owned(), json!(dest));
    let ended = fetching.file(dest);
    let elapsed = fetching.began.elapsed().as_secs();
    ended.map_err(|mut failed| {
        let told = std::mem::take(&mut failed.values);
        failed.values =
            fetching.values.into_iter().chain([("elapsed".to_owned(), json!(elapsed))]).chain(told).collect();
        failed
    })
}

struct Fetching<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    mode: Mode,
    began: Instant,
    values: Map<String, Value>,
}

impl Fetching<'_> {
    fn tell(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    fn file(&mut self, dest: String) -> Result<Outcome, Failed> {
        let wanted = attributes::look(&self.arguments.attributes, self.host.system, self.mode)?;
        let digest = checksum::wanted(self.arguments, self.host)?;
        let found = self.found(&dest)?;
        let directory = found.as_ref().is_some_and(|it| it.kind == FileKind::Directory);
        let mut force = self.arguments.force;
        if let (Some(_), Some((algorithm, digest)), false, false) = (&found, &digest, directory, force) {
            if self.checksum(&dest, *algorithm)? == *digest {
                self.tell("checksum_dest", Value::Null);
                self.tell("checksum_src", Value::Null);
                return self.done(&dest, "file already exists", &wanted, Written::No);
            }
            force = true;
        }
        let known = found.filter(|_| !directory);
        let (draft, answer) = self.fetched(&dest, known.as_ref().filter(|_| !force), directory)?;
        if answer.status == 304 {
            self.tell("status_code", 304);
            return Ok(self.ended(answer.message, Written::No, &wanted));
        }
        Self::good(&answer)?;
        let dest = if directory { format!("{}/{}", dest.trim_end_matches('/'), name(&answer)) } else { dest };
        self.tell("dest", dest.clone());
        self.placed(draft, &answer, &dest, digest, &wanted)
    }

    fn found(&self, path: &str) -> Result<Option<Found>, Failed> {
        self.host.system.followed(path).map_err(|error| Failed::new(format!("cannot look at {path}: {error}")))
    }

    fn checksum(&self, path: &str, algorithm: Algorithm) -> Result<String, Failed> {
        let real = self.host.system.real(path);
        stat::checksum(&real, algorithm).map_err(|error| Failed::new(format!("cannot read {path}: {error}")))
    }

    /// Fetches into a draft; in check mode only the head is asked for, as Ansible does.
    fn fetched(
        &mut self,
        dest: &str,
        known: Option<&Found>,
        directory: bool,
    ) -> Result<(Option<Draft>, Answer), Failed> {
        let arguments = self.arguments;
        let mut request = Request::get(&arguments.url, &arguments.access);
        request.headers = lines(&arguments.headers);
        request.timeout = Duration::from_secs(arguments.timeout.max(1));
        request.redirects = Redirects::Followed;
        match known {
            Some(found) if self.host.system.followed(dest).is_ok() => {
                request.headers.push(("if-modified-since".to_owned(), since(found)));
            }
            _ => request.headers.push(("cache-control".to_owned(), "no-cache".to_owned())),
        }
        if self.mode == Mode::Check {
            request.method = "HEAD";
            return Ok((None, web::ask(&request, self.host, &mut std::io::sink())?));
        }
        let place = if directory { format!("{}/fetched", dest.trim_end_matches('/')) } else { dest.to_owned() };
        let above = place.rsplit_once('/').map_or("/", |(above, _)| above);
        if !self.host.system.real(above).is_dir() {
            return Err(Failed::new(format!("Destination {above} does not exist")));
        }
        let mut draft = Draft::new(&place, self.host)?;
        let answer = web::ask(&request, self.host, &mut draft.file)?;
        Ok((Some(draft), answer))
    }

    fn good(answer: &Answer) -> Result<(), Failed> {
        if answer.status == 200 {
            return Ok(());
        }
        let failed = Failed::new("Request failed").with("status_code", answer.status);
        Err(failed.with("response", answer.message.clone()))
    }

    fn placed(
        &mut self,
        draft: Option<Draft>,
        answer: &Answer,
        dest: &str,
        digest: Option<(Algorithm, String)>,
        wanted: &Wanted,
    ) -> Result<Outcome, Failed> {
        let found = self.found(dest)?;
        let before = found.is_some().then(|| self.checksum(dest, Algorithm::Sha1)).transpose()?;
        self.tell("checksum_dest", before.clone().map_or(Value::Null, Value::String));
        self.tell("status_code", answer.status);
        let Some(draft) = draft else {
            return Ok(self.ended(answer.message.clone(), Written::Yes, wanted));
        };
        let read = |error: std::io::Error| Failed::new(format!("cannot read what was fetched: {error}"));
        let sha1 = stat::checksum(draft.path(), Algorithm::Sha1).map_err(read)?;
        self.tell("checksum_src", sha1.clone());
        self.tell("src", draft.path().to_string_lossy());
        self.tell("md5sum", stat::checksum(draft.path(), Algorithm::Md5).map_err(read)?);
        if let Some((algorithm, digest)) = digest {
            let has = stat::checksum(draft.path(), algorithm).map_err(read)?;
            if has != digest {
                let why = format!("The checksum for {dest} did not match {digest}; it was {has}.");
                return Err(Failed::new(why));
            }
        }
        if before.as_ref() == Some(&sha1) {
            return self.done(dest, &answer.message, wanted, Written::No);
        }
        self.replace(draft, dest, found.as_ref(), wanted)?;
        self.done(dest, &answer.message, wanted, Written::Yes)
    }

    fn replace(&mut self, draft: Draft, dest: &str, found: Option<&Found>, wanted: &Wanted) -> Result<(), Failed> {
        if self.arguments.backup && found.is_some() {
            let kept =
                backup(dest, self.host).map_err(|error| Failed::new(format!("cannot back {dest} up: {error}")))?;
            self.tell("backup_file", kept);
        }
        let current = found.map_or(0o666 & !umask(), |found| found.mode);
        let write = Write {
            path: dest.to_owned(),
            mode: Some(octal(wanted.bits(current, What::File))),
            ids: wanted.ids,
            unsafe_writes: self.arguments.attributes.unsafe_writes,
            ..Write::default()
        };
        draft.place(&write, self.host)
    }

    /// Gives a file that is there mode and owner, and tells about it.
    fn done(&mut self, dest: &str, message: &str, wanted: &Wanted, written: Written) -> Result<Outcome, Failed> {
        let mut dressing = Plan { warnings: wanted.warnings.clone(), ..Plan::default() };
        if let Some(found) = self.host.system.found(dest).ok().flatten() {
            dressing.actions = attributes::plan(dest, &found, wanted);
            dressing.diffs.extend(attributes::diff(dest, &found, &dressing.actions));
        }
        let dressed = !dressing.actions.is_empty();
        let message = match (message, dressed) {
            ("file already exists", true) => "file already exists but file attributes changed",
            _ => message,
        };
        self.tell("msg", message);
        self.tell("elapsed", self.began.elapsed().as_secs());
        dressing.values = std::mem::take(&mut self.values);
        let mut outcome = plan::finish(dressing, self.host, self.mode)?;
        outcome.changed |= written == Written::Yes;
        Ok(outcome)
    }

    /// Tells the end of a task that did not get as far as a file.
    fn ended(&mut self, message: String, written: Written, wanted: &Wanted) -> Outcome {
        self.tell("msg", message);
        self.tell("elapsed", self.began.elapsed().as_secs());
        let (changed, values) = (written == Written::Yes, std::mem::take(&mut self.values));
        Outcome { changed, values, warnings: wanted.warnings.clone(), ..Outcome::default() }
    }
}

/// Whether a file was, or would be, written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Yes,
    No,
}

/// When a file was last changed, as a request says it.
fn since(found: &Found) -> String {
    let time = Duration::try_from_secs_f64(found.mtime).unwrap_or_default();
    clock::http(std::time::UNIX_EPOCH + time)
}

/// The name of what was fetched: as the server says, else as its address ends.
pub(crate) fn name(answer: &Answer) -> String {
    let said = answer.header("content-disposition").and_then(|line| {
        let rest = line.strip_prefix("attachment;")?.trim_start().strip_prefix("filename=")?;
        let name = rest.trim_start_matches('"').split('"').next()?;
        name.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | "..")).map(str::to_owned)
    });
    said.unwrap_or_else(|| web_name(&answer.url))
}

/// The last part of an address's path, or `index.html`.
pub(crate) fn web_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    match path.rsplit('/').next() {
        None | Some("" | "." | "..") => "index.html".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// Whether something is at a path, as `creates` asks.
pub(crate) fn there(path: &str, host: &Context) -> bool {
    fs::symlink_metadata(host.system.real(&host.system.path(path))).is_ok()
}
