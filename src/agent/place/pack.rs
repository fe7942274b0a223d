//! The binary's digest and its compressed copy, kept in this account's cache: both take longer than a warm start.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// What is known of a binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// SHA-256 in lower-case hexadecimal.
    pub(super) digest: String,
}

/// The digest of the file at `path`, remembered as long as the file is the same one.
pub(super) fn digest(path: &Path) -> io::Result<Packed> {
    let about = fs::metadata(path)?;
    let identity =
        format!("{:x}-{:x}-{:x}-{:x}-{:x}", about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec());
    let note = cache().map(|cache| cache.join(format!("digest-{identity}")));
    let known = note.as_ref().and_then(|note| fs::read_to_string(note).ok());
    if let Some(digest) = known.filter(|digest| digest.len() == 64 && digest.bytes().all(|it| it.is_ascii_hexdigit())) {
        return Ok(Packed { digest });
    }
    let mut sum = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => sum.update(&piece[..read]),
        }
    }
    let digest = hex::encode(sum.finalize());
    // The cache only saves time: without it everything still works.
    if let Some(note) = note {
        let _ = keep(&note, digest.as_bytes());
    }
    Ok(Packed { digest })
}

/// The file at `path`, compressed as gzip does at its best.
pub(super) fn compressed(path: &Path, digest: &str) -> io::Result<Vec<u8>> {
    let copy = cache().map(|cache| cache.join(format!("{digest}.gz")));
    if let Some(bytes) = copy.as_ref().and_then(|copy| fs::read(copy).ok()) {
        return Ok(bytes);
    }
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    let bytes = encoder.finish()?;
    if let Some(copy) = copy {
        forget_others(&copy);
        let _ = keep(&copy, &bytes);
    }
    Ok(bytes)
}

/// Removes the copies of other binaries: of one program, one version is in use at a time.
fn forget_others(copy: &Path) {
    let entries = copy.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "gz")) {
        if path != copy {
            let _ = fs::remove_file(path);
        }
    }
}

fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(caches.join("ryo/agent"))
}

fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let beside = folder.join(format!(".{:016x}", rand::random::<u64>()));
    let kept = File::create_new(&beside).and_then(|mut file| file.write_all(bytes));
    kept.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
