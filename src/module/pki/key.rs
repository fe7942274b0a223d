//! Private keys: made, read, written; what they sign, and whether what is signed is theirs.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
};
use der::asn1::{Any, ObjectIdentifier};
use der::{Decode as _, Encode as _};
use pkcs8::PrivateKeyInfoRef;
use sec1::{EcParameters, EcPrivateKey};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Digest as _;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};

use crate::module::Failed;
use crate::module::pki::{locked, pem, unwritten};
use crate::secret::Secret;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSA of so many bits.
    Rsa(usize),
    /// On a curve.
    Ecc(Curve),
    /// Ed25519.
    Ed25519,
}

/// An elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Curve {
    /// `secp256r1`
    #[serde(rename = "secp256r1")]
    P256,
    /// `secp384r1`
    #[serde(rename = "secp384r1")]
    P384,
    /// `secp521r1`
    #[serde(rename = "secp521r1")]
    P521,
    /// `secp256k1`
    #[serde(rename = "secp256k1")]
    K256,
}

impl Curve {
    const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::K256];

    fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::P256 => "1.2.840.10045.3.1.7",
            Self::P384 => "1.3.132.0.34",
            Self::P521 => "1.3.132.0.35",
            Self::K256 => "1.3.132.0.10",
        })
    }

    fn of(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid)
    }

    /// The digest that goes with the curve. Others are made of it only for the longest.
    fn signing(self, digest: Digest) -> (&'static EcdsaSigningAlgorithm, Digest) {
        match (self, digest) {
            (Self::P256, _) => (&signature::ECDSA_P256_SHA256_ASN1_SIGNING, Digest::Sha256),
            (Self::K256, _) => (&signature::ECDSA_P256K1_SHA256_ASN1_SIGNING, Digest::Sha256),
            (Self::P384, _) => (&signature::ECDSA_P384_SHA384_ASN1_SIGNING, Digest::Sha384),
            (Self::P521, Digest::Sha256) => (&signature::ECDSA_P521_SHA256_ASN1_SIGNING, Digest::Sha256),
            (Self::P521, Digest::Sha384) => (&signature::ECDSA_P521_SHA384_ASN1_SIGNING, Digest::Sha384),
            (Self::P521, Digest::Sha512) => (&signature::ECDSA_P521_SHA512_ASN1_SIGNING, Digest::Sha512),
        }
    }
}

/// The digest that is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// SHA-256
    #[default]
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// How a private key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Each kind in its own way, e.g. `RSA PRIVATE KEY`.
    Traditional,
    /// All kinds in one way: `PRIVATE KEY`.
    Pkcs8,
}

/// Why a private key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A passphrase is given and not needed, or the other way round.
    Unasked,
    /// The passphrase is wrong, or it is no key.
    Broken,
}

impl From<Unreadable> for Failed {
    fn from(unreadable: Unreadable) -> Self {
        Self::new(match unreadable {
            Unreadable::Unasked => "Wrong or empty passphrase provided for private key",
            Unreadable::Broken => "Wrong passphrase provided for private key",
        })
    }
}

/// A private key.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// What it is.
    pub kind: Kind,
    /// Its public half, as certificates carry it.
    pub public: Vec<u8>,
    inner: Vec<u8>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Makes a new one.
///
/// # Errors
///
/// [`Failed`]: RSA of a size that cannot be made.
pub fn generate(kind: Kind) -> Result<PrivateKey, Failed> {
    let refused = |_| Failed::new("a private key cannot be made");
    match kind {
        Kind::Rsa(bits) => {
            let size = size(bits).ok_or_else(|| Failed::new(format!("RSA keys of {bits} bits cannot be made")))?;
            of_rsa(&RsaKeyPair::generate(size).map_err(refused)?).ok_or_else(|| refused(aws_lc_rs::error::Unspecified))
        }
        Kind::Ecc(curve) => {
            let pair = EcdsaKeyPair::generate(curve.signing(Digest::default()).0).map_err(refused)?;
            of_curve(curve, &pair).ok_or_else(|| refused(aws_lc_rs::error::Unspecified))
        }
        Kind::Ed25519 => {
            let pair = Ed25519KeyPair::generate().map_err(refused)?;
            of_ed25519(&pair).ok_or_else(|| refused(aws_lc_rs::error::Unspecified))
        }
    }
}

/// The sizes of RSA keys that can be made.
pub fn size(bits: usize) -> Option<KeySize> {
    let sizes = [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096, KeySize::Rsa8192];
    sizes.into_iter().find(|size| size.len() * 8 == bits)
}

fn of_rsa(pair: &RsaKeyPair) -> Option<PrivateKey> {
    let inner: Pkcs8V1Der = pair.as_der().ok()?;
    let public: PublicKeyX509Der = pair.public_key().as_der().ok()?;
    let kind = Kind::Rsa(pair.public_modulus_len() * 8);
    Some(PrivateKey { kind, public: public.as_ref().to_vec(), inner: inner.as_ref().to_vec() })
}

fn of_curve(curve: Curve, pair: &EcdsaKeyPair) -> Option<PrivateKey> {
    let public: PublicKeyX509Der = pair.public_key().as_der().ok()?;
    let inner = pair.to_pkcs8v1().ok()?.as_ref().to_vec();
    Some(PrivateKey { kind: Kind::Ecc(curve), public: public.as_ref().to_vec(), inner })
}

fn of_ed25519(pair: &Ed25519KeyPair) -> Option<PrivateKey> {
    let public: PublicKeyX509Der = pair.public_key().as_der().ok()?;
    let inner = pair.to_pkcs8v1().ok()?.as_ref().to_vec();
    Some(PrivateKey { kind: Kind::Ed25519, public: public.as_ref().to_vec(), inner })
}

/// How a private key's file is written, or nothing if it is none.
pub fn format(bytes: &[u8]) -> Option<Format> {
    let blocks = pem::read(bytes);
    let label = &blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"))?.label;
    Some(if label == "PRIVATE KEY" || label == "ENCRYPTED PRIVATE KEY" { Format::Pkcs8 } else { Format::Traditional })
}

/// Reads a private key.
///
/// # Errors
///
/// [`Unreadable`].
pub fn load(bytes: &[u8], passphrase: Option<&Secret>) -> Result<PrivateKey, Unreadable> {
    let blocks = pem::read(bytes);
    let block = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")).ok_or(Unreadable::Broken)?;
    let locked = block.label == "ENCRYPTED PRIVATE KEY" || locked::is_traditional(block);
    let opened = match (locked, passphrase) {
        (false, None) => Some(block.bytes.clone()),
        (true, Some(passphrase)) if block.label == "ENCRYPTED PRIVATE KEY" => {
            locked::open_pkcs8(&block.bytes, passphrase)
        }
        (true, Some(passphrase)) => locked::open_traditional(block, passphrase),
        _ => return Err(Unreadable::Unasked),
    };
    let bytes = opened.ok_or(Unreadable::Broken)?;
    let key = match block.label.as_str() {
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&bytes).ok().and_then(|pair| of_rsa(&pair)),
        "EC PRIVATE KEY" => traditional_curve(&bytes),
        _ => pkcs8_key(&bytes),
    };
    key.ok_or(Unreadable::Broken)
}

fn traditional_curve(bytes: &[u8]) -> Option<PrivateKey> {
    let told = EcPrivateKey::from_der(bytes).ok()?.parameters.and_then(sec1::EcParameters::named_curve);
    let curves = Curve::ALL.into_iter().filter(|curve| told.is_none_or(|told| told == curve.oid()));
    curves.into_iter().find_map(|curve| {
        let algorithm = curve.signing(Digest::default()).0;
        of_curve(curve, &EcdsaKeyPair::from_private_key_der(algorithm, bytes).ok()?)
    })
}

fn pkcs8_key(bytes: &[u8]) -> Option<PrivateKey> {
    let about = PrivateKeyInfoRef::from_der(bytes).ok()?.algorithm;
    match about.oid {
        RSA => of_rsa(&RsaKeyPair::from_pkcs8(bytes).ok()?),
        CURVE => {
            let curve = Curve::of(about.parameters_oid().ok()?)?;
            of_curve(curve, &EcdsaKeyPair::from_pkcs8(curve.signing(Digest::default()).0, bytes).ok()?)
        }
        ED25519 => of_ed25519(&Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).ok()?),
        _ => None,
    }
}

impl PrivateKey {
    /// Its PKCS #8 structure.
    pub fn inner(&self) -> &[u8] {
        &self.inner
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// [`Failed`]: there is no such way for this kind of key.
    pub fn written(&self, format: Format, passphrase: Option<&Secret>) -> Result<String, Failed> {
        let unwritten = || Failed::new("the private key cannot be written so");
        if format == Format::Pkcs8 {
            return match passphrase {
                Some(passphrase) => locked::pkcs8(&self.inner, passphrase).ok_or_else(unwritten),
                None => Ok(pem::written("PRIVATE KEY", &self.inner)),
            };
        }
        let about = PrivateKeyInfoRef::from_der(&self.inner).map_err(|_| unwritten())?;
        let key = about.private_key.as_bytes();
        let (label, bytes) = match self.kind {
            Kind::Rsa(_) => ("RSA PRIVATE KEY", key.to_vec()),
            Kind::Ecc(curve) => {
                let mut key = EcPrivateKey::from_der(key).map_err(|_| unwritten())?;
                key.parameters = Some(EcParameters::NamedCurve(curve.oid()));
                ("EC PRIVATE KEY", key.to_der().map_err(|_| unwritten())?)
            }
            Kind::Ed25519 => return Err(unwritten()),
        };
        match passphrase {
            Some(passphrase) => locked::traditional(label, &bytes, passphrase).ok_or_else(unwritten),
            None => Ok(pem::written(label, &bytes)),
        }
    }

    /// Signs `message`; tells how.
    ///
    /// # Errors
    ///
    /// [`Failed`]: the key is not one that can sign.
    pub fn sign(&self, message: &[u8], digest: Digest) -> Result<(AlgorithmIdentifierOwned, Vec<u8>), Failed> {
        let refused = |_| Failed::new("the private key cannot sign");
        let unread = |_| Failed::new("the private key cannot be read again");
        let random = SystemRandom::new();
        match self.kind {
            Kind::Rsa(_) => {
                let pair = RsaKeyPair::from_pkcs8(&self.inner).map_err(unread)?;
                let (padding, oid) = match digest {
                    Digest::Sha256 => (&signature::RSA_PKCS1_SHA256, "1.2.840.113549.1.1.11"),
                    Digest::Sha384 => (&signature::RSA_PKCS1_SHA384, "1.2.840.113549.1.1.12"),
                    Digest::Sha512 => (&signature::RSA_PKCS1_SHA512, "1.2.840.113549.1.1.13"),
                };
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signed).map_err(refused)?;
                Ok((algorithm(oid, Some(Any::null())), signed))
            }
            Kind::Ecc(curve) => {
                let (way, digest) = curve.signing(digest);
                let pair = EcdsaKeyPair::from_pkcs8(way, &self.inner).map_err(unread)?;
                let signed = pair.sign(&random, message).map_err(refused)?.as_ref().to_vec();
                let oid = match digest {
                    Digest::Sha256 => "1.2.840.10045.4.3.2",
                    Digest::Sha384 => "1.2.840.10045.4.3.3",
                    Digest::Sha512 => "1.2.840.10045.4.3.4",
                };
                Ok((algorithm(oid, None), signed))
            }
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.inner).map_err(unread)?;
                Ok((algorithm("1.3.101.112", None), pair.sign(message).as_ref().to_vec()))
            }
        }
    }

    /// Its public half, as structures carry it.
    ///
    /// # Errors
    ///
    /// [`Failed`], never for a key of ours.
    pub fn public_info(&self) -> Result<SubjectPublicKeyInfoOwned, Failed> {
        SubjectPublicKeyInfoOwned::from_der(&self.public).map_err(unwritten)
    }
}

fn algorithm(oid: &str, parameters: Option<Any>) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters }
}

/// What names a public key in certificates: SHA-1 of its bits.
pub fn identifier(public: &[u8]) -> Vec<u8> {
    let info = SubjectPublicKeyInfoRef::from_der(public).ok();
    info.map(|info| Sha1::digest(info.subject_public_key.raw_bytes()).to_vec()).unwrap_or_default()
}

/// Whether `signed` is the signature of `message` by the owner of `public`.
pub fn verifies(public: &[u8], way: &AlgorithmIdentifierOwned, message: &[u8], signed: &[u8]) -> bool {
    let Ok(info) = SubjectPublicKeyInfoRef::from_der(public) else { return false };
    let curve = info.algorithm.parameters_oid().ok().and_then(Curve::of);
    let Some(verification) = verification(&way.oid.to_string(), curve) else { return false };
    UnparsedPublicKey::new(verification, info.subject_public_key.raw_bytes()).verify(message, signed).is_ok()
}

fn verification(oid: &str, curve: Option<Curve>) -> Option<&'static dyn VerificationAlgorithm> {
    use signature as s;
    Some(match (oid, curve) {
        ("1.2.840.113549.1.1.5", None) => &s::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        ("1.2.840.113549.1.1.11", None) => &s::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        ("1.2.840.113549.1.1.12", None) => &s::RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", None) => &s::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        ("1.3.101.112", None) => &s::ED25519,
        ("1.2.840.10045.4.3.2", Some(Curve::P256)) => &s::ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", Some(Curve::P256)) => &s::ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", Some(Curve::P256)) => &s::ECDSA_P256_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", Some(Curve::P384)) => &s::ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", Some(Curve::P384)) => &s::ECDSA_P384_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", Some(Curve::P384)) => &s::ECDSA_P384_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", Some(Curve::P521)) => &s::ECDSA_P521_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", Some(Curve::P521)) => &s::ECDSA_P521_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", Some(Curve::P521)) => &s::ECDSA_P521_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", Some(Curve::K256)) => &s::ECDSA_P256K1_SHA256_ASN1,
        _ => return None,
    })
}
