//! The operator's own settings: what no repository says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;
use thiserror::Error;

use crate::flow::host::{Consul, DefaultPolicy, Server, Storage};
use crate::yaml;

/// The whole file, `~/.config/ryo/settings.yml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Hosts by name, where the repositories' configuration is not enough.
    pub hosts: BTreeMap<String, Host>,
    /// Image names in templates → the image to take instead, e.g. `ubuntu-minimal:focal: debian/12`.
    pub images: BTreeMap<String, String>,
    /// Simplestreams servers by the name that stands in front of the colon, e.g.
    /// `ubuntu-minimal: https://cloud-images.ubuntu.com/minimal/releases`.
    pub remotes: BTreeMap<String, String>,
    /// Projects and modules by the name of their directory, where another tool than `ryo` does a part of the work.
    pub projects: BTreeMap<String, Tools>,
    /// Where modules that are not checked out are cloned from; the module's name is put behind it.
    pub modules: Option<String>,
    /// How backups are made and read.
    pub backup: Backup,
    /// The one host key to be accepted, from the command line: it wins over the hosts' own.
    #[serde(skip)]
    pub host_key: Option<String>,
}

/// Which tools do the work for a project and its modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Tools {
    /// What runs host-setup playbooks (default: what the settings say, else ryo itself)
    #[arg(long, value_name = "TOOL", value_enum)]
    pub configure: Option<Configure>,
    /// What builds images (default: what the settings say, else ryo itself)
    #[arg(long, value_name = "TOOL", value_enum)]
    pub build: Option<Build>,
    /// What brings instances up (default: what the settings say, else ryo itself)
    #[arg(long, value_name = "TOOL", value_enum)]
    pub deploy: Option<Deploy>,
}

/// What runs host-setup playbooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Configure {
    /// `ryo` itself.
    Native,
    /// `ansible-playbook` on the path.
    Ansible,
}

/// What builds images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Build {
    /// `ryo` itself.
    Native,
    /// `packer` on the path.
    Packer,
}

/// What brings instances up, and what belongs to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Deploy {
    /// `ryo` itself.
    Native,
    /// `terraform` on the path.
    Terraform,
    /// `tofu` on the path.
    Tofu,
}

impl Deploy {
    /// The program, if it is one.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::Terraform => Some("terraform"),
            Self::Tofu => Some("tofu"),
        }
    }
}

/// How a host is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// `local` for this computer, `ssh` otherwise (the default for every name but `local`).
    pub connection: Option<Carrier>,
    /// Name or address, if it is not the WireGuard address of the host's configuration.
    pub address: Option<String>,
    /// SSH port, if it is not the one of the host's configuration.
    pub port: Option<u16>,
    /// Login name, if it is not the one of the host's configuration.
    pub user: Option<String>,
    /// Private key, if it is not the one of the control node's configuration.
    pub key: Option<PathBuf>,
    /// The expected host key, e.g. `SHA256:…`.
    pub host_key: Option<String>,
    /// The unix socket of LXD or Incus on the host, if it is not at one of the usual places.
    pub socket: Option<PathBuf>,
    /// The directory of certificates with which LXD or Incus is spoken to by TLS, at the host's end of the tunnel, in
    /// place of its socket: see [`tls`](crate::rig::tls).
    pub tls: Option<PathBuf>,
    /// Host and port of Consul, if it is not where the repositories say.
    pub consul: Option<String>,
    /// What serves the containers of a host that is set up: `lxd` or `incus`.
    pub server: Option<Server>,
    /// What the storage pool of a host that is set up is made of: `btrfs` or `zfs`.
    pub storage: Option<Storage>,
    /// Where the program of Consul comes from when a host is set up.
    pub consul_program: Option<Consul>,
    /// What Consul lets those do who have no token, on a host that is set up: `allow` (everything) or `deny`.
    pub consul_default_policy: Option<DefaultPolicy>,
    /// Network of the bridge that images are built on, e.g. `10.99.0.1/24`; the server chooses one if there is none.
    pub build_network: Option<String>,
}

/// How backups are made and read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Where they go and are, unless a command says otherwise.
    pub store: Option<BackupStore>,
    /// To whom they are encrypted, e.g. `age1…`; not encrypted if there is nobody.
    pub recipients: Vec<String>,
    /// The file with the identity that opens them.
    pub identity: Option<PathBuf>,
    /// The file with the password of repositories of restic.
    pub password_file: Option<PathBuf>,
}

/// What stands in front of a repository of restic.
const RESTIC: &str = "restic:";

/// Where backups are kept, as it is typed: `DIR` or `restic:DIR`. The settings are read from anywhere: a
/// directory there begins with `/` or `~/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum BackupStore {
    /// A directory of archives.
    Directory(PathBuf),
    /// A repository of restic.
    Restic(PathBuf),
}

impl FromStr for BackupStore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(RESTIC) {
            Some("") => Err("no directory is named behind `restic:`".to_owned()),
            Some(directory) => Ok(Self::Restic(directory.into())),
            None => Ok(Self::Directory(text.into())),
        }
    }
}

impl TryFrom<String> for BackupStore {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let store: Self = text.parse()?;
        let (Self::Directory(directory) | Self::Restic(directory)) = &store;
        if directory.is_absolute() || directory.starts_with("~") {
            Ok(store)
        } else {
            Err(format!("`{}` begins neither with `/` nor with `~/`", directory.display()))
        }
    }
}

impl BackupStore {
    /// The same from anywhere, as it is typed.
    pub fn absolute(&self) -> String {
        let text = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
        match self {
            Self::Directory(directory) => text(directory),
            Self::Restic(directory) => format!("{RESTIC}{}", text(directory)),
        }
    }
}

/// What carries the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// This computer.
    Local,
    /// SSH.
    Ssh,
}

/// The settings cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot read the settings in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Something in it is unknown or of another kind.
    #[error("{}: `{key}`: {message}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where in it, e.g. `hosts.web.port`.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// Where images are cloned from unless the settings say otherwise.
pub const MODULES: &str = "https://github.com/rollyourown-xyz";

impl Settings {
    /// Reads the settings: `path` if one is given, else `~/.config/ryo/settings.yml` if it is there.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A missing file is an error only when it was named.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let named = path.is_some();
        let Some(path) = path.map(Path::to_owned).or_else(usual_place) else { return Ok(Self::default()) };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(Self::default()),
            Err(source) => Err(Error::Unreadable { path, source }),
        }
    }

    /// Reads the settings from `text`; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] and [`Error::Shape`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let documents = yaml::load(text, yaml::Dialect::Terraform).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            line: error.line,
            column: error.column,
            message: error.message,
        })?;
        let value = documents.first().map_or(serde_json::Value::Null, yaml::Node::value);
        if value.is_null() {
            return Ok(Self::default());
        }
        serde_path_to_error::deserialize(value).map_err(|error| Error::Shape {
            path: path.to_owned(),
            key: error.path().to_string(),
            message: error.inner().to_string(),
        })
    }

    /// Returns what is said of `host`.
    pub fn host(&self, host: &str) -> Host {
        self.hosts.get(host).cloned().unwrap_or_default()
    }

    /// Returns the image to take where a file says `image`.
    pub fn image(&self, image: &str) -> String {
        self.images.get(image).cloned().unwrap_or_else(|| image.to_owned())
    }

    /// Returns which tools do the work for `project`; those that were `given` win.
    pub fn tools(&self, project: &str, given: Tools) -> Tools {
        let set = self.projects.get(project).copied().unwrap_or_default();
        Tools {
            configure: given.configure.or(set.configure),
            build: given.build.or(set.build),
            deploy: given.deploy.or(set.deploy),
        }
    }

    /// Returns where `module` is cloned from.
    pub fn module_url(&self, module: &str) -> String {
        format!("{}/{module}", self.modules.as_deref().unwrap_or(MODULES).trim_end_matches('/'))
    }
}

fn usual_place() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(base) if !base.is_empty() => PathBuf::from(base),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".config"),
    };
    Some(base.join("ryo/settings.yml"))
}
