//! `openssl_privatekey`: private keys.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::module::arguments::{Kind as Takes, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::lineinfile::State;
use crate::module::pki::kept::{self, Fate};
use crate::module::pki::key::{self, Curve, Format, Kind, PrivateKey};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::secret::Secret;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Takes::Text).required(),
    Parameter::new("state", Takes::Choice(&["absent", "present"])),
    Parameter::new("size", Takes::Integer),
    Parameter::new("type", Takes::Choice(&["RSA", "ECC", "Ed25519"])),
    Parameter::new("curve", Takes::Choice(&["secp256r1", "secp384r1", "secp521r1", "secp256k1"])),
    Parameter::new("passphrase", Takes::Text),
    Parameter::new("cipher", Takes::Choice(&["auto"])),
    Parameter::new("format", Takes::Choice(&["pkcs1", "pkcs8", "auto", "auto_ignore"])),
    Parameter::new("format_mismatch", Takes::Choice(&["regenerate", "convert"])),
    Parameter::new(
        "regenerate",
        Takes::Choice(&["never", "fail", "partial_idempotence", "full_idempotence", "always"]),
    ),
    Parameter::new("force", Takes::Flag),
    Parameter::new("backup", Takes::Flag),
    Parameter::new("return_content", Takes::Flag),
    Parameter::new("select_crypto_backend", Takes::Choice(&["auto", "cryptography"])),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// Bits of an RSA key.
    #[serde(default = "bits")]
    pub size: usize,
    /// What it is.
    #[serde(rename = "type", default)]
    pub kind: Type,
    /// The curve of one that is on a curve.
    pub curve: Option<Curve>,
    /// What it is encrypted with.
    pub passphrase: Option<Secret>,
    /// Whether it is encrypted: there is one way.
    pub cipher: Option<String>,
    /// How it is written.
    #[serde(default)]
    pub format: Written,
    /// What becomes of one that is written otherwise.
    #[serde(default)]
    pub format_mismatch: Mismatch,
    /// When a new one is made.
    #[serde(default)]
    pub regenerate: Regenerate,
    /// Whether a new one is made whatever is there.
    #[serde(default)]
    pub force: bool,
    /// Whether the old one is kept.
    #[serde(default)]
    pub backup: bool,
    /// Whether the key is told.
    #[serde(default)]
    pub return_content: bool,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn bits() -> usize {
    4096
}

/// What a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Type {
    /// RSA.
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    /// On a curve.
    #[serde(rename = "ECC")]
    Ecc,
    /// Ed25519.
    Ed25519,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// Each kind in its own way.
    Pkcs1,
    /// All kinds in one way.
    Pkcs8,
    /// As usual for its kind.
    Auto,
    /// A new one as usual for its kind; how an old one is written does not count.
    #[default]
    AutoIgnore,
}

/// What becomes of a key that is written otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// A new one is made.
    #[default]
    Regenerate,
    /// It is written anew.
    Convert,
}

/// When a new key is made although there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regenerate {
    /// Never; what cannot be read is a failure.
    Never,
    /// Never; one that is not as wanted is a failure.
    Fail,
    /// When it is not as wanted; what cannot be read is a failure.
    PartialIdempotence,
    /// When it is not as wanted or cannot be read.
    #[default]
    FullIdempotence,
    /// Always.
    Always,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let module = "openssl_privatekey";
    let missing = |name: &str| Error::Missing { module: module.to_owned(), name: name.to_owned() };
    let mut arguments: Arguments = typed(module, arguments)?;
    attributes::check(module, "mode", arguments.attributes.mode.as_deref())?;
    if arguments.kind == Type::Ecc && arguments.curve.is_none() {
        return Err(missing("curve (for `type: ECC`)"));
    }
    if arguments.cipher.is_some() != arguments.passphrase.is_some() {
        return Err(missing(if arguments.cipher.is_some() { "passphrase" } else { "cipher" }));
    }
    if arguments.kind == Type::Rsa && key::size(arguments.size).is_none() {
        return Err(Error::Value {
            module: module.to_owned(),
            name: "size".to_owned(),
            value: arguments.size.to_string(),
            wanted: "one of 2048, 3072, 4096, 8192".to_owned(),
        });
    }
    if arguments.kind == Type::Ed25519 && arguments.format == Written::Pkcs1 {
        return Err(Error::Value {
            module: module.to_owned(),
            name: "format".to_owned(),
            value: "pkcs1".to_owned(),
            wanted: "`pkcs8` for keys of this type".to_owned(),
        });
    }
    if arguments.force {
        arguments.regenerate = Regenerate::Always;
    }
    arguments.attributes.mode.get_or_insert_with(|| "0600".to_owned());
    Ok(arguments)
}

impl Arguments {
    fn wanted(&self) -> Kind {
        match (self.kind, self.curve) {
            (Type::Rsa, _) => Kind::Rsa(self.size),
            (Type::Ecc, curve) => Kind::Ecc(curve.unwrap_or(Curve::P256)),
            (Type::Ed25519, _) => Kind::Ed25519,
        }
    }

    fn written(&self) -> Format {
        match (self.format, self.kind) {
            (Written::Pkcs8, _) | (_, Type::Ed25519) => Format::Pkcs8,
            _ => Format::Traditional,
        }
    }
}

/// What is to be done with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Keep,
    /// A new one is made.
    Make,
    /// It is written in another way.
    Convert,
}

/// What is to be done with the key that is in the file.
///
/// # Errors
///
/// [`Failed`]: it is not as wanted, and no new one may be made.
pub fn plan(arguments: &Arguments, bytes: Option<&[u8]>) -> Result<Plan, Failed> {
    let regenerate = arguments.regenerate;
    let Some(bytes) = bytes.filter(|_| regenerate != Regenerate::Always) else { return Ok(Plan::Make) };
    let may = matches!(regenerate, Regenerate::PartialIdempotence | Regenerate::FullIdempotence);
    let why = |what: &str, words: &str| {
        Err(Failed::new(format!(
            "{what} Will not proceed. To force regeneration, call the module with `generate` set to {words}, or with \
             `force=true`."
        )))
    };
    let Ok(key) = key::load(bytes, arguments.passphrase.as_ref()) else {
        return match regenerate {
            Regenerate::FullIdempotence => Ok(Plan::Make),
            _ => why(
                "Unable to read the key. The key is protected with a another passphrase / no passphrase or broken.",
                "`full_idempotence` or `always`",
            ),
        };
    };
    let any = "`partial_idempotence`, `full_idempotence` or `always`";
    if regenerate == Regenerate::Never {
        return Ok(Plan::Keep);
    }
    if key.kind != arguments.wanted() {
        return if may { Ok(Plan::Make) } else { why("Key has wrong type and/or size.", any) };
    }
    if arguments.format == Written::AutoIgnore || key::format(bytes) == Some(arguments.written()) {
        return Ok(Plan::Keep);
    }
    match arguments.format_mismatch {
        Mismatch::Convert => Ok(Plan::Convert),
        Mismatch::Regenerate if may => Ok(Plan::Make),
        Mismatch::Regenerate => why("Key has wrong format.", any),
    }
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let kept = kept::look(&arguments.path, &arguments.attributes, arguments.backup.into(), host, mode)?;
    let mut values = Map::new();
    let mut tell = |name: &str, value: Value| drop(values.insert(name.to_owned(), value));
    tell("type", json!(arguments.kind));
    tell("size", json!(arguments.size));
    if arguments.kind == Type::Ecc {
        tell("curve", json!(arguments.curve));
    }
    if arguments.state == State::Absent {
        tell("fingerprint", Value::Null);
        if arguments.return_content {
            tell("privatekey", Value::Null);
        }
        return kept.finish(Fate::Goes, values, host, mode);
    }
    let bytes = kept.bytes.as_deref();
    let old = bytes.and_then(|bytes| key::load(bytes, arguments.passphrase.as_ref()).ok());
    let (key, fate) = match (plan(arguments, bytes)?, mode) {
        (Plan::Keep, _) => (old, Fate::Stays),
        (Plan::Make | Plan::Convert, Mode::Check) => (old, Fate::New(String::new())),
        (Plan::Make, Mode::Apply) => anew(arguments, key::generate(arguments.wanted())?)?,
        (Plan::Convert, Mode::Apply) => match old {
            Some(key) => anew(arguments, key)?,
            None => (None, Fate::Stays),
        },
    };
    tell("fingerprint", key.as_ref().map_or(Value::Null, |key| fingerprint(&key.public)));
    if arguments.return_content {
        let content = match &fate {
            Fate::New(content) if mode == Mode::Apply => Some(content.clone()),
            _ => kept.bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        };
        tell("privatekey", json!(content));
    }
    kept.finish(fate, values, host, mode)
}

fn anew(arguments: &Arguments, key: PrivateKey) -> Result<(Option<PrivateKey>, Fate), Failed> {
    let content = key.written(arguments.written(), arguments.passphrase.as_ref())?;
    Ok((Some(key), Fate::New(content)))
}

/// Digests of a public key, by the names of their kinds.
pub(crate) fn fingerprint(public: &[u8]) -> Value {
    let pairs = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    json!({
        "md5": pairs(&md5::compute(public).0),
        "sha1": pairs(&Sha1::digest(public)),
        "sha224": pairs(&Sha224::digest(public)),
        "sha256": pairs(&Sha256::digest(public)),
        "sha384": pairs(&Sha384::digest(public)),
        "sha512": pairs(&Sha512::digest(public)),
    })
}
