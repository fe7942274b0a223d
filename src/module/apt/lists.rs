//! Package lists that are fetched once for an image, and again only when they could be others.
//!
//! The images of the field ask with nearly every package for `update_cache: yes`, and every time costs a second and more
//! to learn that nothing is new. On a machine that lives on, the lists are fetched as often as a task says.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::module::System;

/// Exists on a machine that is there only to become an image; changed when the lists have been fetched.
pub const IMAGE_BUILD: &str = "/var/lib/ryo/image-build";

/// How long the lists serve: a build that takes longer may find packages gone that the lists name.
const SERVE: Duration = Duration::from_mins(10);

/// What lists are made from, and the lists themselves, which a task may have removed.
const SOURCES: [&str; 4] = ["/etc/apt", "/usr/share/keyrings", "/var/lib/dpkg/arch", "/var/lib/apt/lists"];

/// Notes on a machine that becomes an image that the lists have just been fetched.
pub fn fetched(system: &System) {
    let mark = system.real(IMAGE_BUILD);
    if mark.exists() {
        // Without the note the lists are fetched once more.
        let _ = std::fs::write(mark, "The package lists have been fetched.\n");
    }
}

/// Whether the machine is there only to become an image.
pub fn is_of_an_image(system: &System) -> bool {
    system.real(IMAGE_BUILD).exists()
}

/// Whether the lists are of this image build and nothing says that they would be others now.
pub fn serve(system: &System) -> bool {
    let Ok(mark) = system.real(IMAGE_BUILD).metadata() else { return false };
    let age = mark.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
    mark.len() > 0
        && age.is_some_and(|age| age < SERVE)
        && SOURCES.iter().all(|path| untouched(&system.real(path), changed(&mark)))
}

fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Whether nothing at or below `path` was changed since `then`, and nothing there names a source on this machine, whose
/// packages may be others without a sign of it here.
fn untouched(path: &Path, then: (i64, i64)) -> bool {
    let Ok(metadata) = path.symlink_metadata() else { return true };
    if changed(&metadata) >= then {
        return false;
    }
    if metadata.is_dir() && !path.ends_with("var/lib/apt/lists") {
        let Ok(mut entries) = path.read_dir() else { return false };
        return entries.all(|entry| entry.is_ok_and(|entry| untouched(&entry.path(), then)));
    }
    let sources = path.extension().is_some_and(|end| end == "list" || end == "sources");
    let local = |text: &str| ["file:", "copy:", "cdrom:"].iter().any(|scheme| text.contains(scheme));
    !sources || std::fs::read_to_string(path).is_ok_and(|text| !local(&text))
}
