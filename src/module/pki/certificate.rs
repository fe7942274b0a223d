//! Certificates: made of requests, read, and how long they are good for.

use std::time::Duration;

use der::asn1::{BitString, GeneralizedTime, Int, Uint, UtcTime};
use der::{Decode as _, Encode as _, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::module::pki::key::{Digest, PrivateKey};
use crate::module::pki::request::{Request, Signed};
use crate::module::pki::{pem, unwritten};
use crate::module::{Failed, clock};

/// What is signed in a certificate. Older ones break rules that newer ones keep: little is asked of them here.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Body {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "first")]
    version: u8,
    serial: Int,
    algorithm: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    public: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer_number: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    subject_number: Option<BitString>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

fn first() -> u8 {
    0
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Validity {
    from: Time,
    until: Time,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose.
    pub subject: Name,
    /// Who signed it.
    pub issuer: Name,
    /// The public key.
    pub public: Vec<u8>,
    /// What else it says.
    pub extensions: Vec<Extension>,
    /// When it begins to be good, in seconds since 1970.
    pub from: u64,
    /// When it ends.
    pub until: u64,
    /// Its number, big end first.
    pub serial: Vec<u8>,
    signed: Signed,
}

/// What a new certificate says beside what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who signs it.
    pub issuer: Name,
    /// When it begins to be good, in seconds since 1970.
    pub from: u64,
    /// When it ends.
    pub until: u64,
    /// What it says.
    pub extensions: Vec<Extension>,
    /// What is signed.
    pub digest: Digest,
}

/// Reads the first certificate of a file.
pub fn read(bytes: &[u8]) -> Option<Certificate> {
    let blocks = pem::read(bytes);
    let labels = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
    let block = blocks.iter().find(|block| labels.contains(&block.label.as_str()))?;
    of_der(&block.bytes)
}

fn of_der(bytes: &[u8]) -> Option<Certificate> {
    let signed = Signed::from_der(bytes).ok()?;
    let body = Body::from_der(&signed.body.to_der().ok()?).ok()?;
    Some(Certificate {
        subject: body.subject,
        issuer: body.issuer,
        public: body.public.to_der().ok()?,
        extensions: body.extensions.unwrap_or_default(),
        from: body.validity.from.to_unix_duration().as_secs(),
        until: body.validity.until.to_unix_duration().as_secs(),
        serial: body.serial.as_bytes().to_vec(),
        signed,
    })
}

impl Certificate {
    /// Whether the owner of `public` signed it.
    pub fn is_of(&self, public: &[u8]) -> bool {
        self.signed.is_of(public)
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// None in truth.
    pub fn written(&self) -> Result<String, Failed> {
        Ok(pem::written("CERTIFICATE", &self.signed.to_der().map_err(unwritten)?))
    }

    /// Its number as people write it.
    pub fn number(&self) -> String {
        let mut digits = vec![0_u8];
        for byte in &self.serial {
            let mut carry = u32::from(*byte);
            for digit in &mut digits {
                carry += u32::from(*digit) << 8;
                *digit = u8::try_from(carry % 10).unwrap_or(0);
                carry /= 10;
            }
            while carry > 0 {
                digits.push(u8::try_from(carry % 10).unwrap_or(0));
                carry /= 10;
            }
        }
        digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
    }
}

/// Makes the certificate that `request` asks for, signed with `key`.
///
/// # Errors
///
/// [`Failed`]: the key cannot sign, or a time cannot be written.
pub fn made(request: &Request, terms: Terms, key: &PrivateKey) -> Result<Certificate, Failed> {
    let mut number = rand::random::<[u8; 20]>();
    number[0] &= 0x7f;
    let body = Body {
        version: 2,
        serial: Int::from(Uint::new(&number).map_err(unwritten)?),
        algorithm: key.sign(&[], terms.digest)?.0,
        issuer: terms.issuer,
        validity: Validity { from: time(terms.from)?, until: time(terms.until)? },
        subject: request.subject.clone(),
        public: SubjectPublicKeyInfoOwned::from_der(&request.public).map_err(unwritten)?,
        issuer_number: None,
        subject_number: None,
        extensions: Some(terms.extensions).filter(|all| !all.is_empty()),
    };
    let signed = Signed::new(&body.to_der().map_err(unwritten)?, key, terms.digest)?;
    let bytes = signed.to_der().map_err(unwritten)?;
    of_der(&bytes).ok_or_else(|| Failed::new("the certificate cannot be read again"))
}

/// Years before 2050 are written with two digits.
fn time(seconds: u64) -> Result<Time, Failed> {
    let since = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since) {
        Ok(time) => Ok(Time::UtcTime(time)),
        Err(_) => GeneralizedTime::from_unix_duration(since).map(Time::GeneralTime).map_err(unwritten),
    }
}

/// Reads a point in time: `+10d`, `-1w2h`, or `20300101120000Z`.
///
/// # Errors
///
/// [`Failed`]: it is none.
pub fn point(text: &str, name: &str, now: u64) -> Result<u64, Failed> {
    let wrong = || Failed::new(format!("The time spec \"{text}\" for {name} is invalid"));
    let absolute = || {
        let formats = ["%Y%m%d%H%M%SZ", "%Y%m%d%H%MZ"];
        formats.iter().find_map(|format| clock::read(text, format)).and_then(|seconds| u64::try_from(seconds).ok())
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => span(rest).and_then(|span| now.checked_add(span)).ok_or_else(wrong),
        (_, Some(rest)) => span(rest).and_then(|span| now.checked_sub(span)).ok_or_else(wrong),
        _ => absolute().ok_or_else(wrong),
    }
}

/// Seconds of `1w2d3h4m5s`, in this order, each once.
fn span(text: &str) -> Option<u64> {
    let mut units = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)].into_iter();
    let (mut rest, mut whole) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest[..digits].parse::<u64>().ok()?;
        let unit = rest[digits..].chars().next().unwrap_or('s').to_ascii_lowercase();
        let (_, seconds) = units.by_ref().find(|(letter, _)| *letter == unit)?;
        whole = whole.checked_add(number.checked_mul(seconds)?)?;
        rest = rest[digits..].get(1..).unwrap_or_default();
    }
    (!text.is_empty()).then_some(whole)
}
