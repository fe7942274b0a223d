//! Instances, their state and their files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Store;
use super::answer::{Answer, TIME};
use super::exec::described;
use crate::support::exchange::Asked;

type Devices = BTreeMap<String, BTreeMap<String, String>>;

/// Says why an instance cannot start.
pub type Refuses = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// An instance.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct FakeInstance {
    pub kind: String,
    pub description: String,
    pub ephemeral: bool,
    pub running: bool,
    /// Whether none of its processes goes on.
    pub frozen: bool,
    pub profiles: Vec<String>,
    pub config: BTreeMap<String, String>,
    pub devices: Devices,
    /// By absolute path.
    pub files: BTreeMap<String, FakeFile>,
    /// Addresses of global scope that it has while it runs.
    pub addresses: Vec<String>,
    /// What it has written to its console.
    pub console: String,
    /// Why it cannot start, if it cannot.
    pub unstartable: Option<String>,
    /// Says why it cannot start, if it cannot, as things are when it is to start.
    pub refuses: Option<Refuses>,
    /// Whether it does not shut down when it is asked to.
    pub stubborn: bool,
    /// The method of a request that is refused once.
    pub refuses_once: Option<&'static str>,
    /// Whether nothing stops it.
    pub unstoppable: Arc<AtomicBool>,
    /// After how many looks at what is under way somebody's start of it has ended; 0 if there is none.
    pub starting: usize,
}

/// A file or a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeFile {
    pub directory: bool,
    /// Whether it is a symbolic link; its content is where it points to.
    pub link: bool,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub content: Vec<u8>,
}

impl FakeInstance {
    /// Fingerprint of the image it was made from.
    pub fn base_image(&self) -> &str {
        self.config.get("volatile.base_image").map_or("", String::as_str)
    }

    /// What is compared between runs; `base` says what is in its image.
    pub(super) fn world(&self, base: &str) -> Value {
        let mut config = self.config.clone();
        config.retain(|key, _| !key.starts_with("volatile."));
        let file = |(path, file): (&String, &FakeFile)| {
            let digest = hex::encode(Sha256::digest(&file.content));
            (path.clone(), json!(format!("{:o} {}:{} {digest}", file.mode, file.uid, file.gid)))
        };
        json!({
            "type": self.kind, "description": self.description, "ephemeral": self.ephemeral, "running": self.running, "frozen": self.frozen,
            "profiles": self.profiles, "config": config, "devices": self.devices, "base": base,
            "files": self.files.iter().map(file).collect::<Map<_, _>>(),
        })
    }
}

impl Store {
    pub(super) fn instances(&mut self, method: &str, path: &[&str], asked: &Asked) -> Answer {
        match (method, path) {
            ("GET", []) => Answer::Sync(self.instances.keys().map(|name| self.full_json(name)).collect()),
            ("POST", []) => self.create(&asked.json()),
            (_, [name, ..]) if !self.instances.contains_key(*name) => Answer::missing("Instance not found"),
            ("GET", [name]) => {
                let value = self.instance_json(name);
                Answer::Tagged(value, self.etag(name))
            }
            ("PUT", [name] | [name, "state"]) if self.instances[*name].starting > 0 => {
                let what = "Instance is busy running a \"start\" operation";
                Answer::Ended("Updating instance", Err(format!("Failed to create instance update operation: {what}")))
            }
            ("PUT" | "POST", [name]) if self.refused(name, method) => {
                Answer::Ended("Updating instance", Err("Device or resource busy".to_owned()))
            }
            ("PUT", [name]) => self.replace(name, asked),
            ("POST", [name]) => self.rename(name, &asked.json()),
            ("DELETE", [name]) => {
                if self.instances[*name].running {
                    return Answer::bad("Instance is running");
                }
                if self.instances[*name].config.get("security.protection.delete").is_some_and(|it| it == "true") {
                    return Answer::bad("Instance is protected");
                }
                self.instances.remove(*name);
                Answer::Ended("Deleting instance", Ok(Value::Null))
            }
            ("GET", [name, "state"]) => Answer::Sync(state_json(&self.instances[*name])),
            ("PUT", [name, "state"]) => self.change_state(name, &asked.json()),
            ("GET", [name, "console"]) if !self.incus && self.instances[*name].console.is_empty() => {
                Answer::Error(500, "open : no such file or directory".to_owned())
            }
            ("GET", [name, "console"]) => {
                let kind = ("content-type".to_owned(), "application/octet-stream".to_owned());
                Answer::Raw(vec![kind], self.instances[*name].console.clone().into_bytes())
            }
            (_, [name, "files"]) => self.file(name, asked),
            _ => Answer::missing("not found"),
        }
    }

    fn refused(&mut self, name: &str, method: &str) -> bool {
        let Some(instance) = self.instances.get_mut(name) else { return false };
        instance.refuses_once.take_if(|refused| *refused == method).is_some()
    }

    /// What is under way, by status.
    pub(super) fn changing(&mut self) -> Answer {
        let mut running = vec![];
        for (name, instance) in self.instances.iter_mut().filter(|(_, it)| it.starting > 0) {
            instance.starting -= 1;
            instance.running = instance.starting == 0;
            if instance.starting > 0 {
                let mut operation = described(name, "Starting instance", &Value::Null, None);
                operation["resources"] = json!({ "instances": [format!("/1.0/instances/{name}")] });
                running.push(operation);
            }
        }
        Answer::Sync(if running.is_empty() { json!({}) } else { json!({ "running": running }) })
    }

    fn create(&mut self, body: &Value) -> Answer {
        let what = "Creating instance";
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let source = &body["source"];
        let found = match (source["server"].as_str(), source["fingerprint"].as_str(), source["alias"].as_str()) {
            (Some(_), _, _) => match self.fetch(source) {
                Ok(fingerprint) => Some(fingerprint),
                Err(error) => return Answer::Ended(what, Err(error)),
            },
            (_, Some(fingerprint), _) => Some(fingerprint.to_owned()).filter(|found| self.images.contains_key(found)),
            (_, _, Some(alias)) => self.aliases.get(alias).map(|(target, _)| target.clone()),
            _ => None,
        };
        let Some(fingerprint) = found else {
            if source["alias"].is_string() && !self.incus {
                return Answer::missing("Image alias not found");
            }
            return Answer::Ended(what, Err("Image not provided for instance creation".to_owned()));
        };
        if self.instances.contains_key(&name) {
            let error = "Failed creating instance record: Add instance info to the database: \
                         This \"instances\" entry already exists";
            return Answer::Ended(what, Err(error.to_owned()));
        }
        let image = &self.images[&fingerprint];
        let mut config: BTreeMap<String, String> = serde_json::from_value(body["config"].clone()).unwrap_or_default();
        config.extend(image.properties.iter().map(|(key, value)| (format!("image.{key}"), value.clone())));
        config.insert("volatile.base_image".to_owned(), fingerprint.clone());
        config.insert("volatile.last_state.power".to_owned(), "STOPPED".to_owned());
        let typed = |name: &str| body[name].clone();
        let profiles = typed("profiles").as_array().map_or_else(
            || vec!["default".to_owned()],
            |names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        );
        let known = |name: &String| self.objects.get("profiles").is_some_and(|known| known.contains_key(name));
        if let Some(unknown) = profiles.iter().find(|name| !known(name)) {
            return Answer::bad(&format!("Requested profile \"{unknown}\" doesn't exist"));
        }
        let devices = serde_json::from_value(typed("devices")).unwrap_or_default();
        if let Some(error) = self.defined(&name, &devices) {
            return Answer::Ended(what, Err(error));
        }
        self.give(&mut config, &devices);
        let instance = FakeInstance {
            kind: typed("type").as_str().unwrap_or("container").to_owned(),
            description: typed("description").as_str().unwrap_or_default().to_owned(),
            ephemeral: typed("ephemeral").as_bool().unwrap_or_default(),
            profiles,
            config,
            devices,
            files: self.images[&fingerprint].files.clone(),
            ..FakeInstance::default()
        };
        self.instances.insert(name, instance);
        Answer::Ended(what, Ok(Value::Null))
    }

    fn replace(&mut self, name: &str, asked: &Asked) -> Answer {
        let etag = self.etag(name);
        if asked.header("if-match").is_some_and(|wanted| wanted != etag) {
            let wanted = asked.header("if-match").unwrap_or_default();
            return Answer::Error(412, format!("ETag doesn't match: {etag} vs {wanted}"));
        }
        let body = asked.json();
        let what = "Updating instance";
        let devices: Devices = serde_json::from_value(body["devices"].clone()).unwrap_or_default();
        if let Some(error) = self.defined(name, &devices) {
            return Answer::Ended(what, Err(error));
        }
        let mut config: BTreeMap<String, String> = serde_json::from_value(body["config"].clone()).unwrap_or_default();
        for removed in self.instances[name].devices.keys().filter(|device| !devices.contains_key(*device)) {
            config.retain(|key, _| !key.starts_with(&format!("volatile.{removed}.")));
        }
        self.give(&mut config, &devices);
        let Some(instance) = self.instances.get_mut(name) else { return Answer::missing("Instance not found") };
        instance.config = config;
        instance.devices = devices;
        instance.profiles = serde_json::from_value(body["profiles"].clone()).unwrap_or_default();
        body["description"].as_str().unwrap_or_default().clone_into(&mut instance.description);
        instance.ephemeral = body["ephemeral"].as_bool().unwrap_or_default();
        Answer::Ended(what, Ok(Value::Null))
    }

    /// Gives network devices without a hardware address one.
    fn give(&mut self, config: &mut BTreeMap<String, String>, devices: &Devices) {
        for (name, _) in devices.iter().filter(|(_, device)| device.get("type").is_some_and(|kind| kind == "nic")) {
            self.given += 1;
            let address = format!("00:16:3e:00:00:{:02x}", self.given);
            config.entry(format!("volatile.{name}.hwaddr")).or_insert(address);
        }
    }

    /// Says which address another instance has.
    fn defined(&self, name: &str, devices: &Devices) -> Option<String> {
        let others = self.instances.iter().filter(|(other, _)| *other != name);
        let taken = |address: &String| {
            others.clone().any(|(_, it)| it.devices.values().any(|it| it.get("ipv4.address") == Some(address)))
        };
        let address =
            devices.values().filter_map(|device| device.get("ipv4.address")).find(|address| taken(address))?;
        Some(format!("Failed to update instance: IP address \"{address}\" already defined on another NIC"))
    }

    fn rename(&mut self, name: &str, body: &Value) -> Answer {
        let to = body["name"].as_str().unwrap_or_default().to_owned();
        if self.instances[name].running {
            return Answer::Ended("Renaming instance", Err("Renaming of running container not allowed".to_owned()));
        }
        if self.instances.contains_key(&to) {
            return Answer::Error(409, format!("Name \"{to}\" already in use"));
        }
        if let Some(instance) = self.instances.remove(name) {
            self.instances.insert(to, instance);
        }
        Answer::Ended("Renaming instance", Ok(Value::Null))
    }

    fn change_state(&mut self, name: &str, body: &Value) -> Answer {
        let number = self.instances.keys().position(|other| other == name).unwrap_or_default();
        let nics = self.nics(name);
        let addressless = self.addressless;
        let Some(instance) = self.instances.get_mut(name) else { return Answer::missing("Instance not found") };
        let (what, result) = match body["action"].as_str() {
            Some("start") => {
                ("Starting instance", start(instance, &nics, if addressless { None } else { Some(number) }))
            }
            Some("stop") => ("Stopping instance", stop(instance, body["force"] == true)),
            Some("freeze") => ("Freezing instance", freeze(instance)),
            Some("unfreeze") => ("Unfreezing instance", unfreeze(instance)),
            _ => return Answer::bad("Unknown action"),
        };
        if !instance.running && instance.ephemeral && what == "Stopping instance" {
            self.instances.remove(name);
        }
        Answer::Ended(what, result.map(|()| Value::Null))
    }

    /// Properties of the network devices, by name.
    fn nics(&self, name: &str) -> BTreeMap<String, Value> {
        let devices = self.expanded(name, "devices");
        let devices = devices.as_object().cloned().unwrap_or_default();
        devices.into_iter().filter(|(_, device)| device["type"] == "nic").collect()
    }

    /// `config` or `devices` of an instance with those of its profiles under them.
    fn expanded(&self, name: &str, part: &str) -> Value {
        let instance = &self.instances[name];
        let own = if part == "config" { json!(instance.config) } else { json!(instance.devices) };
        let known = self.objects.get("profiles");
        let profiles = instance.profiles.iter().filter_map(|name| known?.get(name)).map(|it| it[part].clone());
        let mut all = Map::new();
        for layer in profiles.chain([own]) {
            all.extend(layer.as_object().cloned().unwrap_or_default());
        }
        Value::Object(all)
    }

    fn etag(&self, name: &str) -> String {
        let instance = &self.instances[name];
        let all = format!(
            "{:?} {:?} {:?} {} {}",
            instance.config, instance.devices, instance.profiles, instance.ephemeral, instance.description
        );
        format!("\"{}\"", hex::encode(Sha256::digest(all)))
    }

    fn instance_json(&self, name: &str) -> Value {
        let instance = &self.instances[name];
        json!({
            "architecture": "x86_64", "config": instance.config, "devices": instance.devices,
            "ephemeral": instance.ephemeral, "profiles": instance.profiles, "stateful": false,
            "description": instance.description, "created_at": TIME, "expanded_config": self.expanded(name, "config"),
            "expanded_devices": self.expanded(name, "devices"), "name": name, "status": word(instance),
            "status_code": code(instance), "last_used_at": TIME, "location": "none", "type": instance.kind,
            "project": "default",
        })
    }

    fn full_json(&self, name: &str) -> Value {
        let mut value = self.instance_json(name);
        value["backups"] = Value::Null;
        value["state"] = state_json(&self.instances[name]);
        value["snapshots"] = Value::Null;
        value
    }

    fn file(&mut self, name: &str, asked: &Asked) -> Answer {
        let path = asked.query("path").unwrap_or_default().to_owned();
        let Some(instance) = self.instances.get_mut(name) else { return Answer::missing("Instance not found") };
        match asked.method.as_str() {
            "GET" => instance.files.get(&path).map_or_else(|| Answer::missing("Not Found"), pulled),
            "DELETE" => match instance.files.remove(&path) {
                Some(_) => Answer::Sync(Value::Null),
                None => Answer::missing("Not Found"),
            },
            _ => {
                instance.files.insert(path, pushed(asked));
                Answer::Sync(Value::Null)
            }
        }
    }
}

fn pushed(asked: &Asked) -> FakeFile {
    let number = |name: &str, radix| {
        asked
            .header(&format!("x-lxd-{name}"))
            .and_then(|text| u32::from_str_radix(text, radix).ok())
            .unwrap_or_default()
    };
    FakeFile {
        directory: asked.header("x-lxd-type") == Some("directory"),
        uid: number("uid", 10),
        gid: number("gid", 10),
        mode: number("mode", 8),
        content: asked.body.clone(),
        link: false,
    }
}

fn pulled(file: &FakeFile) -> Answer {
    let header = |name: &str, value: String| (format!("x-lxd-{name}"), value);
    let kind = match file {
        FakeFile { directory: true, .. } => "directory",
        FakeFile { link: true, .. } => "symlink",
        _ => "file",
    };
    let headers = vec![
        header("uid", file.uid.to_string()),
        header("gid", file.gid.to_string()),
        header("mode", format!("{:04o}", file.mode)),
        header("type", kind.to_owned()),
        header("modified", "2026-01-01 00:00:00 +0000 UTC".to_owned()),
    ];
    if file.directory {
        return Answer::Sync(json!([]));
    }
    Answer::Raw(headers, file.content.clone())
}

fn start(instance: &mut FakeInstance, nics: &BTreeMap<String, Value>, number: Option<usize>) -> Result<(), String> {
    if instance.running {
        return Err("The instance is already running".to_owned());
    }
    if let Some(reason) = &instance.unstartable {
        return Err(reason.clone());
    }
    if let Some(reason) = instance.refuses.as_ref().and_then(|refuses| refuses()) {
        return Err(reason);
    }
    instance.running = true;
    let Some(number) = number else { return Ok(()) };
    let fixed = |nic: &Value, key: &str| nic[key].as_str().map(str::to_owned);
    let each = |nic: &Value| {
        let v4 = fixed(nic, "ipv4.address").unwrap_or_else(|| format!("10.99.0.{}", 100 + number));
        [Some(v4), fixed(nic, "ipv6.address")].into_iter().flatten()
    };
    instance.addresses = nics.values().flat_map(each).collect();
    Ok(())
}

fn stop(instance: &mut FakeInstance, force: bool) -> Result<(), String> {
    if !instance.running {
        return Err("The instance is already stopped".to_owned());
    }
    if instance.unstoppable.load(Ordering::SeqCst) {
        return Err("It does not stop".to_owned());
    }
    if instance.stubborn && !force {
        return Err("Failed shutting down instance, status is \"Running\": context deadline exceeded".to_owned());
    }
    instance.running = false;
    instance.frozen = false;
    instance.addresses.clear();
    Ok(())
}

fn freeze(instance: &mut FakeInstance) -> Result<(), String> {
    match (instance.running, instance.frozen) {
        (false, _) => Err("The container isn't running".to_owned()),
        (true, true) => Err("The container is already frozen".to_owned()),
        (true, false) => {
            instance.frozen = true;
            Ok(())
        }
    }
}

fn unfreeze(instance: &mut FakeInstance) -> Result<(), String> {
    match (instance.running, instance.frozen) {
        (false, _) => Err("The container isn't running".to_owned()),
        (true, false) => Err("The container is already running".to_owned()),
        (true, true) => {
            instance.frozen = false;
            Ok(())
        }
    }
}

fn word(instance: &FakeInstance) -> &'static str {
    match (instance.running, instance.frozen) {
        (true, false) => "Running",
        (true, true) => "Frozen",
        (false, _) => "Stopped",
    }
}

fn code(instance: &FakeInstance) -> u16 {
    match (instance.running, instance.frozen) {
        (true, false) => 103,
        (true, true) => 110,
        (false, _) => 102,
    }
}

fn state_json(instance: &FakeInstance) -> Value {
    let address = |address: &String| {
        let (family, netmask) = if address.contains(':') { ("inet6", "64") } else { ("inet", "24") };
        json!({ "family": family, "address": address, "netmask": netmask, "scope": "global" })
    };
    let network = instance.running.then(|| {
        json!({
            "eth0": {
                "addresses": instance.addresses.iter().map(address).collect::<Vec<_>>(), "counters": {},
                "hwaddr": "00:16:3e:00:00:01", "host_name": "veth0", "mtu": 1500, "state": "up", "type": "broadcast",
            },
            "lo": {
                "addresses": [{ "family": "inet", "address": "127.0.0.1", "netmask": "8", "scope": "local" }],
                "counters": {}, "hwaddr": "", "host_name": "", "mtu": 65536, "state": "up", "type": "loopback",
            },
        })
    });
    json!({
        "status": word(instance), "status_code": code(instance), "disk": {}, "memory": {}, "network": network,
        "pid": i32::from(instance.running), "processes": i32::from(instance.running), "cpu": { "usage": 0 },
    })
}
