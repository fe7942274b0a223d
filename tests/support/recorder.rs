//! A wire that writes down.
