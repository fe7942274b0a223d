//! This side of an agent.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::agent::wire::{self, Answer, Ask, Frame, Hello, Kind, Reply, Request};
use crate::agent::{Binary, Error, place};
use crate::machine::{Command, Finished, Machine, Process};
use crate::module::source::Blob;
use crate::module::{Blobs, Environment, Mode, Outcome, Task};
use crate::playbook::connection::Become;
use crate::secret::Secret;

mod begun;
mod data;
mod handshake;

pub use begun::Begun;
pub use data::{Packed, Packing};
pub(super) use handshake::{Handshake, Prompt};

/// Contents up to this size go along with the task; larger ones only if the target asks for them.
const EAGER: u64 = 64 << 10;

/// How long a lock that is held is asked for.
const GIVEN_BACK: Duration = Duration::from_secs(1);

/// Most bytes kept of what an agent writes to standard error.
const KEPT: usize = 16 << 10;

/// An agent at work. Dropping it, and every [`Lock`] it gave, ends the agent.
///
/// Requests may be in flight side by side. Tasks, reads and writes are carried out in the order in which they were
/// sent; programs, facts and locks beside them.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    hello: Hello,
}

/// A lock held on the target until it is dropped or the connection goes.
#[derive(Debug)]
pub struct Lock {
    shared: Arc<Shared>,
    name: String,
}

struct Shared {
    machine: String,
    frames: mpsc::UnboundedSender<Vec<Frame>>,
    pending: Arc<Pending>,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// Who waits for which answer, and why nobody does any more.
#[derive(Default)]
struct Pending {
    waiting: Mutex<Option<HashMap<u64, mpsc::UnboundedSender<Incoming>>>>,
    said: Mutex<Vec<u8>>,
    broken: Mutex<Option<wire::Error>>,
}

enum Incoming {
    Data(Vec<u8>),
    End,
    Answer(Answer),
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.shared.tell(Ask::Unlock { name: self.name.clone() });
    }
}

impl Client {
    /// Starts the agent on `machine`, as its account or another, and puts `binary` there first if it is not yet there.
    ///
    /// One round trip when the binary is there already.
    ///
    /// # Errors
    ///
    /// [`Error`]. Nothing is left running; a binary that was put there stays.
    pub async fn start(
        machine: &dyn Machine,
        binary: &Binary,
        account: Option<(&Become, Option<&Secret>)>,
    ) -> Result<Self, Error> {
        place::start(machine, binary, account).await
    }

    /// Starts the agent on this computer from `binary` itself.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn local(binary: &Binary, account: Option<(&Become, Option<&Secret>)>) -> Result<Self, Error> {
        place::local(binary, account).await
    }

    /// Talks to an agent that already runs as `process`.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if it ends without a word, [`Error::Wire`] if it is no agent of this version.
    pub async fn over(machine: &str, process: Process) -> Result<Self, Error> {
        Self::shaken(machine, process, Handshake { prompt: None }).await
    }

    /// The same, where a password may be asked for first.
    pub(super) async fn shaken(machine: &str, process: Process, handshake: Handshake<'_>) -> Result<Self, Error> {
        let Process { mut stdin, stdout, stderr, end } = process;
        let mut stdout = BufReader::with_capacity(64 << 10, stdout);
        let pending = Arc::new(Pending::default());
        let (heard, mut news) = watch::channel(());
        let errors = tokio::spawn(keep(stderr, Arc::clone(&pending), heard));
        let wrong = |source| Error::Wire { machine: machine.to_owned(), source };
        let first = {
            let mut frame = pin!(wire::receive(&mut stdout));
            let mut answered = false;
            loop {
                tokio::select! {
                    frame = &mut frame => break frame.map_err(wrong)?,
                    Ok(()) = news.changed() => {}
                }
                handshake.answer(machine, &pending, &mut answered, &mut stdin).await?;
            }
        };
        let Some(frame) = first else {
            let _ = errors.await;
            end.await?;
            return Err(Error::Gone { machine: machine.to_owned(), said: pending.said() });
        };
        let hello: Hello = frame.message().map_err(wrong)?;
        if hello.protocol != wire::PROTOCOL {
            return Err(wrong(wire::Error::Version { found: hello.protocol }));
        }
        // What was said before, such as the prompt, is no news any more.
        lock(&pending.said).clear();
        *lock(&pending.waiting) = Some(HashMap::new());
        let (frames, queue) = mpsc::unbounded_channel();
        tokio::spawn(write(stdin, queue));
        let listening = Arc::clone(&pending);
        let reader = tokio::spawn(async move {
            listen(stdout, &listening).await;
            let _ = errors.await;
            lock(&listening.waiting).take();
        });
        // The agent ends by itself when its input does, and takes its programs along but those that go on: it is not to
        // be killed before, also not when this program ends.
        let mut end = ManuallyDrop::new(end);
        tokio::spawn(async move {
            let _ = end.as_mut().await;
            drop(ManuallyDrop::into_inner(end));
        });
        let shared = Shared { machine: machine.to_owned(), frames, pending, next: AtomicU64::new(1), reader };
        Ok(Self { shared: Arc::new(shared), hello })
    }

    /// What the agent said first.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Carries out `task`, or says what it would do.
    ///
    /// - `blobs`: at least the contents that the task's source refers to.
    ///
    /// A task that fails is no error: its outcome says why.
    ///
    /// # Errors
    ///
    /// The agent went away: the task may have been carried out.
    pub async fn task(
        &self,
        task: &Task,
        environment: &Environment,
        blobs: &Blobs,
        mode: Mode,
    ) -> Result<Outcome, Error> {
        let ask = Ask::Task { task: Box::new(task.clone()), mode, environment: environment.clone(), beside: None };
        match self.shared.ask(ask, eager(task, blobs), blobs).await? {
            (Answer::Outcome(outcome), _) => Ok(*outcome),
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// What is known about the machine, named as Ansible's facts without `ansible_` in front, e.g.
    /// `default_ipv4.address`, `distribution_release`, `memtotal_mb`.
    ///
    /// # Errors
    ///
    /// The agent went away.
    pub async fn facts(&self) -> Result<Value, Error> {
        self.value(Ask::Facts).await
    }

    /// What is at `path`, as the `stat` module tells it (`exists`, `isdir`, `mode`, …).
    ///
    /// # Errors
    ///
    /// The agent went away or may not look.
    pub async fn stat(&self, path: &str) -> Result<Value, Error> {
        self.value(Ask::Stat { path: path.to_owned() }).await
    }

    async fn value(&self, ask: Ask) -> Result<Value, Error> {
        match self.shared.ask(ask, vec![], &Blobs::new()).await? {
            (Answer::Value(value), _) => Ok(value),
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// The content of the file at `path`, or nothing if there is none.
    ///
    /// # Errors
    ///
    /// The agent went away or may not read it.
    pub async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.shared.ask(Ask::Read { path: path.to_owned() }, vec![], &Blobs::new()).await? {
            (Answer::Content(there), data) => Ok(there.then_some(data)),
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// At most [`wire::WINDOW`] bytes of the file at `path` from `from` on; nothing at its end.
    ///
    /// # Errors
    ///
    /// The agent went away or may not read it.
    pub async fn piece(&self, path: &str, from: u64) -> Result<Vec<u8>, Error> {
        let ask = Ask::Piece { path: path.to_owned(), from };
        match self.shared.ask(ask, vec![], &Blobs::new()).await? {
            (Answer::Content(_), data) => Ok(data),
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// Replaces the file at `path` whole, at once. What `attributes` leave out stays as it is (new: 0644, the agent's
    /// account).
    ///
    /// # Errors
    ///
    /// The agent went away or may not write it; the old file is still there.
    pub async fn write(&self, path: &str, content: &[u8], attributes: &Attributes) -> Result<(), Error> {
        let sha256 = hex::encode(Sha256::digest(content));
        let ask = Ask::Write {
            path: path.to_owned(),
            sha256: sha256.clone(),
            mode: attributes.mode,
            owner: attributes.owner.clone(),
            group: attributes.group.clone(),
        };
        let blobs = Blobs::from([(sha256.clone(), Blob::Held(content.to_vec()))]);
        self.done(ask, vec![sha256], &blobs).await
    }

    /// Takes the lock `name` (lower-case letters, digits and `-`) of the machine. One that is held is asked for again for a
    /// moment: the agent of a client that has just gone ends what it is at before it gives it back.
    ///
    /// - `who`: who and what, for others to read, e.g. `anna@desk: deploy gitea`.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] if another has it.
    pub async fn lock(&self, name: &str, who: &str) -> Result<Lock, Error> {
        let ask = Ask::Lock { name: name.to_owned(), who: who.to_owned() };
        let since = Instant::now();
        while let Err(error) = self.done(ask.clone(), vec![], &Blobs::new()).await {
            if !matches!(error, Error::Held { .. }) || since.elapsed() > GIVEN_BACK {
                return Err(error);
            }
            sleep(GIVEN_BACK / 10).await;
        }
        Ok(Lock { shared: Arc::clone(&self.shared), name: name.to_owned() })
    }

    /// Runs words to their end. Keeps the first 16 MiB of each stream.
    ///
    /// # Errors
    ///
    /// The agent went away. A program that is not there ends with status 127.
    pub async fn run(&self, command: &Command, input: &[u8]) -> Result<Finished, Error> {
        let sha256 = hex::encode(Sha256::digest(input));
        let ask = Ask::Run { words: command.words.clone(), input: Some(sha256.clone()) };
        let blobs = Blobs::from([(sha256.clone(), Blob::Held(input.to_vec()))]);
        match self.shared.ask(ask, vec![sha256], &blobs).await? {
            (Answer::Finished { status, stdout }, mut data) => {
                let at = usize::try_from(stdout).unwrap_or(usize::MAX).min(data.len());
                let stderr = data.split_off(at);
                Ok(Finished { status, stdout: data, stderr })
            }
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// Puts a line (JSON, without its end) behind the host's journal.
    ///
    /// # Errors
    ///
    /// The agent went away or may not write it.
    pub async fn journal(&self, line: &str) -> Result<(), Error> {
        self.done(Ask::Journal { line: line.to_owned() }, vec![], &Blobs::new()).await
    }

    async fn done(&self, ask: Ask, contents: Vec<String>, blobs: &Blobs) -> Result<(), Error> {
        match self.shared.ask(ask, contents, blobs).await? {
            (Answer::Done, _) => Ok(()),
            (other, _) => Err(self.shared.refused(other)),
        }
    }
}

/// The contents of a task that go along with it.
fn eager(task: &Task, blobs: &Blobs) -> Vec<String> {
    let eager = task.contents().into_iter().filter(|it| it.size <= EAGER && blobs.contains_key(&it.sha256));
    eager.map(|it| it.sha256.clone()).collect()
}

/// What a written file shall have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Name or number.
    pub owner: Option<String>,
    /// Name or number.
    pub group: Option<String>,
}

impl Shared {
    /// Sends a request whose answer nobody waits for.
    fn tell(&self, ask: Ask) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if let Ok(frame) = Frame::control(&Request { id, ask, contents: vec![] }) {
            let _ = self.frames.send(vec![frame]);
        }
    }

    /// Sends a request with its contents and waits for the answer, giving what the target asks for in between.
    async fn ask(&self, ask: Ask, contents: Vec<String>, blobs: &Blobs) -> Result<(Answer, Vec<u8>), Error> {
        let mut asked = self.send(ask, contents, blobs).await?;
        self.answer(&mut asked, blobs).await
    }

    async fn send(&self, ask: Ask, contents: Vec<String>, blobs: &Blobs) -> Result<Asked, Error> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let asked = Asked { incoming: self.wait_for(id)?, pending: Arc::clone(&self.pending), id };
        let wrong = |source| Error::Wire { machine: self.machine.clone(), source };
        let request = Request { id, ask, contents };
        let mut frames = vec![Frame::control(&request).map_err(wrong)?];
        for sha256 in &request.contents {
            frames.extend(Frame::data(id, &window(blobs, sha256, 0, u64::MAX).await));
        }
        let _ = self.frames.send(frames);
        Ok(asked)
    }

    async fn answer(&self, asked: &mut Asked, blobs: &Blobs) -> Result<(Answer, Vec<u8>), Error> {
        let mut data = vec![];
        loop {
            match asked.incoming.recv().await {
                Some(Incoming::Data(piece)) => data.extend(piece),
                Some(Incoming::End) => {}
                Some(Incoming::Answer(Answer::Want { sha256, from })) => {
                    let piece = window(blobs, &sha256, from, wire::WINDOW).await;
                    let _ = self.frames.send(Frame::data(asked.id, &piece).collect());
                }
                Some(Incoming::Answer(answer)) => return Ok((answer, data)),
                None => return Err(self.gone()),
            }
        }
    }

    fn wait_for(&self, id: u64) -> Result<mpsc::UnboundedReceiver<Incoming>, Error> {
        let (sender, receiver) = mpsc::unbounded_channel();
        match lock(&self.pending.waiting).as_mut() {
            Some(waiting) => {
                waiting.insert(id, sender);
                Ok(receiver)
            }
            None => Err(self.gone()),
        }
    }

    fn gone(&self) -> Error {
        let machine = self.machine.clone();
        match lock(&self.pending.broken).take() {
            Some(source) => Error::Wire { machine, source },
            None => Error::Gone { machine, said: self.pending.said() },
        }
    }

    fn refused(&self, answer: Answer) -> Error {
        let machine = self.machine.clone();
        match answer {
            Answer::Held { who, since } => Error::Held { machine, who, since },
            Answer::Failed { message } => Error::Refused { machine, message },
            _ => Error::Wire { machine, source: wire::Error::Turn },
        }
    }
}

/// Some of a content. What cannot be read any more is left out: its digest tells the other side.
async fn window(blobs: &Blobs, sha256: &str, from: u64, most: u64) -> Vec<u8> {
    let Some(blob) = blobs.get(sha256).cloned() else { return vec![] };
    let read = tokio::task::spawn_blocking(move || blob.piece(from, most).unwrap_or_default());
    read.await.unwrap_or_default()
}

/// A request that is waited for until this is dropped.
struct Asked {
    incoming: mpsc::UnboundedReceiver<Incoming>,
    pending: Arc<Pending>,
    id: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.pending.forget(self.id);
    }
}

impl Pending {
    /// Nobody waits any more, however the request ended.
    fn forget(&self, id: u64) {
        if let Some(waiting) = lock(&self.waiting).as_mut() {
            waiting.remove(&id);
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&lock(&self.said)).trim().to_owned()
    }

    fn hand_out(&self, frame: &Frame) -> Result<(), wire::Error> {
        let (id, incoming) = match frame.kind {
            Kind::Control => {
                let Reply { id, answer } = frame.message()?;
                (id, Incoming::Answer(answer))
            }
            Kind::Data => {
                let (id, piece) = frame.piece()?;
                (id, Incoming::Data(piece.to_vec()))
            }
            Kind::End => (frame.piece()?.0, Incoming::End),
        };
        // A request that nobody waits for any more was given up here.
        if let Some(sender) = lock(&self.waiting).as_ref().and_then(|waiting| waiting.get(&id)) {
            let _ = sender.send(incoming);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(mut stdout: impl AsyncRead + Unpin, pending: &Pending) {
    loop {
        let problem = match wire::receive(&mut stdout).await {
            Ok(Some(frame)) => pending.hand_out(&frame).err(),
            Ok(None) => return,
            Err(error) => Some(error),
        };
        if problem.is_some() {
            *lock(&pending.broken) = problem;
            return;
        }
    }
}

/// Writes whole frames, so that a request given up half way leaves no half frame.
async fn write(mut stdin: Box<dyn AsyncWrite + Send + Unpin>, mut queue: mpsc::UnboundedReceiver<Vec<Frame>>) {
    while let Some(frames) = queue.recv().await {
        for frame in frames {
            if stdin.write_all(&frame.encoded()).await.is_err() {
                return;
            }
        }
        if stdin.flush().await.is_err() {
            return;
        }
    }
    let _ = stdin.shutdown().await;
}

async fn keep(mut stderr: impl AsyncRead + Unpin, pending: Arc<Pending>, heard: watch::Sender<()>) {
    let mut piece = vec![0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        let mut said = lock(&pending.said);
        said.extend(&piece[..read]);
        let excess = said.len().saturating_sub(KEPT);
        said.drain(..excess);
        drop(said);
        let _ = heard.send(());
    }
}
