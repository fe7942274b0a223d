//! Trees packed for the client: one thread reads, some compress, one sends, in order.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::agent::serve::Out;
use crate::agent::wire::{CREDIT, Frame, ON_THE_WAY, Pass};
use crate::archive::Compression;
use crate::archive::tree::roll::{Ends, Past, roll};
use crate::archive::tree::scan::LeftOut;
use crate::module::Failed;

/// Most threads that compress.
const MOST: usize = 4;

/// What was found of trees over this connection, by directory.
#[derive(Clone, Default)]
pub(super) struct Trees(Arc<Mutex<HashMap<String, Tree>>>);

#[derive(Default)]
struct Tree {
    past: Past,
    gone: Vec<Vec<u8>>,
}

/// What is to be packed.
pub(super) struct Asked<'a> {
    /// The request.
    pub(super) id: u64,
    /// The directory, as the client calls it.
    pub(super) path: &'a str,
    /// Where it is.
    pub(super) root: &'a Path,
    /// What it is called in the archive.
    pub(super) name: &'a str,
    /// How its groups are compressed.
    pub(super) compression: Compression,
    /// How much of it.
    pub(super) pass: Pass,
}

/// A piece that is being compressed.
type Coming = Receiver<io::Result<Vec<u8>>>;

/// A piece that is to be compressed, and where it goes then.
type Todo = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// Packs a tree and returns what was left out. `more` waits until the client has taken some of what was sent; it is
/// false if the client does not want any more.
pub(super) fn pack(
    asked: &Asked,
    trees: &Trees,
    out: &Out,
    more: &(dyn Fn() -> bool + Sync),
) -> Result<LeftOut, Failed> {
    let told = |error: crate::archive::Error| Failed::new(error.sentence());
    let before = trees.0.lock().unwrap_or_else(PoisonError::into_inner).remove(asked.path).unwrap_or_default();
    let past = (asked.pass == Pass::Again).then_some(&before.past);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let rolled = thread::scope(|scope| {
        let (pieces, todo) = sync_channel::<Todo>(workers);
        let (order, pending) = sync_channel::<(Coming, Ends)>(workers);
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..workers {
            let todo = Arc::clone(&todo);
            scope.spawn(move || compress(asked.compression, &todo));
        }
        drop(todo);
        let sending = scope.spawn(move || send(asked.id, &pending, out, more));
        let rolled = roll(asked.root, asked.name.as_bytes(), past, &mut |piece, ends| {
            let given_up = |_| io::Error::other("it was given up");
            let (done, coming) = sync_channel(1);
            order.send((coming, ends)).map_err(|_| io::Error::other("it was given up"))?;
            pieces.send((piece, done)).map_err(given_up)
        });
        drop((pieces, order));
        let sent = sending.join().unwrap_or_else(|_| Err(io::Error::other("it was not sent")));
        rolled.and_then(|rolled| sent.map(|()| rolled).map_err(crate::archive::Error::Write))
    });
    let rolled = rolled.map_err(told)?;
    let tree = Tree { past: rolled.present, gone: rolled.gone };
    trees.0.lock().unwrap_or_else(PoisonError::into_inner).insert(asked.path.to_owned(), tree);
    Ok(rolled.left)
}

fn compress(compression: Compression, todo: &Mutex<Receiver<Todo>>) {
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((piece, done)) = next else { return };
        let _ = done.send(compression.whole(&piece));
    }
}

fn send(id: u64, pending: &Receiver<(Coming, Ends)>, out: &Out, more: &dyn Fn() -> bool) -> io::Result<()> {
    let (mut sent, mut allowed) = (0, ON_THE_WAY);
    for (coming, ends) in pending {
        let bytes = coming.recv().map_err(|_| io::Error::other("it was not compressed"))??;
        while sent + bytes.len() as u64 > allowed {
            if !more() {
                return Err(io::Error::other("it was given up"));
            }
            allowed += CREDIT;
        }
        sent += bytes.len() as u64;
        out.write(Frame::pieces(id, &bytes));
        if ends == Ends::Yes {
            out.write(std::iter::once(Frame::end(id)));
        }
    }
    Ok(())
}

/// What the last packing of a tree no longer found: paths with a zero behind each.
pub(super) fn gone(path: &str, trees: &Trees) -> Vec<u8> {
    let trees = trees.0.lock().unwrap_or_else(PoisonError::into_inner);
    let gone = trees.get(path).map(|tree| tree.gone.join(&b"\0"[..]));
    gone.unwrap_or_default()
}
