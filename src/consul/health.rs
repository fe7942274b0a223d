//! What Consul knows of the health of machines and services.

use serde::{Deserialize, Serialize};

use crate::consul::{Client, Error};

/// A check of a machine or of one of its services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"), default)]
pub struct Check {
    /// The machine: a container's name.
    pub node: String,
    /// What it is called.
    pub name: String,
    /// `passing`, `warning`, `critical` or `maintenance`.
    pub status: String,
    /// The service; empty if it is about the machine.
    #[serde(rename(deserialize = "ServiceName"))]
    pub service: String,
}

impl Client {
    /// Reads all checks of the datacenter.
    pub async fn checks(&self) -> Result<Vec<Check>, Error> {
        Ok(self.read("/v1/health/state/any", &[]).await?.unwrap_or_default())
    }
}
