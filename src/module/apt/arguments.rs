//! What `apt` may be told.

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("state", Kind::Choice(&["absent", "build-dep", "fixed", "latest", "present"])),
    Parameter::new("name", Kind::List).or(&["package", "pkg"]),
    Parameter::new("update_cache", Kind::Flag).or(&["update-cache"]),
    Parameter::new("update_cache_retries", Kind::Integer),
    Parameter::new("update_cache_retry_max_delay", Kind::Integer),
    Parameter::new("cache_valid_time", Kind::Integer),
    Parameter::new("purge", Kind::Flag),
    Parameter::new("deb", Kind::Text),
    Parameter::new("default_release", Kind::Text).or(&["default-release"]),
    Parameter::new("install_recommends", Kind::Flag).or(&["install-recommends"]),
    Parameter::new("force", Kind::Flag),
    Parameter::new("upgrade", Kind::Choice(&["dist", "full", "no", "safe", "yes"])),
    Parameter::new("dpkg_options", Kind::Text),
    Parameter::new("autoremove", Kind::Flag),
    Parameter::new("autoclean", Kind::Flag),
    Parameter::new("clean", Kind::Flag),
    Parameter::new("fail_on_autoremove", Kind::Flag),
    Parameter::new("policy_rc_d", Kind::Integer),
    Parameter::new("only_upgrade", Kind::Flag),
    Parameter::new("force_apt_get", Kind::Flag),
    Parameter::new("allow_unauthenticated", Kind::Flag).or(&["allow-unauthenticated"]),
    Parameter::new("allow_downgrade", Kind::Flag).or(&["allow-downgrade", "allow_downgrades", "allow-downgrades"]),
    Parameter::new("allow_change_held_packages", Kind::Flag),
    Parameter::new("lock_timeout", Kind::Integer),
];

/// What `package` may be told: it is `apt` wherever it is.
pub const PACKAGE_PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::List).required(),
    Parameter::new("state", Kind::Choice(&["absent", "latest", "present"])).required(),
    Parameter::new("use", Kind::Choice(&["apt", "auto"])),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// Of the packages named.
    #[serde(default)]
    pub state: State,
    /// Packages, each possibly with `=VERSION` (`*` allowed) or `/RELEASE`.
    #[serde(default)]
    pub name: Vec<String>,
    /// Whether the package lists are fetched first. Nothing said: yes if `cache_valid_time` is given.
    pub update_cache: Option<bool>,
    /// How often fetching is tried.
    #[serde(default = "five")]
    pub update_cache_retries: i64,
    /// Most seconds between two tries.
    #[serde(default = "twelve")]
    pub update_cache_retry_max_delay: i64,
    /// Seconds for which fetched lists are good.
    #[serde(default)]
    pub cache_valid_time: i64,
    /// Whether configuration goes with a removed package.
    #[serde(default)]
    pub purge: bool,
    /// A package file, or its URL.
    pub deb: Option<String>,
    /// `-t`
    pub default_release: Option<String>,
    /// `APT::Install-Recommends`; as configured if not said.
    pub install_recommends: Option<bool>,
    /// `--force-yes`
    #[serde(default)]
    pub force: bool,
    /// What is upgraded.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// Options for dpkg without `--`, comma-separated.
    #[serde(default = "dpkg_options")]
    pub dpkg_options: String,
    /// Whether what nothing depends on goes.
    #[serde(default)]
    pub autoremove: bool,
    /// Whether old package files go.
    #[serde(default)]
    pub autoclean: bool,
    /// Whether all package files go.
    #[serde(default)]
    pub clean: bool,
    /// Whether it fails if something would be removed.
    #[serde(default)]
    pub fail_on_autoremove: bool,
    /// What `policy-rc.d` answers while services would be started.
    pub policy_rc_d: Option<i64>,
    /// Whether only installed packages are touched.
    #[serde(default)]
    pub only_upgrade: bool,
    /// Taken, without a meaning here: it is always `apt-get`.
    #[serde(default)]
    pub force_apt_get: bool,
    /// `--allow-unauthenticated`
    #[serde(default)]
    pub allow_unauthenticated: bool,
    /// `--allow-downgrades`
    #[serde(default)]
    pub allow_downgrade: bool,
    /// `--allow-change-held-packages`
    #[serde(default)]
    pub allow_change_held_packages: bool,
    /// Seconds to wait for another package manager.
    #[serde(default = "sixty")]
    pub lock_timeout: i64,
}

/// What the packages named shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Installed.
    #[default]
    Present,
    /// Not installed.
    Absent,
    /// Installed, in the newest version there is.
    Latest,
    /// What is needed to build them, installed.
    BuildDep,
    /// Installed, with broken dependencies mended.
    Fixed,
}

/// What is upgraded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgrade {
    /// Nothing.
    #[default]
    No,
    /// What can be without removing anything; new packages come in (`apt-get upgrade --with-new-pkgs`).
    Yes,
    /// The same.
    Safe,
    /// Everything (`apt-get dist-upgrade`).
    Full,
    /// The same.
    Dist,
}

fn five() -> i64 {
    5
}

fn twelve() -> i64 {
    12
}

fn sixty() -> i64 {
    60
}

fn dpkg_options() -> String {
    "force-confdef,force-confold".to_owned()
}
