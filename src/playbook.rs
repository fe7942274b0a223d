//! Playbooks: parsed, scoped, rendered and run.

pub mod connection;
