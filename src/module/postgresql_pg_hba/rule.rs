//! One rule of `pg_hba.conf`.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::module::arguments;
use crate::module::postgresql_pg_hba::Wanted;
use crate::module::postgresql_pg_hba::network::Network;

/// The kinds of connections.
pub const KINDS: [&str; 6] = ["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"];

/// How accounts prove themselves.
pub const METHODS: [&str; 14] = [
    "trust",
    "reject",
    "md5",
    "password",
    "gss",
    "sspi",
    "krb5",
    "ident",
    "peer",
    "ldap",
    "radius",
    "cert",
    "pam",
    "scram-sha-256",
];

/// A rule is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Something is missing; a file may hold such a thing.
    Rule(String),
    /// Something is written wrongly.
    Value(String),
}

impl Wrong {
    /// Why.
    pub fn message(&self) -> &str {
        match self {
            Self::Rule(message) | Self::Value(message) => message,
        }
    }
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What stands behind it.
    pub comment: Option<String>,
    kind: String,
    databases: String,
    users: String,
    source: Option<String>,
    method: String,
    options: Option<String>,
}

impl Rule {
    /// Reads a line without its comment.
    pub(super) fn read(line: &str, comment: Option<&str>) -> Result<Self, Wrong> {
        let mut columns: Vec<Option<&str>> = line.split_whitespace().map(Some).collect();
        let kind = columns[0].unwrap_or_default();
        if columns.len() < 4 {
            return Err(Wrong::Value(format!("Rule {line} has too few columns.")));
        }
        if !KINDS.contains(&kind) {
            return Err(Wrong::Value(format!("Rule {line} has unknown type: {kind}.")));
        }
        let is_method = |column: Option<&str>| column.is_some_and(|it| METHODS.contains(&it));
        if kind == "local" {
            columns.splice(3..3, [None, None]);
        }
        if columns.len() < 6 || !is_method(columns.get(5).copied().flatten()) {
            columns.insert(4, None);
        }
        if !is_method(columns.get(5).copied().flatten()) {
            let method = columns.get(5).copied().flatten().unwrap_or("None");
            let text = format!("Rule {line} of '{kind}' type has invalid auth-method '{method}'");
            return Err(Wrong::Value(text));
        }
        let text = |at: usize| columns[at].map(str::to_owned);
        let options = columns[6..].iter().flatten().copied().collect::<Vec<_>>().join(" ");
        let rule = Self {
            comment: comment.map(str::to_owned),
            kind: kind.to_owned(),
            databases: text(1).unwrap_or_default(),
            users: text(2).unwrap_or_default(),
            source: text(3),
            method: text(5).unwrap_or_default(),
            options: Some(options).filter(|options| !options.is_empty()),
        };
        rule.placed(columns[4])
    }

    /// Makes one of what a task wants, for one database and one account.
    pub(super) fn wanted(wanted: &Wanted, database: &str, user: &str) -> Result<Self, Wrong> {
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let kind = wanted.contype.clone().unwrap_or_default();
        for (value, known, what) in [(&wanted.method, &METHODS[..], "method"), (&kind, &KINDS[..], "connection type")] {
            if !known.contains(&value.as_str()) {
                let known = known.join("', '");
                return Err(Wrong::Rule(format!("invalid {what} {value} (should be one of '{known}').")));
            }
        }
        let rule = Self {
            comment: some(&wanted.comment),
            kind,
            databases: database.to_owned(),
            users: user.to_owned(),
            source: Some(wanted.address.clone()).filter(|source| !source.is_empty()),
            method: wanted.method.clone(),
            options: some(&wanted.options),
        };
        rule.placed(wanted.netmask.as_deref().filter(|mask| !mask.is_empty()))
    }

    /// Joins source and mask.
    fn placed(mut self, mask: Option<&str>) -> Result<Self, Wrong> {
        self.source = match self.source.take() {
            _ if self.kind == "local" => None,
            None => {
                let shown = arguments::python(&self.json());
                return Err(Wrong::Rule(format!("Missing src in rule {shown}")));
            }
            Some(source) if source.contains('/') => Some(source),
            Some(source) => Some(match mask {
                Some(mask) => masked(&source, mask)?,
                None => Network::read(&source).map_or(source, |network| network.to_string()),
            }),
        };
        Ok(self)
    }

    /// What a file has one of.
    pub(super) fn key(&self) -> (String, &str, &str) {
        let source = match &self.source {
            None => "local".to_owned(),
            Some(source) => Network::read(source).map_or_else(|| source.clone(), |network| network.to_string()),
        };
        (source, &self.databases, &self.users)
    }

    fn columns(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let columns = [
            ("type", Some(&self.kind)),
            ("db", Some(&self.databases)),
            ("usr", Some(&self.users)),
            ("src", self.source.as_ref()),
            ("method", Some(&self.method)),
            ("options", self.options.as_ref()),
        ];
        columns.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// As it is written.
    pub(super) fn line(&self) -> String {
        self.columns().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("\t")
    }

    /// As a result shows it.
    pub(super) fn json(&self) -> Value {
        let comment = self.comment.iter().map(|comment| ("comment", comment));
        let pairs = comment.chain(self.columns()).map(|(name, value)| (name.to_owned(), Value::from(value.clone())));
        Value::Object(pairs.collect::<Map<_, _>>())
    }

    /// What is more specific comes first.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let weights = other.source_weight().cmp(&self.source_weight());
        let weights = weights.then(self.database_weight().cmp(&other.database_weight()));
        weights.then(self.user_weight().cmp(&other.user_weight())).then_with(|| match (&self.source, &other.source) {
            (Some(left), Some(right)) => left.cmp(right),
            _ => self.line().cmp(&other.line()),
        })
    }

    /// How specific the source is: addresses of both families on one scale to 128.
    fn source_weight(&self) -> u32 {
        let Some(source) = &self.source else { return 130 };
        match (source.as_str(), Network::read(source)) {
            (_, Some(network)) if network.is_ipv4() => network.prefix * 4,
            (_, Some(network)) => network.prefix,
            ("all", None) => 0,
            ("samehost", None) => 129,
            ("samenet", None) => 96,
            (domain, None) if domain.starts_with('.') => 64,
            _ => 128,
        }
    }

    fn database_weight(&self) -> usize {
        match self.databases.as_str() {
            "all" => 100_000,
            "replication" => 0,
            "samerole" | "samegroup" => 1,
            list => 1 + list.matches(',').count(),
        }
    }

    fn user_weight(&self) -> u32 {
        if self.users == "all" { 1_000_000 } else { 1 }
    }
}

fn masked(source: &str, mask: &str) -> Result<String, Wrong> {
    let parsed: Result<IpAddr, _> = source.parse();
    if parsed.is_err() {
        return Err(Wrong::Value(format!("Mask was specified, but source \"{source}\" is not valid ip")));
    }
    let bits = match mask.parse() {
        Ok(IpAddr::V4(mask)) => format!("{:b}", u32::from(mask)),
        Ok(IpAddr::V6(mask)) => format!("{:b}", u128::from(mask)),
        Err(_) => return Err(Wrong::Value(format!("Mask {mask} seems to be invalid"))),
    };
    if bits.contains("01") {
        return Err(Wrong::Value(format!("IP mask {mask} seems invalid (binary value has 1 after 0)")));
    }
    let network = format!("{source}/{}", bits.matches('1').count());
    match Network::read(&network) {
        Some(network) => Ok(network.to_string()),
        None => Err(Wrong::Value(format!("{network} is not valid address range"))),
    }
}
