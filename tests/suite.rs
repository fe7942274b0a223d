//! Everything that needs no server: tables, recordings, fakes, a temporary root.

#[path = "suite/plan.rs"]
mod plan;
