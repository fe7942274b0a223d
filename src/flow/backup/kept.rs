//! What a lost control node would take with it, kept in the manifest of a backup: configuration files, generated secrets,
//! the control node's certificates, and the Consul keys of the project or module.
//!
//! All of this is, or holds, secrets: passwords of databases, keys of the tunnel, the key of the certificate authority. So
//! contents and values go along only if the backup is encrypted, and then the whole manifest is. In a plain one are the
//! names alone, and that the rest was left out: neither a size nor a digest of a value, as a short secret can be guessed
//! from its digest. The operator's SSH key is in no repository and never kept: a new one is let in from the console of
//! the host.
//!
//! Source: the files that the original makes or has filled in (FORMATS §1.2, §3.9, §7.5).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::consul;
use crate::flow::backup::Spec;
use crate::flow::found::OWNED;
use crate::flow::world::World;
use crate::secret::Secret;

/// Most files, and most Consul keys.
const MANY: usize = 2_000;

/// Most bytes of one file.
const FILE: u64 = 1 << 20;

/// Most bytes of all contents and values.
const ALL: u64 = 16 << 20;

/// What is left out of every backup that is not encrypted.
pub const UNSEALED: &str = "values of Consul keys and contents of files: the backup is not encrypted";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Consul keys of the project or module.
    pub keys: Vec<Key>,
    /// Files of the control node.
    pub files: Vec<File>,
    /// What of all that is not in it, and why; one sentence each.
    pub left_out: Vec<String>,
}

/// A Consul key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// Its value in base64, in an encrypted manifest only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
}

/// A file of the control node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path in the working directory.
    pub path: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Its bytes in base64, in an encrypted manifest only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Secret>,
}

impl File {
    /// Its bytes.
    ///
    /// # Errors
    ///
    /// They are no base64.
    pub fn bytes(&self) -> Option<io::Result<Vec<u8>>> {
        let content = self.content.as_ref()?;
        Some(STANDARD.decode(content.reveal()).map_err(|_| io::Error::other("its content is no base64")))
    }
}

/// Collects what is to be kept. What cannot be had is left out and said: a backup of the data is worth more than none.
pub async fn gather(world: &World, spec: &Spec) -> Kept {
    let mut kept = Kept::default();
    let mut room = ALL;
    let sealed = spec.is_secret();
    match owned(world, &spec.source.id).await {
        Ok(entries) => {
            for (key, value) in entries {
                let value = value.filter(|_| sealed).and_then(|value| encoded(&value, &mut room));
                if sealed && value.is_none() {
                    kept.left_out.push(format!("the Consul key `{key}` is gone or too large"));
                }
                kept.keys.push(Key { key, value });
            }
        }
        Err(why) => kept.left_out.push(format!("its Consul keys: {why}")),
    }
    let (directory, host, id) = (world.working_directory.clone(), spec.host.clone(), spec.source.id.clone());
    let gathered = tokio::task::spawn_blocking(move || files(&directory, &host, &id, sealed, room));
    let (files, left_out) = gathered.await.unwrap_or_else(|error| (vec![], vec![error.to_string()]));
    kept.files = files;
    kept.left_out.extend(left_out);
    let is_empty = kept.keys.is_empty() && kept.files.is_empty();
    if !sealed && !is_empty {
        kept.left_out.push(UNSEALED.to_owned());
    }
    kept
}

type Entries = Vec<(String, Option<Vec<u8>>)>;

/// The keys of `owner` with their values, as its index lists them.
async fn owned(world: &World, owner: &str) -> Result<Entries, String> {
    let told = |error: consul::Error| crate::playbook::in_full(&(error.into()));
    let Some(index) = world.own_consul.get(&format!("{OWNED}{owner}")).await.map_err(told)? else { return Ok(vec![]) };
    let keys: Vec<String> =
        serde_json::from_slice(&index.value).map_err(|_| "their list is not readable".to_owned())?;
    if keys.len() > MANY {
        return Err(format!("they are more than {MANY}"));
    }
    let mut entries = vec![];
    for key in keys {
        let value = world.own_consul.get(&key).await.map_err(told)?.map(|entry| entry.value);
        entries.push((key, value));
    }
    Ok(entries)
}

fn encoded(bytes: &[u8], room: &mut u64) -> Option<Secret> {
    *room = room.checked_sub(bytes.len() as u64)?;
    Some(Secret::new(STANDARD.encode(bytes)))
}

fn files(directory: &Path, host: &str, id: &str, sealed: bool, mut room: u64) -> (Vec<File>, Vec<String>) {
    let (mut found, mut left_out) = (vec![], vec![]);
    for path in paths(directory, host, id) {
        let shown = path.display().to_string();
        if found.len() == MANY {
            left_out.push(format!("`{shown}` and what follows: there are more than {MANY} files"));
            break;
        }
        match read(&directory.join(&path)) {
            Ok((mode, bytes)) => {
                let content = bytes.filter(|_| sealed).and_then(|bytes| encoded(&bytes, &mut room));
                if sealed && content.is_none() {
                    left_out.push(format!("the content of `{shown}`: it is too large"));
                }
                found.push(File { path: shown, mode: format!("{mode:04o}"), content });
            }
            Err(error) => left_out.push(format!("`{shown}`: {error}")),
        }
    }
    (found, left_out)
}

/// Permission bits and bytes of a file; no bytes if there are too many.
fn read(path: &Path) -> io::Result<(u32, Option<Vec<u8>>)> {
    let follows_nothing = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(follows_nothing).open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut bytes = vec![];
    file.take(FILE + 1).read_to_end(&mut bytes)?;
    Ok((mode, (bytes.len() as u64 <= FILE).then_some(bytes)))
}

/// What is made or filled in for `host` and `id`, as paths in the working directory, sorted.
fn paths(directory: &Path, host: &str, id: &str) -> Vec<PathBuf> {
    let of_host = |name: &str| is_of(host, name);
    let own = |name: &str| name == "configuration.yml" || of_host(name);
    let control = |name: &str| !name.contains("TEMPLATE");
    let mut found = vec![];
    let mut add = |folder: PathBuf, wanted: &dyn Fn(&str) -> bool| {
        for entry in fs::read_dir(directory.join(&folder)).into_iter().flatten().flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if let Some(name) = entry.file_name().to_str().filter(|name| is_file && wanted(name)) {
                found.push(folder.join(name));
            }
        }
    };
    add(Path::new(id).join("configuration"), &own);
    for kind in ["project", "module"] {
        add(Path::new(id).join(format!("{kind}-deployment/terraform.tfstate.d/{host}")), &|_| true);
    }
    add("ryo-host/configuration".into(), &of_host);
    add("ryo-host/backup-restore".into(), &of_host);
    add("ryo-control-node/configuration".into(), &control);
    add("ryo-control-node/configuration/ca".into(), &control);
    found.sort();
    found
}

/// Whether a file is called like one of `host`: `…_web`, `…_web.yml`, `web_….conf`.
fn is_of(host: &str, name: &str) -> bool {
    let end = format!("_{host}");
    let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
    name.starts_with(&format!("{host}_")) || ends.into_iter().any(|at| name[..at].ends_with(&end))
}

/// Writes a file into `directory`, where no such file may be yet. What it is called was said by others: it leads nowhere
/// else.
///
/// # Errors
///
/// It leads elsewhere, is there, or cannot be written.
pub fn write(file: &File, directory: &Path) -> io::Result<()> {
    let path = Path::new(&file.path);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.file_name().is_none() {
        return Err(io::Error::other("it leads elsewhere"));
    }
    let bytes = file.bytes().unwrap_or_else(|| Ok(vec![]))?;
    let mode = u32::from_str_radix(&file.mode, 8).map_err(|_| io::Error::other("it has no permissions"))? & 0o777;
    let mut above = directory.to_owned();
    fs::create_dir_all(&above)?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        above.push(part);
        match fs::symlink_metadata(&above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new().mode(0o700).create(&above)?,
            Ok(about) if about.is_dir() => {}
            about => return about.and(Err(io::Error::other("it leads through something that is no directory"))),
        }
    }
    let to = directory.join(path);
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to)?;
    written.write_all(&bytes)?;
    written.set_permissions(fs::Permissions::from_mode(mode))?;
    written.sync_all()
}
