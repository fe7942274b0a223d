//! What a certificate says beside its name: whether it is an authority, what its key is for, other names.

use der::asn1::{ObjectIdentifier, OctetString};
use der::flagset::FlagSet;
use der::oid::AssociatedOid as _;
use der::{Decode as _, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    NameConstraints, SubjectAltName, SubjectKeyIdentifier,
};

use crate::module::Failed;
use crate::module::pki::{key, name, unwritten};

/// Whether whoever does not understand it must refuse the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// He must.
    Critical,
    /// He may pass over it.
    Plain,
}

impl From<bool> for Weight {
    fn from(critical: bool) -> Self {
        if critical { Self::Critical } else { Self::Plain }
    }
}

/// The number of the key's name.
pub const SUBJECT_KEY: ObjectIdentifier = SubjectKeyIdentifier::OID;
/// The number of the name of the authority's key.
pub const AUTHORITY_KEY: ObjectIdentifier = AuthorityKeyIdentifier::OID;
/// The number of what asks servers for a proof that the certificate was not called back.
const STAPLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");

/// Those that are compared; others in a request do not matter.
const KNOWN: &[ObjectIdentifier] = &[
    SubjectAltName::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    BasicConstraints::OID,
    STAPLE,
    NameConstraints::OID,
    SUBJECT_KEY,
    AUTHORITY_KEY,
    CrlDistributionPoints::OID,
];

fn extension(oid: ObjectIdentifier, weight: Weight, value: &impl Encode) -> Result<Extension, Failed> {
    let extn_value = value.to_der().and_then(OctetString::new).map_err(unwritten)?;
    Ok(Extension { extn_id: oid, critical: weight == Weight::Critical, extn_value })
}

/// Other names.
///
/// # Errors
///
/// [`Failed`]: one is no name.
pub fn names(names: &[String], weight: Weight) -> Result<Extension, Failed> {
    let names = names.iter().map(|text| name::general(text, "Subject Alternative Name"));
    extension(SubjectAltName::OID, weight, &SubjectAltName(names.collect::<Result<_, _>>()?))
}

/// Uses of a key: bit, name, name in words.
const USES: &[(KeyUsages, &str, &str)] = &[
    (KeyUsages::DigitalSignature, "digitalSignature", "Digital Signature"),
    (KeyUsages::NonRepudiation, "nonRepudiation", "Non Repudiation"),
    (KeyUsages::NonRepudiation, "contentCommitment", "Content Commitment"),
    (KeyUsages::KeyEncipherment, "keyEncipherment", "Key Encipherment"),
    (KeyUsages::DataEncipherment, "dataEncipherment", "Data Encipherment"),
    (KeyUsages::KeyAgreement, "keyAgreement", "Key Agreement"),
    (KeyUsages::KeyCertSign, "keyCertSign", "Certificate Sign"),
    (KeyUsages::CRLSign, "cRLSign", "CRL Sign"),
    (KeyUsages::EncipherOnly, "encipherOnly", "Encipher Only"),
    (KeyUsages::DecipherOnly, "decipherOnly", "Decipher Only"),
];

/// What a key is for.
///
/// # Errors
///
/// [`Failed`]: there is no such use.
pub fn usage(uses: &[String], weight: Weight) -> Result<Extension, Failed> {
    let mut flags = FlagSet::default();
    for wanted in uses {
        let known = USES.iter().find(|(_, name, words)| name == wanted || words == wanted);
        let (flag, ..) = known.ok_or_else(|| Failed::new(format!("Unknown key usage identifier \"{wanted}\"")))?;
        flags |= *flag;
    }
    extension(KeyUsage::OID, weight, &KeyUsage(flags))
}

/// Purposes: number, name, name in words.
const PURPOSES: &[(&str, &str, &str)] = &[
    ("2.5.29.37.0", "anyExtendedKeyUsage", "Any Extended Key Usage"),
    ("1.3.6.1.5.5.7.3.1", "serverAuth", "TLS Web Server Authentication"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth", "TLS Web Client Authentication"),
    ("1.3.6.1.5.5.7.3.3", "codeSigning", "Code Signing"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection", "E-mail Protection"),
    ("1.3.6.1.5.5.7.3.5", "ipsecEndSystem", "IPSec End System"),
    ("1.3.6.1.5.5.7.3.6", "ipsecTunnel", "IPSec Tunnel"),
    ("1.3.6.1.5.5.7.3.7", "ipsecUser", "IPSec User"),
    ("1.3.6.1.5.5.7.3.8", "timeStamping", "Time Stamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning", "OCSP Signing"),
    ("1.3.6.1.5.5.7.3.17", "ipsecIKE", "ipsec Internet Key Exchange"),
    ("1.3.6.1.4.1.311.20.2.2", "msSmartcardLogin", "Microsoft Smartcard Login"),
    ("1.3.6.1.5.2.3.5", "pkInitKDC", "Signing KDC Response"),
];

/// What a certificate is for.
///
/// # Errors
///
/// [`Failed`]: there is no such purpose.
pub fn purposes(wanted: &[String], weight: Weight) -> Result<Extension, Failed> {
    let number = |text: &String| {
        let known = PURPOSES.iter().find(|(_, name, words)| name == text || words == text).map(|(oid, ..)| *oid);
        let unknown = |_| Failed::new(format!("Cannot find OID for \"{text}\""));
        ObjectIdentifier::new(known.unwrap_or(text)).map_err(unknown)
    };
    let all = wanted.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    extension(ExtendedKeyUsage::OID, weight, &ExtendedKeyUsage(all))
}

/// Whether it is an authority, and how many may stand below it: `CA:TRUE`, `pathlen:0`.
///
/// # Errors
///
/// [`Failed`]: it says something else.
pub fn constraints(wanted: &[String], weight: Weight) -> Result<Extension, Failed> {
    let mut made = BasicConstraints { ca: false, path_len_constraint: None };
    for text in wanted {
        match text.split_once(':') {
            Some(("CA", "TRUE")) => made.ca = true,
            Some(("CA", "FALSE")) => made.ca = false,
            Some(("CA", other)) => {
                return Err(Failed::new(format!("Unknown basic constraint value \"{other}\" for CA")));
            }
            Some(("pathlen", length)) => {
                let wrong = |_| Failed::new(format!("Cannot parse path length constraint \"{length}\""));
                made.path_len_constraint = Some(length.trim().parse().map_err(wrong)?);
            }
            _ => return Err(Failed::new(format!("Unknown basic constraint \"{text}\""))),
        }
    }
    extension(BasicConstraints::OID, weight, &made)
}

/// That a server must staple a proof.
///
/// # Errors
///
/// None in truth.
pub fn staple(weight: Weight) -> Result<Extension, Failed> {
    extension(STAPLE, weight, &vec![5_u8])
}

/// Names that certificates below may have, and may not.
///
/// # Errors
///
/// [`Failed`]: one is no name.
pub fn name_constraints(permitted: &[String], excluded: &[String], weight: Weight) -> Result<Extension, Failed> {
    let trees = |names: &[String], what: &str| {
        let tree =
            |text: &String| name::general(text, what).map(|base| GeneralSubtree { base, minimum: 0, maximum: None });
        let all = names.iter().map(tree).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Failed>(Some(all).filter(|all| !all.is_empty()))
    };
    let permitted_subtrees = trees(permitted, "name constraints permitted")?;
    let excluded_subtrees = trees(excluded, "name constraints excluded")?;
    extension(NameConstraints::OID, weight, &NameConstraints { permitted_subtrees, excluded_subtrees })
}

/// The name of the key itself.
///
/// # Errors
///
/// None in truth.
pub fn subject_key(identifier: Vec<u8>) -> Result<Extension, Failed> {
    let identifier = OctetString::new(identifier).map_err(unwritten)?;
    extension(SUBJECT_KEY, Weight::Plain, &SubjectKeyIdentifier(identifier))
}

/// The name of the authority's key, or of its certificate.
///
/// # Errors
///
/// [`Failed`]: an issuer is no name.
pub fn authority_key(
    identifier: Option<Vec<u8>>,
    issuer: Option<&[String]>,
    serial: Option<u64>,
) -> Result<Extension, Failed> {
    let names = |names: &[String]| names.iter().map(|text| name::general(text, "authority cert issuer")).collect();
    let made = AuthorityKeyIdentifier {
        key_identifier: identifier.map(OctetString::new).transpose().map_err(unwritten)?,
        authority_cert_issuer: issuer.map(names).transpose()?,
        authority_cert_serial_number: serial.map(Into::into),
    };
    extension(AUTHORITY_KEY, Weight::Plain, &made)
}

/// The name of an authority's key that goes into what it signs: its certificate's own, or one made of its key.
///
/// # Errors
///
/// None in truth.
pub fn of_authority(extensions: &[Extension], public: &[u8]) -> Result<Extension, Failed> {
    let own = extensions.iter().find(|it| it.extn_id == SUBJECT_KEY);
    let own = own.and_then(|it| SubjectKeyIdentifier::from_der(it.extn_value.as_bytes()).ok());
    let identifier = own.map_or_else(|| key::identifier(public), |own| own.0.as_bytes().to_vec());
    authority_key(Some(identifier), None, None)
}

/// Whether two lists of extensions say the same: the order of names and purposes does not count.
pub fn agree(left: &[Extension], right: &[Extension]) -> bool {
    KNOWN.iter().all(|oid| {
        let of = |list: &[Extension]| list.iter().find(|it| it.extn_id == *oid).cloned();
        match (of(left), of(right)) {
            (None, None) => true,
            (Some(left), Some(right)) => left.critical == right.critical && says_same(&left, &right),
            _ => false,
        }
    })
}

fn says_same(left: &Extension, right: &Extension) -> bool {
    let (one, other) = (left.extn_value.as_bytes(), right.extn_value.as_bytes());
    if one == other {
        return true;
    }
    match left.extn_id {
        SubjectAltName::OID => {
            let read = |bytes| SubjectAltName::from_der(bytes).map(|it| it.0).unwrap_or_default();
            name::same_set(&read(one), &read(other))
        }
        ExtendedKeyUsage::OID => {
            let read = |bytes| {
                let mut all = ExtendedKeyUsage::from_der(bytes).map(|it| it.0).unwrap_or_default();
                all.sort();
                all
            };
            read(one) == read(other)
        }
        NameConstraints::OID => {
            let (Ok(one), Ok(other)) = (NameConstraints::from_der(one), NameConstraints::from_der(other)) else {
                return false;
            };
            let bases = |trees: Option<Vec<GeneralSubtree>>| -> Vec<GeneralName> {
                trees.unwrap_or_default().into_iter().map(|tree| tree.base).collect()
            };
            name::same_set(&bases(one.permitted_subtrees), &bases(other.permitted_subtrees))
                && name::same_set(&bases(one.excluded_subtrees), &bases(other.excluded_subtrees))
        }
        _ => false,
    }
}
