//! The agent's side: requests from standard input, answers to standard output.
//!
//! Plain threads: one reads, one carries out tasks and files in the order in which they came, programs and facts have
//! one each. The end of the input ends all but tasks that were begun to go on.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::agent::data::{self, Place};
use crate::agent::locks::Locks;
use crate::agent::packing::{self, Trees};
use crate::agent::wire::{self, Answer, Ask, Frame, Hello, Kind, Reply, Request};
use crate::agent::{facts, files, snapshot};
use crate::module::copy::Content;
use crate::module::{self, Context, Environment, Failed, Outcome, System, program, text};

/// Most bytes of one content.
const LARGEST: usize = 1 << 30;

/// How long what is under way may take to end when the client has gone.
const GRACE: Duration = Duration::from_millis(500);

/// Serves until `input` ends. Programs that still run are then killed.
pub fn serve(system: System, input: impl Read, output: impl Write + Send + 'static) {
    let agent = Agent {
        system,
        out: Out(Arc::new(Mutex::new(output))),
        uploads: Arc::default(),
        trees: Trees::default(),
        closed: Arc::default(),
    };
    agent.out.send(&hello());
    let (queue, jobs) = mpsc::channel::<Job>();
    let (idle, ended) = mpsc::channel::<()>();
    let worker = agent.clone();
    thread::spawn(move || {
        for job in jobs {
            worker.carry_out(&job);
        }
        drop(idle);
    });
    let (going_on, gone) = mpsc::channel::<()>();
    let mut hands = Hands { queue, locks: Locks::default(), going_on };
    agent.read(BufReader::with_capacity(64 << 10, input), &mut hands);
    agent.closed.store(true, Ordering::Release);
    // Whoever waits for something from the client waits in vain.
    lock(&agent.uploads).clear();
    agent.system.children().kill();
    drop(hands.queue);
    // What is being written is finished, so that no half file is left beside it, and only then somebody else may begin.
    let _ = ended.recv_timeout(GRACE);
    drop(hands.locks);
    // Nobody sends anything here: it ends with the last of those that go on.
    drop(hands.going_on);
    let _ = gone.recv();
}

/// Who is handed what the client asks for.
struct Hands {
    queue: mpsc::Sender<Job>,
    locks: Locks,
    /// Held by every task that goes on when the client has gone.
    going_on: mpsc::Sender<()>,
}

fn hello() -> Hello {
    let path = std::env::current_exe().unwrap_or_default();
    let folder = path.parent().and_then(|parent| parent.file_name());
    let digest = folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Hello {
        protocol: wire::PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        digest,
        uid: rustix::process::geteuid().as_raw(),
        pid: std::process::id(),
    }
}

/// Where frames go, one at a time.
#[derive(Clone)]
pub(super) struct Out(Arc<Mutex<dyn Write + Send>>);

impl Out {
    fn send(&self, message: &impl serde::Serialize) {
        if let Ok(frame) = Frame::control(message) {
            self.write(std::iter::once(frame));
        }
    }

    /// A client that does not read any more is noticed by the end of the input.
    pub(super) fn write(&self, frames: impl Iterator<Item = Frame>) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in frames {
            let _ = out.write_all(&frame.encoded());
        }
        let _ = out.flush();
    }
}

/// A request, and where its contents come from.
struct Job {
    request: Request,
    contents: Mutex<Contents>,
}

/// What has come of a request's contents.
struct Contents {
    coming: mpsc::Receiver<Vec<u8>>,
    come: BTreeMap<String, Vec<u8>>,
    /// How many were announced and have not come yet.
    announced: usize,
}

#[derive(Clone)]
struct Agent {
    system: System,
    out: Out,
    uploads: Arc<Mutex<HashMap<u64, mpsc::Sender<Vec<u8>>>>>,
    /// Trees that were packed over this connection.
    trees: Trees,
    closed: Arc<AtomicBool>,
}

impl Agent {
    /// Reads to the end of the input, or to something that is no frame.
    fn read(&self, mut input: impl Read, hands: &mut Hands) {
        let mut pieces = HashMap::<u64, Vec<u8>>::new();
        while let Ok(Some(frame)) = wire::read(&mut input) {
            match frame.kind {
                Kind::Control => {
                    let Ok(request) = frame.message::<Request>() else { return };
                    let (sender, coming) = mpsc::channel();
                    lock(&self.uploads).insert(request.id, sender);
                    let contents = Contents { coming, come: BTreeMap::new(), announced: request.contents.len() };
                    self.hand_out(Job { request, contents: Mutex::new(contents) }, hands);
                }
                Kind::Data => {
                    let Ok((id, piece)) = frame.piece() else { return };
                    let content = pieces.entry(id).or_default();
                    if content.len() + piece.len() > LARGEST {
                        return;
                    }
                    content.extend(piece);
                }
                Kind::End => {
                    let Ok((id, _)) = frame.piece() else { return };
                    let content = pieces.remove(&id).unwrap_or_default();
                    if let Some(sender) = lock(&self.uploads).get(&id) {
                        let _ = sender.send(content);
                    }
                }
            }
        }
    }

    fn hand_out(&self, job: Job, hands: &mut Hands) {
        match &job.request.ask {
            Ask::Lock { name, who } => {
                let answer = hands.locks.take(&self.system, name, who);
                self.reply(job.request.id, answer);
            }
            Ask::Unlock { name } => {
                hands.locks.give_back(name);
                self.reply(job.request.id, Answer::Done);
            }
            Ask::GiveUp { request } => {
                lock(&self.uploads).remove(request);
                self.reply(job.request.id, Answer::Done);
            }
            Ask::Run { .. } | Ask::Facts | Ask::Pack { .. } | Ask::Unpack { .. } | Ask::Snapshot { .. } => {
                let agent = self.clone();
                thread::spawn(move || agent.carry_out(&job));
            }
            Ask::Task { beside: Some(limit), .. } => {
                let (agent, limit) =
                    (Self { system: self.system.apart(), ..self.clone() }, Duration::from_secs(*limit));
                let going_on = hands.going_on.clone();
                self.out.send(&Reply { id: job.request.id, answer: Answer::Done });
                thread::spawn(move || {
                    agent.go_on(job, limit);
                    drop(going_on);
                });
            }
            Ask::Task { .. }
            | Ask::Read { .. }
            | Ask::Piece { .. }
            | Ask::Write { .. }
            | Ask::Stat { .. }
            | Ask::Gone { .. }
            | Ask::Stock { .. }
            | Ask::Change { .. }
            | Ask::Journal { .. } => {
                let _ = hands.queue.send(job);
            }
        }
    }

    fn reply(&self, id: u64, answer: Answer) {
        lock(&self.uploads).remove(&id);
        self.out.send(&Reply { id, answer });
    }

    fn carry_out(&self, job: &Job) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        let id = job.request.id;
        let answer = self.answer(job).unwrap_or_else(|failed| Answer::Failed { message: failed.message });
        self.reply(id, answer);
    }

    /// Carries out a task for so long at most.
    fn go_on(&self, job: Job, limit: Duration) {
        let (id, worker) = (job.request.id, self.clone());
        let (sender, answered) = mpsc::channel();
        thread::spawn(move || {
            let answer = worker.answer(&job).unwrap_or_else(|failed| Answer::Failed { message: failed.message });
            let _ = sender.send(answer);
        });
        let answer = answered.recv_timeout(limit).unwrap_or_else(|_| {
            self.system.children().kill();
            let message = format!("the job took longer than {} seconds", limit.as_secs());
            Answer::Outcome(Box::new(Outcome { failed: Some(message), ..Outcome::default() }))
        });
        self.reply(id, answer);
    }

    fn answer(&self, job: &Job) -> Result<Answer, Failed> {
        let nothing = Environment::new();
        let content = |content: &Content, into: &mut dyn Write| self.content(job, content, into);
        let host = Context { system: &self.system, environment: &nothing, content: &content };
        match &job.request.ask {
            Ask::Task { task, mode, environment, .. } => {
                let outcome = module::run(task, &Context { environment, ..host }, *mode);
                Ok(Answer::Outcome(Box::new(outcome)))
            }
            Ask::Facts => Ok(Answer::Value(facts::gather(&self.system))),
            Ask::Stat { path } => Ok(Answer::Value(files::stat(path, &host)?)),
            Ask::Read { path } => match text::read(&self.system.path(path), &self.system)? {
                Some(bytes) => {
                    self.out.write(Frame::data(job.request.id, &bytes));
                    Ok(Answer::Content(true))
                }
                None => Ok(Answer::Content(false)),
            },
            Ask::Piece { path, from } => {
                let piece = files::piece(path, *from, &self.system)?;
                self.out.write(Frame::data(job.request.id, &piece));
                Ok(Answer::Content(true))
            }
            Ask::Write { path, sha256, mode, owner, group } => {
                let bytes = Self::announced(job, sha256)?;
                files::write(path, bytes, *mode, owner.as_deref(), group.as_deref(), &host)?;
                Ok(Answer::Done)
            }
            Ask::Run { words, input } => {
                let input = input.as_ref().map(|sha256| Self::announced(job, sha256)).transpose()?.unwrap_or_default();
                Ok(self.run(job.request.id, words, input, &host))
            }
            Ask::Journal { line } => files::journal(line, &self.system).map(|()| Answer::Done),
            Ask::Pack { path, name, compression, pass } => {
                let (id, root) = (job.request.id, self.system.real(path));
                let more = || lock(&job.contents).coming.recv().is_ok();
                let asked = packing::Asked { id, path, root: &root, name, compression: *compression, pass: *pass };
                let left = packing::pack(&asked, &self.trees, &self.out, &more)?;
                Ok(Answer::Packed { left })
            }
            Ask::Unpack { directory, id, content, most } => {
                let directory = self.system.real(directory);
                let receive = |into: &mut dyn Write| self.content(job, content, into);
                Ok(Answer::Value(Place::new(&directory, id)?.unpack(*most, receive)?.into()))
            }
            Ask::Stock { directory } => {
                let stock = data::stock(&self.system.real(directory))?;
                Ok(Answer::Value(serde_json::to_value(stock).unwrap_or_default()))
            }
            Ask::Snapshot { directory, id, what } => {
                Ok(Answer::Value(snapshot::act(&self.system.real(directory), id, *what, &host)?))
            }
            Ask::Change { directory, id, change, stamp } => {
                Place::new(&self.system.real(directory), id)?.change(*change, stamp)?;
                Ok(Answer::Done)
            }
            Ask::Gone { path } => {
                self.out.write(Frame::pieces(job.request.id, &packing::gone(path, &self.trees)));
                Ok(Answer::Done)
            }
            Ask::Lock { .. } | Ask::Unlock { .. } | Ask::GiveUp { .. } => Ok(Answer::Done),
        }
    }

    fn run(&self, id: u64, words: &[String], input: Vec<u8>, host: &Context) -> Answer {
        let setting = program::Setting { input, ..program::Setting::default() };
        let (status, stdout, stderr) = program::raw(words, &setting, host).unwrap_or_else(|error| {
            let status = if error.kind() == std::io::ErrorKind::PermissionDenied { 126 } else { 127 };
            let program = words.first().map_or("", String::as_str);
            (status, vec![], format!("{program}: {error}\n").into_bytes())
        });
        self.out.write(Frame::data(id, &[&stdout[..], &stderr].concat()));
        let status = if status < 0 { 128 - status } else { status };
        Answer::Finished { status, stdout: stdout.len() as u64 }
    }

    /// Writes a content to where it is wanted, asked for window by window unless it was announced.
    fn content(&self, job: &Job, content: &Content, into: &mut dyn Write) -> Result<(), Failed> {
        let told = |error: std::io::Error| Failed::new(format!("cannot write what is sent: {error}"));
        if let Ok(bytes) = Self::announced(job, &content.sha256) {
            return into.write_all(&bytes).map_err(told);
        }
        let (mut digest, mut from) = (Sha256::new(), 0);
        loop {
            let sha256 = content.sha256.clone();
            self.out.send(&Reply { id: job.request.id, answer: Answer::Want { sha256, from } });
            let piece = lock(&job.contents).coming.recv().map_err(|_| Failed::new("the connection went away"))?;
            digest.update(&piece);
            into.write_all(&piece).map_err(told)?;
            from += piece.len() as u64;
            if (piece.len() as u64) < wire::WINDOW || from >= content.size {
                break;
            }
        }
        let whole = hex::encode(digest.finalize()) == content.sha256;
        if whole { Ok(()) } else { Err(damaged(&content.sha256)) }
    }

    /// The content that was announced with the request.
    fn announced(job: &Job, sha256: &str) -> Result<Vec<u8>, Failed> {
        let mut contents = lock(&job.contents);
        while !contents.come.contains_key(sha256) && contents.announced > 0 {
            let bytes = contents.coming.recv().map_err(|_| Failed::new("the connection went away"))?;
            contents.announced -= 1;
            contents.come.insert(hex::encode(Sha256::digest(&bytes)), bytes);
        }
        contents.come.get(sha256).cloned().ok_or_else(|| damaged(sha256))
    }
}

fn damaged(sha256: &str) -> Failed {
    Failed::new(format!("the content {sha256} did not arrive as it was sent"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
