//! Private keys behind a passphrase, in both forms that OpenSSL writes.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use der::{Decode as _, Encode as _};
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};

use crate::module::pki::pem::{self, Block};
use crate::secret::Secret;

/// How often the digest is applied that makes a key of a passphrase.
const ROUNDS: u32 = 20_000;

/// Encrypts a PKCS #8 structure (PBES2 with AES-256).
pub fn pkcs8(inner: &[u8], passphrase: &Secret) -> Option<String> {
    let salt = rand::random::<[u8; 16]>();
    let vector = rand::random::<[u8; 16]>();
    let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, vector).ok()?;
    let key = PrivateKeyInfoRef::from_der(inner).ok()?;
    let outer = key.encrypt_with_params(parameters, passphrase.reveal()).ok()?;
    Some(pem::written("ENCRYPTED PRIVATE KEY", outer.as_bytes()))
}

/// Decrypts a PKCS #8 structure.
pub fn open_pkcs8(outer: &[u8], passphrase: &Secret) -> Option<Vec<u8>> {
    let outer = EncryptedPrivateKeyInfoRef::from_der(outer).ok()?;
    let inner = outer.decrypt(passphrase.reveal()).ok()?;
    inner.as_bytes().to_vec().into()
}

/// Encrypts a structure in the older form: the vector in a header, the key made of the passphrase with MD5.
pub fn traditional(label: &str, inner: &[u8], passphrase: &Secret) -> Option<String> {
    let vector = rand::random::<[u8; 16]>();
    let key = UnboundCipherKey::new(&AES_256, &stretched(passphrase, &vector, 32)).ok()?;
    let mut bytes = inner.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(vector));
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
    key.less_safe_encrypt(&mut bytes, context).ok()?;
    let headers = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{}\n\n", hex::encode_upper(vector));
    Some(pem::with_headers(label, &headers, &bytes))
}

/// Whether a block is encrypted in the older form.
pub fn is_traditional(block: &Block) -> bool {
    block.headers.iter().any(|(name, _)| name == "DEK-Info")
}

/// Decrypts a block of the older form.
pub fn open_traditional(block: &Block, passphrase: &Secret) -> Option<Vec<u8>> {
    let (_, told) = block.headers.iter().find(|(name, _)| name == "DEK-Info")?;
    let (cipher, vector) = told.split_once(',')?;
    let (algorithm, length): (&'static Algorithm, usize) = match cipher {
        "AES-128-CBC" => (&AES_128, 16),
        "AES-192-CBC" => (&AES_192, 24),
        "AES-256-CBC" => (&AES_256, 32),
        _ => return None,
    };
    let vector: [u8; 16] = hex::decode(vector.trim()).ok()?.try_into().ok()?;
    let key = UnboundCipherKey::new(algorithm, &stretched(passphrase, &vector, length)).ok()?;
    let mut bytes = block.bytes.clone();
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    let inner = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut bytes, context).ok()?.to_vec();
    // A wrong passphrase may leave padding that looks right.
    der::AnyRef::from_der(&inner).ok().and_then(|any| any.to_der().ok())
}

/// Makes a key of a passphrase as OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn stretched(passphrase: &Secret, vector: &[u8; 16], length: usize) -> Vec<u8> {
    let (mut key, mut last) = (vec![], vec![]);
    while key.len() < length {
        last = md5::compute([&last, passphrase.reveal().as_bytes(), &vector[..8]].concat()).0.to_vec();
        key.extend(&last);
    }
    key.truncate(length);
    key
}
