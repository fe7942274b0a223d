//! `*.pkr.hcl` → image builds.
//!
//! [`variables`] says what a template wants to be told, [`evaluate`] what it builds. Sources: Packer's HCL reference, the
//! documentation of packer-plugin-lxd, packer-plugin-incus and packer-plugin-ansible.

pub mod block;
pub mod provision;
pub mod run;
pub mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::run::{evaluate, variables};
use crate::place::Place;

/// One image to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// Where its source block starts.
    pub place: Place,
    /// Base image as written, e.g. `ubuntu-minimal:focal`, an alias or a fingerprint.
    pub image: String,
    /// Profile of the build instance, if one is named.
    pub profile: Option<String>,
    /// Alias of the result, e.g. `ryo-gitea-gitea-1`.
    pub alias: String,
    /// The alias without the version: names the image whatever its version.
    pub alias_prefix: String,
    /// Properties of the result.
    pub properties: BTreeMap<String, String>,
    /// What is run in the build instance, in order.
    pub provisioners: Vec<Provisioner>,
    /// Configuration keys of the build instance (`launch_config`).
    pub launch_config: BTreeMap<String, String>,
    /// What Packer calls the build instance, e.g. `packer-lxd-build`.
    pub instance: String,
    /// Its source, if the template builds several images, e.g. `lxd.container`.
    pub source: Option<String>,
    /// What the variables of the template were given.
    pub variables: BTreeMap<String, String>,
}

/// A playbook to run in a build instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Provisioner {
    /// The playbook.
    pub playbook: PathBuf,
    /// The inventory.
    pub inventory: PathBuf,
    /// Extra variables, in order (`-e`, `--extra-vars`), each as `k=v …` or JSON, as on Ansible's command line.
    pub extra_vars: Vec<String>,
}
