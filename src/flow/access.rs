//! Containers that may write Consul keys on a host whose Consul lets nobody write.
//!
//! Every owner gets a policy and a token of its own, `ryo-OWNER`, for the keys that its files write. The token stands
//! beside the configuration of the Consul agent in the container, which uses it for everybody there.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::consul;
use crate::flow::instance::Error;
use crate::flow::world::World;
use crate::http::Body;
use crate::plan::InstanceSpec;
use crate::secret::Secret;

/// Where the images of the field have the configuration of their Consul agent.
const CONFIGURATION: &str = "/etc/consul.d/consul.hcl";

/// Where the token goes.
const TOKEN: &str = "/etc/consul.d/ryo-token.json";

/// Most bytes of the agent's configuration.
const MOST: u64 = 1 << 20;

/// Gives the instance `name`, which has not been started yet, the token of its owner, if it has a Consul agent.
pub async fn give(world: &World, spec: &InstanceSpec, name: &str) -> Result<(), Error> {
    let Some(consul) = world.access.as_ref().filter(|_| !spec.writes.is_empty()) else { return Ok(()) };
    // Whoever reads the one has to read the other.
    let Some(beside) = world.lxd.pull_file(name, CONFIGURATION, MOST).await? else { return Ok(()) };
    let token = token(consul, spec).await?;
    let content = serde_json::json!({ "acl": { "tokens": { "default": token.reveal() } } });
    let body = Body::Bytes(Bytes::from(content.to_string()));
    Ok(world.lxd.push_file(name, TOKEN, beside.owner, body).await?)
}

async fn token(consul: &consul::Client, spec: &InstanceSpec) -> Result<Secret, consul::Error> {
    let (name, description) = (format!("ryo-{}", spec.owner), format!("Set by ryo for {}", spec.owner));
    consul.set_policy(&name, &description, &spec.writes.rules()).await?;
    consul.token(&accessor(&spec.owner), &description, &["ryo-everybody", &name]).await
}

/// The same for an owner at any time, so that it has one token.
fn accessor(owner: &str) -> String {
    let digest = hex::encode(Sha256::digest(format!("ryo token of {owner}")));
    format!("{}-{}-4{}-8{}-{}", &digest[..8], &digest[8..12], &digest[12..15], &digest[15..18], &digest[18..30])
}
