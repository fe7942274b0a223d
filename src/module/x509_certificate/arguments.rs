//! What `x509_certificate` may be told.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::lineinfile::State;
use crate::module::pki::key::Digest;
use crate::module::{Call, Error, apart, typed};
use crate::secret::Secret;

const DIGESTS: Kind = Kind::Choice(&["sha256", "sha384", "sha512"]);
const IDENTIFIERS: Kind = Kind::Choice(&["create_if_not_provided", "always_create", "never_create"]);

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("provider", Kind::Choice(&["selfsigned", "ownca"])),
    Parameter::new("force", Kind::Flag),
    Parameter::new("csr_path", Kind::Text),
    Parameter::new("csr_content", Kind::Text),
    Parameter::new("ignore_timestamps", Kind::Flag),
    Parameter::new("privatekey_path", Kind::Text),
    Parameter::new("privatekey_content", Kind::Text),
    Parameter::new("privatekey_passphrase", Kind::Text),
    Parameter::new("selfsigned_version", Kind::Integer),
    Parameter::new("selfsigned_digest", DIGESTS),
    Parameter::new("selfsigned_not_before", Kind::Text).or(&["selfsigned_notBefore"]),
    Parameter::new("selfsigned_not_after", Kind::Text).or(&["selfsigned_notAfter"]),
    Parameter::new("selfsigned_create_subject_key_identifier", IDENTIFIERS),
    Parameter::new("ownca_path", Kind::Text),
    Parameter::new("ownca_content", Kind::Text),
    Parameter::new("ownca_privatekey_path", Kind::Text),
    Parameter::new("ownca_privatekey_content", Kind::Text),
    Parameter::new("ownca_privatekey_passphrase", Kind::Text),
    Parameter::new("ownca_digest", DIGESTS),
    Parameter::new("ownca_version", Kind::Integer),
    Parameter::new("ownca_not_before", Kind::Text),
    Parameter::new("ownca_not_after", Kind::Text),
    Parameter::new("ownca_create_subject_key_identifier", IDENTIFIERS),
    Parameter::new("ownca_create_authority_key_identifier", Kind::Flag),
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
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// Who signs it.
    #[serde(default)]
    pub provider: Provider,
    /// Whether it is made whatever is there.
    #[serde(default)]
    pub force: bool,
    /// The request's file.
    pub csr_path: Option<String>,
    /// The request itself.
    pub csr_content: Option<String>,
    /// Whether one that is good for another time stays.
    #[serde(default = "yes")]
    pub ignore_timestamps: bool,
    /// The private key's file.
    pub privatekey_path: Option<String>,
    /// The private key itself.
    pub privatekey_content: Option<Secret>,
    /// What it is encrypted with.
    pub privatekey_passphrase: Option<Secret>,
    /// What is signed.
    #[serde(default)]
    pub selfsigned_digest: Digest,
    /// When it begins to be good.
    #[serde(default = "now")]
    pub selfsigned_not_before: String,
    /// When it ends.
    #[serde(default = "ten_years")]
    pub selfsigned_not_after: String,
    /// Whether the key's name is made.
    #[serde(default)]
    pub selfsigned_create_subject_key_identifier: Identifier,
    /// The authority's certificate.
    pub ownca_path: Option<String>,
    /// The certificate itself.
    pub ownca_content: Option<String>,
    /// The authority's private key.
    pub ownca_privatekey_path: Option<String>,
    /// The key itself.
    pub ownca_privatekey_content: Option<Secret>,
    /// What it is encrypted with.
    pub ownca_privatekey_passphrase: Option<Secret>,
    /// What is signed.
    #[serde(default)]
    pub ownca_digest: Digest,
    /// When it begins to be good.
    #[serde(default = "now")]
    pub ownca_not_before: String,
    /// When it ends.
    #[serde(default = "ten_years")]
    pub ownca_not_after: String,
    /// Whether the key's name is made.
    #[serde(default)]
    pub ownca_create_subject_key_identifier: Identifier,
    /// Whether the name of the authority's key is made.
    #[serde(default = "yes")]
    pub ownca_create_authority_key_identifier: bool,
    /// Whether the old one is kept.
    #[serde(default)]
    pub backup: bool,
    /// Whether the certificate is told.
    #[serde(default)]
    pub return_content: bool,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}

fn now() -> String {
    "+0s".to_owned()
}

fn ten_years() -> String {
    "+3650d".to_owned()
}

/// Who signs a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Its own key.
    #[default]
    Selfsigned,
    /// An authority.
    Ownca,
}

/// Whether the name of a certificate's key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identifier {
    /// If the request has none.
    #[default]
    CreateIfNotProvided,
    /// Always.
    AlwaysCreate,
    /// Never.
    NeverCreate,
}

pub(crate) fn parse(Call { module, arguments, .. }: Call) -> Result<Arguments, Error> {
    let missing = |name: &str| Error::Missing { module: module.to_owned(), name: name.to_owned() };
    let pairs = [
        ["csr_path", "csr_content"],
        ["privatekey_path", "privatekey_content"],
        ["ownca_path", "ownca_content"],
        ["ownca_privatekey_path", "ownca_privatekey_content"],
    ];
    for pair in pairs {
        apart(module, &arguments, &pair)?;
    }
    let present = arguments.get("state").is_none_or(|state| state != "absent");
    if present && !arguments.contains_key("provider") {
        return Err(missing("provider"));
    }
    for name in ["selfsigned_version", "ownca_version"] {
        if arguments.get(name).is_some_and(|version| *version != json!(3)) {
            let value = arguments.get(name).map(ToString::to_string).unwrap_or_default();
            let [module, name, wanted] = [module, name, "3"].map(str::to_owned);
            return Err(Error::Value { module, name, value, wanted });
        }
    }
    let has = |names: &[&str]| names.iter().any(|name| arguments.contains_key(*name));
    let own_key = has(&["privatekey_path", "privatekey_content"]);
    let (authority, its_key) = (has(&pairs[2]), has(&pairs[3]));
    let request = has(&pairs[0]);
    let arguments: Arguments = typed(module, arguments)?;
    attributes::check(module, "mode", arguments.attributes.mode.as_deref())?;
    match arguments.provider {
        _ if !present => {}
        Provider::Selfsigned if !own_key => return Err(missing("privatekey_path or privatekey_content")),
        Provider::Ownca if !authority => return Err(missing("ownca_path or ownca_content")),
        Provider::Ownca if !its_key => return Err(missing("ownca_privatekey_path or ownca_privatekey_content")),
        Provider::Ownca if !request => return Err(missing("csr_path or csr_content")),
        _ => {}
    }
    Ok(arguments)
}
