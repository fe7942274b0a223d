//! Another account taken on by an agent that is root: no `sudo` is needed on the target for that.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::{Gid, Uid};
use thiserror::Error;

use crate::module::System;

/// The account was not taken on.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such account.
    #[error("there is no account `{name}`")]
    Unknown {
        /// As asked for.
        name: String,
    },
    /// The system does not allow it.
    #[error("cannot become `{name}`")]
    Refused {
        /// The account.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Becomes the account `name`, with its groups, and starts this program again as its agent. Returns only if it cannot.
///
/// The program is started through `/proc/self/exe`, so that the account need not reach the directory it lies in.
pub fn take_on(name: &str) -> Error {
    let system = System::whole();
    let Some(account) = system.accounts().into_iter().find(|it| it.name == name) else {
        return Error::Unknown { name: name.to_owned() };
    };
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let others = system.groups().into_iter().filter(|group| group.members.iter().any(|it| it == name));
    let groups = std::iter::once(gid).chain(others.map(|group| Gid::from_raw(group.gid))).collect::<Vec<_>>();
    let refused = |source: io::Error| Error::Refused { name: name.to_owned(), source };
    // These change this thread alone; the program that it becomes has no other.
    let changed = rustix::thread::set_thread_groups(&groups)
        .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid));
    if let Err(error) = changed {
        return refused(error.into());
    }
    refused(
        Command::new("/proc/self/exe")
            .arg("agent")
            .env("HOME", &account.home)
            .env("USER", name)
            .env("LOGNAME", name)
            .env("SHELL", &account.shell)
            .exec(),
    )
}
