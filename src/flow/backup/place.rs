//! A whole archive goes where it belongs: to its name in a directory, after its manifest, or into a repository of restic,
//! together with it.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::sync::Arc;

use crate::archive::seal::Identities;
use crate::archive::tree::Kind;
use crate::archive::tree::shape::Shape;
use crate::flow::backup::draft::contents::Section;
use crate::flow::backup::draft::{Digesting, Draft, Whole};
use crate::flow::backup::manifest::{self, Manifest};
use crate::flow::backup::record::{self, About, Record};
use crate::flow::backup::store::Repository;
use crate::flow::backup::unfinished::Unfinished;
use crate::flow::backup::{Error, Spec};
use crate::restic::{self, Added, Addition};

/// Gives an archive its name, after its manifest.
///
/// # Errors
///
/// See [`Error`].
pub fn in_directory(mut draft: Draft, spec: &Spec, manifest: impl FnOnce(Whole) -> Manifest) -> Result<(), Error> {
    let manifest = manifest(fitting(draft.finish()?)?);
    let failed = |source| Error::File { file: manifest::beside(&spec.file), source };
    manifest.write(&spec.file, &spec.recipients).map_err(failed)?;
    if !spec.recipients.is_empty() {
        let failed = |source| Error::File { file: record::beside(&spec.file), source };
        let record = Record::new(About::of(&manifest), manifest.archive);
        record.write(&spec.file).map_err(failed)?;
    }
    draft.place()
}

/// Puts an archive and its manifest into a snapshot. Nothing of them lies open outside of the repository.
///
/// # Errors
///
/// See [`Error`].
pub fn in_repository(
    repository: &Repository,
    mut draft: Draft,
    spec: &Spec,
    manifest: impl FnOnce(Whole) -> Manifest,
) -> Result<Added, Error> {
    let (contents, whole) = draft.read_out()?;
    let whole = fitting(whole)?;
    let (archive, size) = (spec.name(), whole.size);
    let manifest = manifest(whole);
    let beside = manifest::beside(&spec.file);
    let failed = |source| Error::File { file: beside.clone(), source };
    let written = Unfinished::begin(&beside).map_err(failed)?;
    let sealed = Sealed::new(&written.file, &manifest).map_err(failed)?;
    let about = restic::About {
        host: manifest.host,
        directory: manifest.id.clone(),
        tags: vec![manifest.id, manifest.stamp],
        when: manifest.when,
    };
    drop(manifest.members);
    let name = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = vec![
        Addition::new(&archive, size, move || Ok(Box::new(contents.reader()))),
        Addition::new(&name, sealed.size, move || sealed.open()),
    ];
    Ok(repository.place.add(&about, files)?)
}

/// Sees that an archive can be unpacked, and that every name in it is of a file before it: copied from what somebody
/// moved about meanwhile, it might not be.
fn fitting(whole: Whole) -> Result<Whole, Error> {
    let mut shape = Shape::default();
    for entry in whole.members.iter().map(|member| &member.entry) {
        let of = if let Kind::Name(of) = &entry.kind { Some(&of[..]) } else { None };
        shape.add(entry, &entry.path, of).map_err(Error::Archive)?;
    }
    Ok(whole)
}

/// A manifest, sealed to a key that is nowhere but in this process.
struct Sealed {
    file: Arc<File>,
    identities: Identities,
    /// Bytes of the manifest.
    size: u64,
}

impl Sealed {
    fn new(file: &File, manifest: &Manifest) -> io::Result<Self> {
        let (identities, recipients) = Identities::made_up();
        let mut writer = Digesting::new(recipients.seal(io::BufWriter::new(file))?);
        manifest.fill(&mut writer)?;
        let size = writer.length;
        writer.to.finish()?.flush()?;
        Ok(Self { file: Arc::new(file.try_clone()?), identities, size })
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let section = Section { file: self.file.clone(), at: 0, end: u64::MAX };
        Ok(Box::new(self.identities.open(BufReader::new(section)).map_err(io::Error::other)?))
    }
}
