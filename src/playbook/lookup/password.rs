//! `password`: made at its first use, kept in a file, read afterwards.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::playbook::jinja::{Mersenne, Value, crypt};
use crate::playbook::lookup::Options;
use crate::playbook::scope::TaskScope;
use crate::playbook::words;

/// What is asked for.
struct Wanted {
    path: String,
    length: usize,
    alphabet: Vec<char>,
    encrypt: Option<crypt::Method>,
    seed: Option<Value>,
}

/// Returns the password of every term.
pub fn run(
    scope: &TaskScope<'_>,
    terms: impl Iterator<Item = String>,
    options: Options<'_>,
) -> Result<Vec<Value>, String> {
    terms.map(|term| one(scope, &wanted(&term, options)?).map(Value::text)).collect()
}

fn wanted(term: &str, options: Options<'_>) -> Result<Wanted, String> {
    let line = words::split(term, words::Keys::All)?;
    let given = |name: &str| {
        let inline = line.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| Value::text(value));
        inline.or_else(|| options.get(name).cloned()).filter(|value| !matches!(value, Value::None))
    };
    if let Some((name, _)) = line.pairs.iter().find(|(name, _)| !PARAMETERS.contains(&name.as_str())) {
        return Err(format!("`password` has no parameter `{name}`"));
    }
    if given("ident").is_some() {
        return Err("`ident` is not supported".to_owned());
    }
    let length = given("length").map_or(Ok(20), |length| length.to_string().parse());
    Ok(Wanted {
        path: line.text.trim().to_owned(),
        length: length.ok().filter(|length| *length <= 65_536).ok_or("needs a sensible `length`")?,
        alphabet: alphabet(given("chars")),
        encrypt: given("encrypt").map(|method| crypt::Method::named(&method.to_string())).transpose()?,
        seed: given("seed"),
    })
}

const PARAMETERS: &[&str] = &["length", "encrypt", "chars", "ident", "seed"];

/// The characters to choose from: names of Python's `string`, or characters themselves.
fn alphabet(chars: Option<Value>) -> Vec<char> {
    let parts: Vec<String> = match chars {
        None => vec!["ascii_letters".to_owned(), "digits".to_owned(), ".,:-_".to_owned()],
        Some(Value::List(items) | Value::Tuple(items)) => items.iter().map(ToString::to_string).collect(),
        Some(text) => {
            let text = text.to_string();
            let comma = text.contains(",,").then(|| ",".to_owned());
            let others = text.replace(",,", ",");
            comma.into_iter().chain(others.split(',').filter(|part| !part.is_empty()).map(str::to_owned)).collect()
        }
    };
    let mut all = vec![];
    for part in parts {
        let (lower, upper) = ('a'..='z', 'A'..='Z');
        match part.as_str() {
            "ascii_letters" => all.extend(lower.chain(upper)),
            "ascii_lowercase" => all.extend(lower),
            "ascii_uppercase" => all.extend(upper),
            "digits" => all.extend('0'..='9'),
            "hexdigits" => all.extend("0123456789abcdefABCDEF".chars()),
            "octdigits" => all.extend('0'..='7'),
            "punctuation" => all.extend("!#$%&()*+,-./:;<=>?@[\\]^_`{|}~".chars()),
            other => all.extend(other.chars().filter(|c| !matches!(c, '"' | '\''))),
        }
    }
    all
}

fn one(scope: &TaskScope<'_>, wanted: &Wanted) -> Result<String, String> {
    let nowhere = wanted.path == "/dev/null";
    let path = scope.directory().join(&wanted.path);
    let kept = if nowhere { None } else { fs::read_to_string(&path).ok() };
    let kept = kept.map(|text| text.trim_end_matches('\n').to_owned());
    let (password, salt) = match &kept {
        Some(text) => match text.rsplit_once(" salt=") {
            Some((password, salt)) => (password.to_owned(), Some(salt.to_owned())),
            None => (text.clone(), None),
        },
        None => (made(wanted)?, None),
    };
    let Some(method) = wanted.encrypt else {
        if kept.is_none() && !nowhere {
            keep(&path, &password)?;
        }
        return Ok(password);
    };
    let salt = if let Some(salt) = salt {
        salt
    } else {
        let salt = crypt::random_salt(method.salt_length());
        if !nowhere {
            keep(&path, &format!("{password} salt={salt}"))?;
        }
        salt
    };
    Ok(crypt::hash(method, &password, &salt, method.rounds()))
}

fn made(wanted: &Wanted) -> Result<String, String> {
    let count = wanted.alphabet.len();
    if count == 0 {
        return Err("needs characters to choose from".to_owned());
    }
    let mut seeded = wanted.seed.as_ref().map(Mersenne::seeded).transpose()?;
    let mut next = || match &mut seeded {
        Some(random) => usize::try_from(random.below(count as u64)).unwrap_or(0),
        None => rand::random_range(0..count),
    };
    Ok((0..wanted.length).map(|_| wanted.alphabet[next()]).collect())
}

fn keep(path: &Path, text: &str) -> Result<(), String> {
    let write = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        writeln!(file, "{text}")
    };
    write().map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}
