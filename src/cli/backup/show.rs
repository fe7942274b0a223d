//! `ryo backup show`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::archive::seal::Identities;
use crate::cli::Common;
use crate::cli::backup::store::{self, Choice};
use crate::cli::shown::Shown;
use crate::failure::{Failure, Kind};
use crate::flow::backup::catalogue::{Backup, State, bytes, sentence};
use crate::flow::backup::kept;
use crate::flow::backup::manifest::{self, Manifest, Member};
use crate::flow::figures::span;
use crate::flow::{journal, restore};

/// How many of the biggest members are shown.
const BIGGEST: usize = 5;

/// Which backup is shown.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo backup show ryo-gitea -n web -s 20261123")]
pub struct Arguments {
    /// Which
    #[command(flatten)]
    pub choice: Choice,
    /// The stamp of the backup (default: that of the newest one)
    #[arg(short = 's', long, value_name = "STAMP")]
    pub stamp: Option<String>,
    /// Write the files of the control node that are kept in an encrypted backup into this directory
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
}

/// Shows it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub fn run(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let identities = arguments.choice.identities(common)?;
    let catalogue = arguments.choice.catalogue(common, &identities)?;
    let choice = arguments.choice.of(arguments.stamp.as_deref());
    let mut backups: Vec<&Backup> = catalogue.backups.iter().filter(|backup| choice.takes(backup)).collect();
    let newest = backups.first().copied().ok_or_else(|| store::none(&choice, &catalogue.directory))?;
    let of = |backup: &Backup| backup.about.as_ref().map(|about| (about.host.clone(), about.id.clone()));
    backups.retain(|backup| of(backup) != of(newest));
    if let Some(other) = backups.first() {
        let text = format!("more than one is meant: {}, {}", newest.title(), other.title());
        return Err(Failure::new(Kind::Request, text).hint("name the project or module, and the host with `-n`"));
    }
    let content = match look(newest, &identities) {
        Ok(content) => content,
        Err(error @ manifest::Error::Sealed(_)) if arguments.files.is_some() => {
            let file = manifest::beside(newest.archive.path());
            return Err(restore::Error::Manifest { file, source: error }.into());
        }
        Err(_) => None,
    };
    if let Some(directory) = &arguments.files {
        let files = content.as_ref().map(|content| &content.manifest.kept.files[..]).unwrap_or_default();
        return write(files, directory, newest, shown);
    }
    let mut row = newest.json();
    if let Some(content) = &content {
        row["manifest"] = json(content);
    }
    shown.ui.result(&row, text(newest, content.as_ref(), journal::seconds()).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// What a manifest says.
struct Content {
    manifest: Manifest,
    members: u64,
    bytes: u64,
    biggest: Vec<Member>,
}

fn look(backup: &Backup, identities: &Identities) -> Result<Option<Content>, manifest::Error> {
    let (mut members, mut bytes, mut biggest) = (0, 0_u64, Vec::<Member>::new());
    let manifest = Manifest::read(&backup.archive, identities, &mut |member| {
        members += 1;
        bytes = bytes.saturating_add(member.size);
        let at = biggest.partition_point(|other| other.size >= member.size);
        if at < BIGGEST && member.size > 0 {
            biggest.insert(at, member);
            biggest.truncate(BIGGEST);
        }
        true
    })?;
    Ok(manifest.map(|manifest| Content { manifest, members, bytes, biggest }))
}

/// Without values and contents: this is printed.
fn json(content: &Content) -> Value {
    let Content { manifest, members, bytes, biggest } = content;
    let kept = &manifest.kept;
    json!({
        "ryo": manifest.ryo,
        "who": manifest.who,
        "sha256": manifest.archive.sha256,
        "compression": manifest.archive.compression,
        "members": members,
        "bytes": bytes,
        "biggest": biggest,
        "instances": manifest.instances,
        "sockets": manifest.sockets,
        "keys": kept.keys.iter().map(|key| &key.key).collect::<Vec<_>>(),
        "files": kept.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
        "left_out": kept.left_out,
    })
}

fn text(backup: &Backup, content: Option<&Content>, now: u64) -> String {
    let mut text = match &backup.about {
        Some(about) => {
            let kind = about.kind.as_ref().map_or(String::new(), |kind| format!("{kind} "));
            format!("backup {} of {kind}{} on host {}\n", about.stamp, about.id, about.host)
        }
        None => format!("backup {}\n", backup.name()),
    };
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    let sealed = if backup.is_sealed() { ", encrypted" } else { "" };
    row("archive", &format!("{} ({}{sealed})", backup.archive.path().display(), bytes(backup.size)));
    let state = match &backup.state {
        State::Verified(when) => format!("verified {} ago", span(now.saturating_sub(*when))),
        State::Whole => "whole, not verified".to_owned(),
        State::Unknown(reason) => format!("not verified: {reason}"),
        State::Damaged(what) => format!("damaged: {what}"),
    };
    row("state", &state);
    if let Some(about) = &backup.about {
        row("data of", &format!("{}, {} ago", local(about.when), span(now.saturating_sub(about.when))));
    }
    let Some(Content { manifest, members, bytes: count, biggest }) = content else {
        let why = if backup.is_sealed() { "no identity was given that opens it" } else { "there is no manifest" };
        row("content", &format!("not known: {why}"));
        return text;
    };
    row("made by", &format!("{} with ryo {}", manifest.who, manifest.ryo));
    for instance in &manifest.instances {
        row("instance", &described(instance));
    }
    let noun = if *members == 1 { "member" } else { "members" };
    row("content", &format!("{members} {noun}, {}", bytes(*count)));
    for member in biggest {
        row("  biggest", &format!("{} ({})", member.path, bytes(member.size)));
    }
    for socket in &manifest.sockets {
        row("  left out", &format!("{socket}, a socket"));
    }
    let kept = &manifest.kept;
    row("kept", &format!("{}, {}", counted(kept.keys.len(), "Consul key"), counted(kept.files.len(), "file")));
    for what in &kept.left_out {
        row("  left out", what);
    }
    text
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn described(instance: &manifest::Instance) -> String {
    let version = instance.version.as_ref().map_or(String::new(), |version| format!(", version {version}"));
    let image =
        instance.image.as_ref().map_or(String::new(), |image| format!(", image {}", image.get(..12).unwrap_or(image)));
    let outage = match instance.outage {
        Some(outage) => format!(", did not serve for {}.{} s", outage / 1000, outage % 1000 / 100),
        None => ", was stopped".to_owned(),
    };
    format!("{}{version}{image}{outage}", instance.name)
}

fn local(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|it| jiff::Timestamp::from_second(it).ok()).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn write(files: &[kept::File], directory: &Path, backup: &Backup, shown: &Shown) -> Result<ExitCode, Failure> {
    let name = backup.title();
    let wanted: Vec<_> = files.iter().filter(|file| file.content.is_some()).collect();
    if wanted.is_empty() {
        let text = format!("no contents of files are kept in {name}");
        return Err(Failure::new(Kind::Request, text).hint("they are kept in encrypted backups: `--encrypt RECIPIENT`"));
    }
    for file in &wanted {
        kept::write(file, directory).map_err(|error| {
            let text = format!("cannot write `{}` into `{}`: {}", file.path, directory.display(), sentence(&error));
            Failure::new(Kind::World, text)
        })?;
    }
    let paths: Vec<&str> = wanted.iter().map(|file| file.path.as_str()).collect();
    let text = format!("{} of {name} written into {}", counted(paths.len(), "file"), directory.display());
    shown.ui.result(&json!({ "directory": directory, "files": paths }), &text);
    Ok(ExitCode::SUCCESS)
}
