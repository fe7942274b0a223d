//! Names of subjects, and the other names that certificates carry.

use std::net::IpAddr;

use der::asn1::{Any, Ia5StringRef, ObjectIdentifier, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::{Decode as _, Encode as _, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use crate::module::Failed;
use crate::module::pki::unwritten;

/// Fields of a subject: number, short name, long name.
const FIELDS: &[(&str, &str, &str)] = &[
    ("2.5.4.3", "CN", "commonName"),
    ("2.5.4.4", "SN", "surname"),
    ("2.5.4.5", "serialNumber", "serialNumber"),
    ("2.5.4.6", "C", "countryName"),
    ("2.5.4.7", "L", "localityName"),
    ("2.5.4.8", "ST", "stateOrProvinceName"),
    ("2.5.4.9", "street", "streetAddress"),
    ("2.5.4.10", "O", "organizationName"),
    ("2.5.4.11", "OU", "organizationalUnitName"),
    ("2.5.4.12", "title", "title"),
    ("2.5.4.13", "description", "description"),
    ("2.5.4.15", "businessCategory", "businessCategory"),
    ("2.5.4.16", "postalAddress", "postalAddress"),
    ("2.5.4.17", "postalCode", "postalCode"),
    ("2.5.4.42", "GN", "givenName"),
    ("2.5.4.43", "initials", "initials"),
    ("2.5.4.44", "generationQualifier", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier", "dnQualifier"),
    ("2.5.4.65", "pseudonym", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier", "organizationIdentifier"),
    ("1.2.840.113549.1.9.1", "emailAddress", "emailAddress"),
    ("0.9.2342.19200300.100.1.1", "UID", "userId"),
    ("0.9.2342.19200300.100.1.25", "DC", "domainComponent"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL", "jurisdictionLocalityName"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST", "jurisdictionStateOrProvinceName"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC", "jurisdictionCountryName"),
];

/// The number that a name of a field or a dotted number means.
///
/// # Errors
///
/// [`Failed`]: there is no such field.
pub fn field(name: &str) -> Result<ObjectIdentifier, Failed> {
    let known = FIELDS.iter().find(|(_, short, long)| *short == name || *long == name).map(|(oid, ..)| *oid);
    let unknown = |_| Failed::new(format!("Cannot find OID for \"{name}\""));
    ObjectIdentifier::new(known.unwrap_or(name)).map_err(unknown)
}

/// Makes a name of fields, in their order.
///
/// # Errors
///
/// [`Failed`]: a field is not known, or cannot have its value.
pub fn name(fields: &[(String, String)]) -> Result<Name, Failed> {
    let mut all = RdnSequence::default();
    for (key, value) in fields {
        let oid = field(key)?;
        let pair = AttributeTypeAndValue { oid, value: text(oid, value)? };
        all.push(RelativeDistinguishedName::try_from(vec![pair]).map_err(unwritten)?);
    }
    all.to_der().and_then(|bytes| Name::from_der(&bytes)).map_err(unwritten)
}

/// A value in the kind of text that its field has.
fn text(oid: ObjectIdentifier, value: &str) -> Result<Any, Failed> {
    let value = match oid.to_string().as_str() {
        "2.5.4.6" | "1.3.6.1.4.1.311.60.2.1.3" if value.len() != 2 => {
            return Err(Failed::new("Country name must be a 2 character country code"));
        }
        "2.5.4.5" | "2.5.4.6" | "2.5.4.46" | "1.3.6.1.4.1.311.60.2.1.3" => {
            PrintableStringRef::new(value).and_then(|it| Any::encode_from(&it))
        }
        "1.2.840.113549.1.9.1" | "0.9.2342.19200300.100.1.25" => {
            Ia5StringRef::new(value).and_then(|it| Any::encode_from(&it))
        }
        _ => Utf8StringRef::new(value).and_then(|it| Any::encode_from(&it)),
    };
    value.map_err(unwritten)
}

/// The fields of a name with their texts; the kind of text does not count.
pub fn fields(name: &Name) -> Vec<(ObjectIdentifier, String)> {
    name.iter().map(|pair| (pair.oid, shown(&pair.value))).collect()
}

fn shown(value: &Any) -> String {
    if value.header().tag() == Tag::BmpString {
        let units = value.value().chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        return char::decode_utf16(units).map(|letter| letter.unwrap_or('\u{fffd}')).collect();
    }
    String::from_utf8_lossy(value.value()).into_owned()
}

/// Reads another name, e.g. `DNS:a.example` or `IP:192.0.2.1`.
///
/// # Errors
///
/// [`Failed`]: it is none.
pub fn general(text: &str, what: &str) -> Result<GeneralName, Failed> {
    let wrong = |why: &str| Failed::new(format!("Cannot parse {what} \"{text}\"{why}"));
    let Some((kind, value)) = text.split_once(':') else { return Err(wrong(" (forgot \"DNS:\" prefix?)")) };
    let plain = || value.is_ascii().then(|| value.to_owned()).ok_or_else(|| wrong(": it is not written in ASCII"));
    let ascii = || plain().and_then(|value| der::asn1::Ia5String::new(&value).map_err(unwritten));
    Ok(match kind {
        "DNS" => GeneralName::DnsName(ascii()?),
        "email" => GeneralName::Rfc822Name(ascii()?),
        "URI" => GeneralName::UniformResourceIdentifier(ascii()?),
        "IP" => {
            let bytes = address(value).ok_or_else(|| wrong(": it is no address"))?;
            GeneralName::IpAddress(OctetString::new(bytes).map_err(unwritten)?)
        }
        "RID" => GeneralName::RegisteredId(ObjectIdentifier::new(value).map_err(|_| wrong(""))?),
        "dirName" => {
            let mut all = directory(value).ok_or_else(|| wrong(""))?;
            all.reverse();
            GeneralName::DirectoryName(name(&all)?)
        }
        _ => return Err(wrong(" (this kind of name is not known here)")),
    })
}

/// An address, or a network with its mask behind it.
fn address(text: &str) -> Option<Vec<u8>> {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let Some((address, prefix)) = text.split_once('/') else { return text.parse().ok().map(bytes) };
    let address = bytes(address.parse().ok()?);
    let prefix: usize = prefix.parse().ok().filter(|prefix| *prefix <= address.len() * 8)?;
    let mask = (0..address.len()).map(|at| {
        let ones = prefix.saturating_sub(at * 8).min(8);
        u8::try_from(0xff00 >> ones & 0xff).unwrap_or(0)
    });
    let mask = mask.collect::<Vec<_>>();
    // A network has nothing behind its mask.
    let inside = address.iter().zip(&mask).all(|(byte, mask)| byte & !mask == 0);
    inside.then(|| [address, mask].concat())
}

/// The fields of `CN=a,O=b` or `/CN=a/O=b`.
fn directory(text: &str) -> Option<Vec<(String, String)>> {
    let text = text.trim_start();
    let (separator, text) = text.strip_prefix('/').map_or((',', text), |rest| ('/', rest));
    let pair = |part: &str| part.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    text.split(separator).map(pair).collect()
}

/// The same names, in whatever order.
pub fn same_set(left: &[GeneralName], right: &[GeneralName]) -> bool {
    left.iter().all(|name| right.contains(name)) && right.iter().all(|name| left.contains(name))
}

/// Keeps the kind of set that structures want.
pub(crate) fn set<T: der::DerOrd>(item: T) -> Result<SetOfVec<T>, Failed> {
    SetOfVec::try_from(vec![item]).map_err(unwritten)
}
