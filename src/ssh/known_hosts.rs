//! `known_hosts` files: what they say about a host's key. Pure; the format is that of `sshd(8)`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use russh::keys::{Algorithm, PublicKey, parse_public_key_base64};
use sha1::{Digest as _, Sha1};

use crate::ssh::host_key;

/// The port that is not written in front of a key.
const STANDARD_PORT: u16 = 22;

/// A line that names a host and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    revoked: bool,
    patterns: String,
    key: PublicKey,
    /// The file.
    pub file: PathBuf,
    /// Line in it, from 1.
    pub line: usize,
}

/// What the files say about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is the host's.
    Known,
    /// They know nothing of the host.
    Unknown,
    /// The host has another one.
    Changed(&'a Entry),
    /// It must not be used any more.
    Revoked(&'a Entry),
}

/// Reads the lines of `text`. What is no entry, or names an authority, says nothing about a host's key and is passed
/// over, as `OpenSSH` does.
pub fn parse(file: &Path, text: &str) -> Vec<Entry> {
    (1..).zip(text.lines()).filter_map(|(line, content)| entry(file, line, content)).collect()
}

fn entry(file: &Path, line: usize, content: &str) -> Option<Entry> {
    let mut words = content.split_ascii_whitespace().peekable();
    let marker = words.next_if(|word| word.starts_with('@'));
    if content.trim_start().starts_with('#') || marker.is_some_and(|marker| marker != "@revoked") {
        return None;
    }
    let (patterns, _algorithm, key) = (words.next()?, words.next()?, words.next()?);
    let key = parse_public_key_base64(key).ok()?;
    Some(Entry { revoked: marker.is_some(), patterns: patterns.to_owned(), key, file: file.to_owned(), line })
}

/// Judges the key that `host` shows.
///
/// A host that is known by a key of another kind only is judged changed: who can choose the kind of key must not be able
/// to pass for a new host. A key that is known for the host without a port counts for each of its ports.
pub fn judge<'a>(entries: &'a [Entry], host: &str, port: u16, key: &PublicKey) -> Verdict<'a> {
    let same = |entry: &&Entry| entry.key.key_data() == key.key_data();
    let (revoked, known): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().filter(|entry| names(entry, host, port)).partition(|entry| entry.revoked);
    if let Some(entry) = revoked.into_iter().find(same) {
        return Verdict::Revoked(entry);
    }
    if known.iter().any(same) {
        return Verdict::Known;
    }
    let kind = |entry: &&&Entry| entry.key.algorithm() == key.algorithm();
    match known.iter().find(kind).or(known.first()) {
        Some(entry) => Verdict::Changed(entry),
        None if port == STANDARD_PORT => Verdict::Unknown,
        None => match judge(entries, host, STANDARD_PORT, key) {
            Verdict::Changed(_) => Verdict::Unknown,
            verdict => verdict,
        },
    }
}

/// Returns the kinds of the keys by which `host` is known: a server is asked for these first.
pub fn kinds(entries: &[Entry], host: &str, port: u16) -> Vec<Algorithm> {
    entries.iter().filter(|entry| !entry.revoked && names(entry, host, port)).map(|it| it.key.algorithm()).collect()
}

/// Returns `host` as it is written in front of its key.
pub fn written(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if port == STANDARD_PORT { host } else { format!("[{host}]:{port}") }
}

/// Returns the line that remembers `key`, with its newline.
pub fn line(host: &str, port: u16, key: &PublicKey) -> Option<String> {
    let key = PublicKey::new(key.key_data().clone(), "").to_openssh().ok()?;
    Some(format!("{} {}\n", written(host, port), key.trim_end()))
}

/// Returns `text` without the lines by which `host` alone has another key than that of `fingerprint`, e.g.
/// `ssh-ed25519 SHA256:…`; nothing if there are none. What is revoked stays so.
pub fn without(text: &str, host: &str, port: u16, fingerprint: &str) -> Option<String> {
    let written = written(host, port);
    let goes = |line: &&str| {
        let other = |it: Entry| !it.revoked && it.patterns == written && host_key::fingerprint(&it.key) != fingerprint;
        entry(Path::new(""), 1, line).is_some_and(other)
    };
    let kept: String = text.split_inclusive('\n').filter(|line| !goes(line)).collect();
    (kept != text).then_some(kept)
}

fn names(entry: &Entry, host: &str, port: u16) -> bool {
    let host = written(host, port);
    let mut named = false;
    for pattern in entry.patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(excluded) if matches(&excluded.to_lowercase(), &host) => return false,
            Some(_) => {}
            None if pattern.starts_with('|') => named |= hashed(pattern, &host).unwrap_or(false),
            None => named |= matches(&pattern.to_lowercase(), &host),
        }
    }
    named
}

/// Whether `|1|salt|digest` is that of `host`.
fn hashed(pattern: &str, host: &str) -> Option<bool> {
    let (salt, digest) = pattern.strip_prefix("|1|")?.split_once('|')?;
    let (salt, digest) = (BASE64_STANDARD.decode(salt).ok()?, BASE64_STANDARD.decode(digest).ok()?);
    Some(hmac_sha1(&salt, host.as_bytes()) == digest)
}

/// HMAC of RFC 2104 with SHA-1.
fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    let digested = Sha1::digest(key);
    let short = if key.len() > 64 { digested.as_slice() } else { key };
    let padded = |pad: u8| -> Vec<u8> { (0..64).map(|at| short.get(at).copied().unwrap_or(0) ^ pad).collect() };
    let inner = Sha1::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters and `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut retry) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after, from)) => {
                    (p, t) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}
