//! Our own playbooks, as data inside the program: they can be read, exported and replaced.

use std::path::Path;

use include_dir::{Dir, include_dir};

static PLAYBOOKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/playbooks");

/// Returns the content of a file among them, e.g. `host/files/reboot-reasons.sh`; nothing if there is none.
pub fn file(path: &str) -> &'static [u8] {
    PLAYBOOKS.get_file(path).map_or(&[], |file| file.contents())
}

/// Writes them below `directory`, which is made: one folder for each flow, e.g. `host/`.
///
/// # Errors
///
/// A file cannot be written.
pub fn export(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    PLAYBOOKS.extract(directory)
}
