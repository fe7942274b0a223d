//! Requests for certificates.

use der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec};
use der::{Decode as _, Encode as _, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::request::{CertReqInfo, Version};

use crate::module::Failed;
use crate::module::pki::key::{self, Digest, PrivateKey};
use crate::module::pki::{name, pem, unwritten};

/// The attribute that carries extensions, and the older one of Microsoft's.
const EXTENSIONS: [&str; 2] = ["1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"];

/// Something with a signature: requests and certificates alike.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct Signed {
    /// What is signed.
    pub body: Any,
    /// How.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The signature.
    pub signature: BitString,
}

impl Signed {
    /// Signs `body`, a structure.
    ///
    /// # Errors
    ///
    /// [`Failed`]: the key cannot.
    pub fn new(body: &[u8], key: &PrivateKey, digest: Digest) -> Result<Self, Failed> {
        let (algorithm, signed) = key.sign(body, digest)?;
        let signature = BitString::from_bytes(&signed).map_err(unwritten)?;
        Ok(Self { body: Any::from_der(body).map_err(unwritten)?, algorithm, signature })
    }

    /// Whether the owner of `public` signed it.
    pub fn is_of(&self, public: &[u8]) -> bool {
        self.body.to_der().is_ok_and(|body| key::verifies(public, &self.algorithm, &body, self.signature.raw_bytes()))
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose.
    pub subject: Name,
    /// The public key.
    pub public: Vec<u8>,
    /// What else it asks for.
    pub extensions: Vec<Extension>,
    /// Whether it is signed with the key that it is for.
    pub valid: bool,
}

/// Reads the first request of a file.
pub fn read(bytes: &[u8]) -> Option<Request> {
    let blocks = pem::read(bytes);
    let block = blocks.iter().find(|block| block.label.ends_with("CERTIFICATE REQUEST"))?;
    let signed = Signed::from_der(&block.bytes).ok()?;
    let body = signed.body.to_der().ok()?;
    let info = CertReqInfo::from_der(&body).ok()?;
    let public = info.public_key.to_der().ok()?;
    let wanted = |attribute: &&Attribute| EXTENSIONS.contains(&attribute.oid.to_string().as_str());
    let values = info.attributes.iter().filter(wanted).flat_map(|attribute| attribute.values.iter());
    let lists = values.map(|value| value.to_der().and_then(|bytes| Vec::<Extension>::from_der(&bytes)).ok());
    let extensions = lists.collect::<Option<Vec<_>>>()?.concat();
    let valid = signed.is_of(&public);
    Some(Request { subject: info.subject, public, extensions, valid })
}

/// Writes a request for a name, signed with its key.
///
/// # Errors
///
/// [`Failed`]: the key cannot sign.
pub fn written(subject: Name, extensions: &[Extension], key: &PrivateKey, digest: Digest) -> Result<String, Failed> {
    let mut attributes: Attributes = SetOfVec::new();
    if !extensions.is_empty() {
        let list = Any::encode_from(&extensions.to_vec()).map_err(unwritten)?;
        let oid = ObjectIdentifier::new_unwrap(EXTENSIONS[0]);
        attributes.insert(Attribute { oid, values: name::set(list)? }).map_err(unwritten)?;
    }
    let info = CertReqInfo { version: Version::V1, subject, public_key: key.public_info()?, attributes };
    let signed = Signed::new(&info.to_der().map_err(unwritten)?, key, digest)?;
    Ok(pem::written("CERTIFICATE REQUEST", &signed.to_der().map_err(unwritten)?))
}
