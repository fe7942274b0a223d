//! The original's own programs in the place of `ryo`: what they build and bring up is what it builds and brings up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use ryo::consul::Change;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::deploy::wipe as wipe_tiny;
use crate::examples::{GREETING, expected_page, page, wipe};
use crate::support::bed::var;
use crate::support::work::{Ended, Host, Work};

/// The templates of the examples.
const TEMPLATES: [&str; 2] = ["ryo-hello/image-build/hello.pkr.hcl", "ryo-web-proxy/image-build/web-proxy.pkr.hcl"];

/// What differs by nature: what makes a machine this one, what was logged or cached when, what the two leave of themselves.
const OTHER: [&str; 15] = [
    "etc/hostname",
    "etc/machine-id",
    "etc/sudoers.d/90-cloud-init-users",
    "root/.ansible",
    "tmp",
    "var/backups",
    "var/cache",
    "var/lib/apt",
    "var/lib/cloud",
    "var/lib/dbus/machine-id",
    "var/lib/dhcp",
    "var/lib/dpkg/status-old",
    "var/lib/systemd",
    "var/log",
    "var/tmp",
];

/// Packages that Ansible installs for itself.
const FOR_ANSIBLE: [&str; 3] = ["distro-info-data", "python-apt-common", "python3-apt"];

/// The list of what is installed.
const STATUS: &str = "var/lib/dpkg/status";

/// `ryo` with the real Ansible on the path, as Packer looks for it.
fn ryo(work: &Work, words: &[&str]) -> Ended {
    let ansible = Path::new(&var("RYO_ANSIBLE_PLAYBOOK")).parent().unwrap().to_owned();
    let path = format!("{}:{}", ansible.display(), std::env::var("PATH").unwrap());
    Ended::of(&work.command(words).env("PATH", path).output().unwrap())
}

/// What an image holds.
struct Contents {
    /// Kind, mode, owner and content of each file by its path.
    files: BTreeMap<PathBuf, String>,
    /// What is there only for Ansible.
    for_ansible: BTreeSet<PathBuf>,
}

fn contents(image: &str) -> Contents {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("image");
    let well = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
    well(Command::new("lxc").args(["image", "export", image]).arg(&archive));
    let archive = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let unpacked = directory.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    well(Command::new("tar").args(["--numeric-owner", "-xpf"]).arg(archive).arg("-C").arg(&unpacked));
    let root = unpacked.join("rootfs");
    let (mut found, mut open) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_owned();
            let cached = name.extension().is_some_and(|extension| extension == "pyc");
            let key = name.to_string_lossy().starts_with("etc/ssh/ssh_host_");
            if key || cached || name.ends_with("__pycache__") || OTHER.iter().any(|other| name.starts_with(other)) {
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            let content = if name == Path::new(STATUS) {
                installed(&path)
            } else if about.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if about.is_file() {
                hex::encode(Sha256::digest(fs::read(&path).unwrap()))
            } else {
                about.rdev().to_string()
            };
            if about.is_dir() {
                open.push(path);
            }
            found.insert(name, format!("{:o} {}:{} {content}", about.mode(), about.uid(), about.gid()));
        }
    }
    let for_ansible = FOR_ANSIBLE.iter().flat_map(|package| {
        let lists = root.join("var/lib/dpkg/info");
        let text = fs::read_to_string(lists.join(format!("{package}.list"))).unwrap_or_default();
        let files: Vec<PathBuf> = text.lines().map(|line| PathBuf::from(line.trim_start_matches('/'))).collect();
        let of_package = format!("var/lib/dpkg/info/{package}.");
        let about = found.keys().filter(move |name| name.to_string_lossy().starts_with(&of_package)).cloned();
        files.into_iter().chain(about)
    });
    Contents { for_ansible: for_ansible.collect(), files: found }
}

/// Every package with its version, but for those that Ansible installs for itself.
fn installed(status: &Path) -> String {
    let text = fs::read_to_string(status).unwrap();
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let packages = text.split("\n\n").map(|block| (field(block, "Package:"), field(block, "Version:")));
    let packages = packages.filter(|(name, _)| !FOR_ANSIBLE.contains(&name.as_str()));
    let mut packages: Vec<String> = packages.map(|(name, version)| format!("{name} {version}")).collect();
    packages.sort();
    packages.join(", ")
}

/// Paths at which an image of Packer's and one of ours are not the same, with both.
fn differences(packer: &Contents, own: &Contents) -> Vec<String> {
    let paths: BTreeSet<_> = packer.files.keys().chain(own.files.keys()).collect();
    let differ = paths.into_iter().filter(|path| {
        let (one, other) = (packer.files.get(*path), own.files.get(*path));
        one != other && !(other.is_none() && packer.for_ansible.contains(*path))
    });
    differ.map(|path| format!("{}: {:?}, {:?}", path.display(), packer.files.get(path), own.files.get(path))).collect()
}

#[tokio::test]
async fn packer_builds_what_ryo_builds() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::examples(host.clone());
    for template in TEMPLATES {
        // Debian's Packer is older than this; without it the image is where it was built, which is the host.
        work.edit(template, "  publish_remote_name = var.host_id\n", "");
    }
    let deploy = ["deploy", "ryo-hello", "-n", &host.name, "-v", "1", "--no-pull", "--yes"];
    let deployed = ryo(&work, &[&deploy[..], &["--build", "packer"]].concat()).well();
    assert!(deployed.stderr.contains("set-up-hello : Its page"), "{deployed:?}");
    let proxy = format!("{}.1:8080", host.network);
    let own = format!("{}.1", host.network);
    assert_eq!(page(&proxy).await, expected_page(&host.name, &own, GREETING, 1));
    // Neither of the two finds anything left to do.
    let nothing = format!("deploy ryo-hello 1 on {}: nothing to do\n", host.name);
    assert_eq!(ryo(&work, &[&deploy[..], &["--build", "packer"]].concat()).well().stdout, nothing);
    assert_eq!(ryo(&work, &deploy).well().stdout, nothing);

    let alias = "ryo-hello-hello-1";
    let by_packer = contents(alias);
    let client = host.client();
    let image = client.image(&client.alias(alias).await.unwrap().unwrap().target).await.unwrap().unwrap();
    client.delete_image(&image.fingerprint).await.unwrap();
    ryo(&work, &["image", "build", "ryo-hello", "-n", &host.name, "-v", "1"]).well();
    let own = client.image(&client.alias(alias).await.unwrap().unwrap().target).await.unwrap().unwrap();
    assert_eq!(image.properties, own.properties);
    assert_eq!(image.aliases, own.aliases);
    let different = differences(&by_packer, &contents(alias));
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(by_packer.files.contains_key(Path::new("usr/local/lib/hello/page.html")));
    failed_builds_touch_nothing(&work, &host).await;
    wipe(&host).await;
}

/// What fails is told with what Packer said, and the next run goes on from there.
async fn failed_builds_touch_nothing(work: &Work, host: &Host) {
    let tasks = "ryo-hello/image-build/playbooks/roles/upgrade-container/tasks/main.yml";
    let first = "- name: \"Upgrade all packages\"";
    work.edit(tasks, first, &format!("- command: \"false\"\n{first}"));
    let before = host.client().instance("hello").await.unwrap().unwrap().value;
    let words = ["upgrade", "ryo-hello", "-n", &host.name, "-v", "2", "--no-pull", "--yes", "--build", "packer"];
    let failed = ryo(work, &words);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let told = [
        "ryo-hello: build image ryo-hello-hello-2 from debian/12 (there is none)",
        "task `upgrade-container : command` failed on packer-lxd-build: non-zero return code",
        "ended with exit status: 1; its output ends with:",
        "Error executing Ansible: Non-zero exit status: exit status 2",
    ];
    assert!(told.iter().all(|told| failed.stderr.contains(told)), "{failed:?}");
    assert_eq!(host.client().instance("hello").await.unwrap().unwrap().value, before);
    assert_eq!(host.client().instance("packer-lxd-build").await.unwrap(), None);
}

/// The tiny repositories with a stand-in for Terraform: no provider can be had here.
struct StandIn {
    host: Host,
    work: Work,
}

impl StandIn {
    /// What instances and keys the files want is read off what `ryo` makes of them.
    async fn new() -> Self {
        let host = Host::lxd();
        wipe_tiny(&host).await;
        let work = Work::new(host.clone());
        work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
        let programs = work.path("programs");
        fs::create_dir(&programs).unwrap();
        let program = include_str!("programs/terraform.py");
        fs::write(programs.join("terraform"), program).unwrap();
        fs::set_permissions(programs.join("terraform"), fs::Permissions::from_mode(0o755)).unwrap();
        let keys = host.consul().list("service/store/").await.unwrap();
        let keys: BTreeMap<String, String> = keys.into_iter().map(|entry| (entry.key.clone(), entry.text())).collect();
        for (repository, name) in [("ryo-tiny-store", "store"), ("ryo-tiny", "tiny")] {
            let made = host.client().instance(name).await.unwrap().unwrap().value;
            let own = |key: &String| ["volatile.", "image.", "user.ryo."].iter().all(|prefix| !key.starts_with(prefix));
            let config: BTreeMap<String, String> = made.config.into_iter().filter(|(key, _)| own(key)).collect();
            let keys = if name == "tiny" { keys.clone() } else { BTreeMap::new() };
            let consul = format!("http://{}", host.consul);
            let wanted =
                json!({ "name": name, "config": config, "devices": made.devices, "keys": keys, "consul": consul });
            fs::write(programs.join(format!("{repository}.json")), wanted.to_string()).unwrap();
        }
        let settings = fs::read_to_string(work.path("settings.yml")).unwrap();
        let settings = format!("{settings}projects:\n  ryo-tiny:\n    deploy: terraform\n");
        fs::write(work.path("settings.yml"), settings).unwrap();
        wipe_tiny(&host).await;
        Self { host, work }
    }

    fn ryo(&self, words: &[&str]) -> Ended {
        let path = format!("{}:{}", self.work.path("programs").display(), std::env::var("PATH").unwrap());
        Ended::of(&self.work.command(words).env("PATH", path).output().unwrap())
    }

    fn deploy(&self, version: &str) -> Ended {
        self.ryo(&["deploy", "ryo-tiny", "-n", &self.host.name, "-v", version, "--yes"])
    }

    /// How it was called since the last time that this was asked.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.work.path("programs/calls")).unwrap_or_default();
        let _ = fs::remove_file(self.work.path("programs/calls"));
        text.lines().map(str::to_owned).collect()
    }

    /// The calls of a deployment of a repository.
    fn rollout(&self, repository: &str, workspace: &str, version: &str) -> Vec<String> {
        let host = &self.host.name;
        vec![
            format!("{repository} workspace {workspace} {host}"),
            format!("{repository} init -input=false -no-color"),
            format!(
                "{repository} apply -json -input=false -auto-approve -var host_id={host} -var image_version={version}"
            ),
        ]
    }

    async fn pid(&self, name: &str) -> i64 {
        self.host.client().state(name).await.unwrap().pid
    }

    async fn label(&self, name: &str, label: &str) -> Option<String> {
        let instance = self.host.client().instance(name).await.unwrap().unwrap().value;
        instance.config.get(&format!("user.ryo.{label}")).cloned()
    }
}

#[tokio::test]
async fn terraform_brings_up_what_ryo_brings_up() {
    let tools = StandIn::new().await;
    let host = tools.host.clone();
    let planned = tools.ryo(&["plan", "deploy", "ryo-tiny", "-n", &host.name, "-v", "1"]).well().stdout;
    let steps: Vec<&str> = planned.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).collect();
    assert_eq!(
        steps,
        [
            "  ~ ryo-tiny-store: set up the host (first time)",
            "  ~ ryo-tiny: set up the host (first time)",
            "  + ryo-tiny-store: build image ryo-tiny-store-store-1 from tiny (there is none)",
            "  + ryo-tiny: build image ryo-tiny-tiny-1 from tiny (there is none)",
            "  ~ ryo-tiny-store: have terraform bring up version 1",
            "  + ryo-tiny-store: create instance store from ryo-tiny-store-store-1",
            "  ~ ryo-tiny: have terraform bring up version 1",
            "  ~ ryo-tiny: write 1 Consul key",
            "  + ryo-tiny: create instance tiny from ryo-tiny-tiny-1",
            "  ~ ryo-tiny: write 2 Consul keys",
        ]
    );
    assert_eq!(tools.calls(), Vec::<String>::new());
    tools.deploy("1").well();
    let both = [tools.rollout("ryo-tiny-store", "new", "1"), tools.rollout("ryo-tiny", "new", "1")].concat();
    assert_eq!(tools.calls(), both);
    assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Hello from ryo-tiny on"));
    for (name, owner) in [("store", "ryo-tiny-store"), ("tiny", "ryo-tiny")] {
        assert_eq!(tools.label(name, "project").await.as_deref(), Some(owner));
        assert_eq!(tools.label(name, "unproven").await, None);
    }
    // Neither of the two finds anything left to do.
    let nothing = format!("deploy ryo-tiny 1 on {}: nothing to do\n", host.name);
    assert_eq!(tools.deploy("1").well().stdout, nothing);
    let native = ["plan", "deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--deploy", "native"];
    assert_eq!(tools.ryo(&native).well().stdout, nothing);
    assert_eq!(tools.calls(), Vec::<String>::new());

    // It sees no label, so it makes no other instance for one; afterwards they are there.
    let pids = (tools.pid("store").await, tools.pid("tiny").await);
    host.consul().transaction(&[Change::Delete { key: "service/store/names/tiny".to_owned() }]).await.unwrap();
    tools.deploy("1").well();
    assert_eq!(tools.calls(), tools.rollout("ryo-tiny", "select", "1"));
    assert_eq!((tools.pid("store").await, tools.pid("tiny").await), pids);
    assert_eq!(tools.label("tiny", "version").await.as_deref(), Some("1"));

    let greeting = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
    tools.work.edit(greeting, "Hello", "Good day");
    tools.ryo(&["upgrade", "ryo-tiny", "-n", &host.name, "-v", "2", "--yes"]).well();
    assert_eq!(tools.calls(), tools.rollout("ryo-tiny", "select", "2"));
    assert_eq!(tools.pid("store").await, pids.0);
    assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Good day"));
    assert_eq!(tools.label("tiny", "version").await.as_deref(), Some("2"));
    what_terraform_leaves_undone_is_told(&tools, greeting).await;
    a_terraform_that_fails_leaves_its_labels(&tools, greeting).await;
    wipe_tiny(&host).await;
}

/// A name that leads to another image is the same to Terraform.
async fn what_terraform_leaves_undone_is_told(tools: &StandIn, greeting: &str) {
    tools.work.edit(greeting, "Good day", "Welcome");
    let ended = tools.ryo(&["upgrade", "ryo-tiny", "-n", &tools.host.name, "-v", "2", "--yes"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = format!(
        "error: the programs ended well, but not everything is done; upgrade ryo-tiny 2 on {}:\n  \
         ~ ryo-tiny: have terraform bring up version 2\n  ± ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-2\n",
        tools.host.name
    );
    assert!(ended.stderr.contains(&told), "{ended:?}");
    let hint = "hint: what keeps its name keeps its image with Terraform: give another version with `-v`\n";
    assert!(ended.stderr.ends_with(hint), "{ended:?}");
    tools.ryo(&["upgrade", "ryo-tiny", "-n", &tools.host.name, "-v", "3", "--yes"]).well();
    assert!(tools.host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Welcome"));
    tools.calls();
}

async fn a_terraform_that_fails_leaves_its_labels(tools: &StandIn, greeting: &str) {
    fs::write(tools.work.path("programs/fails"), "").unwrap();
    tools.host.consul().transaction(&[Change::Delete { key: "service/store/names/tiny".to_owned() }]).await.unwrap();
    let failed = tools.deploy("3");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(tools.label("tiny", "version").await.as_deref(), Some("3"));
    tools.work.edit(greeting, "Welcome", "Hello");
    let upgrade = ["upgrade", "ryo-tiny", "-n", &tools.host.name, "-v", "4", "--yes"];
    let failed = tools.ryo(&upgrade);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let told = "failed: ryo-tiny: have terraform bring up version 4\n";
    assert!(failed.stderr.contains(told) && failed.stderr.contains("Error: no\n"), "{failed:?}");
    // The new instance is there, and nobody has seen it come up.
    assert_eq!(tools.label("tiny", "project").await, None);
    fs::remove_file(tools.work.path("programs/fails")).unwrap();
    tools.ryo(&upgrade).well();
    assert_eq!(tools.label("tiny", "version").await.as_deref(), Some("4"));
}

/// H-R3 and H-R4: what it knew of the lost host would keep it from making anything.
#[tokio::test]
async fn what_terraform_knew_of_a_lost_host_is_forgotten() {
    let tools = StandIn::new().await;
    let host = tools.host.clone();
    tools.deploy("1").well();
    tools.ryo(&["host", "backup", &host.name, "-s", "one", "--yes"]).well();
    wipe_tiny(&host).await;
    tools.calls();
    let state = format!("ryo-tiny/project-deployment/terraform.tfstate.d/{}/terraform.tfstate", host.name);
    assert!(tools.work.path(&state).exists());
    let failed = tools.deploy("1");
    assert!(failed.stderr.contains("Error: the state speaks of instance store, which is gone\n"), "{failed:?}");
    wipe_tiny(&host).await;
    tools.calls();
    let restored = tools.ryo(&["host", "restore", &host.name, "--yes"]).well();
    for owner in ["ryo-tiny-store", "ryo-tiny"] {
        let told = format!("{owner}: what its program knows of {} is forgotten first\n", host.name);
        assert!(restored.stdout.contains(&told), "{restored:?}");
    }
    let both = [tools.rollout("ryo-tiny-store", "select", "1"), tools.rollout("ryo-tiny", "select", "1")].concat();
    assert_eq!(tools.calls(), both);
    assert!(tools.work.path(&state).exists());
    wipe_tiny(&host).await;
}
