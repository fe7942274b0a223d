//! The test `version`: Python's `LooseVersion`, semantic versions, and those of PEP 440.

use std::cmp::Ordering;

use crate::playbook::jinja::arguments::{Arguments, Truth, text, truth};
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::value::Value;

/// Compares.
pub fn test(input: &Value, args: Arguments) -> Result<bool, Trouble> {
    let [other, operator, strict, kind] = args.bind(["version", "operator", "strict", "version_type"])?;
    let (left, right) = (input.to_string(), text(other, ""));
    if left.is_empty() || right.is_empty() {
        return Err("needs two versions".to_owned().into());
    }
    let kind = kind.filter(|kind| !matches!(kind, Value::None)).map(|kind| kind.to_string());
    let strict = truth(strict.as_ref(), Truth::No);
    if strict && kind.is_some() {
        return Err("cannot have both `strict` and `version_type`".to_owned().into());
    }
    let order = match kind.as_deref().unwrap_or(if strict { "strict" } else { "loose" }) {
        "loose" => loose(&left, &right)?,
        "strict" => strict_key(&left)?.cmp(&strict_key(&right)?),
        "semver" | "semantic" => semantic(&left)?.cmp(&semantic(&right)?),
        "pep440" => pep440(&left)?.cmp(&pep440(&right)?),
        other => return Err(format!("knows no `version_type` `{other}`").into()),
    };
    match text(operator, "eq").as_str() {
        "==" | "=" | "eq" => Ok(order.is_eq()),
        "!=" | "<>" | "ne" => Ok(order.is_ne()),
        "<" | "lt" => Ok(order.is_lt()),
        "<=" | "le" => Ok(order.is_le()),
        ">" | "gt" => Ok(order.is_gt()),
        ">=" | "ge" => Ok(order.is_ge()),
        other => Err(format!("`{other}` is no comparison").into()),
    }
}

/// A piece of a version. In a semantic version numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64),
    Word(String),
}

fn piece(text: &str) -> Piece {
    text.parse().map_or_else(|_| Piece::Word(text.to_owned()), Piece::Number)
}

fn loose(left: &str, right: &str) -> Result<Ordering, String> {
    let (left, right) = (pieces(left), pieces(right));
    for (a, b) in left.iter().zip(&right) {
        match (a, b) {
            (Piece::Number(_), Piece::Word(_)) | (Piece::Word(_), Piece::Number(_)) => {
                return Err("cannot compare a number and a word".to_owned());
            }
            _ if a == b => {}
            _ => return Ok(a.cmp(b)),
        }
    }
    Ok(left.len().cmp(&right.len()))
}

fn pieces(version: &str) -> Vec<Piece> {
    let mut list = vec![];
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| (c.is_ascii_digit(), c.is_ascii_lowercase());
        let end = rest.find(|c: char| kind(c) != kind(first)).unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        rest = after;
        if text != "." {
            list.push(piece(text));
        }
    }
    list
}

/// `1.2`, `1.2.3`, each with `a1` or `b1` behind.
fn strict_key(version: &str) -> Result<(Vec<u64>, bool, String, u64), String> {
    let wrong = || format!("`{version}` is no strict version");
    let (release, before) = version.find(['a', 'b']).map_or((version, ""), |at| version.split_at(at));
    let mut numbers = numbers(release).ok_or_else(wrong)?;
    if !(2..=3).contains(&numbers.len()) {
        return Err(wrong());
    }
    numbers.resize(3, 0);
    let word: String = before.chars().take(1).collect();
    let number = if before.is_empty() { 0 } else { before[1..].parse().map_err(|_| wrong())? };
    Ok((numbers, before.is_empty(), word, number))
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// A version without pre-release comes behind all with one.
fn semantic(version: &str) -> Result<(Vec<u64>, bool, Vec<Piece>), String> {
    let wrong = || format!("`{version}` is no semantic version");
    let core = version.split_once('+').map_or(version, |(core, _)| core);
    let (core, before) = core.split_once('-').map_or((core, None), |(core, before)| (core, Some(before)));
    let numbers = numbers(core).filter(|numbers| numbers.len() == 3).ok_or_else(wrong)?;
    let pieces: Vec<Piece> = before.map(|before| before.split('.').map(piece).collect()).unwrap_or_default();
    Ok((numbers, before.is_none(), pieces))
}

/// What PEP 440 compares: epoch, release, pre-release, post-release, development, local.
type Pep440 = (u64, Vec<u64>, (u8, u64), Option<u64>, u64, Vec<Piece>);

fn pep440(version: &str) -> Result<Pep440, String> {
    let wrong = || format!("`{version}` is no version of PEP 440");
    let shape = concat!(
        r"(?i)^\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)",
        r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pren>\d*))?",
        r"(?:(?:-(?P<bare>\d+))|(?:[-_.]?(?P<post>post|rev|r)[-_.]?(?P<postn>\d*)))?",
        r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<devn>\d*))?(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$"
    );
    let regex = regex::Regex::new(shape).map_err(|error| error.to_string())?;
    let found = regex.captures(version).ok_or_else(wrong)?;
    let text = |name: &str| found.name(name).map(|part| part.as_str().to_lowercase());
    let number = |name: &str| text(name).map(|digits| digits.parse().unwrap_or(0));
    let mut release = numbers(&text("release").unwrap_or_default()).ok_or_else(wrong)?;
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let post = number("bare").or_else(|| text("post").map(|_| number("postn").unwrap_or(0)));
    let dev = text("dev").map(|_| number("devn").unwrap_or(0));
    let pre = match text("pre").as_deref() {
        Some("a" | "alpha") => 1,
        Some("b" | "beta") => 2,
        Some(_) => 3,
        None if post.is_none() && dev.is_some() => 0,
        None => 4,
    };
    let local = text("local").map(|local| local.split(['-', '_', '.']).map(piece).collect()).unwrap_or_default();
    let pre = (pre, number("pren").unwrap_or(0));
    Ok((number("epoch").unwrap_or(0), release, pre, post, dev.unwrap_or(u64::MAX), local))
}
