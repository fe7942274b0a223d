//! `consul_keys` and the `consul` provider.

use crate::place::{Place, Problem};
use crate::secret::Secret;
use crate::terraform::body::Filled;
use crate::terraform::read::Read;
use crate::terraform::schema::{Attribute, Block, Kind, Need};
use crate::terraform::{ConsulKey, ConsulKeys, ConsulProvider};

/// Where the server is, if nothing is said.
const USUAL: &str = "localhost:8500";

/// What the block of the provider takes.
pub const PROVIDER: Block = Block {
    attributes: &[
        Attribute { name: "address", kind: Kind::Text, need: Need::Optional },
        Attribute { name: "scheme", kind: Kind::Text, need: Need::Optional },
        Attribute { name: "datacenter", kind: Kind::Text, need: Need::Optional },
        Attribute { name: "token", kind: Kind::Text, need: Need::Optional },
        Attribute { name: "version", kind: Kind::Text, need: Need::Optional },
    ],
    blocks: &[],
    unsupported: &[
        "alias",
        "http_auth",
        "ca_file",
        "ca_pem",
        "ca_path",
        "cert_file",
        "cert_pem",
        "key_file",
        "key_pem",
        "insecure_https",
        "namespace",
        "header",
        "auth_jwt",
    ],
};

/// Makes the keys of what their block says.
pub fn keys(filled: &Filled, read: &mut Read<'_>) -> ConsulKeys {
    ConsulKeys {
        datacenter: read.optional_text(filled, "datacenter"),
        token: read.optional_text(filled, "token").map(Secret::new),
        keys: filled.blocks.iter().filter_map(|(_, block)| key(block, read)).collect(),
        prefix: None,
    }
}

/// Makes the keys of a `consul_key_prefix`, which has everything below its prefix to itself.
pub fn prefix(filled: &Filled, read: &mut Read<'_>) -> ConsulKeys {
    let prefix = read.text(filled, "path_prefix");
    let mut subkeys: Vec<(String, String)> = read.texts_by_name(filled, "subkeys").into_iter().collect();
    for (_, block) in &filled.blocks {
        subkeys.push((read.text(block, "path"), read.text(block, "value")));
    }
    if prefix.is_empty() || prefix.starts_with('/') {
        let message = "`path_prefix` must be the start of keys, without a slash in front";
        read.problems.push(Problem::new(filled.place("path_prefix"), message));
    }
    let key = |(path, value)| ConsulKey { path: format!("{prefix}{path}"), value, delete: true };
    ConsulKeys {
        datacenter: read.optional_text(filled, "datacenter"),
        token: read.optional_text(filled, "token").map(Secret::new),
        keys: subkeys.into_iter().map(key).collect(),
        prefix: Some(prefix.clone()),
    }
}

fn key(block: &Filled, read: &mut Read<'_>) -> Option<ConsulKey> {
    let path = read.text(block, "path");
    let Some(value) = read.optional_text(block, "value") else {
        if block.get("value").is_none() {
            let problem = Problem::new(block.place.clone(), format!("the key `{path}` has no `value`"));
            read.problems.push(problem.hint("reading keys is not supported, only writing them"));
        }
        return None;
    };
    check_path(&path, block, read);
    let delete = read.truth(block, "delete", false);
    Some(ConsulKey { path, value, delete })
}

fn check_path(path: &str, block: &Filled, read: &mut Read<'_>) {
    if path.starts_with('/') {
        let problem = Problem::new(block.place("path"), format!("the key `{path}` starts with a slash"));
        read.problems.push(problem.hint("keys of Consul have no slash in front"));
    }
    if path.is_empty() && block.get("path").is_some() {
        read.problems.push(Problem::new(block.place("path"), "the key is empty"));
    }
}

/// The provider where no block configures it, as the original has it then.
pub fn unconfigured(place: &Place) -> ConsulProvider {
    let address = USUAL.to_owned();
    ConsulProvider { address, scheme: "http".to_owned(), datacenter: None, token: None, place: place.clone() }
}

/// Makes the provider of what its block says, with the defaults of the original.
pub fn provider(filled: &Filled, read: &mut Read<'_>) -> ConsulProvider {
    let address = read.optional_text(filled, "address").unwrap_or_else(|| USUAL.to_owned());
    let (written, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_owned()), rest.to_owned()),
        None => (None, address),
    };
    let scheme = read.optional_text(filled, "scheme").or(written).unwrap_or_else(|| "http".to_owned());
    if scheme != "http" && scheme != "https" {
        let problem = Problem::new(filled.place("scheme"), format!("there is no scheme `{scheme}`"));
        read.problems.push(problem.hint("it is `http` or `https`"));
    }
    let address = if has_port(&rest) { rest } else { format!("{rest}:8500") };
    ConsulProvider {
        address,
        scheme,
        datacenter: read.optional_text(filled, "datacenter"),
        token: read.optional_text(filled, "token").map(Secret::new),
        place: filled.place.clone(),
    }
}

fn has_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| port.parse::<u16>().is_ok() && (host.ends_with(']') || !host.contains(':')))
}
