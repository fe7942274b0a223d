//! Files that have their names only when they are whole: `….partial` beside their places until then.
//!
//! Whoever writes one holds its lock, so that what a killed run has left is known from what is under way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file that is not whole yet. Dropping it removes it.
#[derive(Debug)]
pub struct Unfinished {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes, to be read and written.
    pub file: File,
}

impl Unfinished {
    /// Begins a file that is to be called `file`, for this account alone.
    ///
    /// # Errors
    ///
    /// There is another one under way, or it cannot be made.
    pub fn begin(file: &Path) -> io::Result<Self> {
        let path = partial(file);
        loop {
            let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            opened.lock()?;
            // Before it was locked, somebody may have taken it for one that a killed run has left.
            if fs::symlink_metadata(&path).is_ok_and(|it| opened.metadata().is_ok_and(|own| own.ino() == it.ino())) {
                return Ok(Self { path, file: opened });
            }
        }
    }

    /// Gives it its name, which nothing has or something that it replaces, and makes sure that this is on the disk.
    ///
    /// # Errors
    ///
    /// It keeps none then.
    pub fn place(&self, file: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, file)?;
        File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it has its name, nothing is there.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes `file` in one go, in place of what is there.
///
/// # Errors
///
/// It is as it was.
pub fn write(file: &Path, fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let unfinished = Unfinished::begin(file)?;
    let mut writer = BufWriter::new(&unfinished.file);
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    unfinished.place(file)
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Unfinished files of backups in `directory` that nobody writes any more.
///
/// # Errors
///
/// The directory cannot be read.
pub fn left(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if is_unfinished(&path) && !is_locked(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes them, unless somebody else was faster.
///
/// # Errors
///
/// One cannot be removed.
pub fn sweep(directory: &Path) -> io::Result<()> {
    left(directory)?.iter().try_for_each(|path| match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    })
}

/// Whether a file is called like one that is not whole.
pub fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("backup-") && name.ends_with(".partial")
}

/// Whether somebody writes it.
pub fn is_locked(path: &Path) -> bool {
    is_in_use(File::open(path))
}

/// Whether somebody writes a file, going by an attempt to open it. What cannot be looked at may be another account's.
pub fn is_in_use(opened: io::Result<File>) -> bool {
    match opened {
        Ok(file) => file.try_lock().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}
