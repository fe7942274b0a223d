//! What others do to a host: changes by hand, the original tools' instances, Ansible in the place of `ryo`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ryo::consul::Change;
use ryo::lxd::image::Publish;
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::model::{Config, Devices, Settings};
use ryo::lxd::wait;
use serde_json::Value;

use crate::support::bed::var;
use crate::support::work::{Ended, Host, Work};

const OWNERS: [&str; 2] = ["ryo-tiny-store", "ryo-tiny"];
const INSTANCES: [&str; 2] = ["store", "tiny"];

/// Removes everything that a deployment of the tiny project leaves on a host, images without labels too.
async fn wipe(host: &Host) {
    host.wipe(&OWNERS, &INSTANCES, "service/store/").await;
    for image in host.client().images().await.unwrap() {
        if image.aliases.iter().any(|alias| alias.name.starts_with("ryo-tiny")) {
            host.client().delete_image(&image.fingerprint).await.unwrap();
        }
    }
}

/// The titles of the steps of a plan.
fn planned(work: &Work, words: &[&str]) -> Vec<String> {
    let ended = work.ryo(&[&["plan", "deploy", "ryo-tiny", "-n", &work.host.name, "--json"], words].concat()).well();
    let steps = result(&ended)["steps"].as_array().unwrap().clone();
    let text = |step: &Value| format!("{}: {}", step["owner"].as_str().unwrap(), step["title"].as_str().unwrap());
    steps.iter().map(text).collect()
}

fn result(ended: &Ended) -> Value {
    let line: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    line["result"].clone()
}

fn deploy<'a>(host: &'a Host, version: &'a str) -> Vec<&'a str> {
    vec!["deploy", "ryo-tiny", "-n", &host.name, "-v", version, "--yes"]
}

async fn change(host: &Host, name: &str, edit: impl FnOnce(&mut Settings)) {
    let found = host.client().instance(name).await.unwrap().unwrap();
    let mut settings = found.value.settings();
    edit(&mut settings);
    host.client().update(name, &settings, &found.etag).await.unwrap();
}

#[tokio::test]
async fn what_was_changed_by_hand_is_shown_and_set_right() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&deploy(&host, "1")).well();
    let other = format!("tcp:{}.1:8062", host.network);
    change(&host, "tiny", |tiny| drop(tiny.devices.get_mut("proxy0").unwrap().insert("listen".to_owned(), other)))
        .await;
    let key = |path: &str| format!("service/store/{path}");
    let changes = [
        Change::Set { key: key("entries/ryo-tiny-domain"), value: b"evil.example.org".to_vec() },
        Change::Delete { key: key("names/tiny") },
    ];
    host.consul().transaction(&changes).await.unwrap();
    fs::remove_file("/var/containers/ryo-tiny/README").unwrap();
    host.client().kill("store").await.unwrap();
    assert_eq!(
        planned(&work, &["-v", "1"]),
        [
            "ryo-tiny: set up the host (1 task would change something)",
            "ryo-tiny-store: start instance store",
            "ryo-tiny: write 1 Consul key",
            "ryo-tiny: change instance tiny in place",
            "ryo-tiny: write 1 Consul key",
        ]
    );
    let told = result(&work.ryo(&["status", "-n", &host.name, "--json"]).well())["hosts"][0].clone();
    let unit = |name: &str| told["units"].as_array().unwrap().iter().find(|unit| unit["name"] == name).unwrap().clone();
    assert_eq!(unit("ryo-tiny-store")["problems"], serde_json::json!(["store: stopped"]));
    assert_eq!(unit("ryo-tiny")["problems"], serde_json::json!([]));
    work.ryo(&deploy(&host, "1")).well();
    assert_eq!(planned(&work, &["-v", "1"]), Vec::<String>::new());
    change(&host, "store", |store| drop(store.config.insert("limits.memory".to_owned(), "512MiB".to_owned()))).await;
    assert_eq!(planned(&work, &["-v", "1"]), ["ryo-tiny-store: change instance store in place"]);
    work.ryo(&deploy(&host, "1")).well();
    assert_eq!(planned(&work, &["-v", "1"]), Vec::<String>::new());
    let log = work.ryo(&["log", "-n", &host.name, "--limit", "2"]).well();
    let title = format!("deploy ryo-tiny 1 on {}", host.name);
    assert_eq!(log.stdout.lines().filter(|line| line.contains("done") && line.ends_with(&title)).count(), 2, "{log:?}");
    let page = work.path("page.html");
    work.ryo(&["status", "-n", &host.name, "--html", page.to_str().unwrap()]).well();
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("ryo-tiny-store") && page.contains("/<wbr>var/<wbr>containers/<wbr>ryo-tiny/<wbr>data"),
        "{page}"
    );
    wipe(&host).await;
}

/// What Terraform's provider makes of an image's alias: no label, nothing but what the files say.
async fn made_by_terraform(host: &Host, name: &str, image: &str, config: Config, devices: Devices) {
    let new = NewInstance {
        name: name.to_owned(),
        source: ImageSource::Alias(image.to_owned()),
        virtual_machine: false,
        profiles: vec!["default".to_owned()],
        config,
        devices,
        ephemeral: false,
        description: String::new(),
    };
    host.client().create(&new).await.unwrap();
    host.client().start(name).await.unwrap();
    wait::address(&host.client(), name, Duration::from_mins(2)).await.unwrap();
}

/// What Packer makes: a container of the base image, stopped, published with three properties.
async fn built_by_packer(host: &Host, alias: &str, service: &str, version: &str) {
    let client = host.client();
    let name = format!("packer-{service}");
    let base = NewInstance {
        name: name.clone(),
        source: ImageSource::Alias("tiny".to_owned()),
        virtual_machine: false,
        profiles: vec!["build".to_owned()],
        config: Config::new(),
        devices: Devices::new(),
        ephemeral: false,
        description: String::new(),
    };
    client.create(&base).await.unwrap();
    let description = format!("tiny image for {service} - v {version}");
    let properties = [("description", description.as_str()), ("os", "tiny"), ("release", "tiny")];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let fingerprint = client.publish(&Publish { instance: name.clone(), properties }).await.unwrap();
    client.set_alias(alias, &fingerprint, "").await.unwrap();
    client.delete(&name).await.unwrap();
}

#[tokio::test]
async fn what_the_original_tools_deployed_is_taken_over_without_a_restart() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    // What the files want of instances is read off those that ryo makes of them.
    work.ryo(&deploy(&host, "1")).well();
    let mut wanted = vec![];
    for name in INSTANCES {
        let made = host.client().instance(name).await.unwrap().unwrap().value;
        let own = |key: &String| ["volatile.", "image.", "user.ryo."].iter().all(|prefix| !key.starts_with(prefix));
        let config: Config = made.config.into_iter().filter(|(key, _)| own(key)).collect();
        wanted.push((name, config, made.devices));
    }
    wipe(&host).await;
    for ((name, config, devices), owner) in wanted.into_iter().zip(OWNERS) {
        fs::create_dir_all(format!("/var/containers/{owner}/data")).unwrap();
        let alias = format!("{owner}-{name}-20230212");
        built_by_packer(&host, &alias, name, "20230212").await;
        made_by_terraform(&host, name, &alias, config, devices).await;
    }
    let keys = [("entries/ryo-tiny-domain", "tiny.example.org"), ("names/ryo-tiny", ""), ("names/tiny", "")];
    let keys = keys.map(|(key, value)| Change::Set { key: format!("service/store/{key}"), value: value.into() });
    host.consul().transaction(&keys).await.unwrap();
    let told = result(&work.ryo(&["status", "-n", &host.name, "--json"]).well())["hosts"][0].clone();
    let tiny = told["instances"].as_array().unwrap().iter().find(|it| it["name"] == "tiny").unwrap().clone();
    assert_eq!((&tiny["owner"], &tiny["version"]), (&Value::from("ryo-tiny"), &Value::from("20230212")));

    let taken_over = [
        "ryo-tiny-store: set up the host (first time)",
        "ryo-tiny: set up the host (first time)",
        "ryo-tiny-store: take image ryo-tiny-store-store-20230212 over as made from the present files",
        "ryo-tiny: take image ryo-tiny-tiny-20230212 over as made from the present files",
        "ryo-tiny-store: take instance store over as it is",
        "ryo-tiny: take instance tiny over as it is",
        "ryo-tiny: note which Consul keys are its own",
    ];
    assert_eq!(planned(&work, &[]), taken_over);
    assert_eq!(planned(&work, &["-v", "20230212"]), taken_over);
    let pids = async || {
        let mut pids = vec![];
        for name in INSTANCES {
            pids.push(host.client().state(name).await.unwrap().pid);
        }
        pids
    };
    let before = pids().await;
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "--yes"]).well();
    assert_eq!(pids().await, before);
    assert_eq!(planned(&work, &[]), Vec::<String>::new());
    // From then on it is managed: what has changed is built anew, under a version of its own.
    work.edit("ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2", "Hello", "Good day");
    work.ryo(&deploy(&host, "2")).well();
    assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Good day"));
    wipe(&host).await;
}

#[tokio::test]
async fn ansible_sets_the_host_up_as_ryo_does() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    let inventory = format!("ryo-host/configuration/inventory_{}", host.name);
    let local =
        "[host_wireguard_ip6]\n127.0.0.1 ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n";
    fs::write(work.path(&inventory), local).unwrap();
    let programs = Path::new(&var("RYO_ANSIBLE_PLAYBOOK")).parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let ryo = |words: &[&str]| {
        let mut command = work.command(&[words, &["--configure", "ansible"]].concat());
        Ended::of(&command.env("PATH", &path).output().unwrap())
    };
    let deployed = ryo(&deploy(&host, "1")).well();
    assert!(deployed.stderr.contains("directories : Directory of the data"), "{deployed:?}");
    // Neither of the two finds anything left to do.
    assert_eq!(planned(&work, &["-v", "1"]), Vec::<String>::new());
    let plan = ["plan", "deploy", "ryo-tiny", "-n", &host.name, "-v", "1"];
    assert_eq!(ryo(&plan).well().stdout, format!("deploy ryo-tiny 1 on {}: nothing to do\n", host.name));
    fs::write("/var/containers/ryo-tiny/README", "other\n").unwrap();
    let changed = ryo(&plan).well().stdout;
    assert!(changed.contains("~ ryo-tiny: set up the host (1 task would change something)"), "{changed}");
    // What fails is told with what Ansible said, and with the step.
    let word = "- name: A word to the reader";
    work.edit("ryo-tiny/host-setup/roles/directories/tasks/main.yml", word, &format!("- command: \"false\"\n{word}"));
    let failed = ryo(&deploy(&host, "1"));
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("set up the host") && failed.stderr.contains("exit status: 2"), "{failed:?}");
    wipe(&host).await;
}
