//! Everything that needs no server: tables, recordings, fakes, a temporary root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by them")]

#[path = "suite/agent.rs"]
mod agent;
#[path = "suite/architecture.rs"]
mod architecture;
#[path = "suite/consul.rs"]
mod consul;
#[path = "suite/deploy.rs"]
mod deploy;
#[path = "suite/failure.rs"]
mod failure;
#[path = "suite/git.rs"]
mod git;
#[path = "suite/jinja.rs"]
mod jinja;
#[path = "suite/local.rs"]
mod local;
#[path = "suite/lxd.rs"]
mod lxd;
#[path = "suite/machines.rs"]
mod machines;
#[path = "suite/plan.rs"]
mod plan;
#[path = "suite/recordings.rs"]
mod recordings;
#[path = "suite/ssh.rs"]
mod ssh;
#[path = "support/mod.rs"]
mod support;
#[path = "suite/ui.rs"]
mod ui;
#[path = "suite/wire.rs"]
mod wire;
