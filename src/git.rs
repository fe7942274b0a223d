//! Repositories: clone and update.
