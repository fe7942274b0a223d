//! What happens, in which order: one file per flow. `plan` is pure, `look` only reads, `apply` is the one that writes.

pub mod compare;
pub mod deploy;
pub mod digest;
pub mod found;
