//! `openssh_keypair`: keys for logging in over SSH, private and public.

use der::Decode as _;
use der::asn1::UintRef;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair, RsaPrivateKey};
use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, Mpint, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, act, octal};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::lineinfile::State;
use crate::module::openssl_privatekey::Regenerate;
use crate::module::pki::key;
use crate::module::system::FileKind;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};
use crate::secret::Secret;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("type", Kind::Choice(&["rsa", "ecdsa", "ed25519"])),
    Parameter::new("size", Kind::Integer),
    Parameter::new("comment", Kind::Text),
    Parameter::new("force", Kind::Flag),
    Parameter::new("regenerate", Kind::Choice(&["never", "fail", "partial_idempotence", "full_idempotence", "always"])),
    Parameter::new("passphrase", Kind::Text),
    Parameter::new("private_key_format", Kind::Choice(&["auto", "ssh"])),
    Parameter::new("backend", Kind::Choice(&["auto", "cryptography", "opensshbin"])),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where the private key is; the public one is beside it, with `.pub`.
    pub path: String,
    /// Whether they are there.
    #[serde(default)]
    pub state: State,
    /// What they are.
    #[serde(rename = "type", default)]
    pub kind: Type,
    /// Bits.
    pub size: Option<usize>,
    /// What stands behind the public key.
    pub comment: Option<String>,
    /// Whether new ones are made whatever is there.
    #[serde(default)]
    pub force: bool,
    /// When new ones are made.
    #[serde(default = "partly")]
    pub regenerate: Regenerate,
    /// What the private key is encrypted with.
    pub passphrase: Option<Secret>,
    /// Mode, owner, group, of both.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn partly() -> Regenerate {
    Regenerate::PartialIdempotence
}

/// What keys are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// RSA
    #[default]
    Rsa,
    /// ECDSA
    Ecdsa,
    /// Ed25519
    Ed25519,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let module = "openssh_keypair";
    let mut arguments: Arguments = typed(module, arguments)?;
    attributes::check(module, "mode", arguments.attributes.mode.as_deref())?;
    let wanted = match (arguments.kind, arguments.size) {
        (Type::Rsa, Some(size)) if key::size(size).is_none() => "one of 2048, 3072, 4096, 8192",
        (Type::Ecdsa, Some(size)) if !matches!(size, 256 | 384 | 521) => "one of 256, 384, 521",
        _ => "",
    };
    if !wanted.is_empty() {
        let value = arguments.size.unwrap_or_default().to_string();
        let [module, name, wanted] = [module, "size", wanted].map(str::to_owned);
        return Err(Error::Value { module, name, value, wanted });
    }
    if arguments.force {
        arguments.regenerate = Regenerate::Always;
    }
    Ok(arguments)
}

impl Arguments {
    fn bits(&self) -> usize {
        match self.kind {
            Type::Rsa => self.size.unwrap_or(4096),
            Type::Ecdsa => self.size.unwrap_or(256),
            Type::Ed25519 => 256,
        }
    }
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The private key's file, if there is one.
    pub private: Option<String>,
    /// The public key's.
    pub public: Option<String>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Nothing.
    Keep,
    /// Both keys are made.
    Make,
    /// The public key is written again.
    Restore,
    /// Both go.
    Remove,
}

/// What is to be done with the keys that are there.
///
/// # Errors
///
/// [`Failed`]: the key is not as wanted, and no new one may be made.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Plan, Failed> {
    if arguments.state == State::Absent {
        let some = scene.private.is_some() || scene.public.is_some();
        return Ok(if some { Plan::Remove } else { Plan::Keep });
    }
    let Some(text) = &scene.private else { return Ok(Plan::Make) };
    let regenerate = arguments.regenerate;
    let Some(key) = opened(text, arguments.passphrase.as_ref()) else {
        return match regenerate {
            Regenerate::FullIdempotence | Regenerate::Always => Ok(Plan::Make),
            _ => Err(Failed::new(
                "Unable to read the key. The key is protected with a passphrase or broken. Will not proceed. To force \
                 regeneration, call the module with `generate` set to `full_idempotence` or `always`, or with \
                 `force=true`.",
            )),
        };
    };
    let valid = about(&key) == Some((arguments.kind, arguments.bits()));
    match regenerate {
        Regenerate::Always => return Ok(Plan::Make),
        Regenerate::Fail if !valid => {
            return Err(Failed::new(
                "Key has wrong type and/or size. Will not proceed. To force regeneration, call the module with \
                 `generate` set to `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.",
            ));
        }
        Regenerate::PartialIdempotence | Regenerate::FullIdempotence if !valid => return Ok(Plan::Make),
        _ => {}
    }
    let same = scene.public.as_deref().is_some_and(|public| {
        let own = key.public_key().to_openssh().unwrap_or_default();
        let (mut has, mut own) = (public.trim().splitn(3, ' '), own.splitn(3, ' '));
        let keys = has.next() == own.next() && has.next() == own.next();
        keys && arguments.comment.as_deref().is_none_or(|comment| has.next().unwrap_or_default() == comment)
    });
    Ok(if same { Plan::Keep } else { Plan::Restore })
}

/// Reads a private key of OpenSSH's, or one of OpenSSL's.
fn opened(text: &str, passphrase: Option<&Secret>) -> Option<PrivateKey> {
    let Ok(key) = PrivateKey::from_openssh(text) else {
        let key = key::load(text.as_bytes(), passphrase).ok()?;
        return PrivateKey::new(keypair(&key).ok()?, "").ok();
    };
    match (key.is_encrypted(), passphrase) {
        (false, None) => Some(key),
        (true, Some(passphrase)) => key.decrypt(passphrase.reveal()).ok(),
        _ => None,
    }
}

/// What a key is, and its bits.
fn about(key: &PrivateKey) -> Option<(Type, usize)> {
    match key.key_data() {
        KeypairData::Rsa(pair) => Some((Type::Rsa, usize::try_from(pair.key_size()).ok()?)),
        KeypairData::Ed25519(_) => Some((Type::Ed25519, 256)),
        KeypairData::Ecdsa(pair) => Some((
            Type::Ecdsa,
            match pair.curve() {
                EcdsaCurve::NistP256 => 256,
                EcdsaCurve::NistP384 => 384,
                EcdsaCurve::NistP521 => 521,
            },
        )),
        _ => None,
    }
}

/// A private key of OpenSSL's as OpenSSH has it.
///
/// # Errors
///
/// [`Failed`]: OpenSSH knows no such key.
pub(crate) fn keypair(key: &key::PrivateKey) -> Result<KeypairData, Failed> {
    let wrong = || Failed::new("there is no such key in OpenSSH");
    match key.kind {
        key::Kind::Rsa(_) => rsa(key.inner()).ok_or_else(wrong),
        key::Kind::Ed25519 => {
            let text = key.inner();
            let seed: [u8; 32] = text.get(16..48).and_then(|seed| seed.try_into().ok()).ok_or_else(wrong)?;
            Ok(KeypairData::Ed25519(russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&seed)))
        }
        key::Kind::Ecc(_) => Err(wrong()),
    }
}

fn rsa(inner: &[u8]) -> Option<KeypairData> {
    let about = pkcs8::PrivateKeyInfoRef::from_der(inner).ok()?;
    // RFC 8017: version, n, e, d, p, q, d mod (p-1), d mod (q-1), 1/q mod p.
    let numbers = Vec::<UintRef>::from_der(about.private_key.as_bytes()).ok()?;
    let number = |at: usize| numbers.get(at).map(|it| Mpint::from_positive_bytes(it.as_bytes()));
    let public = RsaPublicKey::new(number(2)?, number(1)?).ok()?;
    let private = RsaPrivateKey::new(number(3)?, number(8)?, number(4)?, number(5)?).ok()?;
    RsaKeypair::new(public, private).ok().map(KeypairData::Rsa)
}

fn made(arguments: &Arguments) -> Result<PrivateKey, Failed> {
    let told = |error| Failed::new(format!("the key cannot be made: {error}"));
    let comment = arguments.comment.clone().unwrap_or_default();
    let algorithm = match (arguments.kind, arguments.bits()) {
        (Type::Rsa, bits) => {
            let pair = keypair(&key::generate(key::Kind::Rsa(bits))?)?;
            return PrivateKey::new(pair, comment).map_err(told);
        }
        (Type::Ed25519, _) => Algorithm::Ed25519,
        (Type::Ecdsa, 384) => Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        (Type::Ecdsa, 521) => Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        (Type::Ecdsa, _) => Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    };
    let mut key = PrivateKey::random(&mut rand::rng(), algorithm).map_err(told)?;
    key.set_comment(comment);
    Ok(key)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let path = host.system.path(&arguments.path);
    let public = format!("{path}.pub");
    check_place(&path, host)?;
    let read = |path: &str| {
        let bytes = text::read(path, host.system)?;
        Ok::<_, Failed>(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let scene = Scene { private: read(&path)?, public: read(&public)? };
    let plan = plan(arguments, &scene)?;
    let mut changed = plan != Plan::Keep;
    if mode == Mode::Apply {
        let actions = actions(arguments, &scene, plan, &path)?;
        actions.iter().try_for_each(|action| act(action, host).map(drop))?;
    }
    if arguments.state == State::Present {
        let wanted = attributes::look(&arguments.attributes, host.system, mode)?;
        for path in [&path, &public] {
            let Some(found) = host.system.found(path).ok().flatten() else { continue };
            let actions = attributes::plan(path, &found, &wanted);
            changed |= !actions.is_empty();
            if mode == Mode::Apply {
                actions.iter().try_for_each(|action| act(action, host).map(drop))?;
            }
        }
    }
    let left =
        if arguments.state == State::Present { Scene { private: read(&path)?, public: read(&public)? } } else { scene };
    let mut values = told(arguments, &left);
    values.insert("filename".to_owned(), json!(path));
    Ok(Outcome { changed, values, ..Outcome::default() })
}

fn check_place(path: &str, host: &Context) -> Result<(), Failed> {
    let directory = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
    let is_directory =
        |path: &str| host.system.followed(path).ok().flatten().is_some_and(|found| found.kind == FileKind::Directory);
    if !is_directory(directory) {
        let why = format!("The directory {directory} does not exist or the file is not a directory");
        return Err(Failed::new(why).with("name", directory));
    }
    if is_directory(path) {
        return Err(Failed::new(format!("{path} is a directory. Please specify a path to a file.")));
    }
    Ok(())
}

fn actions(arguments: &Arguments, scene: &Scene, plan: Plan, path: &str) -> Result<Vec<Action>, Failed> {
    let public = format!("{path}.pub");
    let told = |error: russh::keys::ssh_key::Error| Failed::new(format!("the key cannot be written: {error}"));
    let write = |path: &str, text: String, bits: u32, is_there: bool| {
        let mode = (!is_there).then(|| octal(bits));
        let bytes = Bytes::Text(text.into_bytes());
        Action::Write(Write { path: path.to_owned(), bytes, mode, ..Write::default() })
    };
    Ok(match plan {
        Plan::Keep => vec![],
        Plan::Remove => {
            let both = [(path, &scene.private), (&public, &scene.public)];
            let there = both.into_iter().filter(|(_, there)| there.is_some());
            there.map(|(path, _)| Action::Remove { path: path.to_owned() }).collect()
        }
        Plan::Make => {
            let key = made(arguments)?;
            let text = written(&key.public_key().clone()).map_err(told)?;
            let key = match &arguments.passphrase {
                Some(passphrase) => key.encrypt(&mut rand::rng(), passphrase.reveal()).map_err(told)?,
                None => key,
            };
            let private = key.to_openssh(LineEnding::LF).map_err(told)?.to_string();
            let (first, second) = (scene.private.is_some(), scene.public.is_some());
            vec![write(path, private, 0o600, first), write(&public, text, 0o644, second)]
        }
        Plan::Restore => {
            let unread = || Failed::new("the private key cannot be read");
            let text = scene.private.as_deref().unwrap_or_default();
            let key = opened(text, arguments.passphrase.as_ref()).ok_or_else(unread)?;
            let mut half = key.public_key().clone();
            let comment = arguments.comment.clone().unwrap_or_else(|| half.comment().to_string());
            half.set_comment(comment);
            vec![write(&public, written(&half).map_err(told)?, 0o644, scene.public.is_some())]
        }
    })
}

fn written(half: &PublicKey) -> Result<String, russh::keys::ssh_key::Error> {
    half.to_openssh().map(|text| format!("{}\n", text.trim_end()))
}

fn told(arguments: &Arguments, scene: &Scene) -> Map<String, Value> {
    let key = scene.private.as_deref().and_then(|text| opened(text, arguments.passphrase.as_ref()));
    let fingerprint = key.map(|key| key.fingerprint(HashAlg::Sha256).to_string()).unwrap_or_default();
    let parts = scene.public.as_deref().unwrap_or_default().trim().splitn(3, ' ').collect::<Vec<_>>();
    let public = parts.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    Map::from_iter([
        ("size".to_owned(), json!(arguments.bits())),
        ("type".to_owned(), json!(arguments.kind)),
        ("fingerprint".to_owned(), json!(fingerprint)),
        ("public_key".to_owned(), json!(public)),
        ("comment".to_owned(), json!(parts.get(2).copied().unwrap_or_default())),
    ])
}
