//! Files of repositories that we write.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes beside the file, then renames: a reader sees the old or the new one, never half of one. `mode` is that of a new
/// file, as far as the process may give it (umask).
///
/// # Errors
///
/// The old file stands.
pub fn replace(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.{}", std::process::id()));
    let written = write(&beside, text, mode).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut handle = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(file)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()
}
