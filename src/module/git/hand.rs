//! What works on a working copy: the target's own program, or libgit2 where there is none.

use crate::module::git::Arguments;
use crate::module::git::copy::Copy;
use crate::module::git::library::Library;
use crate::module::git::place::Place;
use crate::module::{Context, Failed, program};

/// Who does it.
pub(super) enum Hand<'a> {
    /// The target's program.
    Program(Copy<'a>),
    /// This program.
    Library(Library<'a>),
}

/// Has whoever it is do it.
macro_rules! either {
    ($hand:ident, $copy:ident => $call:expr) => {
        match $hand {
            Hand::Program($copy) => $call,
            Hand::Library($copy) => $call,
        }
    };
}

impl<'a> Hand<'a> {
    pub(super) fn new(arguments: &'a Arguments, host: &'a Context<'a>) -> Result<Self, Failed> {
        let place = Place::new(arguments, host)?;
        let program = match &arguments.executable {
            Some(path) => Ok(host.system.path(path)),
            None => program::required("git", host),
        };
        match program {
            Ok(program) => Ok(Self::Program(Copy { place, program })),
            Err(_) => Library::new(place).map(Self::Library),
        }
    }

    pub(super) fn place(&self) -> &Place<'a> {
        either!(self, copy => &copy.place)
    }

    /// The commit that is checked out.
    pub(super) fn commit(&self) -> Result<String, Failed> {
        either!(self, copy => copy.commit())
    }

    /// Whether files that belong to it are changed.
    pub(super) fn has_changes(&self) -> Result<bool, Failed> {
        either!(self, copy => copy.has_changes())
    }

    /// Throws local changes away.
    pub(super) fn reset(&self) -> Result<(), Failed> {
        either!(self, copy => copy.reset())
    }

    /// Makes it.
    pub(super) fn clone_it(&self) -> Result<(), Failed> {
        either!(self, copy => copy.clone_it())
    }

    /// Brings what is new.
    pub(super) fn fetch(&self) -> Result<(), Failed> {
        either!(self, copy => copy.fetch())
    }

    /// Switches to the version wanted.
    pub(super) fn switch(&self) -> Result<(), Failed> {
        either!(self, copy => copy.switch())
    }

    /// Brings submodules to the commits that belong to the version; returns whether that changed something.
    pub(super) fn submodules(&self) -> Result<bool, Failed> {
        either!(self, copy => copy.submodules())
    }

    /// The commit that `remote` has for the version wanted.
    pub(super) fn newest(&self, remote: &str) -> Result<String, Failed> {
        either!(self, copy => copy.newest(remote))
    }

    /// Where the remote is; its own name if nobody knows.
    pub(super) fn known(&self) -> Result<String, Failed> {
        either!(self, copy => copy.known())
    }

    /// Makes the remote be where the task says.
    pub(super) fn point(&self) -> Result<(), Failed> {
        either!(self, copy => copy.point())
    }
}
