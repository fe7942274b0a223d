//! Which archive is meant.

use std::path::Path;

use crate::archive::seal::Identities;
use crate::flow::backup::catalogue::{self, Choice};
use crate::flow::backup::location::Location;
use crate::flow::backup::store::Store;
use crate::flow::backup::{self, Manifest, manifest};
use crate::flow::restore::Error;

/// Finds the archive of `id` with a stamp, or the newest one. Returns it with its stamp.
///
/// # Errors
///
/// [`Error::None`], [`Error::File`], [`Error::Store`].
pub fn archive(
    store: impl Into<Store>,
    host: &str,
    id: &str,
    stamp: Option<&str>,
    identities: &Identities,
) -> Result<(Location, String), Error> {
    let store = store.into();
    let found = match (stamp, &store) {
        (Some(stamp), Store::Directory(directory)) => {
            let mut names = catalogue::names(directory, host, id, stamp).into_iter();
            names.find(|path| path.is_file()).map(|path| (path.into(), stamp.to_owned()))
        }
        _ => newest(&store, host, id, stamp, identities)?,
    };
    found.ok_or_else(|| Error::None {
        id: id.to_owned(),
        host: host.to_owned(),
        stamp: stamp.map(str::to_owned),
        directory: store.shown(),
    })
}

fn newest(
    store: &Store,
    host: &str,
    id: &str,
    stamp: Option<&str>,
    identities: &Identities,
) -> Result<Option<(Location, String)>, Error> {
    let choice = Choice { ids: vec![id.to_owned()], host: Some(host.to_owned()), stamp: stamp.map(str::to_owned) };
    let catalogue = store.look(identities).map_err(Box::new)?;
    let mut known = catalogue.backups.into_iter().filter(|backup| choice.takes(backup));
    Ok(known.find_map(|backup| Some((backup.archive, backup.about?.stamp))))
}

/// The stamp of an archive that was named by a person: as its manifest says, else its name.
///
/// # Errors
///
/// [`Error::Manifest`].
pub fn stamp(archive: &Path, identities: &Identities) -> Result<String, Error> {
    let told = |source| Error::Manifest { file: manifest::beside(archive), source };
    if let Some(manifest) = Manifest::head(archive, identities).map_err(told)? {
        return match backup::misfit(&manifest.stamp) {
            Some(what) => Err(Error::Differs { file: archive.to_owned(), what }),
            None => Ok(manifest.stamp),
        };
    }
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = manifest::stem(archive).unwrap_or(name);
    let fine: String = stem.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let fine = fine.trim_start_matches(['-', '.']);
    Ok(if fine.is_empty() { "file" } else { fine }.to_owned())
}
