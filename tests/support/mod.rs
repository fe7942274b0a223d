//! What the tests stand on: servers in memory, a wire that breaks, a wire that writes down.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

pub mod bed;
pub mod databases;
pub mod exchange;
pub mod fake_consul;
pub mod fake_lxd;
pub mod faulty;
pub mod mirror;
pub mod recorder;
pub mod stage;
pub mod terminal;
pub mod work;
