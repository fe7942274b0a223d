//! Whether a backup is what it should be: every byte of it is read.

use std::io::{BufReader, ErrorKind};

use crate::archive::seal::Identities;
use crate::archive::{self, Compression};
use crate::flow::backup::catalogue::{Backup, Made, State, sentence};
use crate::flow::backup::draft::digest;
use crate::flow::backup::manifest::{self, Archive};
use crate::flow::backup::record::{About, Record, Verified};
use crate::flow::restore::reading::{self, Examined};
use crate::flow::{journal, restore};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be read to its end, and every member is what its manifest says, if it has one.
    Whole {
        /// Members.
        members: u64,
        /// Bytes of their contents.
        bytes: u64,
    },
    /// It is sealed and was not opened; its bytes are those that were written.
    Unopened,
    /// It is not what it should be, in this.
    Damaged(String),
}

/// Reads everything of `backup`, and remembers what was found.
///
/// # Errors
///
/// It cannot be said how it is: it cannot be read here, or it is sealed, and nothing is known of it from outside. What
/// was known before stays known.
pub fn verify(backup: &Backup, identities: &Identities) -> Result<Verdict, restore::Error> {
    let archive = &backup.archive;
    let fail = |source| restore::Error::File { file: archive.path().to_owned(), source };
    let before = archive.identity().map_err(fail)?;
    let unopened = backup.is_sealed() && identities.is_empty();
    let (verdict, found) = match &backup.known {
        Some(known) if unopened && backup.made == Made::Ryo => unopened_one(backup, known).map_err(fail)?,
        _ => opened_one(backup, identities)?,
    };
    let wrong = match &verdict {
        Verdict::Damaged(what) => Some(what.clone()),
        _ => None,
    };
    if let Some((about, found)) = backup.about.clone().zip(found.or_else(|| backup.known.clone())) {
        let verified = Verified { when: journal::seconds(), wrong, file: before };
        let record = Record { verified: Some(verified), ..Record::new(about, found) };
        match record.write(archive) {
            // Where nothing can be written, nothing is remembered.
            Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {}
            written => written.map_err(|source| restore::Error::File { file: archive.record(), source })?,
        }
    }
    Ok(verdict)
}

fn unopened_one(backup: &Backup, known: &Archive) -> std::io::Result<(Verdict, Option<Archive>)> {
    let found = digest(&mut BufReader::with_capacity(1 << 20, backup.archive.open()?.0))?;
    let verdict = match &backup.state {
        State::Damaged(what) if known.size != backup.size => Verdict::Damaged(what.clone()),
        _ if found == known.sha256 => Verdict::Unopened,
        _ => Verdict::Damaged("its bytes are not those that were written".to_owned()),
    };
    Ok((verdict, None))
}

fn opened_one(backup: &Backup, identities: &Identities) -> Result<(Verdict, Option<Archive>), restore::Error> {
    let archive = &backup.archive;
    let examined = if let Some(About { host, id, .. }) = &backup.about {
        reading::examine(archive, (host, id), identities)
    } else {
        let top = reading::top(archive, identities);
        top.and_then(|id| reading::examine(archive, ("", &String::from_utf8_lossy(&id)), identities))
    };
    let damage = match examined {
        Ok(Examined { stored, compression, sum, .. }) => {
            let found = Archive { file: backup.name(), compression, size: stored.size, sha256: stored.sha256 };
            let verdict = Verdict::Whole { members: sum.members, bytes: sum.bytes };
            return Ok((verdict, Some(found).filter(|_| backup.made == Made::Original)));
        }
        Err(error) => damage(error)?,
    };
    let short = backup.known.as_ref().filter(|known| known.size != backup.size && backup.made == Made::Ryo);
    let damage = match short {
        Some(known) => format!("it has {} bytes, not {}: {damage}", backup.size, known.size),
        None => damage,
    };
    // Something has to be known of it, so that it is known that it is damaged.
    let file = backup.name();
    let nothing = Archive { file, compression: Compression::None, size: backup.size, sha256: String::new() };
    Ok((Verdict::Damaged(damage), Some(nothing).filter(|_| backup.known.is_none())))
}

/// What is wrong with a backup, if it is the backup that something is wrong with: what cannot be read now is not damaged.
fn damage(error: restore::Error) -> Result<String, restore::Error> {
    match error {
        restore::Error::Archive { source: archive::Error::Sealed | archive::Error::Foreign, .. } => Err(error),
        restore::Error::Archive { source, place, .. } => Ok(format!("{}, {place}", source.sentence())),
        restore::Error::Differs { what, .. } => Ok(what),
        restore::Error::Manifest { ref source, .. } => match source {
            manifest::Error::Read(_) | manifest::Error::Sealed(archive::Error::Sealed | archive::Error::Foreign) => {
                Err(error)
            }
            source => Ok(format!("its manifest cannot be read: {}", sentence(source))),
        },
        restore::Error::Other { found, .. } => Ok(format!("it is of {found}")),
        other => Err(other),
    }
}
