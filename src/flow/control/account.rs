//! Whose control node it is.

use std::{io, panic, thread};

use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::flow::control::Error;
use crate::module::system::Account;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// The name of the account that files belong to.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// Its group, if its rights have yet to be taken on.
    taken_on: Option<u32>,
}

/// Returns who acts for the configured account `user`: root acts as any, everybody else as himself. `own` is the number of
/// the account that runs us, `own_name` what the environment calls it.
///
/// # Errors
///
/// [`Error::NoAccount`], [`Error::OtherAccount`].
pub fn acting(user: &str, own: u32, own_name: &str, accounts: &[Account]) -> Result<Acting, Error> {
    let acting = |uid, taken_on| Acting { user: user.to_owned(), uid, taken_on };
    match accounts.iter().find(|account| account.name == user) {
        Some(account) if account.uid == own => Ok(acting(own, None)),
        Some(account) if own == 0 => Ok(acting(account.uid, Some(account.gid))),
        // Not every account is in that file.
        None if own != 0 && own_name == user => Ok(acting(own, None)),
        None => Err(Error::NoAccount(user.to_owned())),
        Some(_) => {
            let known = accounts.iter().find(|account| account.uid == own);
            let acting = known.map_or_else(|| own_name.to_owned(), |account| account.name.clone());
            Err(Error::OtherAccount { owner: user.to_owned(), acting })
        }
    }
}

impl Acting {
    /// Works with the rights of the account.
    ///
    /// # Errors
    ///
    /// [`Error::Act`].
    pub fn work<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let Some(gid) = self.taken_on else { return Ok(work()) };
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(gid));
        // Rights are those of a thread: they end with it.
        let ended = thread::scope(|scope| {
            scope.spawn(|| take_on(uid, gid).map(|()| work())).join().unwrap_or_else(|it| panic::resume_unwind(it))
        });
        ended.map_err(|source| Error::Act { user: self.user.clone(), source })
    }
}

fn take_on(uid: Uid, gid: Gid) -> io::Result<()> {
    set_thread_groups(&[gid])?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}
