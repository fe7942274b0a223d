//! Public keys as `OpenPGP` writes them (RFC 9580), binary or armored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A public key with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Upper-case hexadecimal.
    pub fingerprint: String,
    /// The long numbers of it and its subkeys, 16 hexadecimal digits each; those whose time is over are left out.
    pub ids: Vec<String>,
    /// Its packets.
    pub bytes: Vec<u8>,
}

impl Key {
    /// Whether `id` is its number or that of one of its subkeys, however short.
    pub fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known.ends_with(id))
    }
}

/// What the first line of an armored key says.
const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// And the last.
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// One packet: its tag, all its bytes and its body.
struct Packet<'a> {
    tag: u8,
    whole: &'a [u8],
    body: &'a [u8],
}

/// Reads the keys of a file, binary or armored. `now`: seconds since 1970.
///
/// # Errors
///
/// Why it holds none.
pub fn keys(bytes: &[u8], now: u64) -> Result<Vec<Key>, String> {
    let plain = plain(bytes)?;
    if plain.get(8..12) == Some(b"KBXf") {
        return Err("it is a GnuPG keybox, which apt cannot read either".to_owned());
    }
    let mut keys: Vec<Key> = vec![];
    let mut part: Option<Part> = None;
    for packet in packets(&plain)? {
        match packet.tag {
            6 | 14 => {
                finish(&mut keys, part.take(), now);
                let (fingerprint, id) = number(&packet).ok_or("a key is of a version that is not known")?;
                if packet.tag == 6 {
                    keys.push(Key { fingerprint, ids: vec![], bytes: vec![] });
                }
                part = Some(Part { id, made: u64::from(be32(packet.body, 1)), ends: None });
            }
            2 => part.iter_mut().for_each(|part| part.signed(packet.body)),
            // What GnuPG notes about trust is its own affair.
            12 => continue,
            _ => {}
        }
        keys.last_mut().ok_or("it does not begin with a public key")?.bytes.extend(packet.whole);
    }
    finish(&mut keys, part, now);
    if keys.is_empty() { Err("there is no public key in it".to_owned()) } else { Ok(keys) }
}

/// A key or subkey while its signatures are read.
struct Part {
    id: String,
    made: u64,
    /// When the newest signature was made, and for how many seconds it lets the key be good; zero: for ever.
    ends: Option<(u32, u32)>,
}

impl Part {
    /// Notes what a signature of the owner says about the key's life.
    fn signed(&mut self, body: &[u8]) {
        let binds = matches!(body.get(1), Some(0x10..=0x13 | 0x18 | 0x1f));
        if body.first() != Some(&4) || !binds {
            return;
        }
        let hashed = usize::from(be16(body, 4));
        let Some(mut rest) = body.get(6..6 + hashed) else { return };
        let (mut signed, mut life) = (0, None);
        while let Some((kind, value, next)) = subpacket(rest) {
            match kind & 0x7f {
                2 => signed = be32(value, 0),
                9 => life = Some(be32(value, 0)),
                _ => {}
            }
            rest = next;
        }
        let newer = self.ends.is_none_or(|(before, _)| before <= signed);
        if newer {
            self.ends = Some((signed, life.unwrap_or(0)));
        }
    }
}

fn finish(keys: &mut [Key], part: Option<Part>, now: u64) {
    let (Some(key), Some(part)) = (keys.last_mut(), part) else { return };
    let over = part.ends.is_some_and(|(_, life)| life != 0 && part.made + u64::from(life) < now);
    if !over {
        key.ids.push(part.id);
    }
}

fn subpacket(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, rest) = match *bytes.first()? {
        short @ 0..192 => (usize::from(short), &bytes[1..]),
        first @ 192..255 => (((usize::from(first) - 192) << 8) + usize::from(*bytes.get(1)?) + 192, &bytes[2..]),
        255 => (be32(bytes, 1) as usize, bytes.get(5..)?),
    };
    let (packet, rest) = rest.split_at_checked(length)?;
    let (kind, value) = packet.split_first()?;
    Some((*kind, value, rest))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |it| u16::from_be_bytes([it[0], it[1]]))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]))
}

/// Fingerprint and long number of a key.
fn number(packet: &Packet) -> Option<(String, String)> {
    let body = packet.body;
    let length = u32::try_from(body.len()).ok()?;
    match body.first()? {
        4 => {
            let head = [&[0x99][..], &u16::try_from(length).ok()?.to_be_bytes()].concat();
            let fingerprint = hex::encode_upper(Sha1::new().chain_update(head).chain_update(body).finalize());
            let id = fingerprint[24..].to_owned();
            Some((fingerprint, id))
        }
        version @ (5 | 6) => {
            let mark = if *version == 5 { 0x9a } else { 0x9b };
            let head = [&[mark][..], &length.to_be_bytes()].concat();
            let fingerprint = hex::encode_upper(Sha256::new().chain_update(head).chain_update(body).finalize());
            let id = fingerprint[..16].to_owned();
            Some((fingerprint, id))
        }
        _ => None,
    }
}

fn packets(mut bytes: &[u8]) -> Result<Vec<Packet<'_>>, String> {
    let mut packets = vec![];
    while !bytes.is_empty() {
        let packet = packet(bytes).ok_or("it is no OpenPGP key")?;
        bytes = &bytes[packet.whole.len()..];
        packets.push(packet);
    }
    Ok(packets)
}

fn packet(bytes: &[u8]) -> Option<Packet<'_>> {
    let first = *bytes.first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let (tag, head, length) = if first & 0x40 != 0 {
        let (head, length) = match *bytes.get(1)? {
            short @ 0..192 => (2, usize::from(short)),
            long @ 192..224 => (3, ((usize::from(long) - 192) << 8) + usize::from(*bytes.get(2)?) + 192),
            255 => (6, be32(bytes, 2) as usize),
            // Parts of which nobody knows how many come are for messages, not for keys.
            224..255 => return None,
        };
        (first & 0x3f, head, length)
    } else {
        let (head, length) = match first & 3 {
            0 => (2, usize::from(*bytes.get(1)?)),
            1 => (3, usize::from(be16(bytes, 1))),
            2 => (5, be32(bytes, 1) as usize),
            _ => return None,
        };
        ((first >> 2) & 0xf, head, length)
    };
    let whole = bytes.get(..usize::checked_add(head, length)?)?;
    Some(Packet { tag, whole, body: &whole[head..] })
}

/// Takes the armor off, if there is any; several blocks are put together.
fn plain(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(BEGIN) {
        return Ok(bytes.to_vec());
    }
    let mut plain = vec![];
    for block in text.split(BEGIN).skip(1) {
        let (inside, _) = block.split_once(END).ok_or("the armored key has no end")?;
        let lines = inside.lines().map(str::trim);
        let headed = inside.lines().skip(1).take_while(|line| !line.trim().is_empty()).any(|line| line.contains(": "));
        let lines: Vec<&str> =
            if headed { lines.skip(1).skip_while(|line| !line.is_empty()).collect() } else { lines.collect() };
        let body: String = lines.into_iter().filter(|line| !line.starts_with('=')).collect();
        plain.extend(STANDARD.decode(body).map_err(|_| "the armored key is damaged")?);
    }
    Ok(plain)
}

/// Puts armor on.
pub fn armored(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines = text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    format!("{BEGIN}\n\n{}{END}\n", lines.collect::<String>())
}
