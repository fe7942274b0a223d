//! Git's smart protocol over HTTP, version 0: ask for the references, ask for a pack, hand it to libgit2.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use git2::{Odb, Oid, Repository, Sort};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::runtime::Handle;

use crate::event::{Event, Events};
use crate::git::Error;
use crate::git::packet::{Malformed, Packet, Packets, packet};
use crate::git::remote::{References, shown};

/// Where a server keeps its references.
const REFERENCES: &str = "/info/refs?service=git-upload-pack";
/// Most bytes of a list of references.
const MOST_REFERENCES: usize = 32 << 20;
/// Commits of ours that the server is told of, so that it leaves them out.
const HAVES: usize = 256;
/// Bytes after which a person hears of a download again.
const NEWS: usize = 4 << 20;
/// Who we say we are, in HTTP and in git's own words.
pub const AGENT: &str = concat!("git/ryo-", env!("CARGO_PKG_VERSION"));

/// Returns commits of ours, the newest first.
fn haves(repository: &Repository) -> Vec<Oid> {
    let Ok(mut walk) = repository.revwalk() else { return vec![] };
    // References that name no commit are passed over: what is missing here is only sent again.
    let _ = walk.set_sorting(Sort::TIME);
    let _ = walk.push_glob("refs/*");
    let _ = walk.push_head();
    walk.filter_map(Result::ok).take(HAVES).collect::<BTreeSet<Oid>>().into_iter().collect()
}

/// The commits of ours that we have nothing before.
fn shallow(repository: &Repository) -> Vec<String> {
    let text = std::fs::read_to_string(repository.path().join("shallow")).unwrap_or_default();
    text.lines().filter(|line| Oid::from_str(line).is_ok()).map(str::to_owned).collect()
}

fn request(wants: &BTreeSet<Oid>, shallow: &[String], haves: &[Oid]) -> String {
    let mut abilities = format!(" side-band-64k ofs-delta no-progress agent={AGENT}");
    let mut body = String::new();
    for want in wants {
        // What we can do is said with the first one.
        body.push_str(&packet(&format!("want {want}{}\n", std::mem::take(&mut abilities))));
    }
    body.extend(shallow.iter().map(|commit| packet(&format!("shallow {commit}"))));
    body.push_str("0000");
    body.extend(haves.iter().map(|have| packet(&format!("have {have}\n"))));
    body.push_str(&packet("done\n"));
    body
}

/// Makes what asks where nobody says how it is to be done.
pub(super) fn client(url: &str) -> Result<Client, Error> {
    // There is one provider of cryptography in this program; the first caller puts it in place.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder()
        .user_agent(AGENT)
        .connect_timeout(Duration::from_secs(20))
        .read_timeout(Duration::from_mins(1))
        .build();
    client.map_err(|source| Error::Unreachable { url: shown(url), source: source.into() })
}

/// A server. Called from threads that may block.
pub(super) struct Server {
    /// Without a slash at its end.
    url: String,
    client: Client,
    runtime: Handle,
}

impl Server {
    pub(super) fn new(url: &str, client: Client) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), client, runtime: Handle::current() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for the references. Where it was sent on, the rest is asked there.
    pub(super) fn references(&mut self) -> Result<References, Error> {
        let request = self.client.get(format!("{}{REFERENCES}", self.url));
        let mut response = self.answered(self.runtime.block_on(request.send()))?;
        self.expect(&response, "application/x-git-upload-pack-advertisement")?;
        if let Some(url) = response.url().as_str().strip_suffix(REFERENCES).map(|url| moved(&self.url, url)) {
            self.url = url;
        }
        let mut bytes = vec![];
        while let Some(chunk) = self.chunk(&mut response)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_REFERENCES {
                return Err(self.wrong(format!("its references are longer than {MOST_REFERENCES} bytes")));
            }
        }
        advertised(&bytes).map_err(|reason| self.wrong(reason))
    }

    /// Brings objects and all that they lead to.
    pub(super) fn bring(
        &self,
        repository: &Repository,
        wanted: &[(String, Oid)],
        events: &Events,
    ) -> Result<(), Error> {
        let failed = |source| Error::Git { directory: repository.path().to_owned(), source };
        let wants = wanted.iter().map(|(_, object)| *object).collect();
        let odb = repository.odb().map_err(failed)?;
        self.pack(&request(&wants, &shallow(repository), &haves(repository)), &odb, repository, events)
    }

    /// Asks for a pack and hands it to libgit2, which checks its digest and that of each object.
    fn pack(&self, request: &str, odb: &Odb<'_>, repository: &Repository, events: &Events) -> Result<(), Error> {
        let failed = |source| Error::Git { directory: repository.path().to_owned(), source };
        let request = self
            .client
            .post(format!("{}/git-upload-pack", self.url))
            .header("content-type", "application/x-git-upload-pack-request")
            .body(request.to_owned());
        let mut response = self.answered(self.runtime.block_on(request.send()))?;
        self.expect(&response, "application/x-git-upload-pack-result")?;
        let mut writer = odb.packwriter().map_err(failed)?;
        let (mut packets, mut received, mut told) = (Packets::default(), 0, 0);
        while let Some(chunk) = self.chunk(&mut response)? {
            packets.push(&chunk);
            while let Some(packet) = packets.cut().map_err(|Malformed(at)| self.wrong(format!("`{at}`")))? {
                let Some(bytes) = pack_bytes(&packet).map_err(|reason| self.wrong(reason))? else { continue };
                writer.write_all(&bytes).map_err(|error| self.wrong(error.to_string()))?;
                received += bytes.len();
            }
            if received - told >= NEWS {
                told = received;
                events.emit(Event::Looking { what: format!("`{}`: {} MiB", shown(&self.url), received >> 20) });
            }
        }
        if received == 0 || !packets.is_empty() {
            return Err(self.wrong("the pack is not whole".to_owned()));
        }
        writer.commit().map(|_| ()).map_err(|error| self.wrong(error.message().to_owned()))
    }

    fn answered(&self, outcome: Result<Response, reqwest::Error>) -> Result<Response, Error> {
        let response = outcome.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(Error::Missing { url: shown(&self.url), status: response.status().as_u16() })
            }
            status => Err(self.wrong(format!("status {}", status.as_u16()))),
        }
    }

    fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Error> {
        self.runtime.block_on(response.chunk()).map_err(|error| self.unreachable(&error))
    }

    fn expect(&self, response: &Response, kind: &str) -> Result<(), Error> {
        let given = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("nothing");
        if given == kind { Ok(()) } else { Err(self.wrong(format!("it sends {given}"))) }
    }

    fn wrong(&self, reason: String) -> Error {
        Error::Protocol { url: shown(&self.url), reason }
    }

    /// The library's own text has the whole address in it, so only its cause is kept.
    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut cause = error.source();
        while let Some(deeper) = cause.and_then(std::error::Error::source) {
            cause = Some(deeper);
        }
        let source = cause.map_or_else(|| "the request failed".to_owned(), ToString::to_string);
        Error::Unreachable { url: shown(&self.url), source: source.into() }
    }
}

/// The address that `asked` was sent on to; the same server is still told who asks.
fn moved(asked: &str, to: &str) -> String {
    let (Ok(asked_url), Ok(mut url)) = (Url::parse(asked), Url::parse(to)) else { return asked.to_owned() };
    if asked_url.origin() == url.origin() {
        let _ = url.set_username(asked_url.username());
        let _ = url.set_password(asked_url.password());
    }
    url.as_str().trim_end_matches('/').to_owned()
}

/// Reads a list of references.
fn advertised(bytes: &[u8]) -> Result<References, String> {
    let mut packets = Packets::default();
    packets.push(bytes);
    let mut found = References::default();
    let mut first = true;
    while let Some(packet) = packets.cut().map_err(|Malformed(at)| format!("`{at}`"))? {
        let Packet::Data(line) = packet else { continue };
        if line.starts_with(b"# ") {
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let (reference, abilities) = text.split_once('\0').unwrap_or((text.as_ref(), ""));
        if let Some(reason) = reference.strip_prefix("ERR ") {
            return Err(reason.trim_end().to_owned());
        }
        if first {
            first = false;
            let head = abilities.split_ascii_whitespace().find_map(|word| word.strip_prefix("symref=HEAD:"));
            found.head = head.map(str::to_owned);
        }
        let (commit, name) = reference.trim_end().split_once(' ').ok_or("a line is no reference")?;
        let commit = Oid::from_str(commit).map_err(|_| "a line is no reference")?;
        if !commit.is_zero() {
            found.names.push((name.to_owned(), commit));
        }
    }
    if packets.is_empty() { Ok(found) } else { Err("its references are not whole".to_owned()) }
}

/// Returns the bytes of the pack in a packet of the answer, if it has some.
fn pack_bytes(packet: &Packet) -> Result<Option<Bytes>, String> {
    let Packet::Data(data) = packet else { return Ok(None) };
    match data.first() {
        Some(1) => Ok(Some(data.slice(1..))),
        Some(2) | None => Ok(None),
        Some(3) => Err(String::from_utf8_lossy(&data[1..]).trim_end().to_owned()),
        Some(_) if data.starts_with(b"NAK") || data.starts_with(b"ACK ") => Ok(None),
        Some(_) => Err(String::from_utf8_lossy(data).trim_end().escape_default().to_string()),
    }
}
