//! Filters that hide or make up.

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::crypt::{self, Method};
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::value::Value;

/// Their names.
pub const NAMES: &[&str] = &["password_hash", "random_mac"];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    if name == "random_mac" { random_mac(&input.to_string(), args) } else { password_hash(&input.to_string(), args) }
}

fn password_hash(password: &str, args: Arguments) -> Result<Value, Trouble> {
    let [kind, salt, salt_size, rounds, ident] = args.bind(["hashtype", "salt", "salt_size", "rounds", "ident"])?;
    if ident.is_some() {
        return Err("knows no `ident` here".into());
    }
    let method = match arguments::text(kind, "sha512").as_str() {
        "sha512" | "sha512_crypt" => Method::Sha512,
        "sha256" | "sha256_crypt" => Method::Sha256,
        other => return Err(format!("knows `sha512` and `sha256`, not `{other}`").into()),
    };
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
    if seed.is_some() {
        return Err("with a seed is not supported: its numbers are Python's own".into());
    }
    let prefix = prefix.to_lowercase();
    let given: Vec<&str> = prefix.split(':').collect();
    let good = |part: &&str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if given.len() > 5 || !given.iter().all(good) {
        return Err(format!("needs up to 5 parts of an address, got `{prefix}`").into());
    }
    let made = (given.len()..6).map(|_| format!("{:02x}", rand::random::<u8>()));
    let given = given.iter().map(|part| format!("{part:0>2}"));
    Ok(Value::text(given.chain(made).collect::<Vec<_>>().join(":")))
}
