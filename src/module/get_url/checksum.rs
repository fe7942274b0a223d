//! The digest that a fetched file must have: written in the task, or in a list of digests on a server.

use crate::module::get_url::{Arguments, web_name};
use crate::module::stat::Algorithm;
use crate::module::web::{self, Request};
use crate::module::{Context, Error, Failed};

/// Most bytes of a list of digests.
const LONGEST: u64 = 4 << 20;

/// Refuses what is neither `ALGORITHM:DIGEST` nor `ALGORITHM:URL`; templates that are not rendered yet pass.
///
/// # Errors
///
/// [`Error::Value`].
pub fn check(written: &str) -> Result<(), Error> {
    let known = written.split_once(':').is_some_and(|(algorithm, _)| algorithm_of(algorithm).is_some());
    if written.is_empty() || known || written.contains("{{") {
        return Ok(());
    }
    Err(Error::Value {
        module: "get_url".to_owned(),
        name: "checksum".to_owned(),
        value: written.to_owned(),
        wanted: "ALGORITHM:DIGEST or ALGORITHM:URL, with md5, sha1, sha224, sha256, sha384 or sha512".to_owned(),
    })
}

fn algorithm_of(name: &str) -> Option<Algorithm> {
    serde_json::from_value(name.into()).ok()
}

/// The algorithm and the digest wanted, fetched from where they are written.
///
/// # Errors
///
/// [`Failed`]: the list cannot be had or does not know the file, or what is there is no digest.
pub(super) fn wanted(arguments: &Arguments, host: &Context) -> Result<Option<(Algorithm, String)>, Failed> {
    let Some((name, rest)) = arguments.checksum.split_once(':') else { return Ok(None) };
    let algorithm = algorithm_of(name).ok_or_else(|| Failed::new(format!("there is no digest `{name}`")))?;
    let written = if is_url(rest) { listed(rest, arguments, host)? } else { rest.to_owned() };
    let digest: String = written.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let digest = digest.to_lowercase();
    if digest.is_empty() || !digest.chars().all(|letter| letter.is_ascii_hexdigit()) {
        return Err(Failed::new("The checksum format is invalid"));
    }
    Ok(Some((algorithm, digest)))
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "file://", "ftp://"].iter().any(|scheme| text.starts_with(scheme))
}

fn listed(url: &str, arguments: &Arguments, host: &Context) -> Result<String, Failed> {
    let mut request = Request::get(url, &arguments.access);
    request.headers = super::lines(&arguments.headers);
    request.most = LONGEST;
    let text = web::fetch(&request, host)?;
    let name = web_name(&arguments.url);
    find(&String::from_utf8_lossy(&text), &name)
        .ok_or_else(|| Failed::new(format!("Unable to find a checksum for file '{name}' in '{url}'")))
}

/// The digest of `name` in a list as `sha256sum` writes it; a list of one word is for any name.
pub fn find(list: &str, name: &str) -> Option<String> {
    let lines = list.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
    if let [line] = lines[..]
        && line.split_whitespace().count() == 1
    {
        return Some(line.trim().to_owned());
    }
    lines.iter().find_map(|line| {
        let (digest, file) = line.split_once(' ')?;
        let file = file.strip_prefix([' ', '*']).unwrap_or(file);
        (file.trim_start_matches(['.', '/']) == name).then(|| digest.to_owned())
    })
}
