//! Locks that the agent holds for its client.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::agent::files;
use crate::agent::wire::Answer;
use crate::module::{System, clock};

/// The locks held. The system gives them back when the agent ends, however it ends.
#[derive(Default)]
pub(super) struct Locks(BTreeMap<String, File>);

/// What a lock's file says of who has it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Holder {
    who: String,
    since: String,
}

impl Locks {
    /// Takes the lock `name`, or says who has it.
    pub(super) fn take(&mut self, system: &System, name: &str, who: &str) -> Answer {
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        {
            return Answer::Failed { message: format!("`{name}` is no name of a lock") };
        }
        let path = system.real(&format!("{}/lock/{name}", files::own(system)));
        match hold(&path, who) {
            Ok(Ok(file)) => {
                self.0.insert(name.to_owned(), file);
                Answer::Done
            }
            Ok(Err(Holder { who, since })) => Answer::Held { who, since },
            Err(error) => Answer::Failed { message: format!("cannot lock {}: {error}", path.display()) },
        }
    }

    /// Gives it back.
    pub(super) fn give_back(&mut self, name: &str) {
        self.0.remove(name);
    }
}

fn hold(path: &Path, who: &str) -> io::Result<Result<File, Holder>> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    folder.parent().map(files::private).transpose()?;
    files::private(folder)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(error.into());
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        return Ok(Err(serde_json::from_str(&text).unwrap_or_default()));
    }
    let holder = Holder { who: who.to_owned(), since: clock::iso(SystemTime::now()) };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)?;
    Ok(Ok(file))
}
