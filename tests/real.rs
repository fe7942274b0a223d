//! Against real servers on this machine; `tests/run` starts them and says where they are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by them")]
