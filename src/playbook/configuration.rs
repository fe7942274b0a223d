//! `ansible.cfg` and the `ANSIBLE_…` variables of the environment, as far as an operator expects them to count here.
//!
//! Source: ansible-core 2.15, `config/base.yml`. A variable wins over the file, a flag over both.

use std::path::{Path, PathBuf};

use crate::place::{Place, Problem};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `roles_path`.
    pub roles: Vec<PathBuf>,
    /// `inventory`.
    pub inventory: Vec<String>,
    /// `vault_password_file`.
    pub vault_password_file: Option<PathBuf>,
    /// `remote_user`.
    pub user: Option<String>,
    /// `private_key_file`.
    pub key: Option<PathBuf>,
    /// `forks`.
    pub forks: Option<usize>,
    /// `ansible_managed`.
    pub managed: Option<String>,
}

/// Settings that would make other results and that do not count here: section, key, variable, the value that is none, and
/// what to do.
const REFUSED: &[(&str, &str, &str, &str, &str)] = &[
    ("defaults", "hash_behaviour", "ANSIBLE_HASH_BEHAVIOUR", "replace", "use the filter `combine`"),
    ("defaults", "jinja2_native", "ANSIBLE_JINJA2_NATIVE", "false", "use the filters `int` and `bool`"),
    ("privilege_escalation", "become", "ANSIBLE_BECOME", "false", "write `become: true` into the play"),
];

/// The file that counts: the one of `ANSIBLE_CONFIG`, of this directory, of the home directory, of the system.
pub fn file(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = environment("ANSIBLE_CONFIG").map(PathBuf::from);
    let named = named.map(|path| if path.is_dir() { path.join("ansible.cfg") } else { path });
    let home = environment("HOME").map(|home| Path::new(&home).join(".ansible.cfg"));
    let places = named.into_iter().chain([PathBuf::from("ansible.cfg")]).chain(home);
    places.chain([PathBuf::from("/etc/ansible/ansible.cfg")]).find(|path| path.is_file())
}

/// Reads the file, if there is one, and the environment.
///
/// # Errors
///
/// A value means nothing or something that is not supported.
pub fn read(file: Option<&Path>, environment: &dyn Fn(&str) -> Option<String>) -> Result<Configuration, Problem> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Problem::new(Place::file(path), format!("cannot read it: {error}")))?,
        None => String::new(),
    };
    let beside = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let value = |key: &str, variable: &str| {
        let set = environment(variable).filter(|value| !value.is_empty());
        match set {
            Some(value) => Some((value, PathBuf::new())),
            None => entry(&text, "defaults", key).map(|value| (value, beside.clone())),
        }
    };
    let path = |(value, base): (String, PathBuf)| base.join(expanded(&value, environment));
    for (section, key, variable, none, instead) in REFUSED {
        let set = environment(variable).filter(|value| !value.is_empty()).or_else(|| entry(&text, section, key));
        let counts = |value: &String| {
            let value = value.to_lowercase();
            value != *none && !(*none == "false" && matches!(value.as_str(), "no" | "off" | "0" | "n" | "f"))
        };
        if let Some(value) = set.filter(counts) {
            let place = file.map(Place::file).unwrap_or_default();
            return Err(Problem::new(place, format!("`{key} = {value}` is not supported: {instead}")));
        }
    }
    let forks = match value("forks", "ANSIBLE_FORKS") {
        None => None,
        Some((value, _)) => Some(value.parse().map_err(|_| {
            Problem::new(file.map(Place::file).unwrap_or_default(), format!("`forks` is `{value}`, must be a number"))
        })?),
    };
    let list = |found: Option<(String, PathBuf)>, separator: char| -> Vec<(String, PathBuf)> {
        found.map_or_else(Vec::new, |(value, base)| {
            let parts = value.split(separator).map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| (part.to_owned(), base.clone())).collect()
        })
    };
    let inventory = value("inventory", "ANSIBLE_INVENTORY");
    Ok(Configuration {
        roles: list(value("roles_path", "ANSIBLE_ROLES_PATH"), ':').into_iter().map(path).collect(),
        inventory: list(inventory, ',').into_iter().map(|found| path(found).to_string_lossy().into_owned()).collect(),
        vault_password_file: value("vault_password_file", "ANSIBLE_VAULT_PASSWORD_FILE").map(path),
        user: value("remote_user", "ANSIBLE_REMOTE_USER").map(|(value, _)| value),
        key: value("private_key_file", "ANSIBLE_PRIVATE_KEY_FILE").map(path),
        forks,
        managed: value("ansible_managed", "ANSIBLE_MANAGED").map(|(value, _)| value),
    })
}

fn expanded(value: &str, environment: &dyn Fn(&str) -> Option<String>) -> String {
    match (value.strip_prefix('~'), environment("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => value.to_owned(),
    }
}

/// The value of a key in a section, without the comment behind it.
fn entry(text: &str, section: &str, key: &str) -> Option<String> {
    let mut here = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            here = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(section);
        } else if here && !line.starts_with(['#', ';']) {
            let (name, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            let value = value.split(" ;").next().unwrap_or(value).trim();
            if name.trim() == key && !value.is_empty() {
                return Some(value.to_owned());
            }
        }
    }
    None
}
