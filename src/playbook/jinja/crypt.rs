//! Password hashes as `crypt(3)` makes them: `$5$` and `$6$`. Source: Ulrich Drepper, "Unix crypt using SHA-256 and
//! SHA-512".

use sha2::{Digest, Sha256, Sha512};

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
}

impl Method {
    /// Finds a method by the names that Ansible has for it.
    ///
    /// # Errors
    ///
    /// There is none of that name here.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "sha512" | "sha512_crypt" => Ok(Self::Sha512),
            "sha256" | "sha256_crypt" => Ok(Self::Sha256),
            other => Err(format!("knows `sha512` and `sha256`, not `{other}`")),
        }
    }

    /// The length of a salt that is made up.
    pub fn salt_length(self) -> usize {
        16
    }

    /// The rounds that Ansible uses where none are given: those of passlib.
    pub fn rounds(self) -> u32 {
        match self {
            Self::Sha256 => 535_000,
            Self::Sha512 => 656_000,
        }
    }
}

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a salt.
pub fn random_salt(length: usize) -> String {
    (0..length).map(|_| char::from(ALPHABET[rand::random_range(0..64)])).collect()
}

/// Hashes `password`, e.g. to `$6$rounds=656000$salt$…`. 5000 rounds, the default of crypt, are not written.
pub fn hash(method: Method, password: &str, salt: &str, rounds: u32) -> String {
    let (id, encoded) = match method {
        Method::Sha256 => ('5', encode_256(&raw::<Sha256>(password.as_bytes(), salt.as_bytes(), rounds))),
        Method::Sha512 => ('6', encode_512(&raw::<Sha512>(password.as_bytes(), salt.as_bytes(), rounds))),
    };
    let written = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    format!("${id}${written}{salt}${encoded}")
}

#[expect(clippy::many_single_char_names, reason = "the names of the specification")]
fn raw<D: Digest>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let size = <D as Digest>::output_size();
    let stretch = |block: &[u8], length: usize| block.iter().copied().cycle().take(length).collect::<Vec<u8>>();
    let b = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut a = D::new().chain_update(password).chain_update(salt).chain_update(stretch(&b, password.len()));
    let mut length = password.len();
    while length > 0 {
        a.update(if length & 1 == 1 { &b[..] } else { password });
        length >>= 1;
    }
    let mut digest = a.finalize().to_vec();
    let mut p = D::new();
    for _ in 0..password.len() {
        p.update(password);
    }
    let p = stretch(&p.finalize(), password.len());
    let mut s = D::new();
    for _ in 0..16 + usize::from(digest[0]) {
        s.update(salt);
    }
    let s = stretch(&s.finalize()[..size], salt.len());
    for round in 0..rounds {
        let mut c = D::new();
        c.update(if round & 1 == 1 { &p } else { &digest });
        if round % 3 != 0 {
            c.update(&s);
        }
        if round % 7 != 0 {
            c.update(&p);
        }
        c.update(if round & 1 == 1 { &digest } else { &p });
        digest = c.finalize().to_vec();
    }
    digest
}

/// Writes three bytes as `count` characters, least significant bits first.
fn group(out: &mut String, bytes: [u8; 3], count: usize) {
    let mut word = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    for _ in 0..count {
        out.push(char::from(ALPHABET[(word & 63) as usize]));
        word >>= 6;
    }
}

fn encode_256(digest: &[u8]) -> String {
    let mut out = String::new();
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        group(&mut out, [digest[a], digest[b], digest[c]], 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    group(&mut out, [0, digest[31], digest[30]], 3);
    out
}

fn encode_512(digest: &[u8]) -> String {
    let mut out = String::new();
    let (mut a, mut b, mut c) = (0, 21, 42);
    for _ in 0..21 {
        group(&mut out, [digest[a], digest[b], digest[c]], 4);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    group(&mut out, [0, 0, digest[63]], 2);
    out
}
