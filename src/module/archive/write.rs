//! Writing an archive.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::archive::codec::Encoder;
use crate::archive::pack::{Names, Packer, below};
use crate::archive::{self, Compression};
use crate::module::archive::{Arguments, Format, Scene, named};
use crate::module::command::matches;
use crate::module::draft::Draft;
use crate::module::system::System;
use crate::module::{Context, Failed, clock};

pub(super) struct Packing<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) scene: &'a Scene,
    pub(super) host: &'a Context<'a>,
}

/// Something that is packed: its path, as the operating system has it, and its name in the archive.
struct Item {
    path: String,
    real: PathBuf,
    name: PathBuf,
}

impl Packing<'_> {
    /// Packs all into one archive; returns the paths.
    pub(super) fn archive(&self, draft: &mut Draft, targets: &[&String]) -> Result<Vec<String>, Failed> {
        let items = self.items(targets)?;
        match self.arguments.format {
            Format::Zip => self.zip(draft, &items)?,
            _ => self.tar(draft, &items)?,
        }
        Ok(items.into_iter().map(|item| item.path).collect())
    }

    /// Compresses one file.
    pub(super) fn single(&self, draft: &mut Draft, path: &str) -> Result<Vec<String>, Failed> {
        let wrong = |error: io::Error| {
            let failed = Failed::new(format!("Unable to write to compressed file: {error}")).with("path", path);
            failed.with("dest", self.scene.dest.clone())
        };
        let mut content = File::open(self.host.system.real(path)).map_err(wrong)?;
        let mut encoder = Encoder::new(io::BufWriter::new(&draft.file), self.compression()).map_err(wrong)?;
        io::copy(&mut content, &mut encoder).map_err(wrong)?;
        encoder.finish().and_then(|mut writer| writer.flush()).map_err(wrong)?;
        Ok(vec![path.to_owned()])
    }

    fn compression(&self) -> Compression {
        match self.arguments.format {
            Format::Bz2 => Compression::Bzip2,
            Format::Gz => Compression::Gzip,
            Format::Xz => Compression::Xz,
            Format::Tar | Format::Zip => Compression::None,
        }
    }

    fn wrong(&self, why: &str) -> Failed {
        Failed::new(format!("Error when writing archive at {}: {why}", self.scene.dest))
    }

    /// The directories that are packed stand for what is below them: they have no entry of their own.
    fn items(&self, targets: &[&String]) -> Result<Vec<Item>, Failed> {
        let mut items = vec![];
        for target in targets {
            let real = self.host.system.real(target);
            let tree = fs::symlink_metadata(&real).is_ok_and(|about| about.is_dir())
                || (fs::metadata(&real).is_ok_and(|about| about.is_dir()) && self.scene.whole);
            if !tree {
                items.push(self.item(target));
                continue;
            }
            for found in below(&real).map_err(|error| self.wrong(&error.sentence()))? {
                let rest = found.strip_prefix(&real).unwrap_or(&found);
                items.push(self.item(&format!("{}/{}", target.trim_end_matches('/'), rest.display())));
            }
        }
        items.retain(|item| !self.excluded(item));
        Ok(items)
    }

    fn item(&self, path: &str) -> Item {
        let (real, name) = named(path, &self.scene.root, self.host);
        Item { path: path.to_owned(), real, name }
    }

    fn excluded(&self, item: &Item) -> bool {
        let name = item.name.to_string_lossy();
        let name = if self.arguments.format == Format::Zip { item.path.as_str() } else { name.as_ref() };
        self.arguments.exclusion_patterns.iter().any(|pattern| matches(name, pattern))
    }

    fn tar(&self, draft: &mut Draft, items: &[Item]) -> Result<(), Failed> {
        let wrong = |error: archive::Error| self.wrong(&error.sentence());
        let io = |error: io::Error| self.wrong(&error.to_string());
        let encoder = Encoder::new(io::BufWriter::new(&draft.file), self.compression()).map_err(io)?;
        let mut packer = Packer::new(encoder, names(self.host.system));
        for item in items {
            packer.add(&item.real, &item.name).map_err(wrong)?;
        }
        let encoder = packer.finish().map_err(wrong)?;
        encoder.finish().and_then(|mut writer| writer.flush()).map_err(io)
    }

    fn zip(&self, draft: &mut Draft, items: &[Item]) -> Result<(), Failed> {
        let wrong = |why: &dyn std::fmt::Display| self.wrong(&why.to_string());
        let mut zip = ZipWriter::new(io::BufWriter::new(&draft.file));
        for item in items {
            // Links are followed: Ansible's archives have none.
            let about = fs::metadata(&item.real).map_err(|error| wrong(&error))?;
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .unix_permissions(about.permissions().mode() & 0o7777)
                .large_file(about.len() >= u64::from(u32::MAX))
                .last_modified_time(calendar(&about));
            if about.is_dir() {
                zip.add_directory(text(&item.name), options).map_err(|error| wrong(&error))?;
                continue;
            }
            zip.start_file(text(&item.name), options).map_err(|error| wrong(&error))?;
            let mut content = File::open(&item.real).map_err(|error| wrong(&error))?;
            io::copy(&mut content, &mut zip).map_err(|error| wrong(&error))?;
        }
        let mut writer = zip.finish().map_err(|error| wrong(&error))?;
        writer.flush().map_err(|error| wrong(&error))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn names(system: &System) -> Names {
    Names {
        users: system.accounts().into_iter().map(|it| (it.uid, it.name)).collect(),
        groups: system.groups().into_iter().map(|it| (it.gid, it.name)).collect(),
    }
}

/// A zip archive knows no time before 1980.
fn calendar(about: &fs::Metadata) -> zip::DateTime {
    let seconds = u64::try_from(about.mtime()).unwrap_or(0);
    let it = clock::moment(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
    let small = |number: i64| u8::try_from(number).unwrap_or(0);
    let year = u16::try_from(it.year).unwrap_or(1980);
    let time = zip::DateTime::from_date_and_time(
        year,
        small(it.month),
        small(it.day),
        small(it.hour),
        small(it.minute),
        small(it.second),
    );
    time.unwrap_or_default()
}
