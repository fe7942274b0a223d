//! What an archive or a compressed file holds, to be compared.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::archive::walk;
use crate::archive::walk::{Format, format};

/// The names in an archive and a sum of what it says of each; of a compressed file a sum of its content.
pub(super) fn of(path: &Path) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    let listed = walk(path, &mut |member, _| {
        found.insert((member.path.trim_end_matches('/').to_owned(), member.sum));
        Ok(())
    });
    if listed.is_ok() && !found.is_empty() {
        return found;
    }
    plain(path).map(|sum| BTreeSet::from([(String::new(), sum)])).unwrap_or_default()
}

fn plain(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let Ok(Format::Tar(compression)) = format(&mut file) else { return Err(io::ErrorKind::InvalidData.into()) };
    let mut content = compression.decoder(file)?;
    let mut crc = flate2::Crc::new();
    let mut piece = vec![0; 128 << 10];
    loop {
        match content.read(&mut piece)? {
            0 => return Ok(u64::from(crc.sum())),
            length => crc.update(&piece[..length]),
        }
    }
}
