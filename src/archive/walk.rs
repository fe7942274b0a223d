//! Reading archives, member by member.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

use zip::ZipArchive;
use zip::extra_fields::ExtraField;

use crate::archive::member::Owner;
use crate::archive::tree::entry::padding;
use crate::archive::{Compression, Error, Kind, Member};

/// Most members of one archive.
const MEMBERS: u64 = 20_000_000;
/// Most bytes that say something of one member of a tar archive: its headers, its long names, its attributes.
const HEADERS: u64 = 16 << 20;
/// Longest target of a link in a zip archive.
const LINK: u64 = 4096;

/// What sort of archive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// tar, compressed or not.
    Tar(Compression),
    /// zip
    Zip,
}

/// What is done with each member; its content is read from the stream, as far as it is wanted.
pub type Visit<'v> = dyn FnMut(&Member, &mut dyn Read) -> Result<(), Error> + 'v;

/// Says what sort of archive a file is.
///
/// # Errors
///
/// [`Error::Read`].
pub fn format(file: &mut File) -> Result<Format, Error> {
    let mut begin = vec![];
    file.rewind().map_err(Error::Read)?;
    file.by_ref().take(6).read_to_end(&mut begin).map_err(Error::Read)?;
    file.rewind().map_err(Error::Read)?;
    Ok(match begin[..] {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip,
        _ => Format::Tar(Compression::of(&begin)),
    })
}

/// Visits every member of the archive at `path`, in order.
///
/// # Errors
///
/// [`Error`], also that of `visit`.
pub fn walk(path: &Path, visit: &mut Visit) -> Result<(), Error> {
    let mut file = File::open(path).map_err(Error::Read)?;
    match format(&mut file)? {
        Format::Zip => zip(file, visit),
        Format::Tar(compression) => tar(compression.decoder(file).map_err(Error::Read)?, visit),
    }
}

/// Visits every member of a tar stream.
///
/// # Errors
///
/// [`Error`], also that of `visit`.
pub fn tar(stream: impl Read, visit: &mut Visit) -> Result<(), Error> {
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::Format { reason: error.to_string() }
        }
        _ => Error::Read(error),
    };
    entries(stream, wrong, &mut |entry, _| match of_tar(entry).map_err(wrong)? {
        Some(member) => visit(&member, entry),
        None => Ok(()),
    })
}

/// What is done with each entry of a tar stream, and with the blocks in front of its content.
pub(super) type Each<'e, R> = dyn FnMut(&mut tar::Entry<'_, Bounded<'_, R>>, &[u8]) -> Result<(), Error> + 'e;

/// Hands every entry of a tar stream to `each`, as many as one archive may have; `wrong` says what a failure to read
/// means.
pub(super) fn entries<R: Read>(stream: R, wrong: fn(io::Error) -> Error, each: &mut Each<'_, R>) -> Result<(), Error> {
    let (left, at, head) = (Cell::new(HEADERS), Cell::new(0), RefCell::new(vec![]));
    let mut archive = tar::Archive::new(Bounded { stream, left: &left, at: &at, head: &head });
    let (mut count, mut begin) = (0, 0);
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        count += 1;
        if count > MEMBERS {
            return Err(Error::Large { most: format!("{MEMBERS} members") });
        }
        left.set(u64::MAX);
        let blocks = head.take();
        // What fills up the last block of the one before comes first.
        each(&mut entry, blocks.get(padding(begin)..).unwrap_or_default())?;
        // What nobody wanted of it is no header of the next one.
        io::copy(&mut entry, &mut io::sink()).map_err(wrong)?;
        left.set(HEADERS);
        begin = at.get();
    }
    Ok(())
}

/// A tar stream of which only so much is read as headers of one member: they are held in memory.
pub(super) struct Bounded<'l, R> {
    stream: R,
    left: &'l Cell<u64>,
    /// Bytes that were read.
    at: &'l Cell<u64>,
    /// What was read of the headers of one member.
    head: &'l RefCell<Vec<u8>>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(bytes)?;
        let Some(left) = self.left.get().checked_sub(length as u64) else {
            let most = HEADERS >> 20;
            return Err(io::Error::other(format!("the headers of a member are longer than {most} MiB")));
        };
        self.at.set(self.at.get() + length as u64);
        if self.left.get() != u64::MAX {
            self.left.set(left);
            self.head.borrow_mut().extend(&bytes[..length]);
        }
        Ok(length)
    }
}

fn of_tar<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<Option<Member>> {
    let header = entry.header();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| io::Error::other("a name is no UTF-8"));
    let link = || entry.link_name_bytes().map(|name| text(&name)).transpose().map(Option::unwrap_or_default);
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => Kind::File,
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => Kind::Link(link()?),
        tar::EntryType::Link => Kind::Name(link()?),
        tar::EntryType::Fifo => Kind::Fifo,
        tar::EntryType::Char | tar::EntryType::Block => Kind::Device,
        _ => return Ok(None),
    };
    let path = text(&entry.path_bytes())?;
    // Old archives mark directories by their name alone.
    let kind = if kind == Kind::File && path.ends_with('/') { Kind::Directory } else { kind };
    let name = |name: Option<&[u8]>| name.map(text).transpose().map(|name| name.filter(|name| !name.is_empty()));
    let number =
        |number: u64| u32::try_from(number).map_err(|_| io::Error::other("the number of an owner is too large"));
    Ok(Some(Member {
        path,
        kind,
        mode: Some(header.mode()? & 0o7777),
        owner: Some(Owner {
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
            user: name(header.username_bytes())?,
            group: name(header.groupname_bytes())?,
        }),
        mtime: header.mtime()?.cast_signed(),
        size: entry.size(),
        crc: None,
        sum: u64::from(header.cksum()?),
    }))
}

fn zip(file: File, visit: &mut Visit) -> Result<(), Error> {
    let wrong = |error: zip::result::ZipError| Error::Format { reason: error.to_string() };
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(wrong)?;
    if archive.len() as u64 > MEMBERS {
        return Err(Error::Large { most: format!("{MEMBERS} members") });
    }
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(wrong)?;
        let mut path = entry.name().map_err(wrong)?.into_owned();
        // As systems write it that know no other separator.
        if entry.unix_mode().is_none() && !path.contains('/') {
            path = path.replace('\\', "/");
        }
        let kind = if entry.is_symlink() {
            let mut target = String::new();
            entry.by_ref().take(LINK).read_to_string(&mut target).map_err(Error::Read)?;
            Kind::Link(target)
        } else if entry.is_dir() {
            Kind::Directory
        } else {
            Kind::File
        };
        let member = Member {
            path,
            kind,
            mode: entry.unix_mode().map(|mode| mode & 0o777).filter(|mode| *mode != 0),
            owner: None,
            mtime: modified(&entry),
            size: entry.size(),
            crc: Some(entry.crc32()),
            sum: u64::from(entry.crc32()),
        };
        visit(&member, &mut entry)?;
    }
    Ok(())
}

/// When a member was last changed: as Unix says it if that is there, else by the calendar.
fn modified<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> i64 {
    let unix = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    unix.map(i64::from).or_else(|| entry.last_modified().map(calendar)).unwrap_or(0)
}

fn calendar(time: zip::DateTime) -> i64 {
    let (year, month, day) = (i64::from(time.year()), i64::from(time.month()), i64::from(time.day()));
    // Days since 1970, by years that begin in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
}
