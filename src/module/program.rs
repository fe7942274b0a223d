//! Programs that tasks run.

use std::io::{self, Read, Write as _};
use std::mem;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use crate::module::{Context, Failed};

/// Most bytes kept of one stream.
const KEPT: usize = 16 << 20;

/// How long nothing comes of streams that others hold open before they are given up.
const QUIET: Duration = Duration::from_secs(1);

/// Where and with what a program runs.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Its working directory.
    pub directory: Option<PathBuf>,
    /// What it reads; nothing if none.
    pub input: Vec<u8>,
    /// Variables beside those of the task.
    pub variables: Vec<(String, String)>,
}

/// What a program left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit status; -signal if a signal ended it, as Python says it.
    pub status: i32,
    /// Standard output, bytes that are no UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// Runs words to their end.
///
/// # Errors
///
/// [`Failed`] with `rc` if the program cannot be started.
pub fn run(words: &[String], setting: &Setting, host: &Context) -> Result<Ran, Failed> {
    let raw = start(words, setting, host)
        .and_then(|child| finish(child, &setting.input, host))
        .map_err(|error| unstarted(words, &error))?;
    Ok(Ran {
        status: raw.0,
        stdout: String::from_utf8_lossy(&raw.1).into_owned(),
        stderr: String::from_utf8_lossy(&raw.2).into_owned(),
    })
}

/// Runs words that speak English, so that what they say can be read.
///
/// # Errors
///
/// [`Failed`] if the program cannot be started.
pub fn english(words: &[&str], host: &Context) -> Result<Ran, Failed> {
    let words = words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let variables = ["LANG", "LC_ALL", "LC_MESSAGES"].map(|name| (name.to_owned(), "C".to_owned())).to_vec();
    run(&words, &Setting { variables, ..Setting::default() }, host)
}

/// Runs words that must end well.
///
/// # Errors
///
/// [`Failed`] with what the program said.
pub fn must(words: &[&str], input: &str, host: &Context) -> Result<Ran, Failed> {
    let words = words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let ran = run(&words, &Setting { input: input.as_bytes().to_vec(), ..Setting::default() }, host)?;
    if ran.status == 0 {
        return Ok(ran);
    }
    Err(Failed::new(ran.stderr.trim_end())
        .with("rc", ran.status)
        .with("cmd", words)
        .with("stdout", ran.stdout)
        .with("stderr", ran.stderr))
}

/// Where a program is, or nothing if there is none of this name.
pub fn find(name: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/local/sbin", "/usr/sbin", "/sbin"]).filter(|it| !it.is_empty());
    places.map(|place| format!("{place}/{name}")).find(|path| {
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && std::path::Path::new(path).is_file()
    })
}

/// The same with bytes: status, standard output, standard error.
///
/// # Errors
///
/// What the system says.
pub fn raw(words: &[String], setting: &Setting, host: &Context) -> io::Result<(i32, Vec<u8>, Vec<u8>)> {
    finish(start(words, setting, host)?, &setting.input, host)
}

fn unstarted(words: &[String], error: &io::Error) -> Failed {
    let program = words.first().map_or("", String::as_str);
    Failed::new(format!("cannot run `{program}`: {error}")).with("rc", error.raw_os_error().unwrap_or(257))
}

fn start(words: &[String], setting: &Setting, host: &Context) -> io::Result<Child> {
    let (program, arguments) = words.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(host.environment).envs(setting.variables.iter().map(|(k, v)| (k, v)));
    if let Some(directory) = &setting.directory {
        command.current_dir(directory);
    }
    let input = if setting.input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()
}

/// What has been read of a stream, and whether that was all.
#[derive(Default)]
struct Kept {
    bytes: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

fn finish(mut child: Child, input: &[u8], host: &Context) -> io::Result<(i32, Vec<u8>, Vec<u8>)> {
    let group = child.id();
    host.system.children().add(group);
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that does not read its input closes the pipe: that is no failure of ours.
        thread::spawn(move || stdin.write_all(&input));
    }
    let (ended, end) = mpsc::channel();
    let stdout = child.stdout.take().map(|stream| drain(stream, ended.clone()));
    let stderr = child.stderr.take().map(|stream| drain(stream, ended));
    let status = child.wait();
    // What it left running may hold the streams open for ever: they are read until nothing more comes.
    let all = |kept: &Option<Arc<Kept>>| kept.as_ref().is_none_or(|kept| kept.ended.load(Ordering::Acquire));
    while !(all(&stdout) && all(&stderr)) && end.recv_timeout(QUIET).is_ok() {}
    host.system.children().remove(group);
    let status = status?;
    let status = status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap_or(-1);
    Ok((status, taken(stdout), taken(stderr)))
}

fn taken(kept: Option<Arc<Kept>>) -> Vec<u8> {
    kept.map(|kept| mem::take(&mut *kept.bytes.lock().unwrap_or_else(PoisonError::into_inner))).unwrap_or_default()
}

/// Reads `stream` beside us, and says so with each piece and at the end.
fn drain(mut stream: impl Read + Send + 'static, said: mpsc::Sender<()>) -> Arc<Kept> {
    let kept = Arc::new(Kept::default());
    let keeping = Arc::clone(&kept);
    thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            let mut bytes = keeping.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(bytes.len()).min(read);
            bytes.extend(&piece[..room]);
            drop(bytes);
            let _ = said.send(());
        }
        keeping.ended.store(true, Ordering::Release);
        let _ = said.send(());
    });
    kept
}

/// Splits a line into words as a POSIX shell does: blanks, quotes and backslashes; nothing is expanded.
///
/// # Errors
///
/// A quote or a backslash that nothing follows.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => quoted(&mut letters, word.get_or_insert_default())?,
            '"' => double_quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("No escaped character")?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(letters: &mut std::str::Chars, word: &mut String) -> Result<(), String> {
    for letter in letters.by_ref() {
        if letter == '\'' {
            return Ok(());
        }
        word.push(letter);
    }
    Err("No closing quotation".to_owned())
}

fn double_quoted(letters: &mut std::str::Chars, word: &mut String) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '\\' => match letters.next().ok_or("No closing quotation")? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
    Err("No closing quotation".to_owned())
}

/// Finds a program in the directories that the task's environment, else the agent's, names.
///
/// # Errors
///
/// [`Failed`]: it is not there.
pub fn required(name: &str, host: &Context) -> Result<String, Failed> {
    let path = host.environment.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found
        .map(|path| path.to_string_lossy().into_owned())
        .ok_or_else(|| Failed::new(format!("Failed to find required executable \"{name}\" in paths: {path}")))
}

/// Runs words that must end well.
///
/// # Errors
///
/// [`Failed`] with what the program said.
pub fn good(words: &[String], setting: &Setting, host: &Context) -> Result<Ran, Failed> {
    let ran = run(words, setting, host)?;
    if ran.status == 0 {
        return Ok(ran);
    }
    let failed = Failed::new(ran.stderr.trim().to_owned()).with("rc", ran.status);
    Err(failed.with("stdout", ran.stdout).with("stderr", ran.stderr))
}
