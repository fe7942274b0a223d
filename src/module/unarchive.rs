//! `unarchive`: archives unpacked, without programs of the target.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::archive::{self, Compression, Format, Member, Target, member};
use crate::module::action::act;
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES, Wanted};
use crate::module::draft::Draft;
use crate::module::get_url::there;
use crate::module::source::Source;
use crate::module::web::{self, Access, Request, VALIDATE_CERTS};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, apart, plan, typed};

mod compare;
mod options;

use compare::Expected;
pub use options::Options;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("src", Kind::Text).required(),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("remote_src", Kind::Flag),
    Parameter::new("copy", Kind::Flag),
    Parameter::new("creates", Kind::Text),
    Parameter::new("list_files", Kind::Flag),
    Parameter::new("keep_newer", Kind::Flag),
    Parameter::new("exclude", Kind::List),
    Parameter::new("include", Kind::List),
    Parameter::new("extra_opts", Kind::List),
    Parameter::new("io_buffer_size", Kind::Integer),
    Parameter::new("decrypt", Kind::Flag),
    VALIDATE_CERTS,
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The archive: a file, or an address with `remote_src`.
    pub src: String,
    /// What the control node has at `src`; unused with `remote_src`.
    pub source: Option<Source>,
    /// The directory that it is unpacked into.
    pub dest: String,
    /// Whether `src` is not on the control node.
    #[serde(default)]
    pub remote_src: bool,
    /// Not if this is there.
    pub creates: Option<String>,
    /// Whether the names of its members are told.
    #[serde(default)]
    pub list_files: bool,
    /// Whether files that are newer than those of the archive stay.
    #[serde(default)]
    pub keep_newer: bool,
    /// Patterns of names that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Names that alone are unpacked, if there are any.
    #[serde(default)]
    pub include: Vec<String>,
    /// What `extra_opts` say.
    #[serde(default)]
    pub options: Options,
    /// Whether a server must prove who it is.
    #[serde(default = "yes")]
    pub validate_certs: bool,
    /// Mode, owner, group of every member.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("unarchive", &arguments, &["include", "exclude"])?;
    arguments.remove("io_buffer_size");
    arguments.remove("decrypt");
    // The older word for the same.
    if let Some(copy) = arguments.remove("copy") {
        arguments.entry("remote_src").or_insert(json!(copy == json!(false)));
    }
    let words = arguments.remove("extra_opts").and_then(|words| serde_json::from_value::<Vec<String>>(words).ok());
    let mut arguments: Arguments = typed("unarchive", arguments)?;
    arguments.options = Options::read(&words.unwrap_or_default())?;
    attributes::check("unarchive", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if let Some(path) = arguments.creates.as_ref().filter(|path| there(path, host)) {
        let values = Map::from_iter([("msg".to_owned(), json!(format!("skipped, since {path} exists")))]);
        return Ok(Outcome { skipped: true, values, ..Outcome::default() });
    }
    let dest = host.system.path(&arguments.dest);
    if !host.system.real(&dest).is_dir() {
        return Err(Failed::new(format!("dest '{}' must be an existing dir", arguments.dest)));
    }
    let wanted = attributes::look(&arguments.attributes, host.system, mode)?;
    let found = found(arguments, host)?;
    let path = found.path();
    let size =
        path.metadata().map_err(|error| Failed::new(format!("Source '{}' not readable, {error}", arguments.src)))?;
    if size.len() == 0 {
        return Err(Failed::new(format!("Invalid archive '{}', the file is 0 bytes", arguments.src)));
    }
    let unpacking = Unpacking::look(arguments, host, path, dest, wanted)?;
    unpacking.run(mode)
}

/// The archive: a file of the machine, or one that was fetched and goes again.
enum Found {
    There(PathBuf),
    Fetched(Draft),
}

impl Found {
    fn path(&self) -> &Path {
        match self {
            Self::There(path) => path,
            Self::Fetched(draft) => draft.path(),
        }
    }
}

fn found(arguments: &Arguments, host: &Context) -> Result<Found, Failed> {
    let src = &arguments.src;
    if !arguments.remote_src {
        let Some(Source::File { content, .. }) = &arguments.source else {
            return Err(Failed::new(format!("Source '{src}' failed to transfer")));
        };
        let mut draft = draft(host)?;
        (host.content)(content, &mut draft.file)?;
        return Ok(Found::Fetched(draft));
    }
    let path = host.system.path(src);
    let real = host.system.real(&path);
    if real.is_file() {
        return Ok(Found::There(real));
    }
    if !src.contains("://") {
        return Err(Failed::new(format!("Source '{src}' does not exist")));
    }
    let access = Access { validate_certs: arguments.validate_certs, ..Access::default() };
    let mut draft = draft(host)?;
    let why = match web::ask(&Request::get(src, &access), host, &mut draft.file) {
        Ok(answer) if answer.status == 200 => return Ok(Found::Fetched(draft)),
        Ok(answer) => answer.message,
        Err(failed) => failed.message,
    };
    Err(Failed::new(format!("Failure downloading {}, {why}", web::shown(src))))
}

fn draft(host: &Context) -> Result<Draft, Failed> {
    let place = ["/var/tmp", "/tmp"].into_iter().find(|path| host.system.real(path).is_dir()).unwrap_or_default();
    Draft::new(&format!("{place}/unarchive"), host)
}

struct Unpacking<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    archive: &'a Path,
    format: Format,
    dest: String,
    expected: Expected<'a>,
    /// What is unpacked, under its name in the archive and its path below the directory.
    members: Vec<(Member, PathBuf)>,
}

impl<'a> Unpacking<'a> {
    /// Reads what is in the archive.
    fn look(
        arguments: &'a Arguments,
        host: &'a Context<'a>,
        archive: &'a Path,
        dest: String,
        wanted: Wanted,
    ) -> Result<Self, Failed> {
        let wrong = |error: archive::Error| {
            Failed::new(format!("Failed to find handler for \"{}\": {}", arguments.src, error.sentence()))
        };
        let mut file = std::fs::File::open(archive).map_err(|error| wrong(archive::Error::Read(error)))?;
        let format = archive::walk::format(&mut file).map_err(wrong)?;
        let mut members = vec![];
        let chosen = options::Chosen { arguments, zip: format == Format::Zip };
        archive::walk(archive, &mut |member, _| {
            members.extend(chosen.placed(member)?.map(|path| (member.clone(), path)));
            Ok(())
        })
        .map_err(wrong)?;
        if members.is_empty() {
            let why = "found no files in archive. Empty archive files are not supported.";
            return Err(Failed::new(format!("Failed to find handler for \"{}\": {why}", arguments.src)));
        }
        let expected = Expected { arguments, system: host.system, wanted, zip: format == Format::Zip };
        Ok(Self { arguments, host, archive, format, dest, expected, members })
    }

    fn run(self, mode: Mode) -> Result<Outcome, Failed> {
        let differs = self.members.iter().any(|(member, path)| self.expected.differs(member, &self.real(path)));
        let mut values = Map::new();
        let mut tell = |name: &str, value: Value| values.insert(name.to_owned(), value);
        tell("handler", json!(self.handler()));
        tell("dest", json!(self.arguments.dest));
        tell("src", json!(web::shown(&self.arguments.src)));
        if self.arguments.list_files {
            let names = self.members.iter().map(|(member, path)| self.named(member, path)).collect::<Vec<_>>();
            tell("files", json!(names));
        }
        let mut changed = differs;
        if mode == Mode::Apply {
            if differs {
                self.unpack()?;
                tell("extract_results", json!({ "cmd": [], "rc": 0, "out": "", "err": "" }));
            }
            changed |= self.dress()?;
        }
        let warnings = self.expected.wanted.warnings.clone();
        let told = Plan { warnings, values, ..Plan::default() };
        Ok(Outcome { changed, ..plan::finish(told, self.host, mode)? })
    }

    fn real(&self, path: &Path) -> PathBuf {
        self.host.system.real(&self.dest).join(path)
    }

    /// What Ansible calls the part of it that would have done it.
    fn handler(&self) -> &'static str {
        match self.format {
            Format::Zip => "ZipArchive",
            Format::Tar(Compression::Gzip) => "TgzArchive",
            Format::Tar(Compression::None) => "TarArchive",
            Format::Tar(Compression::Bzip2) => "TarBzipArchive",
            Format::Tar(Compression::Xz) => "TarXzArchive",
            Format::Tar(Compression::Zstd) => "TarZstdArchive",
        }
    }

    fn named(&self, member: &Member, path: &Path) -> String {
        if self.arguments.options.strip == 0 {
            return member.path.clone();
        }
        let end = if member.kind == archive::Kind::Directory { "/" } else { "" };
        format!("{}{end}", path.display())
    }

    fn unpack(&self) -> Result<(), Failed> {
        let wrong = |error: archive::Error| {
            let why = error.sentence();
            Failed::new(format!("failed to unpack {} to {}: {why}", self.arguments.src, self.arguments.dest))
        };
        let chosen = options::Chosen { arguments: self.arguments, zip: self.format == Format::Zip };
        let mut target = Target::open(&self.host.system.real(&self.dest)).map_err(wrong)?;
        archive::walk(self.archive, &mut |member, content| {
            let Some(path) = chosen.placed(member)? else { return Ok(()) };
            let real = self.real(&path);
            if self.arguments.keep_newer && Expected::newer(member, &real) {
                return Ok(());
            }
            let member = chosen.stripped(member)?;
            target.put(&member, &path, self.expected.dress(&member, &real), content)
        })
        .map_err(wrong)?;
        target.finish().map_err(wrong)
    }

    /// Gives every member, and the directories at the top, what the task says. Returns whether something was not so.
    fn dress(&self) -> Result<bool, Failed> {
        let mut paths = self.members.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>();
        let deep = self.members.iter().filter(|(member, path)| self.named(member, path).contains('/'));
        let tops = deep.filter_map(|(_, path)| path.iter().next().map(PathBuf::from)).collect::<BTreeSet<_>>();
        paths.extend(tops);
        let mut changed = false;
        for path in paths {
            let path = format!("{}/{}", self.dest.trim_end_matches('/'), path.display());
            let told = |error| Failed::new(format!("Unexpected error when accessing exploded file: {path}: {error}"));
            let Some(found) = self.host.system.found(&path).map_err(told)? else { continue };
            for action in attributes::plan(&path, &found, &self.expected.wanted) {
                changed = true;
                act(&action, self.host)?;
            }
        }
        Ok(changed)
    }
}

/// The path below the directory that a member's name means.
fn below(member: &Member) -> Result<PathBuf, archive::Error> {
    member::below(&member.path)
}
