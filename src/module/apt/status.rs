//! dpkg's own list of packages (`/var/lib/dpkg/status`).

use serde::{Deserialize, Serialize};

/// A package that dpkg knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Package {
    /// e.g. `nginx`
    pub name: String,
    /// e.g. `amd64`
    pub architecture: String,
    /// e.g. `1.22.1-9+deb12u1`
    pub version: String,
    /// The last word of its status, e.g. `installed` or `config-files`.
    pub state: String,
    /// Names it stands for beside its own.
    pub provides: Vec<String>,
}

impl Package {
    /// Whether it is there, whole.
    pub fn installed(&self) -> bool {
        self.state == "installed"
    }
}

/// Parses the list. What is no paragraph of a package is passed over.
pub fn packages(status: &str) -> Vec<Package> {
    status.split("\n\n").filter_map(package).collect()
}

fn package(paragraph: &str) -> Option<Package> {
    let mut package = Package::default();
    for line in paragraph.lines() {
        let Some((field, value)) = line.split_once(": ") else { continue };
        match field {
            "Package" => value.clone_into(&mut package.name),
            "Architecture" => value.clone_into(&mut package.architecture),
            "Version" => value.clone_into(&mut package.version),
            "Status" => value.rsplit(' ').next().unwrap_or_default().clone_into(&mut package.state),
            "Provides" => {
                let names = value.split(',').filter_map(|it| it.split_whitespace().next());
                package.provides = names.map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    (!package.name.is_empty()).then_some(package)
}
