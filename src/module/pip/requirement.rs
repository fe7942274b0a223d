//! What a playbook calls a package of Python: a name with versions that will do, or an address.

use std::cmp::Ordering;

/// How versions are compared, the longer words first.
const OPERATORS: [&str; 8] = ["===", "==", "!=", "<=", ">=", "~=", "<", ">"];

/// A package that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// As written; an address as a whole.
    pub name: String,
    /// Operator and version: all must hold.
    pub versions: Vec<(String, String)>,
    /// Whether it is a name, not an address or a path.
    pub plain: bool,
}

/// Puts together what was taken apart at commas: `a>1`, `<2`, `b` are two packages.
pub fn packages(names: &[String]) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    let mut open = false;
    for part in names.iter().flat_map(|name| name.split(',')) {
        let begins = OPERATORS.iter().any(|operator| part.trim_start().starts_with(operator));
        match found.last_mut() {
            Some(last) if begins || open => {
                last.push(',');
                last.push_str(part);
            }
            _ => found.push(part.to_owned()),
        }
        open = (open || part.contains('[')) && !part.contains(']');
    }
    found
}

impl Requirement {
    /// Reads what is written, with the version that the task gives beside it.
    pub fn read(written: &str, version: Option<&str>) -> Self {
        let whole = match version.map(str::trim_start) {
            Some(version) if version.starts_with(|first: char| first.is_ascii_digit()) => {
                format!("{written}=={version}")
            }
            Some(version) => format!("{written} {version}"),
            None => written.to_owned(),
        };
        let other = Self { name: whole.trim().to_owned(), versions: vec![], plain: false };
        let text = whole.trim();
        let end = text.find(|letter: char| "=!<>~".contains(letter)).unwrap_or(text.len());
        let (name, rest) = (text[..end].trim(), &text[end..]);
        let bare = name.split('[').next().unwrap_or(name);
        let named = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if bare.is_empty() || !bare.chars().all(named) || !bare.starts_with(|it: char| it.is_ascii_alphanumeric()) {
            return other;
        }
        let parts = rest.split(',').map(str::trim).filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let operator = OPERATORS.iter().find(|operator| part.starts_with(**operator))?;
            Some(((*operator).to_owned(), part[operator.len()..].trim().to_owned()))
        };
        match parts.map(pair).collect::<Option<Vec<_>>>() {
            Some(versions) => Self { name: name.to_owned(), versions, plain: true },
            None => other,
        }
    }

    /// As the program is told.
    pub fn text(&self) -> String {
        let mut versions = self.versions.iter().map(|(operator, it)| format!("{operator}{it}")).collect::<Vec<_>>();
        versions.sort();
        self.name.clone() + &versions.join(",")
    }

    /// Whether a list of `NAME==VERSION` has it, of a version that will do.
    pub fn is_in(&self, known: &str) -> bool {
        let name = canonical(self.name.split('[').next().unwrap_or(&self.name));
        let mut pairs = known.lines().filter_map(|line| line.trim().split_once("=="));
        self.plain && pairs.any(|(it, has)| canonical(it) == name && self.takes(has))
    }

    fn takes(&self, has: &str) -> bool {
        self.versions.iter().all(|(operator, wanted)| {
            let order = compare(has, wanted);
            let series = wanted.strip_suffix(".*").map(|start| has == start || has.starts_with(&format!("{start}.")));
            match operator.as_str() {
                "==" => series.unwrap_or(order == Ordering::Equal),
                "!=" => !series.unwrap_or(order == Ordering::Equal),
                "<=" => order != Ordering::Greater,
                ">=" => order != Ordering::Less,
                "<" => order == Ordering::Less,
                ">" => order == Ordering::Greater,
                "~=" => order != Ordering::Less && compatible(has, wanted),
                _ => has == wanted,
            }
        })
    }
}

/// A name as it is compared.
fn canonical(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Whether all numbers but the last are those of `wanted`.
fn compatible(has: &str, wanted: &str) -> bool {
    let (has, wanted) = (release(has).0, release(wanted).0);
    let fixed = wanted.len().saturating_sub(1);
    (0..fixed).all(|place| has.get(place).copied().unwrap_or(0) == wanted[place])
}

/// The numbers of a version and what stands behind them.
fn release(version: &str) -> (Vec<u64>, &str) {
    let version = version.trim().trim_start_matches('v').split('+').next().unwrap_or_default();
    let end = version.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let numbers = numbers.split('.').filter_map(|number| number.parse().ok());
    (numbers.collect(), rest.trim_start_matches(['.', '-', '_']))
}

/// What comes before a version, and what after it.
fn stage(rest: &str) -> (i8, u64) {
    let number = rest.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let stages = [("dev", -4), ("a", -3), ("b", -2), ("rc", -1), ("c", -1), ("post", 1)];
    (stages.iter().find(|(word, _)| rest.starts_with(word)).map_or(0, |(_, place)| *place), number)
}

fn compare(left: &str, right: &str) -> Ordering {
    let ((left, before), (right, behind)) = (release(left), release(right));
    let longer = left.len().max(right.len());
    let at = |numbers: &[u64], place: usize| numbers.get(place).copied().unwrap_or(0);
    let numbers = (0..longer).map(|place| at(&left, place).cmp(&at(&right, place))).find(|order| order.is_ne());
    numbers.unwrap_or_else(|| stage(before).cmp(&stage(behind)))
}
