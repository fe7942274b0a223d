//! Everything that needs no server: tables, recordings, fakes, a temporary root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by them")]

#[path = "suite/adoption.rs"]
mod adoption;
#[path = "suite/agent.rs"]
mod agent;
#[path = "suite/architecture.rs"]
mod architecture;
#[path = "suite/backend.rs"]
mod backend;
#[path = "suite/backup.rs"]
mod backup;
#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/broken_off.rs"]
mod broken_off;
#[path = "suite/certificates.rs"]
mod certificates;
#[path = "suite/check.rs"]
mod check;
#[path = "suite/cli.rs"]
mod cli;
#[path = "suite/consul.rs"]
mod consul;
#[path = "suite/control.rs"]
mod control;
#[path = "suite/databases.rs"]
mod databases;
#[path = "suite/deploy.rs"]
mod deploy;
#[path = "suite/drift.rs"]
mod drift;
#[path = "suite/facts.rs"]
mod facts;
#[path = "suite/failure.rs"]
mod failure;
#[path = "suite/fetched.rs"]
mod fetched;
#[path = "suite/git.rs"]
mod git;
#[path = "suite/git_module.rs"]
mod git_module;
#[path = "suite/hcl.rs"]
mod hcl;
#[path = "suite/host.rs"]
mod host;
#[path = "suite/init.rs"]
mod init;
#[path = "suite/inventory.rs"]
mod inventory;
#[path = "suite/jinja.rs"]
mod jinja;
#[path = "suite/jinja_proof.rs"]
mod jinja_proof;
#[path = "suite/journal.rs"]
mod journal;
#[path = "suite/local.rs"]
mod local;
#[path = "suite/lxd.rs"]
mod lxd;
#[path = "suite/machines.rs"]
mod machines;
#[path = "suite/meanwhile.rs"]
mod meanwhile;
#[path = "suite/module.rs"]
mod module;
#[path = "suite/packer.rs"]
mod packer;
#[path = "suite/pipe.rs"]
mod pipe;
#[path = "suite/place.rs"]
mod place;
#[path = "suite/plan.rs"]
mod plan;
#[path = "suite/playbook.rs"]
mod playbook;
#[path = "suite/project.rs"]
mod project;
#[path = "suite/recordings.rs"]
mod recordings;
#[path = "suite/restic.rs"]
mod restic;
#[path = "suite/restore.rs"]
mod restore;
#[path = "suite/retention.rs"]
mod retention;
#[path = "suite/rollback.rs"]
mod rollback;
#[path = "suite/schedule.rs"]
mod schedule;
#[path = "suite/seal.rs"]
mod seal;
#[path = "suite/setting_up.rs"]
mod setting_up;
#[path = "suite/ssh.rs"]
mod ssh;
#[path = "suite/status.rs"]
mod status;
#[path = "suite/store.rs"]
mod store;
#[path = "support/mod.rs"]
mod support;
#[path = "suite/swapped_back.rs"]
mod swapped_back;
#[path = "suite/terraform.rs"]
mod terraform;
#[path = "suite/ui.rs"]
mod ui;
#[path = "suite/upgrade.rs"]
mod upgrade;
#[path = "suite/whole.rs"]
mod whole;
#[path = "suite/wire.rs"]
mod wire;
#[path = "suite/wireguard.rs"]
mod wireguard;
#[path = "suite/yaml.rs"]
mod yaml;
