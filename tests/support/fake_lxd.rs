//! LXD and Incus in memory: enough of them for a whole deployment. Held to the recordings of real ones by a test.

mod answer;
mod exec;
mod images;
mod instances;
mod objects;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use ryo::http::{Http, HttpError, Request, Response, Socket};
use serde_json::{Value, json};

use super::exchange::{Asked, Log};
use answer::Answer;
use exec::Operations;
pub use exec::{Exec, Handler};
pub use images::FakeImage;
pub use instances::{FakeFile, FakeInstance};

/// A server. It does everything at once; an operation has ended when it is first asked for, commands excepted.
pub struct FakeLxd {
    store: Mutex<Store>,
    operations: Operations,
    handler: Mutex<Handler>,
    /// What it was asked.
    pub log: Log,
}

/// Everything that the server holds.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) instances: BTreeMap<String, FakeInstance>,
    pub(crate) images: BTreeMap<String, FakeImage>,
    pub(crate) aliases: BTreeMap<String, (String, String)>,
    /// Profiles, networks, storage pools and volumes, by the path of their collection.
    pub(crate) objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Images of image servers, by `server protocol alias`.
    pub(crate) remote: BTreeMap<String, FakeImage>,
    /// Whether instances get addresses when they start.
    pub(crate) addressless: bool,
    /// Whether it answers as Incus 6.0, where that differs from LXD 5.0.
    pub(crate) incus: bool,
    /// Whether it has the `zstd` program.
    pub(crate) without_zstd: bool,
    /// Why no image can be published, if none can.
    pub(crate) unpublishable: Option<String>,
    /// Of its machine.
    pub(crate) processors: usize,
    /// How many hardware addresses it has given.
    pub(crate) given: usize,
}

impl Default for FakeLxd {
    /// A server with a bridge, a pool, the profile `default` and the image `tiny`.
    fn default() -> Self {
        let devices = json!({
            "eth0": { "name": "eth0", "network": "lxdbr0", "type": "nic" },
            "root": { "path": "/", "pool": "default", "type": "disk" },
        });
        let profile = json!({ "config": {}, "description": "Default profile", "devices": devices, "name": "default", "used_by": [] });
        let mut store = Store { processors: 2, ..Store::default() };
        store.objects("profiles").insert("default".to_owned(), profile);
        store.objects("networks").insert("lxdbr0".to_owned(), answer::network());
        store.objects("storage-pools").insert("default".to_owned(), answer::pool());
        let fake = Self {
            store: Mutex::new(store),
            operations: Operations::default(),
            handler: Mutex::new(Arc::new(|_: Exec| Box::pin(async { 127 }))),
            log: Log::default(),
        };
        fake.add_image("tiny", FakeImage::of("tiny"));
        fake
    }
}

impl FakeLxd {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an image there, called `alias`; returns its fingerprint.
    pub fn add_image(&self, alias: &str, image: FakeImage) -> String {
        let mut store = self.store();
        let fingerprint = store.keep(image);
        store.aliases.insert(alias.to_owned(), (fingerprint.clone(), String::new()));
        fingerprint
    }

    /// Puts an image on an image server.
    pub fn add_remote_image(&self, server: &str, protocol: &str, alias: &str, mut image: FakeImage) {
        image.origin = Some((server.to_owned(), protocol.to_owned(), alias.to_owned()));
        self.store().remote.insert(format!("{server} {protocol} {alias}"), image);
    }

    /// Puts a profile there.
    pub fn add_profile(&self, name: &str, config: &Value, devices: &Value) {
        let profile = json!({ "config": config, "description": "", "devices": devices, "name": name, "used_by": [] });
        self.store().objects("profiles").insert(name.to_owned(), profile);
    }

    /// Changes an instance from outside; it must be there.
    pub fn with_instance<T>(&self, name: &str, change: impl FnOnce(&mut FakeInstance) -> T) -> T {
        self.in_instance(name, change).unwrap_or_else(|| panic!("no instance `{name}`"))
    }

    /// Changes an instance from inside, as a command that outlives it may try to.
    pub fn in_instance<T>(&self, name: &str, change: impl FnOnce(&mut FakeInstance) -> T) -> Option<T> {
        self.store().instances.get_mut(name).map(change)
    }

    /// Changes the image called `alias` from outside; it must be there.
    pub fn with_image<T>(&self, alias: &str, change: impl FnOnce(&mut FakeImage) -> T) -> T {
        let mut store = self.store();
        let (fingerprint, _) = store.aliases[alias].clone();
        change(store.images.get_mut(&fingerprint).unwrap())
    }

    /// Puts an instance there.
    pub fn add_instance(&self, name: &str, instance: FakeInstance) {
        self.store().instances.insert(name.to_owned(), instance);
    }

    /// Removes an instance from outside.
    pub fn remove_instance(&self, name: &str) {
        self.store().instances.remove(name);
    }

    /// Names of the instances there are.
    pub fn instance_names(&self) -> Vec<String> {
        self.store().instances.keys().cloned().collect()
    }

    /// Instances that start from now on get no address.
    pub fn without_addresses(&self) {
        self.store().addressless = true;
    }

    /// Instances that start from now on get their addresses again.
    pub fn with_addresses(&self) {
        self.store().addressless = false;
    }

    /// Images cannot be published any more for this reason; `None` mends it.
    pub fn publishing_fails(&self, reason: Option<&str>) {
        self.store().unpublishable = reason.map(str::to_owned);
    }

    /// Its machine has so many.
    pub fn processors(&self, count: usize) {
        self.store().processors = count;
    }

    /// Answers as Incus 6.0 where that differs from LXD 5.0: an operation that ended badly is told as an error.
    pub fn incus() -> Self {
        let fake = Self::default();
        fake.store().incus = true;
        fake
    }

    /// The server has no `zstd` program.
    pub fn without_zstd(&self) {
        self.store().without_zstd = true;
    }

    /// Hands every command that is run in an instance to `handler`; what it returns is the exit status.
    pub fn on_exec(&self, handler: impl Fn(Exec) -> BoxFuture<'static, i32> + Send + Sync + 'static) {
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(handler);
    }

    /// Everything that would still be there after a restart of the server, without what differs from run to run:
    /// an image is called by what is in it, `volatile.*` is left out but for `volatile.base_image`.
    pub fn world(&self) -> Value {
        let store = self.store();
        let content = |print: &str| store.images.get(print).map_or("gone".to_owned(), |image| image.content.clone());
        let instances: serde_json::Map<_, _> = store
            .instances
            .iter()
            .map(|(name, instance)| (name.clone(), instance.world(&content(instance.base_image()))))
            .collect();
        let mut images: Vec<_> = store.images.values().map(FakeImage::world).collect();
        images.sort_by_key(ToString::to_string);
        let aliases: serde_json::Map<_, _> = store
            .aliases
            .iter()
            .map(|(name, (target, description))| {
                (name.clone(), json!({ "target": content(target), "description": description }))
            })
            .collect();
        json!({ "instances": instances, "images": images, "aliases": aliases, "objects": store.objects })
    }

    async fn answer(&self, asked: &Asked) -> Response {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let answer = match (asked.method.as_str(), segments.as_slice()) {
            ("GET", ["1.0", "operations", id, "wait"]) => {
                let operation = self.operations.wait(id, asked.query("timeout")).await;
                if self.store().incus { operation.or_late() } else { operation }
            }
            ("GET", ["1.0", "operations", id]) => self.operations.wait(id, Some("0")).await,
            ("POST", ["1.0", "instances", name, "exec"]) => self.prepare_exec(name, asked),
            (method, ["1.0", rest @ ..]) => self.store().answer(method, rest, asked),
            _ => Answer::missing("not found"),
        };
        answer.response(&self.operations)
    }
}

impl Store {
    fn answer(&mut self, method: &str, path: &[&str], asked: &Asked) -> Answer {
        match path {
            [] if method == "GET" => Answer::tagged(answer::server()),
            ["operations"] if method == "GET" => self.changing(),
            ["resources"] if method == "GET" => Answer::Sync(answer::resources(self.processors)),
            ["instances", rest @ ..] => self.instances(method, rest, asked),
            ["images", rest @ ..] => self.images(method, rest, asked),
            ["storage-pools", pool, "volumes", "custom", rest @ ..] => {
                self.object(method, &format!("storage-pools/{pool}/volumes/custom"), rest, asked)
            }
            [collection @ ("profiles" | "networks" | "storage-pools"), rest @ ..] => {
                self.object(method, collection, rest, asked)
            }
            _ => Answer::missing("not found"),
        }
    }
}

impl Http for FakeLxd {
    fn name(&self) -> &'static str {
        "fake LXD"
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            self.log.note(request.method.as_str(), &request.path);
            let line = format!("{} {}", request.method, request.path);
            let asked = Asked::read(request).await;
            let asked =
                asked.map_err(|source| HttpError::Cut { host: self.name().to_owned(), request: line, source })?;
            Ok(self.answer(&asked).await)
        })
    }

    fn websocket<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>> {
        Box::pin(async move {
            self.log.note("WEBSOCKET", path);
            self.connect(path).await.map_err(|source| HttpError::Cut {
                host: self.name().to_owned(),
                request: format!("GET {path}"),
                source,
            })
        })
    }
}
