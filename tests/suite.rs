//! Everything that needs no server: tables, recordings, fakes, a temporary root.
