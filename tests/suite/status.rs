//! How projects and modules are: `ryo status`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ryo::flow::host::status::{self, Change, Instance, Mount, Port, Space, Status, Unit};
use serde_json::Value;

use crate::support::stage::Stage;
use crate::support::work::{Ended, copy};

const NOW: u64 = 1_795_835_700;

async fn look(stage: &Stage) -> Status {
    status::look(&stage.world(stage.lxd.clone(), stage.consul.clone()).await).await.unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deployed_is_grouped_by_project_and_module() {
    let stage = Stage::new();
    stage.deploys().await;
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let lines = [
        r#"{"when":1000,"who":"anna@desk","plan":"backup ryo-tiny 1 on local","steps":["ryo-tiny: write backup-local-ryo-tiny-1.tar.gz"],"result":"done","took":5,"outages":{"tiny":9000}}"#,
        r#"{"when":2000,"who":"anna@desk","plan":"deploy ryo-tiny 1 on local","steps":["ryo-tiny: replace instance tiny by one from x"],"result":"done","took":5,"outages":{"other":70,"tiny":1400}}"#,
        r#"{"when":2500,"who":"bob@desk","plan":"host backup 3 on local","steps":["ryo-tiny: copy /var/containers/ryo-tiny while it serves","ryo-tiny: stop instance tiny","ryo-tiny: start instance tiny again","ryo-tiny-store: write backup-local-ryo-tiny-store-3.tar.gz"],"result":"done","took":5}"#,
        r#"{"when":3000,"who":"bob@desk","plan":"backup ryo-tiny 2 on local","steps":["ryo-tiny: write backup-local-ryo-tiny-2.tar.gz"],"result":"gone","took":5}"#,
    ];
    for line in lines {
        world.agent.journal(line).await.unwrap();
    }
    let status = look(&stage).await;
    let data =
        |id: &str| Mount { source: format!("/var/containers/{id}/data"), path: "/data".to_owned(), read_only: false };
    let port = Port { listen: "tcp:10.10.1.1:8061".to_owned(), connect: "tcp:10.10.1.61:80".to_owned() };
    assert_eq!((status.consul.as_deref(), status.backup), (Some("1.8.7"), Some(2500)));
    let instance = |name: &str, id: &str, ports: Vec<Port>| Instance {
        name: name.to_owned(),
        status: "Running".to_owned(),
        owner: Some(id.to_owned()),
        version: Some("1".to_owned()),
        mounts: vec![data(id)],
        ports,
        ..Instance::default()
    };
    let mut seen = status.instances.clone();
    assert!(seen.iter_mut().all(|it| !std::mem::take(&mut it.addresses).is_empty()));
    assert_eq!(seen, [instance("store", "ryo-tiny-store", vec![]), instance("tiny", "ryo-tiny", vec![port])]);
    let change = Change {
        when: 2000,
        who: "anna@desk".to_owned(),
        plan: "deploy ryo-tiny 1 on local".to_owned(),
        result: "done".to_owned(),
        outages: BTreeMap::from([("tiny".to_owned(), 1400)]),
    };
    let keys = ["service/store/entries/ryo-tiny-domain", "service/store/names/ryo-tiny", "service/store/names/tiny"];
    assert_eq!(
        status.units,
        [
            Unit {
                name: "ryo-tiny".to_owned(),
                kind: Some("project"),
                versions: texts(&["1"]),
                instances: texts(&["tiny"]),
                keys: texts(&keys),
                change: Some(change),
                backup: Some(1000),
                ..Unit::default()
            },
            Unit {
                name: "ryo-tiny-store".to_owned(),
                kind: Some("module"),
                versions: texts(&["1"]),
                instances: texts(&["store"]),
                backup: Some(2500),
                ..Unit::default()
            },
        ]
    );
}

/// What is wrong with `tiny` after `change`.
async fn problems(stage: &Stage, change: impl Fn(&Stage)) -> Vec<String> {
    change(stage);
    look(stage).await.instances.into_iter().find(|it| it.name == "tiny").unwrap().problems
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_instance_is_told() {
    let stage = Stage::new();
    stage.deploys().await;
    let mark = |key: &'static str, value: &'static str| {
        move |stage: &Stage| {
            stage.lxd.with_instance("tiny", |tiny| {
                tiny.config.retain(|key, _| !["user.ryo.unproven", "user.ryo.paused"].contains(&key.as_str()));
                tiny.config.insert(key.to_owned(), value.to_owned());
            });
        }
    };
    stage.consul.check("tiny", "", "Serf Health Status", "passing");
    stage.consul.check("store", "store", "Service 'store' check", "critical");
    assert_eq!(problems(&stage, |_| ()).await, texts(&[]));
    assert_eq!(problems(&stage, mark("user.ryo.unproven", "yes")).await, ["not seen to come up yet"]);
    assert_eq!(problems(&stage, mark("user.ryo.paused", "yes")).await, ["stopped for a backup or a restore"]);
    let stopped = |stage: &Stage| {
        mark("user.note", "")(stage);
        stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    };
    assert_eq!(problems(&stage, stopped).await, ["stopped"]);
    let failing = |stage: &Stage| {
        stage.lxd.with_instance("tiny", |tiny| tiny.running = true);
        stage.consul.check("tiny", "tiny-http", "Service 'tiny-http' check", "critical");
        stage.consul.check("tiny", "", "Disk", "warning");
    };
    assert_eq!(problems(&stage, failing).await, ["Consul: tiny-http is critical", "Consul: Disk is warning"]);
    let unit = look(&stage).await.units.remove(0);
    assert_eq!(unit.problems, ["tiny: Consul: tiny-http is critical", "tiny: Consul: Disk is warning"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consul_that_does_not_answer_is_part_of_the_answer() {
    let stage = Stage::new();
    stage.deploys().await;
    stage.consul.broken(Some((500, "No cluster leader")));
    let status = look(&stage).await;
    assert_eq!(status.consul_error.as_deref(), Some("fake Consul has no leader"));
    assert_eq!((status.consul, status.units.len()), (None, 2));
}

/// Instances of the original tools carry no labels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_of_the_original_tools_are_recognised_by_image_and_mounts() {
    let stage = Stage::new();
    stage.deploys().await;
    for name in ["tiny", "store"] {
        stage.lxd.with_instance(name, |instance| {
            instance.config.retain(|key, _| !key.starts_with("user.ryo."));
            let description = "ubuntu-minimal:focal image for it - v 20230212";
            instance.config.insert("image.description".to_owned(), description.to_owned());
        });
    }
    // The image of one is gone, as after `lxc image delete`: its mount says whose it is.
    stage.lxd.with_instance("tiny", |tiny| tiny.config.insert("volatile.base_image".to_owned(), "gone".to_owned()));
    let told: Vec<_> = look(&stage).await.instances.into_iter().map(|it| (it.name, it.owner, it.version)).collect();
    let expected = |name: &str, owner: &str| (name.to_owned(), Some(owner.to_owned()), Some("20230212".to_owned()));
    assert_eq!(told, [expected("store", "ryo-tiny-store"), expected("tiny", "ryo-tiny")]);
}

/// Two hosts, one of which cannot be looked at. Names and texts of the one mean harm.
fn hosts() -> Vec<(String, Result<Status, String>)> {
    let evil = "<img src=x onerror=alert(1)>'\"&";
    let instance = |name: &str, owner: Option<&str>, problems: &[&str]| Instance {
        name: name.to_owned(),
        status: "Running".to_owned(),
        owner: owner.map(str::to_owned),
        problems: texts(problems),
        addresses: texts(&["10.10.1.20", "fd10:10:10:1::1:20"]),
        ..Instance::default()
    };
    let gitea = Instance {
        mounts: vec![
            Mount {
                source: "/var/containers/ryo-gitea/data".to_owned(),
                path: "/var/lib/gitea".to_owned(),
                read_only: false,
            },
            Mount {
                source: "/var/containers/ryo-web-proxy/tls".to_owned(),
                path: "/etc/tls".to_owned(),
                read_only: true,
            },
        ],
        ports: vec![Port { listen: "tcp:203.0.113.7:3022".to_owned(), connect: "tcp:10.10.1.20:3022".to_owned() }],
        ..instance("gitea", Some("ryo-gitea"), &["Consul: gitea-http is critical", "Consul: gitea-ssh is critical"])
    };
    let status = Status {
        host: "web".to_owned(),
        system: "Debian 12.8".to_owned(),
        kernel: "6.1.0-27-amd64".to_owned(),
        up: 3 * 86_400,
        reboot: texts(&["packages ask for it"]),
        server: "lxd 5.0.2".to_owned(),
        certificate_until: Some(NOW + 86_400),
        consul: Some("1.20.1".to_owned()),
        spaces: vec![
            Space { name: "disk /".to_owned(), used: 12 << 30, total: 40 << 30 },
            Space { name: "pool lxd".to_owned(), used: 19 << 30, total: 20 << 30 },
        ],
        instances: vec![gitea, instance("scratch", None, &[]), instance(evil, Some("ryo-evil"), &[])],
        units: vec![
            Unit {
                name: "ryo-evil".to_owned(),
                versions: texts(&[evil]),
                instances: texts(&[evil]),
                keys: texts(&[evil]),
                ..Unit::default()
            },
            Unit {
                name: "ryo-gitea".to_owned(),
                kind: Some("project"),
                versions: texts(&["20261123"]),
                instances: texts(&["gitea"]),
                problems: texts(&["gitea: Consul: gitea-http is critical", "gitea: Consul: gitea-ssh is critical"]),
                keys: texts(&["service/certbot/git.example.org"]),
                change: Some(Change {
                    when: NOW - 2 * 86_400,
                    who: "anna@desk".to_owned(),
                    plan: "deploy ryo-gitea on web".to_owned(),
                    result: "done".to_owned(),
                    outages: BTreeMap::from([("gitea".to_owned(), 1400)]),
                }),
                backup: Some(NOW - 3600),
            },
            Unit { name: "ryo-mariadb".to_owned(), kind: Some("module"), ..Unit::default() },
        ],
        ..Status::default()
    };
    let why = "cannot connect to db: <b>no route to host</b>\nreally".to_owned();
    vec![("db".to_owned(), Err(why)), ("web".to_owned(), Ok(status)), ("new".to_owned(), Ok(Status::default()))]
}

#[test]
fn hosts_are_told_as_a_table() {
    assert_eq!(
        status::table(&hosts(), NOW),
        [
            "HOST  PROJECT OR MODULE  VERSION                          HEALTH                                      INSTANCES                        LAST CHANGE  OUTAGE  LAST BACKUP",
            "db    cannot be looked at: cannot connect to db: <b>no route to host</b> really",
            "web   ryo-evil           <img src=x onerror=alert(1)>'\"&  healthy                                     <img src=x onerror=alert(1)>'\"&  -            -       never",
            "web   ryo-gitea          20261123                         Consul: gitea-http is critical, and 1 more  gitea                            2 days ago   1.4 s   1 hour ago",
            "web   ryo-mariadb        -                                no instance                                 -                                -            -       never",
            "web   -                  -                                healthy                                     scratch                          -            -       -",
            "new   nothing is deployed",
            "",
        ]
        .join("\n")
    );
}

#[test]
fn hosts_are_drawn_as_one_page_without_anything_foreign() {
    let html = status::page::page(&hosts(), NOW);
    // To be looked at in a browser.
    if let Some(file) = std::env::var_os("RYO_PAGE") {
        fs::write(file, &html).unwrap();
    }
    for foreign in ["<img", "<b>no", "<script", "<link", "http:", "https:", "url(", "@import", "href"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;&#39;&quot;&amp;"), "{html}");
    // Every element that is opened is closed, in order.
    let mut open = vec![];
    for tag in regex::Regex::new(r"<(/?)([a-z0-9]+)[^>]*>").unwrap().captures_iter(&html) {
        match (&tag[1], &tag[2]) {
            (_, "meta" | "wbr") => {}
            ("", name) => open.push(name.to_owned()),
            (_, name) => assert_eq!(open.pop().as_deref(), Some(name), "{html}"),
        }
    }
    assert!(open.is_empty());
    for part in [
        "<h2><span class=\"mark ill\" role=\"img\" aria-label=\"not healthy\">!</span> db</h2>",
        "cannot be looked at: cannot connect to db: &lt;b&gt;no route to host&lt;/b&gt;",
        "<p class=\"facts\">Debian 12.8 · Linux 6.1.0-27-amd64 · up 3 days · lxd 5.0.2 · consul 1.20.1</p>",
        "<li>should start again: packages ask for it</li><li>the server&#39;s certificate ends on 2026-11-29</li>",
        "<div class=\"space full\"><span>pool lxd</span><i><b style=\"width:95%\"></b></i><span>19.0 of 20.0 GiB</span></div>",
        "<dt>last change</dt><dd>2 days ago by anna@desk</dd><dt>outage</dt><dd>1.4 s</dd><dt>last backup</dt><dd>1 hour ago</dd>",
        "<li><code>tcp:203.0.113.7:3022</code> <span class=\"to\">→</span> <code>tcp:10.10.1.20:3022</code></li>",
        "<em>of ryo-web-proxy</em> <em>read only</em>",
        "<summary>1 Consul key</summary><ul class=\"keys\"><li>service/<wbr>certbot/<wbr>git.example.org</li></ul>",
        "<li>it has no instance</li>",
        "<h3>Others</h3>",
        "<p class=\"facts\">Nothing is deployed.</p>",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
}

fn ryo(directory: &Path, words: &[&str]) -> Ended {
    Ended::here(directory, words, |command| {
        command.env("RYO_SETTINGS", directory.join("settings.yml")).env_remove("SSH_AUTH_SOCK");
    })
}

#[test]
fn hosts_that_cannot_be_looked_at_are_told_in_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories"), directory.path());
    let settings = "hosts:\n  local:\n    socket: /nowhere/unix.socket\n";
    fs::write(directory.path().join("settings.yml"), settings).unwrap();
    let ended = ryo(directory.path(), &["status", "--html", "page.html"]);
    assert_eq!(
        ended.stdout,
        "HOST   PROJECT OR MODULE  VERSION  HEALTH  INSTANCES  LAST CHANGE  OUTAGE  LAST BACKUP\n\
         local  cannot be looked at: cannot reach LXD at /nowhere/unix.socket on local: No such file or directory (os error 2)\n"
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), "looking at host local\n"));
    let page = fs::read_to_string(directory.path().join("page.html")).unwrap();
    assert!(page.contains("cannot be looked at: cannot reach LXD"), "{page}");
    let ended = ryo(directory.path(), &["status", "--json"]);
    let told: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(told["result"]["hosts"][0]["host"], "local");
    assert_eq!(told["result"]["hosts"][0]["error"], "cannot reach LXD at /nowhere/unix.socket on local");
    // The one that was named is not there: that is the end of it.
    let ended = ryo(directory.path(), &["status", "-n", "local"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(1),
            "looking at host local\nerror: cannot reach LXD at /nowhere/unix.socket on local\n  \
             because: No such file or directory (os error 2)\nhint: start LXD or Incus on the host\n"
        )
    );
    let ended = ryo(directory.path(), &["status", "-n", "local", "--html", "/nowhere/page.html"]);
    assert_eq!(ended.code, Some(1));
    fs::remove_file(directory.path().join("ryo-host/configuration/configuration_local.yml")).unwrap();
    let ended = ryo(directory.path(), &["status"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(2), "error: no host has a configuration in HERE/ryo-host/configuration\nhint: `ryo init` writes one\n")
    );
}
