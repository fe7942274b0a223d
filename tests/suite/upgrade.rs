//! Upgrades: which modules come along, what is backed up before, and when a new instance counts as healthy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ryo::event::{Event, Events};
use ryo::terraform::health::parse;
use serde_json::{Value, json};

use crate::support::fake_lxd::FakeInstance;
use crate::support::stage::{Stage, Told};
use crate::support::work::{Ended, copy};

const GREETING: &str = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
const DEPLOYMENT: &str = "ryo-tiny/project-deployment/02-tiny.tf";
const AGAIN: &str = "hint: run the same command again: what is done is found done\n";

/// Has the tiny project say what its instance has to answer.
fn declare(stage: &Stage, checks: &str) {
    let line = format!("\"security.privileged\" = \"false\"\n    \"user.ryo.health\" = \"{checks}\"");
    stage.edit(DEPLOYMENT, "\"security.privileged\" = \"false\"", &line);
}

/// A server on this machine, which the agent of the stage reaches, that answers with what `status` gives each time.
fn serve(status: impl Fn(usize) -> u16 + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let asked = AtomicUsize::new(0);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let status = status(asked.fetch_add(1, Ordering::Relaxed));
            let answer = format!("HTTP/1.1 {status} Well\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// A deployed project whose next deployment replaces its instance.
async fn changed(stage: Stage) -> Stage {
    stage.deploys().await;
    stage.edit(GREETING, "Hello", "Welcome");
    stage
}

/// What is told when the new instance is not healthy for this reason; the old one is back.
fn swapped_back(step: &str, because: &str) -> Told {
    let text = format!(
        "error: {step}: ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1\n  \
         because: the new instance `tiny` did not come up, and the old one is back\n  \
         because: instance `tiny` did not come up\n  because: {because}\n\
         hint: what this run did before stays done, but for Consul keys that it wrote for the new one alone: \
         `ryo rollback --to VERSION` takes it back\n{AGAIN}"
    );
    Told { code: 13, text, warnings: vec![] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_neither_instance_answers_the_next_run_goes_on() {
    let mut stage = Stage::new();
    let ill = Arc::new(AtomicBool::new(false));
    let asked = ill.clone();
    let port = serve(move |_| if asked.load(Ordering::Relaxed) { 503 } else { 204 });
    declare(&stage, &format!("tcp://127.0.0.1:{port} http://127.0.0.1:{port}/health?deep=1"));
    stage.limits.checks = Duration::from_millis(300);
    let stage = changed(stage).await;
    ill.store(true, Ordering::Relaxed);
    let told = stage.fails().await;
    let reason = format!(
        "`http://127.0.0.1:{port}/health?deep=1` of instance `tiny` does not answer well after 0.3 s: status 503"
    );
    assert_eq!(told.code, 1);
    assert_eq!(told.warnings, ["the new instance `tiny` did not come up: instance `tiny` did not come up"]);
    assert_eq!(
        told.text,
        format!(
            "error: step 2 of 2 failed: ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1\n  \
             because: instance `tiny` did not come up\n  because: {reason}\n{AGAIN}"
        )
    );
    ill.store(false, Ordering::Relaxed);
    stage.deploys().await;
    assert_eq!(stage.lxd.instance_names(), ["store", "tiny"]);
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_come_up_in_the_new_version_gives_the_old_instance_back() {
    let mut stage = Stage::new();
    stage.limits.checks = Duration::from_millis(300);
    let stage = changed(stage).await;
    let (old, address) = stage.lxd.with_instance("tiny", |tiny| (tiny.base_image().to_owned(), address(tiny)));
    let port = serve(|_| 503);
    declare(&stage, &format!("http://127.0.0.1:{port}/health"));
    assert_eq!(
        stage.fails().await,
        swapped_back(
            "step 2 of 2 failed",
            &format!(
                "`http://127.0.0.1:{port}/health` of instance `tiny` does not answer well after 0.3 s: status 503"
            )
        )
    );
    stage.lxd.with_instance("tiny", |tiny| {
        assert!(tiny.running && !tiny.config.contains_key("user.ryo.unproven"));
        assert_eq!(tiny.base_image(), old);
        assert_eq!(self::address(tiny), address);
        assert!(!tiny.config.keys().any(|key| ["user.ryo.replaced", "user.ryo.addresses"].contains(&key.as_str())));
    });
    assert_eq!(stage.lxd.instance_names(), ["store", "tiny"]);
}

/// The hardware address of the instance.
fn address(instance: &FakeInstance) -> String {
    instance.config["volatile.eth0.hwaddr"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_cannot_be_set_aside_serves_again() {
    // Its devices stay with it, or its name does.
    for refused in ["PUT", "POST"] {
        let stage = changed(Stage::new()).await;
        let before = stage.lxd.world()["instances"].clone();
        let address = stage.lxd.with_instance("tiny", |tiny| {
            tiny.refuses_once = Some(refused);
            address(tiny)
        });
        let what = if refused == "PUT" {
            "change of instance `tiny`"
        } else {
            "renaming of instance `tiny` to `tiny-ryo-old`"
        };
        assert_eq!(
            stage.fails().await,
            Told {
                code: 13,
                text: format!(
                    "error: step 2 of 2 failed: ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1\n  \
                     because: instance `tiny` could not be set aside, and serves again\n  \
                     because: {what} failed: Device or resource busy\n\
                     hint: what this run did before stays done, but for Consul keys that it wrote for the new one \
                     alone: `ryo rollback --to VERSION` takes it back\n{AGAIN}"
                ),
                warnings: vec![],
            }
        );
        assert_eq!(stage.lxd.world()["instances"], before);
        stage.lxd.with_instance("tiny", |tiny| assert_eq!(self::address(tiny), address));
        stage.deploys().await;
        stage.lxd.with_instance("tiny", |tiny| assert_eq!(self::address(tiny), address));
        assert!(stage.plan().await.steps.is_empty());
    }
}

/// Has the files call the instance otherwise.
fn rename(stage: &Stage) {
    stage.edit(DEPLOYMENT, "name       = \"tiny\"", "name       = \"tinier\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_called_otherwise_never_runs_beside_the_one_before() {
    let stage = Stage::new();
    stage.deploys().await;
    rename(&stage);
    let address = stage.lxd.with_instance("tiny", |tiny| address(tiny));
    stage.deploys().await;
    assert_eq!(stage.lxd.instance_names(), ["store", "tinier"]);
    stage.lxd.with_instance("tinier", |tinier| assert_eq!((self::address(tinier), tinier.running), (address, true)));
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_called_otherwise_and_does_not_come_up_gives_the_one_before_back() {
    let mut stage = Stage::new();
    stage.limits = stage.limits.for_health(Duration::from_millis(300));
    stage.deploys().await;
    let before = stage.lxd.world()["instances"].clone();
    let address = stage.lxd.with_instance("tiny", |tiny| address(tiny));
    rename(&stage);
    let port = serve(|_| 503);
    declare(&stage, &format!("http://127.0.0.1:{port}/"));
    assert_eq!(
        stage.fails().await.text,
        format!(
            "error: step 1 of 1 failed: ryo-tiny: replace instance tiny by tinier from ryo-tiny-tiny-1\n  \
             because: the new instance `tinier` did not come up, and the old one is back\n  \
             because: instance `tinier` did not come up\n  \
             because: `http://127.0.0.1:{port}/` of instance `tinier` does not answer well after 0.3 s: status 503\n\
             hint: what this run did before stays done, but for Consul keys that it wrote for the new one alone: \
             `ryo rollback --to VERSION` takes it back\n{AGAIN}"
        )
    );
    assert_eq!(stage.lxd.world()["instances"], before);
    stage.lxd.with_instance("tiny", |tiny| assert_eq!(self::address(tiny), address));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_an_instance_from_being_deleted_keeps_no_old_one_down() {
    let mut stage = Stage::new();
    stage.limits.checks = Duration::from_millis(300);
    let privileged = "\"security.privileged\" = \"false\"";
    stage.edit(DEPLOYMENT, privileged, &format!("{privileged}\n    \"security.protection.delete\" = \"true\""));
    let stage = changed(stage).await;
    stage.deploys().await;
    assert_eq!(stage.lxd.instance_names(), ["store", "tiny"]);
    let port = serve(|_| 503);
    declare(&stage, &format!("http://127.0.0.1:{port}/"));
    stage.edit(GREETING, "Welcome", "Hello again");
    assert_eq!(stage.fails().await.code, 13);
    assert_eq!(stage.lxd.instance_names(), ["store", "tiny"]);
    stage.lxd.with_instance("tiny", |tiny| assert_eq!(tiny.config["security.protection.delete"], "true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_no_file_names_and_that_is_protected_stays_until_somebody_has_looked() {
    let stage = Stage::new();
    stage.deploys().await;
    let other = stage.lxd.with_instance("tiny", |tiny| {
        let mut other = tiny.clone();
        other.devices.clear();
        other.config.insert("security.protection.delete".to_owned(), "true".to_owned());
        other
    });
    stage.lxd.add_instance("other", other);
    assert_eq!(
        stage.fails().await.text,
        format!(
            "error: step 1 of 1 failed: ryo-tiny: remove instance other, which no file names any longer\n  \
             because: instance `other` is protected from deletion (`security.protection.delete`)\n\
             hint: if it is to go, take the protection away: `lxc config set other security.protection.delete false`\n\
             {AGAIN}"
        )
    );
    stage.lxd.with_instance("other", |other| assert!(other.running));
}

/// The configuration of the project that is a key which its instance waits for.
const DOMAIN: &str = "ryo-tiny/configuration/configuration_local.yml";

/// Its next deployment changes a key and writes a new one before it replaces the instance.
fn with_other_keys(stage: &Stage) {
    stage.edit(DOMAIN, "project_domain_name: ", "project_domain_name: new.");
    let more = "value = local.domain }, added = { value = \"1\" } }";
    stage.edit(DEPLOYMENT, "value = local.domain } }", more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_the_new_instance_waited_for_are_taken_back_with_it() {
    let mut stage = Stage::new();
    let limit = std::mem::replace(&mut stage.limits.checks, Duration::from_millis(300));
    let mut stage = changed(stage).await;
    let before = stage.consul.world();
    with_other_keys(&stage);
    // The old one does not start with the keys of the new one.
    let (consul, known) = (stage.consul.clone(), before.clone());
    stage.lxd.with_instance("tiny", |tiny| {
        tiny.refuses = Some(Arc::new(move || (consul.world() != known).then(|| "these are not its keys".to_owned())));
    });
    let port = serve(|_| 503);
    let health = format!("http://127.0.0.1:{port}/health");
    declare(&stage, &health);
    assert_eq!(
        stage.fails().await,
        swapped_back(
            "step 4 of 4 failed",
            &format!("`{health}` of instance `tiny` does not answer well after 0.3 s: status 503")
        )
    );
    assert_eq!(stage.consul.world(), before);
    stage.limits.checks = limit;
    stage.edit(DEPLOYMENT, &health, &format!("http://127.0.0.1:{}/health", serve(|_| 200)));
    stage.deploys().await;
    let now = stage.consul.world();
    assert!(now.len() == before.len() + 1 && now != before, "{now:?}");
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_taken_back_are_told() {
    let mut stage = Stage::new();
    stage.limits.checks = Duration::from_millis(300);
    let stage = changed(stage).await;
    with_other_keys(&stage);
    let consul = stage.consul.clone();
    let port = serve(move |_| {
        consul.broken(Some((500, "No cluster leader")));
        503
    });
    declare(&stage, &format!("http://127.0.0.1:{port}/health"));
    let told = stage.fails().await;
    let hint =
        "hint: what this run did before stays done, Consul keys too: `ryo rollback --to VERSION` takes it back\n";
    assert!(told.code == 13 && told.text.contains(hint), "{told:?}");
    assert_eq!(
        told.warnings,
        ["the Consul keys of ryo-tiny stay as the new version has them: fake Consul has no leader"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_another_new_instance_serves_with_stay() {
    let mut stage = Stage::new();
    stage.limits.checks = Duration::from_millis(300);
    let stage = changed(stage).await;
    let before = stage.consul.world();
    with_other_keys(&stage);
    let tiny = "resource \"lxd_container\" \"tiny\" {\n  depends_on = [module.before]\n";
    let aside = format!(
        "{}  remote = var.host_id\n  name = \"aside\"\n  image = join(\"-\", [local.project_id, \"tiny\", \
         var.image_version])\n  profiles = [\"default\"]\n}}\n{}",
        tiny.replace("\"tiny\"", "\"aside\""),
        tiny.replace("module.before", "lxd_container.aside")
    );
    stage.edit(DEPLOYMENT, tiny, &aside);
    declare(&stage, &format!("http://127.0.0.1:{}/health", serve(|_| 503)));
    let told = stage.fails().await;
    assert!(told.code == 13 && told.warnings.is_empty(), "{told:?}");
    assert_eq!(stage.lxd.instance_names(), ["aside", "store", "tiny"]);
    assert_eq!(stage.consul.world().len(), before.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_takes_its_time_is_waited_for() {
    let stage = Stage::new();
    let port = serve(|number| if number < 3 { 502 } else { 200 });
    declare(&stage, &format!("http://127.0.0.1:{port}/"));
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_to_answer_is_changed_in_place() {
    let stage = Stage::new();
    stage.deploys().await;
    let port = serve(|_| 200);
    declare(&stage, &format!("tcp://127.0.0.1:{port}"));
    let plan = stage.plan().await;
    assert_eq!(
        plan.text(),
        "deploy ryo-tiny 1 on local:\n  ~ ryo-tiny: change instance tiny in place\n      config user.ryo.health differs\n1 step\n"
    );
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_consul_finds_critical_give_the_old_instance_back() {
    let mut stage = Stage::new();
    // No time for a second look.
    let limit = std::mem::replace(&mut stage.limits.checks, Duration::from_millis(10));
    let mut stage = changed(stage).await;
    let serf =
        |status: &str| json!({ "Name": "Serf Health Status", "Status": status, "Output": "", "ServiceName": "" });
    let web =
        |status: &str| json!({ "Name": "page", "Status": status, "Output": "HTTP GET:\n  500", "ServiceName": "web" });
    let well = json!([serf("passing"), web("passing")]);
    let ill = json!([serf("passing"), web("critical")]);
    let told = |because: &str| swapped_back("step 2 of 2 failed", because);

    // Before the stop, when the new one is there, and when the old one is back.
    stage.consul.finds("tiny", &[well.clone(), ill.clone(), well.clone()]);
    assert_eq!(
        stage.fails().await,
        told("Consul finds instance `tiny` critical after 0 s: `page` of service `web` says: HTTP GET: 500")
    );

    stage.consul.finds("tiny", &[well.clone(), json!([]), well.clone()]);
    // Its image stands from the first time.
    let mut unknown = told("Consul knew instance `tiny` before and does not know it again after 0 s");
    unknown.text = unknown.text.replace("step 2 of 2", "step 1 of 1");
    assert_eq!(stage.fails().await, unknown);

    stage.limits.checks = limit;
    stage.consul.finds("tiny", &[well.clone(), json!([]), ill, well]);
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_without_a_replaced_instance_is_told() {
    let stage = changed(Stage::new()).await;
    let outages = Arc::new(Mutex::new(vec![]));
    let noted = outages.clone();
    let events = Events::new(move |event| {
        if let Event::Outage { instance, .. } = event {
            noted.lock().unwrap().push(instance);
        }
    });
    stage.deploys_and_tells(&events).await;
    assert_eq!(*outages.lock().unwrap(), ["tiny"]);
}

#[test]
fn what_has_to_answer_is_read_as_it_is_written() {
    let urls = |text: &str| parse(text).map(|checks| checks.iter().map(|it| it.url("10.0.0.7")).collect::<Vec<_>>());
    assert_eq!(urls(""), Ok(vec![]));
    assert_eq!(
        urls("tcp://:25  http://:8000 http://[fd00::1]:80/a/b?c=d tcp://mail.example.org:587"),
        Ok(["tcp://10.0.0.7:25", "http://10.0.0.7:8000/", "http://[fd00::1]:80/a/b?c=d", "tcp://mail.example.org:587"]
            .map(str::to_owned)
            .to_vec())
    );
    assert_eq!(parse("tcp://:25").unwrap()[0].url("fd00::2"), "tcp://[fd00::2]:25");
    for wrong in [
        "https://:443/",
        "tcp://:0",
        "tcp://:25/x",
        "http://:80000/",
        "8000",
        "http://a b:1/",
        "tcp://[::1:25",
        "http://x/",
    ] {
        let word = wrong.split(' ').next().unwrap();
        assert_eq!(parse(wrong), Err(word.to_owned()), "{wrong}");
    }
}

/// A working directory with the repositories of the tests.
fn work() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories"), directory.path());
    directory
}

fn ryo(directory: &Path, words: &[&str]) -> Ended {
    Ended::here(directory, words, |command| {
        command.env_remove("SSH_AUTH_SOCK").env_remove("RYO_SETTINGS");
    })
}

/// The steps that `ryo plan upgrade --offline` prints for these words.
fn owners(words: &[&str]) -> Vec<String> {
    let work = work();
    let all = [&["plan", "upgrade", "ryo-tiny", "-n", "local", "--offline", "--json"], words].concat();
    let ended = ryo(work.path(), &all).well();
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let steps = last["result"]["steps"].as_array().unwrap();
    let mut owners: Vec<String> = steps.iter().map(|step| step["owner"].as_str().unwrap().to_owned()).collect();
    owners.dedup();
    owners
}

#[test]
fn modules_come_along_if_they_are_named() {
    assert_eq!(owners(&[]), ["ryo-tiny"]);
    // Each of the two in turn: host-setup playbooks, images, instances.
    let both = ["ryo-tiny-store", "ryo-tiny"].repeat(3);
    assert_eq!(owners(&["--modules"]), both);
    assert_eq!(owners(&["--module", "ryo-tiny-store"]), both);
    let work = work();
    let ended = ryo(work.path(), &["upgrade", "ryo-tiny", "-n", "local", "--module", "ryo-other", "--yes"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr, "error: `ryo-tiny` has no module `ryo-other`\nhint: it has ryo-tiny-store\n");
}

fn git(directory: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]).args(words);
    let ended = command.current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(ended.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn changes_in_the_way_of_the_pull_are_told_and_left() {
    let work = work();
    let (here, origin) = (work.path().join("ryo-tiny"), work.path().join("origin"));
    fs::rename(&here, &origin).unwrap();
    for words in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "one"]] {
        git(&origin, words);
    }
    git(work.path(), &["clone", "-q", "origin", "ryo-tiny"]);
    fs::write(origin.join("deploy.sh"), "MODULES=\"ryo-tiny-store\"\n# two\n").unwrap();
    git(&origin, &["commit", "-q", "-a", "-m", "two"]);
    let own = "MODULES=\"ryo-tiny-store\"\n# my own\n";
    fs::write(here.join("deploy.sh"), own).unwrap();
    let ended = ryo(work.path(), &["upgrade", "ryo-tiny", "-n", "local", "--yes"]);
    assert_eq!(ended.code, Some(2));
    let told = ended.stderr.split_once("error: ").map_or(ended.stderr.as_str(), |(_, rest)| rest);
    assert_eq!(
        told,
        "changes in `ryo-tiny` are in the way of its update: `deploy.sh`\nhint: commit these changes or take them back\n\
         hint: give `--no-pull` to deploy what is checked out\n"
    );
    assert_eq!(fs::read_to_string(here.join("deploy.sh")).unwrap(), own);
}

#[test]
fn an_address_that_cannot_be_asked_is_told_with_its_place() {
    let work = work();
    let file = work.path().join("ryo-tiny/project-deployment/02-tiny.tf");
    let text = fs::read_to_string(&file).unwrap();
    let line = "\"security.privileged\" = \"false\"";
    fs::write(&file, text.replace(line, &format!("{line}\n    \"user.ryo.health\" = \"http://:80/ 8000\""))).unwrap();
    let ended = ryo(work.path(), &["check", "ryo-tiny", "-n", "local"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stdout,
        "ryo-tiny/project-deployment/02-tiny.tf:14:12: `user.ryo.health`: cannot ask `8000`\n  \
         hint: it is `tcp://:PORT` or `http://:PORT/PATH`, several separated by spaces\n1 problem\n"
    );
}
