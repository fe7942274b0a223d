//! `ryo` carries out the flows of a rollyourown.xyz deployment itself, through the APIs of the systems involved.
//!
//! # The architecture, in reading order
//!
//! - **Edge**: [`cli`] says what was typed, [`rig`] opens the connections that are meant, [`failure`] turns any error
//!   into a message, hints and an exit code, [`ui`] turns events into bars, lines or JSON.
//! - **Flows**: [`flow`] says what happens, in which order. A flow looks at the world once, makes a [`plan`] (a value)
//!   with pure code, and one loop applies it.
//! - **Engines**: [`project`] reads a checked-out repository, [`playbook`] runs playbooks ([`playbooks`] are our own),
//!   [`module`] is one file per Ansible module, [`archive`] packs and unpacks, [`hcl`] evaluates, [`packer`] and
//!   [`terraform`] give meaning to what was evaluated, [`backend`] says who carries it out: `ryo`, or the original's tools.
//! - **Clients**: [`lxd`] (LXD and Incus alike), [`consul`], [`sql`], [`agent`], [`git`], [`restic`] (its repositories),
//!   [`wireguard`] (a tunnel within this process).
//! - **Seams**: [`http`] (send a request) and [`machine`] (open a process). Carriers implement them: [`wire`],
//!   [`ssh`], [`local`], [`container`].
//! - **Words**: [`event`], [`yaml`], [`secret`], [`place`], [`resolve`] (names → addresses) know nothing of ours.
//!
//! Imports go down this list, never up; `tests/suite/architecture.rs` holds the rule as a table.

pub mod cli;
pub mod failure;
pub mod rig;
pub mod ui;

pub mod flow;
pub mod plan;

pub mod archive;
pub mod backend;
pub mod hcl;
pub mod module;
pub mod packer;
pub mod playbook;
pub mod playbooks;
pub mod project;
pub mod terraform;

pub mod agent;
pub mod consul;
pub mod git;
pub mod lxd;
pub mod restic;
pub mod sql;
pub mod wireguard;

pub mod http;
pub mod machine;

pub mod container;
pub mod local;
pub mod ssh;
pub mod wire;

pub mod event;
pub mod place;
pub mod resolve;
pub mod secret;
pub mod yaml;
