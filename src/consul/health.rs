//! What Consul finds of the health of nodes.
//!
//! Source: Consul's HTTP API documentation, "Health".

use serde::Deserialize;

use super::{Client, Error, escaped};

/// One check of a node: of the agent on it (`serfHealth`), or of one of its services.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Check {
    /// The node: a container's name.
    #[serde(rename = "Node", default)]
    pub node: String,
    /// Its name, e.g. `Serf Health Status`.
    #[serde(rename = "Name")]
    pub name: String,
    /// `passing`, `warning` or `critical`.
    #[serde(rename = "Status")]
    pub status: String,
    /// What it said last.
    #[serde(rename = "Output", default)]
    pub output: String,
    /// The service that it is about, empty if it is about the node.
    #[serde(rename = "ServiceName", default)]
    pub service: String,
}

impl Check {
    /// Whether the node, or the service, is not to be used.
    pub fn is_critical(&self) -> bool {
        self.status == "critical"
    }
}

impl Client {
    /// Reads the checks of the node called `name`; a node that is not known has none.
    pub async fn checks(&self, name: &str) -> Result<Vec<Check>, Error> {
        let checks: Option<Vec<Check>> = self.read(&format!("/v1/health/node/{}", escaped(name)), &[]).await?;
        Ok(checks.unwrap_or_default())
    }

    /// Reads the checks of all nodes.
    pub async fn all_checks(&self) -> Result<Vec<Check>, Error> {
        Ok(self.read("/v1/health/state/any", &[]).await?.unwrap_or_default())
    }
}
