//! Package files that are installed as they are.

use std::fs::File;
use std::path::Path;

use crate::module::apt::get::{Apt, failed};
use crate::module::apt::packages;
use crate::module::web::{self, Access, Request};
use crate::module::{Failed, text};

/// Where fetched files are until they are installed.
const FETCHED: &str = "/var/cache/apt/archives";

/// The files to install, fetched if they are elsewhere; those whose package is there are left out.
///
/// - `debs`: paths or addresses, separated by commas.
pub(super) fn wanted(apt: &Apt, debs: &str) -> Result<Vec<String>, Failed> {
    let mut wanted = vec![];
    for deb in debs.split(',').map(str::trim).filter(|deb| !deb.is_empty()) {
        let path = if deb.contains("://") { fetched(apt, deb)? } else { apt.host.system.path(deb) };
        if newer(apt, &path)? {
            wanted.push(path);
        }
    }
    Ok(wanted)
}

/// Fetches under the name that apt itself would give it, so that `apt-get clean` finds it.
fn fetched(apt: &Apt, url: &str) -> Result<String, Failed> {
    let name = url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let name = if name.is_empty() { "package" } else { name.trim_end_matches(".deb") };
    let path = format!("{FETCHED}/{name}.deb");
    let real = apt.host.system.real(&path);
    let told = |error: std::io::Error| Failed::new(format!("cannot write {path}: {error}"));
    std::fs::create_dir_all(real.parent().unwrap_or(Path::new("/"))).map_err(told)?;
    let access = Access::default();
    let mut file = File::create(&real).map_err(told)?;
    let answer = web::ask(&Request::get(url, &access), apt.host, &mut file);
    let why = match answer {
        Ok(answer) if answer.status == 200 => return Ok(path),
        Ok(answer) => answer.message,
        Err(failed) => failed.message,
    };
    let _ = std::fs::remove_file(&real);
    Err(Failed::new(format!("Failure downloading {}, {why}", web::shown(url))))
}

/// Whether what is in the file is not installed yet.
fn newer(apt: &Apt, path: &str) -> Result<bool, Failed> {
    let words = ["dpkg-deb", "-f", path, "Package", "Architecture", "Version"].map(str::to_owned);
    let ran = apt.run(&words)?;
    if ran.status != 0 {
        return Err(failed(&format!("Unable to install package: {}", ran.stderr.trim()), &ran));
    }
    let status = text::read("/var/lib/dpkg/status", apt.host.system)?.unwrap_or_default();
    let known = packages(&String::from_utf8_lossy(&status));
    let inside = packages(&ran.stdout).into_iter().next().unwrap_or_default();
    let Some(there) = known.iter().find(|it| it.name == inside.name && it.installed()) else { return Ok(true) };
    if there.version == inside.version {
        return Ok(false);
    }
    let words = ["dpkg", "--compare-versions", &inside.version, "lt", &there.version].map(str::to_owned);
    let older = apt.run(&words)?.status == 0;
    if older && !apt.arguments.allow_downgrade && !apt.arguments.force {
        return Err(Failed::new("A later version is already installed"));
    }
    Ok(true)
}
