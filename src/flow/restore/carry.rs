//! The steps of a restore.

use crate::agent::data::Change;
use crate::archive::tree::read::Sum;
use crate::archive::tree::unpack::{HELD, Most};
use crate::flow::backup::catalogue::sentence;
use crate::flow::backup::{DATA, Ongoing};
use crate::flow::instance::Pause;
use crate::flow::progress::Progress;
use crate::flow::restore::reading::{self, Digest};
use crate::flow::restore::{Error, Spec};
use crate::flow::world::World;
use crate::module::copy::Content;

/// Reads an archive here and unpacks it beside the data.
///
/// # Errors
///
/// See [`Error`]; the data are as they were.
pub async fn unpack(world: &World, spec: &Spec, progress: &Progress) -> Result<(), Error> {
    progress.say(format!("reading {}", spec.archive.path().display()));
    let reads = spec.clone();
    let examined = tokio::task::spawn_blocking(move || {
        reading::examine(&reads.archive, (&reads.host, &reads.id), &reads.identities)
    });
    let joined = |error| Error::File { file: spec.archive.path().to_owned(), source: std::io::Error::other(error) };
    let examined = examined.await.map_err(joined)??;
    progress.say("unpacking beside the data");
    let Digest { sha256, size } = examined.opened;
    let content = Content { sha256, sha1: String::new(), size };
    let Sum { members, bytes, stored, .. } = examined.sum;
    let most = Most { members, bytes, stored, held: HELD };
    let sum = world.agent.unpack(DATA, &spec.id, spec.archive.blob(&spec.identities), content, most).await?;
    if sum == examined.sum.text() { Ok(()) } else { Err(Error::Unpacked(spec.archive.path().to_owned())) }
}

/// Removes what a run that did not end well has unpacked and not exchanged. If it has exchanged something else, this stays:
/// the next run sees by it that it is to go on. What the host does not do any more is left to the next restore.
pub async fn discard(world: &World, ongoing: &Ongoing) {
    if !ongoing.exchanged.is_empty() {
        return;
    }
    for id in &ongoing.unpacked {
        let _ = world.agent.change(DATA, id, Change::Discard, "none").await;
    }
}

/// Starts instances with the restored data. If one does not come up, everything that this run has exchanged goes back.
///
/// # Errors
///
/// [`Error::SwappedBack`], or why it could not be swapped back.
pub async fn prove(world: &World, ongoing: &mut Ongoing, names: &[String], progress: &Progress) -> Result<(), Error> {
    let source = match ongoing.resume(world, names, progress).await {
        Ok(()) => {
            ongoing.proven(names);
            return Ok(());
        }
        Err(source) if ongoing.exchanged.is_empty() => return Err(Box::new(source).into()),
        Err(source) => source,
    };
    let mut all = ongoing.proven.clone();
    all.extend(names.iter().cloned());
    let undone = match ongoing.pause(world, &all, Pause::Stop).await {
        Ok(()) => undo(world, ongoing).await,
        // Whoever goes on would write to what is removed: nothing goes back.
        Err(error) => Err(Box::new(error).into()),
    };
    // However that has ended, what was stopped for it is started.
    let resumed = ongoing.resume(world, &all, progress).await.map_err(|error| Box::new(error).into());
    match undone.and(resumed) {
        Ok(()) => Err(Error::SwappedBack(Box::new(source))),
        Err(error) => {
            progress.events.warn(format!("with the restored data it did not come up: {}", sentence(&source)));
            Err(error)
        }
    }
}

/// Puts back everything that this run has exchanged, as far as it can be.
async fn undo(world: &World, ongoing: &mut Ongoing) -> Result<(), Error> {
    let mut undone = Ok(());
    for (id, stamp) in std::mem::take(&mut ongoing.exchanged) {
        undone = undone.and(world.agent.change(DATA, &id, Change::Undo, &stamp).await);
    }
    Ok(undone?)
}
