//! One file per Ansible module: typed arguments, look, pure plan, act. This part runs on the target, in the agent.
//!
//! [`parse`] makes a [`Task`] of what a playbook says; [`run`] carries one out. A module reads what it needs to know
//! (`look`), computes the actions and the diff from that alone (`plan`, pure), and acts; check mode leaves out the last.
//! What Ansible does is taken from ansible-core 2.15.

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

pub mod action;
pub mod arguments;
pub mod attributes;
pub mod clock;
pub mod database;
pub mod draft;
pub mod edit;
pub mod mysql_login;
pub mod pattern;
pub mod pki;
pub mod plan;
pub mod postgresql_login;
pub mod program;
pub mod source;
pub mod system;
pub mod text;
pub mod web;

pub mod alternatives;
pub mod apt;
pub mod apt_key;
pub mod apt_repository;
pub mod archive;
pub mod assemble;
pub mod authorized_key;
pub mod blockinfile;
pub mod command;
pub mod copy;
pub mod cron;
pub mod debconf;
pub mod dpkg_selections;
pub mod file;
pub mod find;
pub mod get_url;
pub mod getent;
pub mod git;
pub mod group;
pub mod hostname;
pub mod ini_file;
pub mod known_hosts;
pub mod lineinfile;
pub mod locale_gen;
pub mod modprobe;
pub mod mount;
pub mod mysql_db;
pub mod mysql_query;
pub mod mysql_user;
pub mod mysql_variables;
pub mod npm;
pub mod openssh_keypair;
pub mod openssl_csr;
pub mod openssl_privatekey;
pub mod openssl_publickey;
pub mod package_facts;
pub mod pip;
pub mod postgresql_db;
pub mod postgresql_ext;
pub mod postgresql_pg_hba;
pub mod postgresql_privs;
pub mod postgresql_query;
pub mod postgresql_schema;
pub mod postgresql_set;
pub mod postgresql_user;
pub mod replace;
pub mod script;
pub mod service_facts;
pub mod slurp;
pub mod snap;
pub mod stat;
pub mod synchronize;
pub mod sysctl;
pub mod systemd;
pub mod tempfile;
pub mod template;
pub mod timezone;
pub mod unarchive;
pub mod uri;
pub mod user;
pub mod wait_for;
pub mod x509_certificate;
pub mod yarn;

pub use arguments::Parameter;
pub use plan::Plan;
pub use system::System;

/// Whether to act or only to say what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Look and plan.
    Check,
    /// Look, plan and act.
    Apply,
}

/// What would change, or did, as two texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// What it is, e.g. the path.
    pub subject: String,
    /// The text before.
    pub before: String,
    /// The text after.
    pub after: String,
}

/// What a task left behind on one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether something was changed (in check mode: would be).
    pub changed: bool,
    /// Whether nothing was done because the task does not apply, e.g. a command in check mode.
    #[serde(default)]
    pub skipped: bool,
    /// Why it failed, if it did: a sentence for a person, as Ansible's `msg`.
    pub failed: Option<String>,
    /// What would change, or did.
    pub diffs: Vec<Diff>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// The keys of the registered result beside `changed`, `failed` and `skipped`, named as Ansible names them,
    /// e.g. `stdout`, `rc`, `stat`, `path`, `mode`, `uid`. `msg` is here when Ansible gives one without failing.
    pub values: Map<String, Value>,
}

/// Bytes of the control node that a task needs on the target, by the lower-case hexadecimal SHA-256 of their content.
pub type Blobs = BTreeMap<String, source::Blob>;

/// Variables set for the programs that a task starts (the task's `environment`).
pub type Environment = BTreeMap<String, String>;

/// A task does not say what its module can do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// There is no such module here.
    #[error("there is no module `{name}`{}", meant(nearest.as_deref()))]
    Unknown {
        /// As written.
        name: String,
        /// The module most like it.
        nearest: Option<String>,
    },
    /// The module has no such parameter.
    #[error("`{module}` has no parameter `{name}`{}", meant(nearest.as_deref()))]
    Parameter {
        /// The module.
        module: String,
        /// As written.
        name: String,
        /// The parameter most like it.
        nearest: Option<String>,
    },
    /// The same parameter is given under two names.
    #[error("`{module}` is given `{name}` twice, under two names")]
    Twice {
        /// The module.
        module: String,
        /// The parameter's first name.
        name: String,
    },
    /// A parameter is missing.
    #[error("`{module}` needs `{name}`")]
    Missing {
        /// The module.
        module: String,
        /// What is missing, e.g. `path` or `src or content`.
        name: String,
    },
    /// Parameters that shut each other out are given together.
    #[error("`{module}` cannot have `{first}` and `{second}` together")]
    Together {
        /// The module.
        module: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A value is not what the parameter can be.
    #[error("`{module}`: `{name}` is `{value}`, must be {wanted}")]
    Value {
        /// The module.
        module: String,
        /// As written.
        name: String,
        /// As written, shortened.
        value: String,
        /// What it may be.
        wanted: String,
    },
    /// Text stands where a module takes none.
    #[error("`{module}` takes parameters, not a line of text")]
    FreeForm {
        /// The module.
        module: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default()
}

/// What a playbook says of a module, templates already rendered.
pub(crate) struct Call<'a> {
    /// The module's short name: one file may carry out several.
    pub(crate) module: &'a str,
    /// The line of text of `shell`, `command` and `raw`.
    pub(crate) free_form: Option<&'a str>,
    /// The arguments under their first names, each of its kind.
    pub(crate) arguments: Map<String, Value>,
}

/// Makes of one table everything that has to know all modules.
macro_rules! modules {
    ($($variant:ident in $file:ident { $($collection:literal . $name:literal $parameters:ident,)+ })+) => {
        /// One task: a module with its typed arguments.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "module", content = "arguments", rename_all = "snake_case")]
        pub enum Task {
            $(
                #[doc = concat!($("`", $name, "` "),+)]
                $variant($file::Arguments),
            )+
        }

        /// The modules that [`parse`] knows, by their short names.
        pub const NAMES: &[&str] = &[$($($name,)+)+];

        /// Their full names: with the collection that each is in.
        const FULL_NAMES: &[&str] = &[$($(concat!($collection, ".", $name),)+)+];

        /// Returns the parameters of a module, or nothing if there is no such module here.
        ///
        /// `shell` and `command` take a line of text beside them.
        pub fn parameters(name: &str) -> Option<&'static [Parameter]> {
            Some(match short(name) {
                $($($name => $file::$parameters,)+)+
                _ => return None,
            })
        }

        fn parsed(call: Call) -> Result<Task, Error> {
            match call.module {
                $($($name)|+ => $file::parse(call).map(Task::$variant),)+
                name => Err(unknown(name)),
            }
        }

        fn carried_out(task: &Task, context: &Context, mode: Mode) -> Result<Outcome, Failed> {
            match task {
                $(Task::$variant(arguments) => $file::run(arguments, context, mode),)+
            }
        }
    };
}

modules! {
    Alternatives in alternatives { "community.general"."alternatives" PARAMETERS, }
    Apt in apt {
        "ansible.builtin"."apt" PARAMETERS,
        "ansible.builtin"."package" PACKAGE_PARAMETERS,
    }
    AptKey in apt_key { "ansible.builtin"."apt_key" PARAMETERS, }
    AptRepository in apt_repository { "ansible.builtin"."apt_repository" PARAMETERS, }
    Archive in archive { "community.general"."archive" PARAMETERS, }
    Assemble in assemble { "ansible.builtin"."assemble" PARAMETERS, }
    AuthorizedKey in authorized_key { "ansible.posix"."authorized_key" PARAMETERS, }
    Blockinfile in blockinfile { "ansible.builtin"."blockinfile" PARAMETERS, }
    Command in command {
        "ansible.builtin"."command" PARAMETERS,
        "ansible.builtin"."raw" RAW_PARAMETERS,
        "ansible.builtin"."shell" PARAMETERS,
    }
    Copy in copy { "ansible.builtin"."copy" PARAMETERS, }
    Cron in cron { "ansible.builtin"."cron" PARAMETERS, }
    Debconf in debconf { "ansible.builtin"."debconf" PARAMETERS, }
    DpkgSelections in dpkg_selections { "ansible.builtin"."dpkg_selections" PARAMETERS, }
    File in file { "ansible.builtin"."file" PARAMETERS, }
    Find in find { "ansible.builtin"."find" PARAMETERS, }
    GetUrl in get_url { "ansible.builtin"."get_url" PARAMETERS, }
    Getent in getent { "ansible.builtin"."getent" PARAMETERS, }
    Git in git { "ansible.builtin"."git" PARAMETERS, }
    Group in group { "ansible.builtin"."group" PARAMETERS, }
    Hostname in hostname { "ansible.builtin"."hostname" PARAMETERS, }
    IniFile in ini_file { "community.general"."ini_file" PARAMETERS, }
    KnownHosts in known_hosts { "ansible.builtin"."known_hosts" PARAMETERS, }
    Lineinfile in lineinfile { "ansible.builtin"."lineinfile" PARAMETERS, }
    LocaleGen in locale_gen { "community.general"."locale_gen" PARAMETERS, }
    Modprobe in modprobe { "community.general"."modprobe" PARAMETERS, }
    Mount in mount { "ansible.posix"."mount" PARAMETERS, }
    MysqlDb in mysql_db { "community.mysql"."mysql_db" PARAMETERS, }
    MysqlQuery in mysql_query { "community.mysql"."mysql_query" PARAMETERS, }
    MysqlUser in mysql_user { "community.mysql"."mysql_user" PARAMETERS, }
    MysqlVariables in mysql_variables { "community.mysql"."mysql_variables" PARAMETERS, }
    Npm in npm { "community.general"."npm" PARAMETERS, }
    OpensshKeypair in openssh_keypair { "community.crypto"."openssh_keypair" PARAMETERS, }
    OpensslCsr in openssl_csr { "community.crypto"."openssl_csr" PARAMETERS, }
    OpensslPrivatekey in openssl_privatekey { "community.crypto"."openssl_privatekey" PARAMETERS, }
    OpensslPublickey in openssl_publickey { "community.crypto"."openssl_publickey" PARAMETERS, }
    PackageFacts in package_facts { "ansible.builtin"."package_facts" PARAMETERS, }
    Pip in pip { "ansible.builtin"."pip" PARAMETERS, }
    PostgresqlDb in postgresql_db { "community.postgresql"."postgresql_db" PARAMETERS, }
    PostgresqlExt in postgresql_ext { "community.postgresql"."postgresql_ext" PARAMETERS, }
    PostgresqlPgHba in postgresql_pg_hba { "community.postgresql"."postgresql_pg_hba" PARAMETERS, }
    PostgresqlPrivs in postgresql_privs { "community.postgresql"."postgresql_privs" PARAMETERS, }
    PostgresqlQuery in postgresql_query { "community.postgresql"."postgresql_query" PARAMETERS, }
    PostgresqlSchema in postgresql_schema { "community.postgresql"."postgresql_schema" PARAMETERS, }
    PostgresqlSet in postgresql_set { "community.postgresql"."postgresql_set" PARAMETERS, }
    PostgresqlUser in postgresql_user { "community.postgresql"."postgresql_user" PARAMETERS, }
    Replace in replace { "ansible.builtin"."replace" PARAMETERS, }
    Script in script { "ansible.builtin"."script" PARAMETERS, }
    ServiceFacts in service_facts { "ansible.builtin"."service_facts" PARAMETERS, }
    Slurp in slurp { "ansible.builtin"."slurp" PARAMETERS, }
    Snap in snap { "community.general"."snap" PARAMETERS, }
    Stat in stat { "ansible.builtin"."stat" PARAMETERS, }
    Synchronize in synchronize { "ansible.posix"."synchronize" PARAMETERS, }
    Sysctl in sysctl { "ansible.posix"."sysctl" PARAMETERS, }
    Systemd in systemd {
        "ansible.builtin"."service" SERVICE_PARAMETERS,
        "ansible.builtin"."systemd" PARAMETERS,
        "ansible.builtin"."systemd_service" PARAMETERS,
    }
    Tempfile in tempfile { "ansible.builtin"."tempfile" PARAMETERS, }
    Template in template { "ansible.builtin"."template" PARAMETERS, }
    Timezone in timezone { "community.general"."timezone" PARAMETERS, }
    Unarchive in unarchive { "ansible.builtin"."unarchive" PARAMETERS, }
    Uri in uri { "ansible.builtin"."uri" PARAMETERS, }
    User in user { "ansible.builtin"."user" PARAMETERS, }
    WaitFor in wait_for { "ansible.builtin"."wait_for" PARAMETERS, }
    X509Certificate in x509_certificate {
        "community.crypto"."openssl_certificate" PARAMETERS,
        "community.crypto"."x509_certificate" PARAMETERS,
    }
    Yarn in yarn { "community.general"."yarn" PARAMETERS, }
}

fn unknown(name: &str) -> Error {
    Error::Unknown { name: name.to_owned(), nearest: arguments::nearest(name, NAMES.iter().copied()) }
}

/// Returns a module's name without its collection, if it is one of Ansible's own or there is such a module here; any
/// other name stays as it is.
pub fn short(name: &str) -> &str {
    if let Some(bare) = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")) {
        return bare;
    }
    match name.rsplit_once('.') {
        Some((_, bare)) if FULL_NAMES.contains(&name) => bare,
        _ => name,
    }
}

/// Makes a task of what a playbook says, templates already rendered.
///
/// - `free_form`: the line of text of `shell` and `command`.
/// - The sources of `copy` (unless `remote_src` or `content`) and `template` are on the control node: the caller reads
///   them and puts a [`copy::Source`] into the task's `source`.
///
/// # Errors
///
/// [`Error`]: what is written cannot be meant.
pub fn parse(name: &str, free_form: Option<&str>, arguments: &Map<String, Value>) -> Result<Task, Error> {
    let module = short(name);
    let Some(parameters) = parameters(module) else { return Err(unknown(name)) };
    let arguments = arguments::normalise(module, parameters, arguments)?;
    if !takes_text(module) && free_form.is_some_and(|text| !text.trim().is_empty()) {
        return Err(Error::FreeForm { module: module.to_owned() });
    }
    parsed(Call { module, free_form, arguments })
}

/// Whether a module takes a line of text beside its parameters.
pub fn takes_text(name: &str) -> bool {
    matches!(short(name), "command" | "raw" | "script" | "shell")
}

/// Makes typed arguments of normalised ones.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(module: &str, arguments: Map<String, Value>) -> Result<T, Error> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| Error::Value {
        module: module.to_owned(),
        name: "arguments".to_owned(),
        value: error.to_string(),
        wanted: "what the module takes".to_owned(),
    })
}

/// Refuses two parameters together.
pub(crate) fn apart(module: &str, given: &Map<String, Value>, names: &[&str]) -> Result<(), Error> {
    let mut found = names.iter().filter(|name| given.contains_key(**name));
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => {
            Err(Error::Together { module: module.to_owned(), first: (*first).to_owned(), second: (*second).to_owned() })
        }
        _ => Ok(()),
    }
}

/// What a module works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The machine.
    pub system: &'a System,
    /// Variables for the programs it starts.
    pub environment: &'a Environment,
    /// Fetches bytes of the control node, piece by piece.
    pub content: &'a Fetch<'a>,
}

/// Writes a content of the control node to where it is wanted.
pub type Fetch<'a> = dyn Fn(&copy::Content, &mut dyn Write) -> Result<(), Failed> + Sync + 'a;

impl Context<'_> {
    /// A content of the control node that is small enough to be held.
    ///
    /// # Errors
    ///
    /// [`Failed`]: it cannot be had.
    pub fn whole(&self, content: &copy::Content) -> Result<Vec<u8>, Failed> {
        let mut bytes = vec![];
        (self.content)(content, &mut bytes)?;
        Ok(bytes)
    }
}

/// A task cannot go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Why, as Ansible's `msg`.
    pub message: String,
    /// More keys of the result.
    pub values: Map<String, Value>,
}

impl Failed {
    /// Says why.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), values: Map::new() }
    }

    /// Adds a key of the result.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }
}

/// Carries out `task` on the machine of `context`, or says what it would do.
pub fn run(task: &Task, context: &Context, mode: Mode) -> Outcome {
    let ended = carried_out(task, context, mode);
    ended.unwrap_or_else(|Failed { message, values }| Outcome { failed: Some(message), values, ..Outcome::default() })
}
