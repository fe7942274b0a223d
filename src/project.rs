//! A checked-out repository, typed.
