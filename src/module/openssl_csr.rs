//! `openssl_csr`: requests for certificates.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use x509_cert::ext::Extension;

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::lineinfile::State;
use crate::module::pki::kept::{self, Fate};
use crate::module::pki::key::{self, Digest, PrivateKey};
use crate::module::pki::{extension, name, request};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};
use crate::secret::Secret;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("digest", Kind::Choice(&["sha256", "sha384", "sha512"])),
    Parameter::new("privatekey_path", Kind::Text),
    Parameter::new("privatekey_content", Kind::Text),
    Parameter::new("privatekey_passphrase", Kind::Text),
    Parameter::new("version", Kind::Integer),
    Parameter::new("subject", Kind::Any),
    Parameter::new("subject_ordered", Kind::Any),
    Parameter::new("country_name", Kind::Text).or(&["C", "countryName"]),
    Parameter::new("state_or_province_name", Kind::Text).or(&["ST", "stateOrProvinceName"]),
    Parameter::new("locality_name", Kind::Text).or(&["L", "localityName"]),
    Parameter::new("organization_name", Kind::Text).or(&["O", "organizationName"]),
    Parameter::new("organizational_unit_name", Kind::Text).or(&["OU", "organizationalUnitName"]),
    Parameter::new("common_name", Kind::Text).or(&["CN", "commonName"]),
    Parameter::new("email_address", Kind::Text).or(&["E", "emailAddress"]),
    Parameter::new("subject_alt_name", Kind::List).or(&["subjectAltName"]),
    Parameter::new("subject_alt_name_critical", Kind::Flag).or(&["subjectAltName_critical"]),
    Parameter::new("use_common_name_for_san", Kind::Flag).or(&["useCommonNameForSAN"]),
    Parameter::new("key_usage", Kind::List).or(&["keyUsage"]),
    Parameter::new("key_usage_critical", Kind::Flag).or(&["keyUsage_critical"]),
    Parameter::new("extended_key_usage", Kind::List).or(&["extKeyUsage", "extendedKeyUsage"]),
    Parameter::new("extended_key_usage_critical", Kind::Flag)
        .or(&["extKeyUsage_critical", "extendedKeyUsage_critical"]),
    Parameter::new("basic_constraints", Kind::List).or(&["basicConstraints"]),
    Parameter::new("basic_constraints_critical", Kind::Flag).or(&["basicConstraints_critical"]),
    Parameter::new("ocsp_must_staple", Kind::Flag).or(&["ocspMustStaple"]),
    Parameter::new("ocsp_must_staple_critical", Kind::Flag).or(&["ocspMustStaple_critical"]),
    Parameter::new("name_constraints_permitted", Kind::List),
    Parameter::new("name_constraints_excluded", Kind::List),
    Parameter::new("name_constraints_critical", Kind::Flag),
    Parameter::new("create_subject_key_identifier", Kind::Flag),
    Parameter::new("subject_key_identifier", Kind::Text),
    Parameter::new("authority_key_identifier", Kind::Text),
    Parameter::new("authority_cert_issuer", Kind::List),
    Parameter::new("authority_cert_serial_number", Kind::Integer),
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
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// What is signed.
    #[serde(default)]
    pub digest: Digest,
    /// The private key's file.
    pub privatekey_path: Option<String>,
    /// The private key itself.
    pub privatekey_content: Option<Secret>,
    /// What it is encrypted with.
    pub privatekey_passphrase: Option<Secret>,
    /// Fields of the name; see [`Arguments::fields`].
    pub subject: Option<Map<String, Value>>,
    /// Fields of the name, in their order.
    pub subject_ordered: Option<Vec<Map<String, Value>>>,
    /// `C`
    pub country_name: Option<String>,
    /// `ST`
    pub state_or_province_name: Option<String>,
    /// `L`
    pub locality_name: Option<String>,
    /// `O`
    pub organization_name: Option<String>,
    /// `OU`
    pub organizational_unit_name: Option<String>,
    /// `CN`
    pub common_name: Option<String>,
    /// `emailAddress`
    pub email_address: Option<String>,
    /// Other names.
    pub subject_alt_name: Option<Vec<String>>,
    /// Whether they must be understood; so for all that end like this.
    #[serde(default)]
    pub subject_alt_name_critical: bool,
    /// Whether the common name is the other name if there is none.
    #[serde(default = "yes")]
    pub use_common_name_for_san: bool,
    /// What the key is for.
    pub key_usage: Option<Vec<String>>,
    /// See above.
    #[serde(default)]
    pub key_usage_critical: bool,
    /// What the certificate is for.
    pub extended_key_usage: Option<Vec<String>>,
    /// See above.
    #[serde(default)]
    pub extended_key_usage_critical: bool,
    /// Whether it is an authority.
    pub basic_constraints: Option<Vec<String>>,
    /// See above.
    #[serde(default)]
    pub basic_constraints_critical: bool,
    /// Whether servers must staple a proof.
    #[serde(default)]
    pub ocsp_must_staple: bool,
    /// See above.
    #[serde(default)]
    pub ocsp_must_staple_critical: bool,
    /// Names that certificates below may have.
    #[serde(default)]
    pub name_constraints_permitted: Vec<String>,
    /// Names that they may not have.
    #[serde(default)]
    pub name_constraints_excluded: Vec<String>,
    /// See above.
    #[serde(default)]
    pub name_constraints_critical: bool,
    /// Whether the key's name is made.
    #[serde(default)]
    pub create_subject_key_identifier: bool,
    /// The key's name, hexadecimal.
    pub subject_key_identifier: Option<String>,
    /// The name of the authority's key, hexadecimal.
    pub authority_key_identifier: Option<String>,
    /// Whose the authority's certificate is.
    pub authority_cert_issuer: Option<Vec<String>>,
    /// The number of the authority's certificate.
    pub authority_cert_serial_number: Option<u64>,
    /// Whether it is made whatever is there.
    #[serde(default)]
    pub force: bool,
    /// Whether the old one is kept.
    #[serde(default)]
    pub backup: bool,
    /// Whether the request is told.
    #[serde(default)]
    pub return_content: bool,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let module = "openssl_csr";
    let missing = |name: &str| Error::Missing { module: module.to_owned(), name: name.to_owned() };
    apart(module, &arguments, &["privatekey_path", "privatekey_content"])?;
    apart(module, &arguments, &["subject", "subject_ordered"])?;
    let arguments: Arguments = typed(module, arguments)?;
    attributes::check(module, "mode", arguments.attributes.mode.as_deref())?;
    let given = arguments.privatekey_path.is_some() || arguments.privatekey_content.is_some();
    if arguments.state == State::Present && !given {
        return Err(missing("privatekey_path or privatekey_content"));
    }
    if arguments.authority_cert_issuer.is_some() != arguments.authority_cert_serial_number.is_some() {
        return Err(missing("authority_cert_issuer and authority_cert_serial_number together"));
    }
    if arguments.create_subject_key_identifier && arguments.subject_key_identifier.is_some() {
        let [first, second] = ["create_subject_key_identifier", "subject_key_identifier"].map(str::to_owned);
        return Err(Error::Together { module: module.to_owned(), first, second });
    }
    Ok(arguments)
}

impl Arguments {
    /// The fields of the name, in the order in which they are written.
    ///
    /// # Errors
    ///
    /// [`Failed`]: a field has no text.
    pub fn fields(&self) -> Result<Vec<(String, String)>, Failed> {
        let own = [
            ("C", &self.country_name),
            ("ST", &self.state_or_province_name),
            ("L", &self.locality_name),
            ("O", &self.organization_name),
            ("OU", &self.organizational_unit_name),
            ("CN", &self.common_name),
            ("emailAddress", &self.email_address),
        ];
        let given = own.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let given = given.filter(|(_, value)| !value.is_empty());
        let mut all = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>();
        if let Some(subject) = &self.subject {
            all.extend(texts(subject, "subject")?);
        }
        if let Some(ordered) = &self.subject_ordered {
            if !all.is_empty() {
                return Err(Failed::new("subject_ordered cannot be combined with any other subject field"));
            }
            for (at, entry) in (1..).zip(ordered) {
                if entry.len() != 1 {
                    let why = "must be a dictionary with exactly one key-value pair";
                    return Err(Failed::new(format!("Entry #{at} in subject_ordered {why}")));
                }
                all.extend(texts(entry, "subject_ordered")?);
            }
        }
        Ok(all)
    }

    /// The other names: those given, or the common one.
    fn names(&self, fields: &[(String, String)]) -> Option<Vec<String>> {
        if self.subject_alt_name.as_ref().is_some_and(|names| !names.is_empty()) || !self.use_common_name_for_san {
            return self.subject_alt_name.clone();
        }
        let common = fields.iter().find(|(name, _)| name == "CN" || name == "commonName");
        common.map(|(_, value)| vec![format!("DNS:{value}")]).or_else(|| self.subject_alt_name.clone())
    }

    fn extensions(&self, fields: &[(String, String)], key: &PrivateKey) -> Result<Vec<Extension>, Failed> {
        let some = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
        let mut all = vec![];
        if let Some(names) = some(self.names(fields)) {
            all.push(extension::names(&names, self.subject_alt_name_critical.into())?);
        }
        if let Some(uses) = some(self.key_usage.clone()) {
            all.push(extension::usage(&uses, self.key_usage_critical.into())?);
        }
        if let Some(purposes) = some(self.extended_key_usage.clone()) {
            all.push(extension::purposes(&purposes, self.extended_key_usage_critical.into())?);
        }
        if let Some(constraints) = some(self.basic_constraints.clone()) {
            all.push(extension::constraints(&constraints, self.basic_constraints_critical.into())?);
        }
        if self.ocsp_must_staple {
            all.push(extension::staple(self.ocsp_must_staple_critical.into())?);
        }
        let (permitted, excluded) = (&self.name_constraints_permitted, &self.name_constraints_excluded);
        if !permitted.is_empty() || !excluded.is_empty() {
            all.push(extension::name_constraints(permitted, excluded, self.name_constraints_critical.into())?);
        }
        if self.create_subject_key_identifier {
            all.push(extension::subject_key(key::identifier(&key.public))?);
        } else if let Some(text) = &self.subject_key_identifier {
            all.push(extension::subject_key(bytes(text, "subject_key_identifier")?)?);
        }
        let identifier = self.authority_key_identifier.as_deref();
        let identifier = identifier.map(|text| bytes(text, "authority_key_identifier")).transpose()?;
        let (issuer, serial) = (self.authority_cert_issuer.as_deref(), self.authority_cert_serial_number);
        if identifier.is_some() || issuer.is_some() {
            all.push(extension::authority_key(identifier, issuer, serial)?);
        }
        Ok(all)
    }
}

/// Fields with one text each, or several.
fn texts(fields: &Map<String, Value>, what: &str) -> Result<Vec<(String, String)>, Failed> {
    let mut all = vec![];
    for (key, value) in fields {
        let values = match value {
            Value::Array(values) => values.iter().collect(),
            value => vec![value],
        };
        for value in values {
            let wrong =
                || Failed::new(format!("Value for {key} in {what} must be either a string or a list of strings"));
            let text = value.as_str().ok_or_else(wrong)?;
            if text.is_empty() {
                return Err(Failed::new(format!("Value for {key} in {what} must not be an empty string")));
            }
            all.push((key.clone(), text.to_owned()));
        }
    }
    Ok(all)
}

fn bytes(text: &str, name: &str) -> Result<Vec<u8>, Failed> {
    hex::decode(text.replace(':', "")).map_err(|error| Failed::new(format!("Cannot parse {name}: {error}")))
}

/// The request that has to be written; nothing if the one that is there says all that is wanted.
///
/// # Errors
///
/// [`Failed`]: something that is wanted cannot be said.
pub fn plan(arguments: &Arguments, key: &PrivateKey, found: Option<&[u8]>) -> Result<Option<String>, Failed> {
    let fields = arguments.fields()?;
    let subject = name::name(&fields)?;
    let extensions = arguments.extensions(&fields, key)?;
    if !arguments.force
        && let Some(found) = found.and_then(request::read)
    {
        let (mut wanted, mut has) = (name::fields(&subject), name::fields(&found.subject));
        if arguments.subject_ordered.is_none() {
            for list in [&mut wanted, &mut has] {
                list.sort();
                list.dedup();
            }
        }
        let same = wanted == has && extension::agree(&extensions, &found.extensions);
        if same && found.valid && found.public == key.public {
            return Ok(None);
        }
    }
    request::written(subject, &extensions, key, arguments.digest).map(Some)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let kept = kept::look(&arguments.path, &arguments.attributes, arguments.backup.into(), host, mode)?;
    let mut values = told(arguments)?;
    if arguments.state == State::Absent {
        return kept.finish(Fate::Goes, values, host, mode);
    }
    let content = arguments.privatekey_content.as_ref().map(Secret::reveal);
    let missing = "[Errno 2] No such file or directory: '%s'";
    let fresh = kept.bytes.is_none() || arguments.force;
    let key = kept::given(arguments.privatekey_path.as_deref(), content, missing, host)
        .and_then(|bytes| Ok(key::load(&bytes, arguments.privatekey_passphrase.as_ref())?));
    let fate = match key {
        // An earlier task may make the key.
        Err(_) if mode == Mode::Check && fresh => Fate::New(String::new()),
        Err(failed) => return Err(failed),
        Ok(key) => plan(arguments, &key, kept.bytes.as_deref())?.map_or(Fate::Stays, Fate::New),
    };
    if arguments.return_content {
        let old = kept.bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let content = match &fate {
            Fate::New(content) if mode == Mode::Apply => Some(content.clone()),
            _ => old,
        };
        values.insert("csr".to_owned(), json!(content));
    }
    kept.finish(fate, values, host, mode)
}

fn told(arguments: &Arguments) -> Result<Map<String, Value>, Failed> {
    let fields = arguments.fields()?;
    let pairs = [
        ("privatekey", json!(arguments.privatekey_path)),
        ("subject", json!(fields)),
        ("subjectAltName", json!(arguments.names(&fields))),
        ("keyUsage", json!(arguments.key_usage)),
        ("extendedKeyUsage", json!(arguments.extended_key_usage)),
        ("basicConstraints", json!(arguments.basic_constraints)),
        ("ocspMustStaple", json!(arguments.ocsp_must_staple)),
        ("name_constraints_permitted", json!(arguments.name_constraints_permitted)),
        ("name_constraints_excluded", json!(arguments.name_constraints_excluded)),
    ];
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
