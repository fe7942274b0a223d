//! What happens, in which order: one file per flow. `plan` is pure, `look` only reads, `apply` is the one that writes.

pub mod deploy;

pub mod access;
pub mod apply;
pub mod backup;
pub mod compare;
pub mod control;
pub mod database;
pub mod digest;
pub mod figures;
pub mod file;
pub mod found;
pub mod fresh;
pub mod health;
pub mod history;
pub mod host;
pub mod host_setup;
pub mod image;
pub mod init;
pub mod inputs;
pub mod instance;
pub mod journal;
pub mod keys;
pub mod look;
pub mod names;
pub mod object;
pub mod program;
pub mod progress;
pub mod prune;
pub mod restore;
pub mod rollback;
pub mod schedule;
pub mod session;
pub mod unit;
pub mod whole;
pub mod world;
