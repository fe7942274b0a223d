//! Filters that hide or make up.

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::crypt::{self, Method};
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::mersenne::Mersenne;
use crate::playbook::jinja::value::Value;
use crate::playbook::vault::{self, Vault};
use crate::secret::Secret;

/// Their names.
pub const NAMES: &[&str] = &["password_hash", "random_mac", "unvault", "vault"];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let text = input.to_string();
    match name {
        "random_mac" => random_mac(&text, args),
        "vault" => seal(&text, args),
        "unvault" => unseal(&text, args),
        _ => password_hash(&text, args),
    }
}

fn seal(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [secret, salt, label, _] = args.bind(["secret", "salt", "vault_id", "wrap_object"])?;
    let secret = Secret::new(secret.ok_or("needs a secret")?.to_string());
    let salt = match arguments::text(salt, "") {
        salt if salt.is_empty() => (0..32).map(|_| rand::random()).collect(),
        salt => salt.into_bytes(),
    };
    let sealed = vault::seal(text.as_bytes(), &secret, &salt, &arguments::text(label, "filter_default"));
    sealed.map(Value::text).map_err(|error| Trouble::Refused(error.to_string()))
}

fn unseal(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [secret, label] = args.bind(["secret", "vault_id"])?;
    if !vault::is_encrypted(text) {
        return Ok(Value::text(text));
    }
    let secret = Secret::new(secret.ok_or("needs a secret")?.to_string());
    let vault = Vault::new(vec![(arguments::text(label, "filter_default"), secret)]);
    let bytes = vault.open(text).map_err(|error| Trouble::Refused(error.to_string()))?;
    String::from_utf8(bytes).map(Value::text).map_err(|_| Trouble::Refused("holds no text".to_owned()))
}

fn password_hash(password: &str, args: Arguments) -> Result<Value, Trouble> {
    let [kind, salt, salt_size, rounds, ident] = args.bind(["hashtype", "salt", "salt_size", "rounds", "ident"])?;
    if ident.is_some() {
        return Err("knows no `ident` here".into());
    }
    let method = Method::named(&arguments::text(kind, "sha512"))?;
    let size = arguments::size(salt_size, 16)?.min(16);
    let salt = match salt {
        None | Some(Value::None) => crypt::random_salt(size),
        Some(salt) => salt.to_string(),
    };
    if !salt.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '/') || salt.len() > 16 {
        return Err("needs a salt of at most 16 characters out of `./0-9A-Za-z`".into());
    }
    let rounds = match rounds {
        None | Some(Value::None) => method.rounds(),
        Some(rounds) => u32::try_from(arguments::int(Some(rounds), 0)?).map_err(|_| "needs fewer rounds")?,
    };
    if !(1000..=10_000_000).contains(&rounds) {
        return Err("needs from 1000 to 10000000 rounds".into());
    }
    Ok(Value::text(crypt::hash(method, password, &salt, rounds)))
}

fn random_mac(prefix: &str, args: Arguments) -> Result<Value, Trouble> {
    let [seed] = args.bind(["seed"])?;
    let mut seeded = seed.as_ref().map(Mersenne::seeded).transpose()?;
    let prefix = prefix.to_lowercase();
    let given: Vec<&str> = prefix.split(':').collect();
    let good = |part: &&str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if given.len() > 5 || !given.iter().all(good) {
        return Err(format!("needs up to 5 parts of an address, got `{prefix}`").into());
    }
    let (low, high) = (68_719_476_736_u64, 1_099_511_627_776_u64);
    let number = match &mut seeded {
        Some(random) => low + random.below(high - low),
        None => rand::random_range(low..high),
    };
    let digits = format!("{number:x}");
    let made = (0..6 - given.len()).map(|at| digits[2 * at..2 * at + 2].to_owned());
    let given = given.iter().map(|part| format!("{part:0>2}"));
    Ok(Value::text(given.chain(made).collect::<Vec<_>>().join(":")))
}
