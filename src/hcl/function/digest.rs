//! Digests of texts and of files, and what is made of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::hcl::function::argument::text;
use crate::hcl::function::{Files, Function, Takes, file};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    of("md5", |_, it| hexadecimal(it, md5)),
    of("sha1", |_, it| hexadecimal(it, sha1)),
    of("sha256", |_, it| hexadecimal(it, sha256)),
    of("sha512", |_, it| hexadecimal(it, sha512)),
    of("base64sha256", |_, it| base64(it, sha256)),
    of("base64sha512", |_, it| base64(it, sha512)),
    of("filemd5", |files, it| file_hexadecimal(files, it, md5)),
    of("filesha1", |files, it| file_hexadecimal(files, it, sha1)),
    of("filesha256", |files, it| file_hexadecimal(files, it, sha256)),
    of("filesha512", |files, it| file_hexadecimal(files, it, sha512)),
    of("filebase64sha256", |files, it| file_base64(files, it, sha256)),
    of("filebase64sha512", |files, it| file_base64(files, it, sha512)),
    Function { name: "uuidv5", least: 2, most: Some(2), takes: Takes::Present, body: uuid },
];

const fn of(name: &'static str, body: crate::hcl::function::Body) -> Function {
    Function { name, least: 1, most: Some(1), takes: Takes::Present, body }
}

type Sum = fn(&[u8]) -> Vec<u8>;

fn md5(bytes: &[u8]) -> Vec<u8> {
    md5::compute(bytes).0.to_vec()
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    Sha1::digest(bytes).to_vec()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

fn sha512(bytes: &[u8]) -> Vec<u8> {
    Sha512::digest(bytes).to_vec()
}

fn hexadecimal(arguments: Vec<Value>, sum: Sum) -> Result<Value, String> {
    Ok(hex::encode(sum(text(&mut arguments.into_iter())?.as_bytes())).into())
}

fn base64(arguments: Vec<Value>, sum: Sum) -> Result<Value, String> {
    Ok(STANDARD.encode(sum(text(&mut arguments.into_iter())?.as_bytes())).into())
}

fn file_hexadecimal(files: &Files<'_>, arguments: Vec<Value>, sum: Sum) -> Result<Value, String> {
    Ok(file::found(files, arguments)?.map_or(Value::Unknown, |bytes| hex::encode(sum(&bytes)).into()))
}

fn file_base64(files: &Files<'_>, arguments: Vec<Value>, sum: Sum) -> Result<Value, String> {
    Ok(file::found(files, arguments)?.map_or(Value::Unknown, |bytes| STANDARD.encode(sum(&bytes)).into()))
}

/// The usual namespaces. Source: RFC 9562, section 6.6.
const NAMESPACES: [(&str, &str); 4] = [
    ("dns", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    ("url", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"),
    ("oid", "6ba7b812-9dad-11d1-80b4-00c04fd430c8"),
    ("x500", "6ba7b814-9dad-11d1-80b4-00c04fd430c8"),
];

fn uuid(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (space, name) = (text(&mut arguments)?, text(&mut arguments)?);
    let written = NAMESPACES.iter().find(|(known, _)| *known == space).map_or(space.as_str(), |(_, uuid)| uuid);
    let mut bytes = hex::decode(written.replace('-', "")).unwrap_or_default();
    if bytes.len() != 16 {
        return Err(format!("`{space}` is no namespace: `dns`, `url`, `oid`, `x500` or a UUID"));
    }
    bytes.extend(name.as_bytes());
    let mut sum = sha1(&bytes);
    // Version and variant.
    sum[6] = sum[6] & 0x0f | 0x50;
    sum[8] = sum[8] & 0x3f | 0x80;
    let digits = hex::encode(&sum[..16]);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok(parts.join("-").into())
}
