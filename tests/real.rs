//! Against real servers on this machine; `tests/run` starts them and says where they are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by them")]

#[path = "real/backups.rs"]
mod backups;
#[path = "real/bad_input.rs"]
mod bad_input;
#[path = "real/consul.rs"]
mod consul;
#[path = "real/databases.rs"]
mod databases;
#[path = "real/deploy.rs"]
mod deploy;
#[path = "real/differential.rs"]
mod differential;
#[path = "real/drift.rs"]
mod drift;
#[path = "real/examples.rs"]
mod examples;
#[path = "real/host.rs"]
mod host;
#[path = "real/incus.rs"]
mod incus;
#[path = "real/init.rs"]
mod init;
#[path = "real/kernel.rs"]
mod kernel;
#[path = "real/lxd.rs"]
mod lxd;
#[path = "real/lxd_scenarios.rs"]
mod lxd_scenarios;
#[path = "suite/machines.rs"]
mod machines;
#[path = "real/play.rs"]
mod play;
#[path = "real/programs.rs"]
mod programs;
#[path = "real/provision.rs"]
mod provision;
#[path = "real/schedule.rs"]
mod schedule;
#[path = "real/snapshots.rs"]
mod snapshots;
#[path = "real/ssh.rs"]
mod ssh;
#[path = "support/mod.rs"]
mod support;
#[path = "real/tls.rs"]
mod tls;
#[path = "real/upgrade.rs"]
mod upgrade;
#[path = "real/wireguard.rs"]
mod wireguard;
