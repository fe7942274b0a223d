//! Policies and tokens: who may do what.
//!
//! Source: Consul's HTTP API documentation, "ACL Policies" and "ACL Tokens".

use serde::Deserialize;
use serde_json::{Value, json};

use crate::consul::{Client, Error, line};
use crate::http::{Body, Method};
use crate::secret::Secret;

#[derive(Deserialize)]
struct Policy {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Rules", default)]
    rules: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(rename = "SecretID")]
    secret: String,
}

impl Client {
    /// Makes the policy called `name`, or gives it these rules.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if this client's token does not allow it, or the rules are none.
    pub async fn set_policy(&self, name: &str, description: &str, rules: &str) -> Result<(), Error> {
        let wanted = json!({ "Name": name, "Description": description, "Rules": rules });
        let found: Option<Policy> = self.unless_absent(&format!("/v1/acl/policy/name/{name}")).await?;
        match found {
            Some(found) if found.rules == rules => Ok(()),
            Some(found) => self.put::<Value>(&format!("/v1/acl/policy/{}", found.id), wanted).await.map(drop),
            None => self.put::<Value>("/v1/acl/policy", wanted).await.map(drop),
        }
    }

    /// Returns the secret of the token that goes by `accessor`, a UUID, made with these policies if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if this client's token does not allow it.
    pub async fn token(&self, accessor: &str, description: &str, policies: &[&str]) -> Result<Secret, Error> {
        let found: Option<Token> = self.unless_absent(&format!("/v1/acl/token/{accessor}")).await?;
        if let Some(token) = found {
            return Ok(Secret::new(token.secret));
        }
        let policies: Vec<Value> = policies.iter().map(|name| json!({ "Name": name })).collect();
        let wanted = json!({ "AccessorID": accessor, "Description": description, "Policies": policies });
        let made: Token = self.put("/v1/acl/token", wanted).await?;
        Ok(Secret::new(made.secret))
    }

    /// Consul says that a policy or token is not there by 403 or 404, each version in its own way.
    async fn unless_absent<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        match self.read(path, &[]).await {
            Err(Error::Refused { message, .. }) if message.contains("ACL not found") => Ok(None),
            answer => answer,
        }
    }

    async fn put<T: serde::de::DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Error> {
        let request = self.request(Method::PUT, path, &[], Body::Json(body));
        let line = line(&request);
        match self.exchange(request, &line).await? {
            (200, bytes) => self.parsed(&bytes, &line),
            (status, bytes) => Err(self.refusal(status, &bytes, line)),
        }
    }
}
