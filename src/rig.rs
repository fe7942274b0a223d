//! What was meant: opens the connections that a flow needs.

pub mod settings;
