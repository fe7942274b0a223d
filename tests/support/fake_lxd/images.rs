//! Images and aliases.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Store;
use super::answer::{Answer, TIME};
use super::instances::FakeFile;
use crate::support::exchange::Asked;

/// An image.
#[derive(Clone, Default)]
pub struct FakeImage {
    pub properties: BTreeMap<String, String>,
    /// Files that instances made from it have.
    pub files: BTreeMap<String, FakeFile>,
    /// What is in it, in a word or a digest: equal for images that are the same to a person.
    pub content: String,
    /// Bytes.
    pub size: usize,
    /// What is sent when it is read.
    pub bytes: Vec<u8>,
    /// Server, protocol and alias it was fetched from.
    pub origin: Option<(String, String, String)>,
}

impl FakeImage {
    /// Makes an image without files.
    pub fn of(content: &str) -> Self {
        Self { content: content.to_owned(), size: content.len(), ..Self::default() }
    }

    pub(super) fn world(&self) -> Value {
        json!({ "content": self.content, "properties": self.properties })
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Store {
    /// Keeps an image under a fingerprint that is not taken: real images of the same content differ in their times.
    pub(super) fn keep(&mut self, image: FakeImage) -> String {
        let mut fingerprint = digest(image.content.as_bytes());
        while self.images.contains_key(&fingerprint) {
            fingerprint = digest(fingerprint.as_bytes());
        }
        self.images.insert(fingerprint.clone(), image);
        fingerprint
    }

    pub(super) fn images(&mut self, method: &str, path: &[&str], asked: &Asked) -> Answer {
        match (method, path) {
            ("GET", []) => Answer::Sync(self.images.keys().map(|fingerprint| self.image_json(fingerprint)).collect()),
            ("POST", []) => self.new_image(asked),
            ("POST", ["aliases"]) => self.new_alias(&asked.json()),
            (_, ["aliases", name]) => self.alias(method, name, &asked.json()),
            (_, [fingerprint]) if !self.images.contains_key(*fingerprint) => Answer::missing("Image not found"),
            ("GET", [fingerprint]) => Answer::tagged(self.image_json(fingerprint)),
            ("PATCH", [fingerprint]) => {
                let more: BTreeMap<String, String> =
                    serde_json::from_value(asked.json()["properties"].clone()).unwrap_or_default();
                if let Some(image) = self.images.get_mut(*fingerprint) {
                    image.properties.extend(more);
                }
                Answer::Sync(Value::Null)
            }
            ("DELETE", [fingerprint]) => {
                self.images.remove(*fingerprint);
                self.aliases.retain(|_, (target, _)| target != fingerprint);
                Answer::Ended("Deleting image", Ok(Value::Null))
            }
            ("GET", [fingerprint, "export"]) => match self.images.get(*fingerprint) {
                None => Answer::missing("Image not found"),
                Some(image) => {
                    let kind = ("content-type".to_owned(), "application/octet-stream".to_owned());
                    Answer::Raw(vec![kind], image.bytes.clone())
                }
            },
            _ => Answer::missing("not found"),
        }
    }

    fn image_json(&self, fingerprint: &str) -> Value {
        let image = &self.images[fingerprint];
        let aliases: Vec<_> = self
            .aliases
            .iter()
            .filter(|(_, (target, _))| target == fingerprint)
            .map(|(name, (_, description))| json!({ "name": name, "description": description }))
            .collect();
        let mut value = json!({
            "auto_update": image.origin.is_some(), "properties": image.properties, "public": false,
            "expires_at": "1970-01-01T00:00:00Z", "profiles": ["default"], "aliases": aliases,
            "architecture": "x86_64", "cached": false, "filename": "image.tar", "fingerprint": fingerprint,
            "size": image.size, "type": "container", "created_at": TIME, "last_used_at": TIME, "uploaded_at": TIME,
        });
        if let Some((server, protocol, alias)) = &image.origin {
            value["update_source"] =
                json!({ "alias": alias, "certificate": "", "protocol": protocol, "server": server, "image_type": "" });
        }
        value
    }

    fn new_image(&mut self, asked: &Asked) -> Answer {
        if asked.header("content-type").is_some_and(|kind| kind != "application/json") {
            return self.uploaded(asked);
        }
        let body = asked.json();
        match body["source"]["type"].as_str() {
            Some("instance" | "container") => self.published(&body),
            Some("image") => self.pulled(&body["source"]),
            _ => Answer::bad("Invalid source"),
        }
    }

    fn uploaded(&mut self, asked: &Asked) -> Answer {
        let content = digest(&asked.body);
        let image = FakeImage {
            content: content.clone(),
            size: asked.body.len(),
            bytes: asked.body.clone(),
            ..FakeImage::default()
        };
        if self.images.contains_key(&content) {
            return Answer::Ended("Downloading image", Err("Image with same fingerprint already exists".to_owned()));
        }
        self.images.insert(content.clone(), image);
        Answer::Ended("Downloading image", Ok(json!({ "fingerprint": content, "size": asked.body.len().to_string() })))
    }

    fn published(&mut self, body: &Value) -> Answer {
        let what = "Downloading image";
        let name = body["source"]["name"].as_str().unwrap_or_default();
        let Some(instance) = self.instances.get(name) else { return Answer::missing("Instance not found") };
        if instance.running {
            return Answer::Ended(what, Err("Cannot export a running instance as an image".to_owned()));
        }
        if let Some(reason) = &self.unpublishable {
            return Answer::Ended(what, Err(reason.clone()));
        }
        if self.without_zstd && body["compression_algorithm"] == "zstd -1 -T0" {
            let error = "exec: \"zstd\": executable file not found in $PATH";
            return Answer::Ended(what, Err(error.to_owned()));
        }
        let files = instance.files.clone();
        let base = instance.config.get("volatile.base_image");
        let base = base.and_then(|base| self.images.get(base)).map_or("gone", |image| image.content.as_str());
        let properties: BTreeMap<String, String> =
            serde_json::from_value(body["properties"].clone()).unwrap_or_default();
        let content = digest(format!("{base} {files:?} {properties:?}").as_bytes());
        let size = 1000 + files.values().map(|file| file.content.len()).sum::<usize>();
        let fingerprint = self.keep(FakeImage { properties, files, content, size, ..FakeImage::default() });
        Answer::Ended(what, Ok(json!({ "fingerprint": fingerprint, "size": size.to_string() })))
    }

    fn pulled(&mut self, source: &Value) -> Answer {
        match self.fetch(source) {
            Ok(fingerprint) => {
                let size = self.images[&fingerprint].size;
                Answer::Ended("Downloading image", Ok(json!({ "fingerprint": fingerprint, "size": size.to_string() })))
            }
            Err(error) => Answer::Ended("Downloading image", Err(error)),
        }
    }

    /// Has an image of an image server in the store, fetched now or before.
    pub(super) fn fetch(&mut self, source: &Value) -> Result<String, String> {
        let word = |name: &str| source[name].as_str().unwrap_or_default();
        let key = format!("{} {} {}", word("server"), word("protocol"), word("alias"));
        let image = self.remote.get(&key).cloned().ok_or("The requested image couldn't be found")?;
        let there = self.images.iter().find(|(_, found)| found.origin == image.origin);
        match there.map(|(fingerprint, _)| fingerprint.clone()) {
            Some(fingerprint) => Ok(fingerprint),
            None => Ok(self.keep(image)),
        }
    }

    fn new_alias(&mut self, body: &Value) -> Answer {
        let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        if self.aliases.contains_key(&word("name")) {
            return Answer::Error(409, format!("Alias \"{}\" already exists", word("name")));
        }
        if !self.images.contains_key(&word("target")) {
            return Answer::missing("Image not found");
        }
        self.aliases.insert(word("name"), (word("target"), word("description")));
        Answer::Created
    }

    fn alias(&mut self, method: &str, name: &str, body: &Value) -> Answer {
        let Some((target, description)) = self.aliases.get(name).cloned() else {
            return Answer::missing("Image alias not found");
        };
        let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match method {
            "GET" => Answer::tagged(
                json!({ "description": description, "target": target, "name": name, "type": "container" }),
            ),
            "PUT" if !self.images.contains_key(&word("target")) => Answer::missing("Image not found"),
            "PUT" => {
                self.aliases.insert(name.to_owned(), (word("target"), word("description")));
                Answer::Sync(Value::Null)
            }
            "DELETE" => {
                self.aliases.remove(name);
                Answer::Sync(Value::Null)
            }
            _ => Answer::missing("not found"),
        }
    }
}
