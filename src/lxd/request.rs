//! Requests as values, made without I/O.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::file::Owner;
use super::image::{Compression, Publish};
use super::instance::{ImageSource, NewInstance};
use super::model::{Config, Object, Settings};
use super::object::{Collection, NewObject};
use crate::http::{Body, Method, Request};

/// Returns `text` as one segment of a path: everything but unreserved characters is percent-encoded.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

fn get(path: impl Into<String>) -> Request {
    Request::new(Method::GET, path, Body::Empty)
}

fn post(path: impl Into<String>, body: Value) -> Request {
    Request::new(Method::POST, path, Body::Json(body))
}

fn put(path: impl Into<String>, body: Value) -> Request {
    Request::new(Method::PUT, path, Body::Json(body))
}

fn delete(path: impl Into<String>) -> Request {
    Request::new(Method::DELETE, path, Body::Empty)
}

fn instance_path(name: &str) -> String {
    format!("/1.0/instances/{}", segment(name))
}

fn alias_path(name: &str) -> String {
    format!("/1.0/images/aliases/{}", segment(name))
}

/// What the server is and can.
pub fn server() -> Request {
    get("/1.0")
}

/// Lets in whoever shows this certificate (X.509 in DER).
pub fn trust(name: &str, certificate: &[u8]) -> Request {
    let certificate = STANDARD.encode(certificate);
    post("/1.0/certificates", json!({ "type": "client", "name": name, "certificate": certificate }))
}

/// All instances with configuration, devices and state.
pub fn instances() -> Request {
    get("/1.0/instances?recursion=2")
}

/// One instance.
pub fn instance(name: &str) -> Request {
    get(instance_path(name))
}

/// The state of one instance.
pub fn state(name: &str) -> Request {
    get(format!("{}/state", instance_path(name)))
}

/// Makes an instance, stopped.
pub fn create_instance(new: &NewInstance) -> Request {
    let source = match &new.source {
        ImageSource::Fingerprint(fingerprint) => json!({ "type": "image", "fingerprint": fingerprint }),
        ImageSource::Alias(alias) => json!({ "type": "image", "alias": alias }),
        ImageSource::Remote { server, protocol, alias } => {
            json!({ "type": "image", "mode": "pull", "server": server, "protocol": protocol, "alias": alias })
        }
    };
    let body = json!({
        "name": new.name,
        "type": if new.virtual_machine { "virtual-machine" } else { "container" },
        "source": source,
        "profiles": new.profiles,
        "config": new.config,
        "devices": new.devices,
        "ephemeral": new.ephemeral,
        "description": new.description,
    });
    post("/1.0/instances", body)
}

/// Replaces everything changeable of an instance, if it still carries `etag`.
pub fn update_instance(name: &str, settings: &Settings, etag: &str) -> Request {
    let mut request = put(instance_path(name), json!(settings));
    request.headers.push(("If-Match".to_owned(), etag.to_owned()));
    request
}

/// Renames a stopped instance.
pub fn rename_instance(name: &str, to: &str) -> Request {
    post(instance_path(name), json!({ "name": to }))
}

/// Deletes a stopped instance.
pub fn delete_instance(name: &str) -> Request {
    delete(instance_path(name))
}

/// Starts an instance.
pub fn start_instance(name: &str) -> Request {
    put(format!("{}/state", instance_path(name)), json!({ "action": "start", "timeout": -1, "force": false }))
}

/// Asks an instance to shut down within `seconds`.
pub fn stop_instance(name: &str, seconds: u64) -> Request {
    put(format!("{}/state", instance_path(name)), json!({ "action": "stop", "timeout": seconds, "force": false }))
}

/// Stops an instance at once.
pub fn kill_instance(name: &str) -> Request {
    put(format!("{}/state", instance_path(name)), json!({ "action": "stop", "timeout": -1, "force": true }))
}

/// Lets no process of an instance go on.
pub fn freeze_instance(name: &str) -> Request {
    put(format!("{}/state", instance_path(name)), json!({ "action": "freeze", "timeout": -1, "force": false }))
}

/// Lets the processes of an instance that is frozen go on.
pub fn unfreeze_instance(name: &str) -> Request {
    put(format!("{}/state", instance_path(name)), json!({ "action": "unfreeze", "timeout": -1, "force": false }))
}

/// What a container has written to its console.
pub fn console(name: &str) -> Request {
    get(format!("{}/console", instance_path(name)))
}

/// Prepares a command that waits for its websockets.
pub fn exec(name: &str, words: &[String], environment: &Config) -> Request {
    let body = json!({
        "command": words,
        "environment": environment,
        "wait-for-websocket": true,
        "interactive": false,
    });
    post(format!("{}/exec", instance_path(name)), body)
}

/// The websocket of an operation that `secret` opens.
pub fn socket(operation: &str, secret: &str) -> String {
    format!("/1.0/operations/{}/websocket?secret={}", segment(operation), segment(secret))
}

/// All operations, by status.
pub fn operations() -> Request {
    get("/1.0/operations?recursion=1")
}

/// The websocket of events of one kind: `lifecycle`, `operation` or `logging`.
pub fn events(kind: &str) -> String {
    format!("/1.0/events?type={}", segment(kind))
}

/// One operation, as it is.
pub fn operation(id: &str) -> Request {
    get(format!("/1.0/operations/{}", segment(id)))
}

/// Waits for an operation's end, at most `seconds`.
pub fn wait_operation(id: &str, seconds: u64) -> Request {
    get(format!("/1.0/operations/{}/wait?timeout={seconds}", segment(id)))
}

fn file_path(instance: &str, path: &str) -> String {
    format!("{}/files?path={}", instance_path(instance), segment(path))
}

/// Reads a file or lists a directory.
pub fn pull_file(instance: &str, path: &str) -> Request {
    get(file_path(instance, path))
}

/// Deletes a file or an empty directory.
pub fn delete_file(instance: &str, path: &str) -> Request {
    delete(file_path(instance, path))
}

/// Writes a file.
pub fn push_file(instance: &str, path: &str, owner: Owner, body: Body) -> Request {
    let mut request = Request::new(Method::POST, file_path(instance, path), body);
    request.headers.push(("Content-Type".to_owned(), "application/octet-stream".to_owned()));
    named(&mut request, "type", "file");
    named(&mut request, "write", "overwrite");
    owned(&mut request, owner);
    request
}

/// Makes a directory; one that is there is left as it is.
pub fn make_directory(instance: &str, path: &str, owner: Owner) -> Request {
    let mut request = Request::new(Method::POST, file_path(instance, path), Body::Empty);
    named(&mut request, "type", "directory");
    owned(&mut request, owner);
    request
}

fn owned(request: &mut Request, owner: Owner) {
    named(request, "uid", &owner.uid.to_string());
    named(request, "gid", &owner.gid.to_string());
    named(request, "mode", &format!("{:04o}", owner.mode));
}

/// Adds a header under both names: LXD knows the first one, Incus the second, and each passes over the other.
fn named(request: &mut Request, name: &str, value: &str) {
    request.headers.push((format!("X-LXD-{name}"), value.to_owned()));
    request.headers.push((format!("X-Incus-{name}"), value.to_owned()));
}

/// All images with their aliases.
pub fn images() -> Request {
    get("/1.0/images?recursion=1")
}

/// One image.
pub fn image(fingerprint: &str) -> Request {
    get(format!("/1.0/images/{}", segment(fingerprint)))
}

/// The bytes of an image.
pub fn export_image(fingerprint: &str) -> Request {
    get(format!("/1.0/images/{}/export", segment(fingerprint)))
}

/// Deletes an image with its aliases.
pub fn delete_image(fingerprint: &str) -> Request {
    delete(format!("/1.0/images/{}", segment(fingerprint)))
}

/// Makes an image of a stopped instance.
pub fn publish(publish: &Publish, compression: Compression) -> Request {
    let body = json!({
        "public": false,
        "properties": publish.properties,
        "compression_algorithm": compression.word(),
        "source": { "type": "instance", "name": publish.instance },
    });
    post("/1.0/images", body)
}

/// Has the server fetch an image from an image server.
pub fn pull_image(server: &str, protocol: &str, alias: &str) -> Request {
    let source = json!({ "type": "image", "mode": "pull", "server": server, "protocol": protocol, "alias": alias });
    post("/1.0/images", json!({ "public": false, "auto_update": true, "source": source }))
}

/// Sends an image; `body` and `kind` (its content type) are its files.
///
/// Properties are set afterwards ([`update_image`]): given with the upload, they crash LXD 5.0 and Incus 6.0 when the
/// image's own metadata has none.
pub fn upload_image(filename: &str, kind: &str, body: Body) -> Request {
    let mut request = Request::new(Method::POST, "/1.0/images", body);
    request.headers.push(("Content-Type".to_owned(), kind.to_owned()));
    named(&mut request, "filename", filename);
    request
}

/// Adds properties to an image.
pub fn update_image(fingerprint: &str, properties: &Config) -> Request {
    let path = format!("/1.0/images/{}", segment(fingerprint));
    Request::new(Method::PATCH, path, Body::Json(json!({ "properties": properties })))
}

/// One alias.
pub fn alias(name: &str) -> Request {
    get(alias_path(name))
}

/// Makes an alias.
pub fn create_alias(name: &str, target: &str, description: &str) -> Request {
    post("/1.0/images/aliases", json!({ "name": name, "target": target, "description": description }))
}

/// Points an alias at another image, in one go.
pub fn update_alias(name: &str, target: &str, description: &str) -> Request {
    put(alias_path(name), json!({ "target": target, "description": description }))
}

/// Deletes an alias; its image stays.
pub fn delete_alias(name: &str) -> Request {
    delete(alias_path(name))
}

/// All profiles.
pub fn profiles() -> Request {
    get("/1.0/profiles?recursion=1")
}

/// Makes a profile.
pub fn create_profile(name: &str, description: &str, config: &Config, devices: &super::model::Devices) -> Request {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(name));
    body.insert("description".to_owned(), json!(description));
    body.insert("config".to_owned(), json!(config));
    body.insert("devices".to_owned(), json!(devices));
    post("/1.0/profiles", Value::Object(body))
}

/// All networks.
pub fn networks() -> Request {
    get("/1.0/networks?recursion=1")
}

/// All storage pools.
pub fn storage_pools() -> Request {
    get("/1.0/storage-pools?recursion=1")
}

/// What the machine has.
pub fn resources() -> Request {
    get("/1.0/resources")
}

/// How full a storage pool is.
pub fn pool_resources(name: &str) -> Request {
    get(format!("/1.0/storage-pools/{}/resources", segment(name)))
}

/// All objects of a collection.
pub fn objects(collection: &Collection) -> Request {
    get(format!("{}?recursion=1", collection.path()))
}

fn object_path(collection: &Collection, name: &str) -> String {
    format!("{}/{}", collection.path(), segment(name))
}

/// One object.
pub fn object(collection: &Collection, name: &str) -> Request {
    get(object_path(collection, name))
}

/// Makes an object.
pub fn create_object(collection: &Collection, new: &NewObject) -> Request {
    post(collection.path(), new.body(collection))
}

/// Replaces everything changeable of an object, if it still carries `etag`.
pub fn update_object(collection: &Collection, object: &Object, etag: &str) -> Request {
    let mut body = Map::new();
    body.insert("description".to_owned(), json!(object.description));
    body.insert("config".to_owned(), json!(object.config));
    if *collection == Collection::Profiles {
        body.insert("devices".to_owned(), json!(object.devices));
    }
    let mut request = put(object_path(collection, &object.name), Value::Object(body));
    request.headers.push(("If-Match".to_owned(), etag.to_owned()));
    request
}

/// Deletes an object.
pub fn delete_object(collection: &Collection, name: &str) -> Request {
    delete(object_path(collection, name))
}
