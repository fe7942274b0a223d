//! Which archive is meant.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::archive::Compression;
use crate::flow::backup::{self, Manifest};
use crate::flow::restore::{Error, reading};

/// How archives may be compressed.
pub(super) const COMPRESSIONS: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::None];

/// Finds the archive of `id` with a stamp, or the newest one. Returns it with its stamp.
///
/// # Errors
///
/// [`Error::None`], [`Error::File`].
pub fn archive(
    working_directory: &Path,
    host: &str,
    id: &str,
    stamp: Option<&str>,
) -> Result<(PathBuf, String), Error> {
    let directory = backup::directory(working_directory);
    let found = match stamp {
        Some(stamp) => {
            let names = COMPRESSIONS.iter().map(|it| directory.join(backup::name(host, id, stamp, *it)));
            names.filter(|path| path.is_file()).map(|path| (path, stamp.to_owned())).next()
        }
        None => newest(&directory, host, id)?,
    };
    found.ok_or_else(|| Error::None {
        id: id.to_owned(),
        host: host.to_owned(),
        stamp: stamp.map(str::to_owned),
        directory,
    })
}

fn newest(directory: &Path, host: &str, id: &str) -> Result<Option<(PathBuf, String)>, Error> {
    let fail = |source| Error::File { file: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(fail)?,
    };
    let begin = format!("backup-{host}-{id}-");
    let mut found: Option<(SystemTime, PathBuf, String)> = None;
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stamp) = name.strip_prefix(&begin).and_then(without_end) else { continue };
        let when = entry.metadata().and_then(|about| about.modified()).map_err(fail)?;
        // `backup-web-a-b-1` may be of `a` with the stamp `b-1`, or of `a-b`: what is in it tells.
        let newer = found.as_ref().is_none_or(|(other, ..)| when > *other);
        if newer && reading::top(&entry.path())? == id.as_bytes() {
            found = Some((when, entry.path(), stamp.to_owned()));
        }
    }
    Ok(found.map(|(_, path, stamp)| (path, stamp)))
}

pub(super) fn without_end(name: &str) -> Option<&str> {
    [".tar.gz", ".tar.zst", ".tar"].iter().find_map(|end| name.strip_suffix(end))
}

/// The stamp of an archive that was named by a person: as its manifest says, else its name.
///
/// # Errors
///
/// [`Error::File`].
pub fn stamp(archive: &Path) -> Result<String, Error> {
    let fail = |source| Error::File { file: backup::manifest::beside(archive), source };
    if let Some(manifest) = Manifest::read(archive).map_err(fail)? {
        return match backup::misfit(&manifest.stamp) {
            Some(what) => Err(Error::Differs { file: archive.to_owned(), what }),
            None => Ok(manifest.stamp),
        };
    }
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = without_end(&name).unwrap_or(&name);
    let fine: String = stem.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let fine = fine.trim_start_matches(['-', '.']);
    Ok(if fine.is_empty() { "file" } else { fine }.to_owned())
}
