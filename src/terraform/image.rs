//! `lxd_cached_image`, `lxd_image` and `incus_image`: images of an image server that the server is to have.

use serde::{Deserialize, Serialize};

use crate::hcl::Value;
use crate::place::Problem;
use crate::terraform::body::Filled;
use crate::terraform::object::default_project;
use crate::terraform::read::Read;

/// An image of an image server, as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedImage {
    /// Its name with the server in front, e.g. `images:debian/12`.
    pub source: String,
    /// The names that it gets on the server.
    pub aliases: Vec<String>,
}

/// Returns whether resources called `name` are images.
pub fn is_one(name: &str) -> bool {
    matches!(name, "lxd_cached_image" | "lxd_image" | "incus_image")
}

/// Returns what others know the image by: the fingerprint is the server's to say, the name is as good.
pub fn reference(filled: &Filled) -> Option<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let (remote, name) = match filled.get("source_image") {
        Some(Value::Map(source)) => (text(source.get("remote"))?, text(source.get("name"))?),
        name => (text(filled.get("source_remote"))?, text(name)?),
    };
    Some(format!("{remote}:{name}"))
}

/// Makes an image of what its block says.
pub fn build(filled: &Filled, read: &mut Read<'_>) -> CachedImage {
    default_project(filled, read);
    if let Some(Value::Map(source)) = filled.get("source_image") {
        for (name, _) in source.iter().filter(|(name, value)| !known(name, value)) {
            let message = format!("`{name}` of `source_image` is not supported");
            read.problems.push(Problem::new(filled.place("source_image"), message));
        }
    }
    let source = reference(filled).unwrap_or_else(|| {
        let problem = Problem::new(filled.place.clone(), "an image needs a server and a name there");
        read.problems.push(problem.hint("`source_remote` and `source_image`, or `source_image = { remote, name }`"));
        String::new()
    });
    CachedImage { source, aliases: read.texts(filled, "aliases") }
}

fn known(name: &str, value: &Value) -> bool {
    match name {
        "remote" | "name" => true,
        "type" => matches!(value.as_str(), None | Some("container")),
        "copy_aliases" => *value != Value::Bool(true),
        _ => *value == Value::Null,
    }
}
