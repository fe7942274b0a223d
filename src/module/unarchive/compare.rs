//! What members are to be, and whether they are.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::archive::unpack::Dress;
use crate::archive::{Kind, Member};
use crate::module::action::umask;
use crate::module::attributes::{Wanted, What, apply};
use crate::module::system::System;
use crate::module::unarchive::Arguments;

/// What members are to be.
pub(super) struct Expected<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) system: &'a System,
    pub(super) wanted: Wanted,
    pub(super) zip: bool,
}

impl Expected<'_> {
    /// What a member gets, given what is in its place now.
    pub(super) fn dress(&self, member: &Member, real: &Path) -> Dress {
        let mode = self.mode(member);
        let what = if member.kind == Kind::Directory { What::Directory } else { What::File };
        let there = fs::symlink_metadata(real).ok().filter(|about| about.is_dir() && what == What::Directory);
        let current = there.map_or(mode, |about| about.mode() & 0o7777);
        let mode = self.wanted.mode.as_deref().and_then(|it| apply(it, current, what)).unwrap_or(mode);
        Dress { mode, ids: self.ids(member) }
    }

    /// Its permission bits, without what the task says.
    fn mode(&self, member: &Member) -> u32 {
        let usual = if member.kind == Kind::Directory { 0o777 } else { 0o666 };
        match member.mode {
            None => usual & !umask(),
            Some(mode) if !self.zip && (self.arguments.options.masked || !root()) => mode & 0o777 & !umask(),
            Some(mode) => mode,
        }
    }

    /// Whose it is to be; who unpacks has no choice unless it is root.
    fn ids(&self, member: &Member) -> Option<(u32, u32)> {
        let (uid, gid) = match &member.owner {
            Some(owner) if root() && !self.arguments.options.own => {
                let named = |name: &Option<String>| name.clone().filter(|_| !self.arguments.options.numeric);
                let user = named(&owner.user).and_then(|name| self.system.uid(&name));
                let group = named(&owner.group).and_then(|name| self.system.gid(&name));
                (user.unwrap_or(owner.uid), group.unwrap_or(owner.gid))
            }
            _ => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        let ids = (self.wanted.ids.uid.unwrap_or(uid), self.wanted.ids.gid.unwrap_or(gid));
        (root() || self.wanted.ids != crate::module::attributes::Ids::default()).then_some(ids)
    }

    /// Whether what is there is newer than the member.
    pub(super) fn newer(member: &Member, real: &Path) -> bool {
        let there = fs::symlink_metadata(real).ok().filter(Metadata::is_file);
        member.kind == Kind::File && there.is_some_and(|about| about.mtime() > member.mtime)
    }

    /// Whether what is there is not what the member would become, as far as Ansible looks.
    pub(super) fn differs(&self, member: &Member, real: &Path) -> bool {
        let Ok(about) = fs::symlink_metadata(real) else { return true };
        if self.arguments.keep_newer && Self::newer(member, real) {
            return false;
        }
        let mode = || self.dress(member, real).mode != about.mode() & 0o7777;
        let given = self.wanted.mode.is_some();
        match &member.kind {
            Kind::Directory => {
                !about.is_dir() || (mode() && (self.zip || !given)) || (self.zip && self.other(member, &about))
            }
            Kind::Link(target) => fs::read_link(real).ok().is_none_or(|it| it != Path::new(target)),
            Kind::File if !about.is_file() => true,
            Kind::File if self.zip => {
                !same_time(member, &about)
                    || about.size() != member.size
                    || mode()
                    || self.other(member, &about)
                    || crc(real).ok() != member.crc
            }
            Kind::File => !same_time(member, &about) || (mode() && !given) || self.other(member, &about),
            Kind::Name(_) | Kind::Fifo | Kind::Device => false,
        }
    }

    /// Whether it belongs to somebody else. What the task says of owners of tar archives is seen to afterwards.
    fn other(&self, member: &Member, about: &Metadata) -> bool {
        let Some((uid, gid)) = self.ids(member) else { return false };
        let looked = |given: Option<u32>| self.zip || given.is_none();
        (looked(self.wanted.ids.uid) && uid != about.uid()) || (looked(self.wanted.ids.gid) && gid != about.gid())
    }
}

/// Whether a file was last changed when the archive says; it says no more than the second.
fn same_time(member: &Member, about: &Metadata) -> bool {
    about.mtime() == member.mtime && about.mtime_nsec() == 0
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn crc(real: &Path) -> io::Result<u32> {
    let mut file = File::open(real)?;
    let mut crc = flate2::Crc::new();
    let mut piece = vec![0; 128 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(crc.sum()),
            length => crc.update(&piece[..length]),
        }
    }
}
