//! Bad input of every kind: what a person reads, the exit code, and that the next run finds whatever was left half done.

#[path = "bad_input/host.rs"]
mod host;
#[path = "bad_input/repositories.rs"]
mod repositories;
#[path = "bad_input/servers.rs"]
mod servers;
