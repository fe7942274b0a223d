//! What LXD and Incus have to do alike.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ryo::container::Container;
use ryo::http::{Body, Http};
use ryo::lxd::file::Owner;
use ryo::lxd::image::{Files, Part, Publish, Upload};
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::model::Devices;
use ryo::lxd::object::{Collection, NewObject};
use ryo::lxd::wait::{self, CloudInit};
use ryo::lxd::{Client, Error};
use ryo::machine::{Command, Machine, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::bed::unique;
use crate::support::recorder::Recorder;

fn tiny(name: &str) -> NewInstance {
    NewInstance {
        name: name.to_owned(),
        source: ImageSource::Alias("tiny".to_owned()),
        virtual_machine: false,
        profiles: vec!["default".to_owned()],
        config: [("user.ryo.project".to_owned(), "test".to_owned())].into(),
        devices: [].into(),
        ephemeral: false,
        description: "a test".to_owned(),
    }
}

fn network(bridge: &str) -> Devices {
    let nic = [("type", "nic"), ("nictype", "bridged"), ("parent", bridge), ("name", "eth0")];
    [("eth0".to_owned(), nic.map(|(key, value)| (key.to_owned(), value.to_owned())).into())].into()
}

async fn running(client: &Client, stem: &str) -> String {
    let name = unique(stem);
    client.create(&tiny(&name)).await.unwrap();
    client.start(&name).await.unwrap();
    name
}

async fn gone(client: &Client, name: &str) {
    client.kill(name).await.unwrap();
    client.delete(name).await.unwrap();
}

/// Everything that a deployment does with an instance and its image, once, recorded.
pub async fn life(http: Arc<dyn Http>, bridge: &str, recordings: &str) {
    let (name, renamed, alias) = (unique("life"), unique("moved"), unique("image"));
    let recorder = Arc::new(Recorder::new(
        http,
        &[(&name, "web"), (&renamed, "web-old"), (&alias, "web-image-1"), (bridge, "bridge")],
    ));
    let client = Client::new(recorder.clone());
    assert!(client.server().await.unwrap().can("image_compression_algorithm"));

    let new = NewInstance { devices: network(bridge), ..tiny(&name) };
    client.create(&new).await.unwrap();
    let made = client.instance(&name).await.unwrap().unwrap();
    assert_eq!((made.value.status.as_str(), made.value.description.as_str()), ("Stopped", "a test"));
    assert_eq!(made.value.config["image.os"], "tiny");
    client.start(&name).await.unwrap();
    let addresses = wait::address(&client, &name, Duration::from_secs(20)).await.unwrap();
    assert!(addresses[0].is_ipv4(), "{addresses:?}");

    let listed = client.instances().await.unwrap();
    let listed = listed.iter().find(|instance| instance.name == name).unwrap();
    assert!(listed.is_running());
    assert_eq!(listed.state.as_ref().unwrap().addresses(), addresses);
    assert_eq!(listed.base_image(), client.alias("tiny").await.unwrap().map(|alias| alias.target).as_deref());
    assert!(client.profiles().await.unwrap().iter().any(|profile| profile.name == "default"));

    client.make_directory(&name, "/root/dir", Owner::root(0o750)).await.unwrap();
    let owner = Owner { uid: 3, gid: 4, mode: 0o640 };
    let content = Body::Bytes(Bytes::from_static(b"hello\n"));
    client.push_file(&name, "/root/dir/a file", owner, content).await.unwrap();
    let pulled = client.pull_file(&name, "/root/dir/a file", 100).await.unwrap().unwrap();
    assert_eq!((pulled.owner, pulled.content.as_slice()), (owner, b"hello\n".as_slice()));
    client.delete_file(&name, "/root/dir/a file").await.unwrap();
    assert_eq!(client.pull_file(&name, "/root/dir/a file", 100).await.unwrap(), None);

    let machine = Container::new(client.clone(), &name, "container web");
    assert_eq!(run(&machine, &Command::new(["true"]), b"").await.unwrap().status, 0);

    let before = client.instance(&name).await.unwrap().unwrap();
    let mut settings = before.value.settings();
    settings.config.insert("user.ryo.version".to_owned(), "2".to_owned());
    settings.devices.insert(
        "web".to_owned(),
        [("type", "disk"), ("source", "/etc/ssl"), ("path", "/mnt/ssl"), ("readonly", "true")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    );
    client.update(&name, &settings, &before.etag).await.unwrap();
    let after = client.instance(&name).await.unwrap().unwrap();
    assert_eq!((&after.value.config, &after.value.devices), (&settings.config, &settings.devices));
    assert!(client.update(&name, &settings, "stale").await.unwrap_err().is_stale());
    let files = run(&machine, &Command::new(["ls", "/mnt/ssl"]), b"").await.unwrap();
    assert_eq!(String::from_utf8(files.stdout).unwrap(), "certs\nopenssl.cnf\nprivate\n");

    client.console_tail(&name, 10).await.unwrap();
    client.stop(&name, Duration::from_secs(10)).await.unwrap();
    client.rename(&name, &renamed).await.unwrap();
    assert_eq!(client.instance(&name).await.unwrap(), None);

    let properties = [("description".to_owned(), "made by a test".to_owned())].into();
    let publish = Publish { instance: renamed.clone(), properties };
    let first = client.publish(&publish).await.unwrap();
    client.set_alias(&alias, &first, "one").await.unwrap();
    let tiny_print = client.alias("tiny").await.unwrap().unwrap().target;
    client.set_alias(&alias, &tiny_print, "two").await.unwrap();
    client.set_alias(&alias, &first, "three").await.unwrap();
    assert_eq!(client.alias(&alias).await.unwrap().unwrap().target, first);
    let image = client.image(&first).await.unwrap().unwrap();
    assert_eq!(image.properties["description"], "made by a test");
    assert!(client.images().await.unwrap().contains(&image));

    client.delete_alias(&alias).await.unwrap();
    assert_eq!(client.alias(&alias).await.unwrap(), None);
    client.delete_alias(&alias).await.unwrap();
    client.delete_image(&first).await.unwrap();
    assert_eq!(client.image(&first).await.unwrap(), None);
    client.delete_image(&first).await.unwrap();
    client.delete(&renamed).await.unwrap();
    recorder.save(recordings, "life");
}

/// Networks, profiles, storage pools and volumes: made, read, changed, removed, recorded.
pub async fn objects(http: Arc<dyn Http>, recordings: &str) {
    // A network is an interface of the host, whose name is short.
    let network = unique("n");
    let network = network[..network.len().min(15)].to_owned();
    let (profile, pool, volume) = (unique("profile"), unique("pool"), unique("volume"));
    let names = [(network.as_str(), "net1"), (&profile, "profile1"), (&pool, "pool1"), (&volume, "volume1")];
    let recorder = Arc::new(Recorder::new(http, &names));
    let client = Client::new(recorder.clone());
    let config = |pairs: &[(&str, &str)]| -> ryo::lxd::model::Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let ours = ("user.ryo.project", "test");
    let volumes = Collection::Volumes { pool: pool.clone() };
    let new = |name: &str, kind: Option<&str>, pairs: &[(&str, &str)]| NewObject {
        name: name.to_owned(),
        description: "a test".to_owned(),
        kind: kind.map(str::to_owned),
        config: config(pairs),
        ..NewObject::default()
    };
    let made = [
        (Collection::Networks, new(&network, None, &[("ipv4.address", "none"), ("ipv6.address", "none"), ours])),
        (Collection::Profiles, new(&profile, None, &[("limits.cpu", "1"), ours])),
        (Collection::Pools, new(&pool, Some("dir"), &[ours])),
        (volumes.clone(), new(&volume, Some("filesystem"), &[ours])),
    ];
    for (collection, object) in &made {
        assert_eq!(client.object(collection, &object.name).await.unwrap(), None);
        client.create_object(collection, object).await.unwrap();
        assert!(matches!(client.create_object(collection, object).await, Err(Error::Refused { .. })));
        let found = client.object(collection, &object.name).await.unwrap().unwrap();
        assert_eq!(
            (found.value.description.as_str(), &found.value.config["user.ryo.project"]),
            ("a test", &"test".to_owned())
        );
        assert!(client.objects(collection).await.unwrap().iter().any(|listed| listed.name == object.name));
        let mut changed = found.value.clone();
        changed.config.insert("user.ryo.keys".to_owned(), "x".to_owned());
        "changed".clone_into(&mut changed.description);
        client.update_object(collection, &changed, &found.etag).await.unwrap();
        assert!(client.update_object(collection, &changed, "stale").await.unwrap_err().is_stale());
        let found = client.object(collection, &object.name).await.unwrap().unwrap();
        assert_eq!((found.value.description.as_str(), found.value.config["user.ryo.keys"].as_str()), ("changed", "x"));
    }
    let forms = (&made[0].0, &made[2].0);
    assert_eq!(client.object(forms.0, &network).await.unwrap().unwrap().value.kind, "bridge");
    assert_eq!(client.object(forms.1, &pool).await.unwrap().unwrap().value.driver, "dir");
    assert_eq!(client.object(&volumes, &volume).await.unwrap().unwrap().value.content_type, "filesystem");
    for (collection, object) in made.iter().rev() {
        client.delete_object(collection, &object.name).await.unwrap();
        client.delete_object(collection, &object.name).await.unwrap();
    }
    recorder.save(recordings, "objects");
}

/// An instance that is frozen neither starts nor is renamed; it goes on, or is stopped by force. Recorded.
pub async fn frozen(http: Arc<dyn Http>, recordings: &str) {
    let (name, other) = (unique("frozen"), unique("other"));
    let recorder = Arc::new(Recorder::new(http, &[(&name, "web"), (&other, "other")]));
    let client = Client::new(recorder.clone());
    client.create(&tiny(&name)).await.unwrap();
    client.start(&name).await.unwrap();
    client.freeze(&name).await.unwrap();
    let state = client.state(&name).await.unwrap();
    assert!(state.is_frozen() && state.is_on() && !state.is_running(), "{state:?}");
    assert!(client.freeze(&name).await.is_err());
    assert!(client.rename(&name, &other).await.is_err());
    assert!(client.delete(&name).await.is_err());
    client.unfreeze(&name).await.unwrap();
    assert!(client.state(&name).await.unwrap().is_running());
    assert!(client.unfreeze(&name).await.is_err());
    client.freeze(&name).await.unwrap();
    client.kill(&name).await.unwrap();
    assert!(!client.state(&name).await.unwrap().is_on());
    assert!(client.freeze(&name).await.is_err());
    client.delete(&name).await.unwrap();
    recorder.save(recordings, "frozen");
}

/// What the server does not do, recorded.
pub async fn refusals(http: Arc<dyn Http>, recordings: &str) {
    let (name, other) = (unique("refused"), unique("other"));
    let recorder = Arc::new(Recorder::new(http, &[(&name, "web"), (&other, "other")]));
    let client = Client::new(recorder.clone());
    assert_eq!(client.instance(&name).await.unwrap(), None);
    assert!(client.start(&name).await.unwrap_err().is_missing());
    let missing = NewInstance { source: ImageSource::Alias("no-such-image".to_owned()), ..tiny(&name) };
    assert!(matches!(client.create(&missing).await, Err(Error::Refused { .. } | Error::Failed { .. })));
    let missing = NewInstance { source: ImageSource::Fingerprint("00".repeat(32)), ..tiny(&name) };
    assert!(matches!(client.create(&missing).await, Err(Error::Refused { .. } | Error::Failed { .. })));

    client.create(&tiny(&name)).await.unwrap();
    assert!(matches!(client.create(&tiny(&name)).await, Err(Error::Refused { .. } | Error::Failed { .. })));
    let refused = client.exec(&name, &["true".to_owned()], &[].into()).await;
    assert!(matches!(refused, Err(Error::Refused { status: 400, .. })));
    let down = wait::address(&client, &name, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(down.to_string(), format!("instance `{name}` is stopped instead of running"));
    client.stop(&name, Duration::from_secs(1)).await.unwrap();
    client.start(&name).await.unwrap();
    assert!(matches!(client.start(&name).await, Err(Error::Failed { .. } | Error::Refused { .. })));
    assert!(matches!(client.delete(&name).await, Err(Error::Failed { .. } | Error::Refused { .. })));
    let publish = Publish { instance: name.clone(), ..Publish::default() };
    assert!(matches!(client.publish(&publish).await, Err(Error::Failed { .. } | Error::Refused { .. })));
    assert!(matches!(client.rename(&name, &other).await, Err(Error::Failed { .. } | Error::Refused { .. })));
    let alias = client.set_alias(&other, &"00".repeat(32), "").await;
    assert!(matches!(alias, Err(Error::Refused { .. })));
    client.kill(&name).await.unwrap();
    client.delete(&name).await.unwrap();
    recorder.save(recordings, "refusals");
}

/// What the machine has is what its kernel says.
pub async fn resources(http: Arc<dyn Http>) {
    let told = Client::new(http).resources().await.unwrap();
    assert_eq!(told.cpu.total, std::thread::available_parallelism().unwrap().get());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let of = |key: &str| -> u64 {
        let line = memory.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    };
    assert!(told.memory.total.abs_diff(of("MemTotal:")) < 1 << 30, "{told:?}");
    assert!(told.memory.used < told.memory.total, "{told:?}");
}

/// An instance keeps the contract of [`Machine`].
pub async fn machine(http: Arc<dyn Http>) {
    let client = Client::new(http);
    let name = running(&client, "machine").await;
    let machine = Container::new(client.clone(), &name, "container web on host-1");

    crate::machines::contract(&machine).await;
    let input: Vec<u8> = (0..5_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let done = run(&machine, &Command::new(["cat"]), &input).await.unwrap();
    assert_eq!((done.status, done.stdout == input, done.stderr), (0, true, vec![]));
    let killed = run(&machine, &Command::new(["sh", "-c", "kill -9 $$"]), b"").await.unwrap();
    assert_eq!(killed.status, 137);
    let lots = Command::new(["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"]);
    let done = run(&machine, &lots, b"").await.unwrap();
    assert_eq!((done.stdout.len(), done.stderr.len()), (3_000_000, 3_000_000));

    conversation(&machine).await;
    abandoned(&machine).await;
    assert_eq!(wait::cloud_init(&client, &name, Duration::from_secs(5)).await.unwrap(), CloudInit::Absent);
    gone(&client, &name).await;
    let lost = machine.open(&Command::new(["true"])).await.err().unwrap();
    assert_eq!(lost.to_string(), "lost the connection to container web on host-1");
}

/// Question and answer in turn, as with the agent: nothing waits for a full buffer.
async fn conversation(machine: &dyn Machine) {
    let mut process = machine.open(&Command::new(["cat"])).await.unwrap();
    for round in 0..50_u8 {
        process.stdin.write_all(&[round; 10]).await.unwrap();
        process.stdin.flush().await.unwrap();
        let mut answer = [0; 10];
        process.stdout.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [round; 10]);
    }
    process.stdin.shutdown().await.unwrap();
    assert_eq!(process.stdout.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(process.end.await.unwrap(), 0);
}

/// A process that is dropped is killed.
async fn abandoned(machine: &dyn Machine) {
    let mut process = machine.open(&Command::new(["sh", "-c", "echo $$; exec sleep 1000"])).await.unwrap();
    let mut pid = String::new();
    while !pid.ends_with('\n') {
        pid.push(char::from(process.stdout.read_u8().await.unwrap()));
    }
    drop(process);
    let alive = Command::new(["kill", "-0", pid.trim()]);
    let began = Instant::now();
    while run(machine, &alive, b"").await.unwrap().status == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "the command outlived its process");
    }
}

/// Makes a unified image that is unlike any other.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(vec![]);
    let mut add = |path: &str, content: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    };
    add("metadata.yaml", "architecture: x86_64\ncreation_date: 1704067200\n");
    add("rootfs/name", &unique("upload"));
    tar.into_inner().unwrap()
}

/// An image is sent, and read again.
pub async fn upload(http: Arc<dyn Http>) {
    let client = Client::new(http);
    let bytes = archive();
    let part = |length| Part { reader: Box::new(std::io::Cursor::new(bytes.clone())), length };
    let upload = |files| {
        let properties = [("description".to_owned(), "100% & more".to_owned())].into();
        Upload { filename: "test.tar".to_owned(), properties, files }
    };
    let unified = upload(Files::Unified(part(Some(bytes.len() as u64))));
    let fingerprint = client.upload(unified).await.unwrap();
    let image = client.image(&fingerprint).await.unwrap().unwrap();
    assert_eq!(image.properties["description"], "100% & more");
    let mut copy = vec![];
    assert_eq!(client.export(&fingerprint, &mut copy).await.unwrap(), bytes.len() as u64);
    assert!(copy == bytes);
    client.delete_image(&fingerprint).await.unwrap();

    let rootfs = Part { reader: Box::new(&b"no file system at all"[..]), length: None };
    let fingerprint = client.upload(upload(Files::Split { metadata: part(None), rootfs })).await.unwrap();
    let split = client.export(&fingerprint, &mut tokio::io::sink()).await.unwrap_err();
    assert!(matches!(split, Error::Malformed { .. }), "{split}");
    client.delete_image(&fingerprint).await.unwrap();
}

/// Publishing says how far it has got.
pub async fn progress(http: Arc<dyn Http>) {
    let told = Arc::new(Mutex::new(vec![]));
    let sink = told.clone();
    let client = Client::new(http).with_progress(move |progress| sink.lock().unwrap().push(progress));
    let name = unique("progress");
    client.create(&tiny(&name)).await.unwrap();
    let publish = Publish { instance: name.clone(), ..Publish::default() };
    let fingerprint = client.publish(&publish).await.unwrap();
    client.delete_image(&fingerprint).await.unwrap();
    client.delete(&name).await.unwrap();
    assert!(!told.lock().unwrap().is_empty());
}

/// cloud-init is waited for, and says what went wrong.
pub async fn first_boot(http: Arc<dyn Http>, bridge: &str) {
    let client = Client::new(http);
    let booted = async |stem: &str, user_data: &str| {
        let name = unique(stem);
        let mut new =
            NewInstance { source: ImageSource::Alias("debian/12".to_owned()), devices: network(bridge), ..tiny(&name) };
        new.config.insert("user.user-data".to_owned(), user_data.to_owned());
        client.create(&new).await.unwrap();
        client.start(&name).await.unwrap();
        let outcome = wait::cloud_init(&client, &name, Duration::from_mins(2)).await;
        let marks = client.pull_file(&name, "/root/mark", 100).await.unwrap();
        (name, outcome, marks)
    };
    // The script takes a second of every boot, behind the services.
    let good = "#cloud-config\nruncmd: [[sh, -c, 'sleep 1; echo done > /root/mark']]\nwrite_files:\n\
                - {path: /var/lib/cloud/scripts/per-boot/late, permissions: '0755', content: \"#!/bin/sh\\nsleep 1\\n\"}\n";
    let bad = "#cloud-config\nruncmd: [[sh, -c, 'echo done > /root/mark; exit 1']]\n";
    let (good, bad) = tokio::join!(booted("good", good), booted("bad", bad));
    // What the commands have started counts from the end.
    assert_eq!(good.1.unwrap(), CloudInit::Done { warnings: vec![], services: None });
    assert_eq!(good.2.unwrap().content, b"done\n");
    client.stop(&good.0, Duration::from_mins(1)).await.unwrap();
    let started = Instant::now();
    client.start(&good.0).await.unwrap();
    let again = wait::cloud_init(&client, &good.0, Duration::from_mins(2)).await.unwrap();
    let ended = Instant::now();
    let CloudInit::Done { services: Some(services), .. } = again else { panic!("{again:?}") };
    assert!(started < services && services + Duration::from_secs(1) < ended);
    let error = bad.1.unwrap_err();
    assert!(matches!(&error, Error::CloudInit { instance, .. } if *instance == bad.0), "{error}");
    let words = "Runparts: 1 failures (runcmd) in 1 attempted commands";
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(bad.2.unwrap().content, b"done\n");
    for name in [good.0, bad.0] {
        gone(&client, &name).await;
    }
}
