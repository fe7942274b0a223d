//! PEM: bytes as text between two lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is, e.g. `CERTIFICATE`.
    pub label: String,
    /// Lines above the bytes, as `Name: value`.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Reads every block of `text`; what stands between them is passed over, as are blocks that cannot be read.
pub fn read(text: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim);
    let mut blocks = vec![];
    while let Some(line) = lines.next() {
        let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        let Some(label) = label else { continue };
        let end = format!("-----END {label}-----");
        let body = lines.by_ref().take_while(|line| *line != end).collect::<Vec<_>>();
        let header = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = body.iter().map_while(header).collect::<Vec<_>>();
        let data = body[headers.len()..].concat();
        if let Ok(bytes) = STANDARD.decode(data) {
            blocks.push(Block { label: label.to_owned(), headers, bytes });
        }
    }
    blocks
}

/// Writes one block.
pub fn written(label: &str, bytes: &[u8]) -> String {
    with_headers(label, "", bytes)
}

/// Writes one block with lines of headers above its bytes.
pub fn with_headers(label: &str, headers: &str, bytes: &[u8]) -> String {
    let whole = STANDARD.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n{headers}");
    for (at, letter) in whole.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + &format!("\n-----END {label}-----\n")
}
