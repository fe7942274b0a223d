//! The key that an account gets for logging in elsewhere.

use serde_json::{Map, Value, json};

use crate::module::action::{Action, act, octal};
use crate::module::attributes::Ids;
use crate::module::openssh_keypair::{self, Type};
use crate::module::system::Account;
use crate::module::user::Arguments;
use crate::module::{Context, Failed, Mode, typed};

/// What was done, and what is told of it.
pub(super) struct Made {
    pub(super) changed: bool,
    pub(super) values: Map<String, Value>,
    pub(super) warnings: Vec<String>,
}

/// Makes the key unless there is one.
pub(super) fn make(arguments: &Arguments, account: &Account, host: &Context, mode: Mode) -> Result<Made, Failed> {
    let path = path(arguments, account);
    let directory = path.rsplit_once('/').map_or("/", |(above, _)| above);
    let is_there = |path: &str| host.system.real(path).exists();
    let mut made = Made { changed: false, values: Map::new(), warnings: vec![] };
    let found = [("private", path.clone()), ("public", format!("{path}.pub"))].into_iter().find(|it| is_there(&it.1));
    let changed = found.is_none() || arguments.force;
    match found {
        Some((half, path)) if arguments.force => {
            made.warnings.push(format!("Overwriting existing ssh key {half} file \"{path}\""));
        }
        Some((half, path)) => {
            let why = "no force, so skipping ssh-keygen generation";
            made.warnings.push(format!("Found existing ssh key {half} file \"{path}\", {why}"));
        }
        None => {}
    }
    made.changed = changed;
    if changed && mode == Mode::Apply {
        let ids = Ids { uid: Some(account.uid), gid: Some(account.gid) };
        if !is_there(directory) {
            act(&Action::Mkdir { path: directory.to_owned(), mode: octal(0o700) }, host)?;
            act(&Action::Chown { path: directory.to_owned(), ids }, host)?;
        }
        openssh_keypair::run(&keypair(arguments, &path)?, host, mode)?;
        for path in [path.clone(), format!("{path}.pub")] {
            act(&Action::Chown { path, ids }, host)?;
        }
    }
    made.values = told(arguments, &path, host)?;
    Ok(made)
}

fn path(arguments: &Arguments, account: &Account) -> String {
    let kind = match arguments.ssh_key_type {
        Type::Rsa => "rsa",
        Type::Ecdsa => "ecdsa",
        Type::Ed25519 => "ed25519",
    };
    let own = arguments.ssh_key_file.clone().unwrap_or_else(|| format!(".ssh/id_{kind}"));
    if own.starts_with('/') { own } else { format!("{}/{own}", account.home.trim_end_matches('/')) }
}

/// The key as the module of keys takes it. Sizes are those that `ssh-keygen` chooses.
fn keypair(arguments: &Arguments, path: &str) -> Result<openssh_keypair::Arguments, Failed> {
    let size = match (arguments.ssh_key_bits, arguments.ssh_key_type) {
        (0, Type::Rsa) => Some(3072),
        (0, _) => None,
        (bits, _) => Some(bits),
    };
    let mut given = Map::from_iter([
        ("path".to_owned(), json!(path)),
        ("type".to_owned(), json!(arguments.ssh_key_type)),
        ("size".to_owned(), json!(size)),
        ("comment".to_owned(), json!(comment(arguments))),
        ("regenerate".to_owned(), json!("always")),
    ]);
    let passphrase = arguments.ssh_key_passphrase.as_ref();
    given.extend(passphrase.map(|it| ("passphrase".to_owned(), json!(it.reveal()))));
    typed("user", given).map_err(|error| Failed::new(error.to_string()))
}

fn comment(arguments: &Arguments) -> String {
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    arguments.ssh_key_comment.clone().unwrap_or_else(|| format!("ansible-generated on {node}"))
}

fn told(arguments: &Arguments, path: &str, host: &Context) -> Result<Map<String, Value>, Failed> {
    let public = crate::module::text::read(&format!("{path}.pub"), host.system)?;
    let public = public.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
    let key = public.as_deref().and_then(|text| russh::keys::PublicKey::from_openssh(text).ok());
    let fingerprint = key.map(|key| {
        let bits = match key.key_data() {
            russh::keys::ssh_key::public::KeyData::Rsa(key) => key.key_size(),
            _ if arguments.ssh_key_bits > 0 => u32::try_from(arguments.ssh_key_bits).unwrap_or(0),
            _ => 256,
        };
        let kind = format!("{:?}", arguments.ssh_key_type).to_uppercase();
        let print = key.fingerprint(russh::keys::HashAlg::Sha256);
        format!("{bits} {print} {} ({kind})", key.comment())
    });
    Ok(Map::from_iter([
        ("ssh_fingerprint".to_owned(), json!(fingerprint.unwrap_or_default())),
        ("ssh_key_file".to_owned(), json!(path)),
        ("ssh_public_key".to_owned(), json!(public)),
    ]))
}
