//! What a server has beside instances and images: networks, profiles, storage pools and volumes. They have one shape.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::model::{Config, Devices, Object, Operation, Tagged};
use super::{Client, Error, late, line, optional, request};
use crate::http::Request;

/// How long making or changing one may take.
const CHANGE: Duration = Duration::from_mins(5);

/// Where objects of a kind are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Networks.
    Networks,
    /// Profiles.
    Profiles,
    /// Storage pools.
    Pools,
    /// Custom volumes of a storage pool.
    Volumes {
        /// The pool.
        pool: String,
    },
}

impl Collection {
    /// Returns the path of the collection.
    pub fn path(&self) -> String {
        match self {
            Self::Networks => "/1.0/networks".to_owned(),
            Self::Profiles => "/1.0/profiles".to_owned(),
            Self::Pools => "/1.0/storage-pools".to_owned(),
            Self::Volumes { pool } => format!("/1.0/storage-pools/{}/volumes/custom", request::segment(pool)),
        }
    }

    /// What a person calls one of them.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Networks => "network",
            Self::Profiles => "profile",
            Self::Pools => "storage pool",
            Self::Volumes { .. } => "volume",
        }
    }
}

/// An object to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// `bridge` and others of networks, `dir` and others of pools, `filesystem` or `block` of volumes; the server's
    /// choice without it.
    pub kind: Option<String>,
    /// Configuration.
    pub config: Config,
    /// Devices, of profiles.
    pub devices: Devices,
}

impl NewObject {
    pub(super) fn body(&self, collection: &Collection) -> Value {
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(self.name));
        body.insert("description".to_owned(), json!(self.description));
        body.insert("config".to_owned(), json!(self.config));
        let kind = self.kind.as_ref().map(|kind| json!(kind));
        match collection {
            Collection::Networks => body.extend(kind.map(|kind| ("type".to_owned(), kind))),
            Collection::Pools => body.extend(kind.map(|kind| ("driver".to_owned(), kind))),
            Collection::Profiles => drop(body.insert("devices".to_owned(), json!(self.devices))),
            Collection::Volumes { .. } => {
                body.insert("type".to_owned(), json!("custom"));
                body.extend(kind.map(|kind| ("content_type".to_owned(), kind)));
            }
        }
        Value::Object(body)
    }
}

impl Client {
    /// Lists the objects of a collection, those that the server only sees included.
    pub async fn objects(&self, collection: &Collection) -> Result<Vec<Object>, Error> {
        self.call(request::objects(collection)).await
    }

    /// Reads one object; `None` if it is not there.
    pub async fn object(&self, collection: &Collection, name: &str) -> Result<Option<Tagged<Object>>, Error> {
        let found = optional(self.tagged(request::object(collection, name)).await)?;
        Ok(found.map(|(value, etag)| Tagged { value, etag }))
    }

    /// Makes an object.
    pub async fn create_object(&self, collection: &Collection, new: &NewObject) -> Result<(), Error> {
        let what = format!("creation of {} `{}`", collection.word(), new.name);
        self.done(request::create_object(collection, new), &what).await
    }

    /// Changes an object in place; refused ([`Error::is_stale`]) if it no longer carries `etag`.
    pub async fn update_object(&self, collection: &Collection, object: &Object, etag: &str) -> Result<(), Error> {
        let what = format!("change of {} `{}`", collection.word(), object.name);
        self.done(request::update_object(collection, object, etag), &what).await
    }

    /// Deletes an object that nothing uses; one that is not there is deleted already.
    pub async fn delete_object(&self, collection: &Collection, name: &str) -> Result<(), Error> {
        let what = format!("deletion of {} `{name}`", collection.word());
        optional(self.done(request::delete_object(collection, name), &what).await).map(drop)
    }

    /// Sends a request that one server carries out at once and another in the background.
    async fn done(&self, request: Request, what: &str) -> Result<(), Error> {
        let line = line(&request);
        let asked = async { self.envelope(self.send(request, &line).await?, &line).await };
        let envelope = tokio::time::timeout(CHANGE, asked).await.unwrap_or_else(|_| Err(late(&line, CHANGE)))?;
        if envelope.kind == "async" {
            let started: Operation = self.typed(envelope.metadata, &line)?;
            self.finish(&started.id, what, CHANGE).await?;
        }
        Ok(())
    }
}
