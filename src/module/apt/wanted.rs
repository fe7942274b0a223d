//! What is to be installed or removed.

use serde::{Deserialize, Serialize};

use crate::module::apt::{Arguments, Package, State};
use crate::module::command::matches;

/// What the packages named call for, as `apt-get` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// To install, possibly with a version.
    pub install: Vec<String>,
    /// To remove.
    pub remove: Vec<String>,
}

/// A package as a task names it.
pub(super) struct Spec<'a> {
    pub(super) name: &'a str,
    architecture: Option<&'a str>,
    relation: Option<(&'a str, &'a str)>,
}

impl<'a> Spec<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let split = |by: &'static str| text.split_once(by).map(|(name, rest)| (name, Some((by, rest))));
        let (name, relation) = split(">=").or_else(|| split("=")).or_else(|| split("/")).unwrap_or((text, None));
        let (name, architecture) = name.split_once(':').map_or((name, None), |(name, it)| (name, Some(it)));
        Self { name, architecture, relation }
    }

    fn is(&self, package: &Package) -> bool {
        package.name == self.name && self.architecture.is_none_or(|it| it == package.architecture || it == "any")
    }
}

/// Says what is to be installed or removed, from what dpkg knows alone.
///
/// - A version is compared as a pattern (`1.2*`); what calls for more (`latest`, `>=`, a release) is left to
///   `apt-get`, which finds that nothing is to be done if so.
/// - A name that exactly one installed package provides counts as installed.
pub fn plan(arguments: &Arguments, known: &[Package]) -> Wanted {
    let mut wanted = Wanted::default();
    for text in arguments.name.iter().map(|name| name.trim()).filter(|name| !name.is_empty() && *name != "*") {
        let spec = Spec::new(text);
        let found = known.iter().find(|package| spec.is(package) && package.installed());
        match arguments.state {
            State::Absent => {
                let left = |it: &Package| it.installed() || (arguments.purge && it.state == "config-files");
                let matching = |it: &&Package| spec.is(it) || matches(&it.name, spec.name);
                let gone = known.iter().filter(matching).filter(|it| left(it)).filter(|it| fits(&spec, it));
                wanted.remove.extend(gone.map(|it| if spec.is(it) { unversioned(text) } else { it.name.clone() }));
            }
            State::Present => {
                let provided =
                    || known.iter().filter(|it| it.installed() && it.provides.iter().any(|p| p == spec.name));
                let there = match (found, spec.relation) {
                    (Some(package), _) => fits(&spec, package),
                    (None, None) => provided().count() == 1,
                    (None, Some(_)) => false,
                };
                let skipped = arguments.only_upgrade && found.is_none();
                if !there && !skipped {
                    wanted.install.push(text.to_owned());
                }
            }
            State::Latest if arguments.only_upgrade && found.is_none() => {}
            State::Latest | State::BuildDep | State::Fixed => wanted.install.push(text.to_owned()),
        }
    }
    wanted
}

fn unversioned(text: &str) -> String {
    let spec = Spec::new(text);
    spec.architecture.map_or_else(|| spec.name.to_owned(), |it| format!("{}:{it}", spec.name))
}

fn fits(spec: &Spec, package: &Package) -> bool {
    match spec.relation {
        None => true,
        Some(("=", version)) => matches(&package.version, version),
        Some(_) => false,
    }
}
