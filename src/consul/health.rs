//! What Consul knows of the health of nodes and services.
//!
//! Source: Consul's HTTP API documentation, "Health".

use serde::{Deserialize, Serialize};

use super::{Client, Error, escaped};

/// One check of a node: of the agent on it (`serfHealth`), or of one of its services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"), default)]
pub struct Check {
    /// The node: a container's name.
    pub node: String,
    /// Its name, e.g. `Serf Health Status`.
    pub name: String,
    /// `passing`, `warning`, `critical` or `maintenance`.
    pub status: String,
    /// What it said last.
    #[serde(skip_serializing)]
    pub output: String,
    /// The service that it is about; empty if it is about the node.
    #[serde(rename(deserialize = "ServiceName"))]
    pub service: String,
}

impl Check {
    /// Whether the node, or the service, is not to be used.
    pub fn is_critical(&self) -> bool {
        self.status == "critical"
    }
}

impl Client {
    /// Reads all checks of the datacenter.
    pub async fn checks(&self) -> Result<Vec<Check>, Error> {
        Ok(self.read("/v1/health/state/any", &[]).await?.unwrap_or_default())
    }

    /// Reads the checks of the node called `name`; a node that is not known has none.
    pub async fn checks_of(&self, name: &str) -> Result<Vec<Check>, Error> {
        Ok(self.read(&format!("/v1/health/node/{}", escaped(name)), &[]).await?.unwrap_or_default())
    }
}
