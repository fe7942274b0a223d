//! `openssl_publickey`: the public half of a private key.

use russh::keys::ssh_key::PublicKey;
use russh::keys::ssh_key::private::KeypairData;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::lineinfile::State;
use crate::module::openssh_keypair::keypair;
use crate::module::openssl_privatekey::fingerprint;
use crate::module::pki::kept::{self, Fate};
use crate::module::pki::key::{self, PrivateKey};
use crate::module::pki::pem;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};
use crate::secret::Secret;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("privatekey_path", Kind::Text),
    Parameter::new("privatekey_content", Kind::Text),
    Parameter::new("privatekey_passphrase", Kind::Text),
    Parameter::new("format", Kind::Choice(&["OpenSSH", "PEM"])),
    Parameter::new("force", Kind::Flag),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("return_content", Kind::Flag),
    Parameter::new("select_crypto_backend", Kind::Choice(&["auto", "cryptography"])),
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
    /// The private key's file.
    pub privatekey_path: Option<String>,
    /// The private key itself.
    pub privatekey_content: Option<Secret>,
    /// What it is encrypted with.
    pub privatekey_passphrase: Option<Secret>,
    /// How the public key is written.
    #[serde(default)]
    pub format: Format,
    /// Whether it is written whatever is there.
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

/// How a public key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// As OpenSSL does.
    #[default]
    #[serde(rename = "PEM")]
    Pem,
    /// As OpenSSH does.
    #[serde(rename = "OpenSSH")]
    OpenSsh,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let module = "openssl_publickey";
    apart(module, &arguments, &["privatekey_path", "privatekey_content"])?;
    let arguments: Arguments = typed(module, arguments)?;
    attributes::check(module, "mode", arguments.attributes.mode.as_deref())?;
    let given = arguments.privatekey_path.is_some() || arguments.privatekey_content.is_some();
    if arguments.state == State::Present && !given {
        let name = "privatekey_path or privatekey_content".to_owned();
        return Err(Error::Missing { module: module.to_owned(), name });
    }
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let kept = kept::look(&arguments.path, &arguments.attributes, arguments.backup.into(), host, mode)?;
    let mut values = Map::from_iter([
        ("privatekey".to_owned(), json!(arguments.privatekey_path)),
        ("format".to_owned(), json!(arguments.format)),
    ]);
    if arguments.state == State::Absent {
        values.insert("fingerprint".to_owned(), json!({}));
        return kept.finish(Fate::Goes, values, host, mode);
    }
    let content = arguments.privatekey_content.as_ref().map(Secret::reveal);
    let missing = "The private key %s does not exist";
    let key = kept::given(arguments.privatekey_path.as_deref(), content, missing, host)?;
    let key = key::load(&key, arguments.privatekey_passphrase.as_ref())?;
    let wanted = written(&key, arguments.format)?;
    let same = kept.bytes.as_deref().is_some_and(|has| same(arguments.format, has, &wanted));
    values.insert("fingerprint".to_owned(), fingerprint(&key.public));
    if arguments.return_content {
        values.insert("publickey".to_owned(), Value::from(wanted.as_str()));
    }
    let fate = if same && !arguments.force { Fate::Stays } else { Fate::New(wanted) };
    kept.finish(fate, values, host, mode)
}

fn written(key: &PrivateKey, format: Format) -> Result<String, Failed> {
    if format == Format::Pem {
        return Ok(pem::written("PUBLIC KEY", &key.public));
    }
    let pair: KeypairData = keypair(key)?;
    let public = russh::keys::ssh_key::public::KeyData::try_from(&pair).map(|data| PublicKey::new(data, ""));
    let text = public.and_then(|public| public.to_openssh());
    text.map(|text| text.trim_end().to_owned()).map_err(|error| Failed::new(error.to_string()))
}

/// Comments behind a key of OpenSSH do not count.
fn same(format: Format, has: &[u8], wanted: &str) -> bool {
    match format {
        Format::Pem => pem::read(has) == pem::read(wanted.as_bytes()),
        Format::OpenSsh => {
            let has = String::from_utf8_lossy(has);
            has.split_whitespace().take(2).eq(wanted.split_whitespace().take(2))
        }
    }
}
