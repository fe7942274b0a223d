//! A file begun beside its place and moved there when it is whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};

use crate::module::action::{Write, bits, umask};
use crate::module::{Context, Failed, program};

/// It is removed unless it is moved into place.
#[derive(Debug)]
pub struct Draft {
    /// What is written to.
    pub file: File,
    begun: Begun,
}

#[derive(Debug)]
struct Begun(PathBuf);

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A name in the same directory that nobody else has; directories of settings ignore names that begin with a dot.
pub(crate) fn beside(real: &Path) -> PathBuf {
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.chars().take(60).collect::<String>();
    real.with_file_name(format!(".{name}.ryo-{:016x}", rand::random::<u64>()))
}

impl Draft {
    /// Begins what is to be at `path`; only its owner can read it as yet.
    ///
    /// # Errors
    ///
    /// [`Failed`]: nothing can be written there.
    pub fn new(path: &str, host: &Context) -> Result<Self, Failed> {
        let real = host.system.real(path);
        let begun = Begun(beside(&real));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&begun.0).map_err(told(path))?;
        Ok(Self { file, begun })
    }

    /// Where it is until it is placed.
    pub fn path(&self) -> &Path {
        &self.begun.0
    }

    /// Gives it mode and owner, has it accepted, and moves it to its place at once.
    ///
    /// - `write`: where, in the same directory, and how; its bytes are those of the draft.
    ///
    /// # Errors
    ///
    /// [`Failed`]: what was there is as it was.
    pub fn place(mut self, write: &Write, host: &Context) -> Result<(), Failed> {
        let told = told(&write.path);
        let real = host.system.real(&write.path);
        let before = fs::symlink_metadata(&real).ok().filter(fs::Metadata::is_file);
        dress(&self.file, write, before.as_ref()).map_err(told)?;
        if let Some(validate) = &write.validate {
            accepted(validate, &self.begun.0, host)?;
        }
        self.file.sync_all().map_err(told)?;
        match fs::rename(&self.begun.0, &real) {
            Ok(()) => self.begun.0 = PathBuf::new(),
            // A file that is mounted by itself cannot be replaced, only written.
            Err(error) if write.unsafe_writes && error.kind() == io::ErrorKind::ResourceBusy => {
                let mut target = OpenOptions::new().write(true).truncate(true).open(&real).map_err(told)?;
                io::copy(&mut File::open(&self.begun.0).map_err(told)?, &mut target).map_err(told)?;
            }
            Err(error) => return Err(told(error)),
        }
        if let Some(directory) = real.parent().and_then(|parent| File::open(parent).ok()) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

fn told(path: &str) -> impl Fn(io::Error) -> Failed + Copy + '_ {
    move |error| Failed::new(format!("cannot write {path}: {error}"))
}

/// Owner first: a change of owner clears bits.
fn dress(file: &File, write: &Write, before: Option<&fs::Metadata>) -> io::Result<()> {
    let uid = write.ids.uid.or(before.map(fs::Metadata::uid));
    let gid = write.ids.gid.or(before.map(fs::Metadata::gid));
    let own = file.metadata()?;
    let other = |wanted: Option<u32>, has: u32| wanted.filter(|wanted| *wanted != has);
    let (uid, gid) = (other(uid, own.uid()), other(gid, own.gid()));
    if uid.is_some() || gid.is_some() {
        rustix::fs::fchown(file, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
    }
    let kept = before.map(|before| before.mode() & 0o7777);
    let mode = write.mode.as_deref().map(bits).or(kept.map(Permissions::from_mode));
    file.set_permissions(mode.unwrap_or_else(|| Permissions::from_mode(0o666 & !umask())))
}

fn accepted(validate: &str, file: &Path, host: &Context) -> Result<(), Failed> {
    if !validate.contains("%s") {
        return Err(Failed::new(format!("validate must contain %s: {validate}")));
    }
    let line = validate.replace("%s", &file.to_string_lossy());
    let words = program::split(&line).map_err(Failed::new)?;
    let ran = program::run(&words, &program::Setting::default(), host)?;
    if ran.status == 0 {
        return Ok(());
    }
    Err(Failed::new(format!("failed to validate: rc:{} error:{}", ran.status, ran.stderr))
        .with("exit_status", ran.status)
        .with("stdout", ran.stdout)
        .with("stderr", ran.stderr))
}
