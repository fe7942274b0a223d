//! What is needed to read a playbook's files: where roles are, and the passwords of encrypted files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::place::{self, Place, Problem};
use crate::playbook::jinja;
use crate::playbook::model::Vars;
use crate::playbook::vault::{self, Vault};
use crate::secret::Secret;
use crate::yaml::{self, Dialect, Kind, Node};

/// How files are read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Passwords of files and values that are encrypted.
    pub vault: Vault,
    /// Directories of roles, beside `roles` next to the playbook.
    pub roles: Vec<PathBuf>,
    /// What `ansible_managed` is in template files, if it was set: with `{file}`, `{host}`, `{uid}`, and parts of the time
    /// when the template was last written, as `strftime` writes them.
    pub managed: Option<String>,
}

impl Reading {
    /// Reads with the password of the file that `ANSIBLE_VAULT_PASSWORD_FILE` names, if it names one.
    ///
    /// # Errors
    ///
    /// That file cannot be read.
    pub fn of_environment() -> Result<Self, Problem> {
        let Some(file) = std::env::var_os("ANSIBLE_VAULT_PASSWORD_FILE").filter(|file| !file.is_empty()) else {
            return Ok(Self::default());
        };
        let password = password(Path::new(&file))?;
        Ok(Self { vault: Vault::new(vec![("default".to_owned(), password)]), ..Self::default() })
    }

    /// Reads the documents of a YAML file, decrypted.
    ///
    /// # Errors
    ///
    /// It cannot be read, decrypted, or is no YAML.
    pub fn documents(&self, path: &Path) -> Result<Vec<Node>, Box<Problem>> {
        let whole = |message: String| Box::new(Problem::new(Place::file(path), message));
        let raw = std::fs::read(path).map_err(|error| {
            whole(match error.kind() {
                std::io::ErrorKind::NotFound => format!("`{}` is not there", path.display()),
                _ => format!("cannot read `{}`: {error}", path.display()),
            })
        })?;
        let raw = place::text(path, raw)?;
        let sealed = vault::is_encrypted(&raw);
        let text = if sealed {
            let bytes = self.vault.open(&raw).map_err(|error| whole(error.to_string()))?;
            String::from_utf8(bytes).map_err(|_| whole("what it holds is no text".to_owned()))?
        } else {
            raw
        };
        let mut documents = yaml::load(&text, Dialect::Ansible).map_err(|error| {
            // What was decrypted is not quoted.
            let message = if sealed { "not YAML".to_owned() } else { format!("not YAML: {}", error.message) };
            Box::new(Problem::new(Place::new(path, error.line, error.column), message))
        })?;
        for document in &mut documents {
            self.vault.open_values(document).map_err(|(line, column, error)| {
                Box::new(Problem::new(Place::new(path, line, column), error.to_string()))
            })?;
            if sealed {
                self.vault.remember_all(document);
            }
            keep_unsafe(document, false);
        }
        Ok(documents)
    }

    /// Reads a file of variables.
    ///
    /// # Errors
    ///
    /// [`Problem`]: the file cannot be read or holds no mapping.
    pub fn vars(&self, path: &Path) -> Result<Vars, Box<Problem>> {
        let documents = self.documents(path)?;
        match documents.first().map(|node| (&node.kind, node.value())) {
            None | Some((Kind::Null, _)) => Ok(Vars::new()),
            Some((_, Value::Object(vars))) => Ok(vars),
            Some(_) => Err(Box::new(Problem::new(Place::file(path), "variables must be a mapping"))),
        }
    }
}

/// Keeps text that is marked `!unsafe`, and all text in what is marked so, from being rendered.
fn keep_unsafe(node: &mut Node, inside: bool) {
    let inside = inside || node.tag.as_deref() == Some("!unsafe");
    match &mut node.kind {
        Kind::Str(text) if inside && jinja::is_template(text) => *text = jinja::raw(text),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| keep_unsafe(value, inside)),
        Kind::Seq(items) => items.iter_mut().for_each(|item| keep_unsafe(item, inside)),
        _ => {}
    }
}

/// Reads a password: the first line of a file, or of what a program says if the file can be run.
///
/// # Errors
///
/// The file cannot be read or the program fails.
pub fn password(path: &Path) -> Result<Secret, Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    let problem =
        |message: String| Problem::new(Place::file(path), format!("cannot read the password of the vault: {message}"));
    let facts = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?;
    let text = if facts.is_file() && facts.permissions().mode() & 0o111 != 0 {
        let absolute = std::path::absolute(path).map_err(|error| problem(error.to_string()))?;
        let ran = std::process::Command::new(absolute)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| problem(error.to_string()))?;
        if !ran.status.success() {
            return Err(problem(format!("the program ended with {}", ran.status)));
        }
        String::from_utf8_lossy(&ran.stdout).into_owned()
    } else {
        std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?
    };
    match text.trim() {
        "" => Err(problem("it is empty".to_owned())),
        text => Ok(Secret::new(text)),
    }
}
