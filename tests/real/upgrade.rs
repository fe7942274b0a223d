//! Upgrades and rollbacks against real servers: what is served meanwhile, what a broken version comes to, and what a
//! killed run leaves.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ryo::consul::Client;
use ryo::http::{Body, Http as _, Method, Request};
use ryo::wire::{self, Wire};
use serde_json::{Value, json};

use crate::deploy::wipe as wipe_tiny;
use crate::examples::{GREETING, PAGE, fetch, page, wipe};
use crate::support::work::{Ended, Host, Work, turns};

const GREETINGS: &str = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";

/// Fetches the page of the example every 50 ms.
struct Visitor {
    enough: Arc<AtomicBool>,
    visits: JoinHandle<Vec<(Instant, Option<String>)>>,
}

impl Visitor {
    fn of(address: String) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let over = enough.clone();
        let visits = std::thread::spawn(move || {
            let mut answers = vec![];
            while !over.load(Ordering::Relaxed) {
                let answer = fetch(&address, "/").filter(|(status, _)| *status == 200).map(|(_, body)| body);
                answers.push((Instant::now(), answer));
                std::thread::sleep(Duration::from_millis(50));
            }
            answers
        });
        Self { enough, visits }
    }

    /// The greetings that were read, each once where it repeats, and the longest time between two that came well.
    fn leave(self) -> (Vec<String>, Duration) {
        self.enough.store(true, Ordering::Relaxed);
        let answers = self.visits.join().unwrap();
        let well: Vec<(Instant, String)> =
            answers.into_iter().filter_map(|(at, answer)| Some((at, greeting(&answer?)))).collect();
        let longest = well.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or_default();
        let mut greetings: Vec<String> = well.into_iter().map(|(_, greeting)| greeting).collect();
        greetings.dedup();
        (greetings, longest)
    }
}

fn greeting(page: &str) -> String {
    page.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).map_or("", |(text, _)| text).to_owned()
}

/// How often the page has been shown, by the page itself.
fn visits(address: &str) -> u32 {
    let (status, body) = fetch(address, "/visits").unwrap();
    assert_eq!(status, 200);
    body.trim().parse().unwrap()
}

/// The events of a run that was told in JSON.
fn events(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn failure(ended: &Ended) -> Value {
    events(ended).into_iter().find(|event| event["event"] == "failed").unwrap_or_else(|| panic!("{ended:?}"))
}

/// Writes a figure for who reads along.
fn tell(figure: &str) {
    let _ = writeln!(std::io::stderr(), "{figure}");
}

async fn replaced_while_it_is_fetched(host: Host) {
    wipe(&host).await;
    let work = Work::examples(host.clone());
    work.ryo(&["deploy", "ryo-hello", "-n", &host.name, "-v", "1", "--no-pull", "--yes"]).well();
    let direct = format!("{}.1:8081", host.network);
    let untouched = host.client().instance("web-proxy").await.unwrap().unwrap().value;
    page(&direct).await;

    work.edit(PAGE, "{{ hello_greeting }}", "Changed. {{ hello_greeting }}");
    let visitor = Visitor::of(direct.clone());
    let words = ["upgrade", "ryo-hello", "-n", &host.name, "-v", "2", "--no-pull", "--yes", "--json"];
    let upgraded = work.ryo(&words).well();
    let (greetings, longest) = visitor.leave();
    let changed = format!("Changed. {GREETING}");
    assert_eq!(greetings, [GREETING, &changed], "the old one, then the new one");
    let outage = events(&upgraded).into_iter().find(|event| event["event"] == "outage").expect("an outage");
    assert_eq!(outage["instance"], "hello");
    tell(&format!("on {}: not served for {longest:?}; told {} ms", host.name, outage["took"]));
    assert_eq!(host.client().instance("web-proxy").await.unwrap().unwrap().value, untouched);

    let before = visits(&direct);
    let visitor = Visitor::of(direct.clone());
    let back = work.ryo(&["rollback", "ryo-hello", "-n", &host.name, "--yes", "--json"]).well();
    let (greetings, longest) = visitor.leave();
    assert_eq!(greetings, [&changed, GREETING], "back again");
    assert!(visits(&direct) > before, "what was counted goes on");
    tell(&format!("on {}: not served for {longest:?} by the rollback", host.name));
    let title = format!("rollback ryo-hello from 2 to 1 on {}", host.name);
    assert_eq!(events(&back).last().unwrap()["result"]["plan"], title.as_str());
    let journal = fs::read_to_string(work.path("home/.local/state/ryo/journal.jsonl")).unwrap();
    let last: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!((last["plan"].as_str(), last["result"].as_str()), (Some(title.as_str()), Some("done")));
    assert!(last["outages"]["hello"].as_u64().is_some());
    assert_eq!(host.client().instance("web-proxy").await.unwrap().unwrap().value, untouched);
    broken_versions_are_swapped_back(&work, &host, &direct).await;
    wipe(&host).await;
}

/// Whatever is wrong with a version, the page is served as before, and nothing that was counted is lost.
async fn broken_versions_are_swapped_back(work: &Work, host: &Host, direct: &str) {
    let upgrade = |version: &str, timeout: &str| {
        let words = ["upgrade", "ryo-hello", "-n", &host.name, "-v", version, "--no-pull", "--yes", "--json"];
        work.ryo(&[&words[..], &["--timeout", timeout]].concat())
    };
    let serves = async |before: u32| {
        assert_eq!(greeting(&page(direct).await), GREETING);
        assert!(visits(direct) > before);
        let instances = host.client().instances().await.unwrap();
        let names: Vec<_> = instances.iter().map(|it| it.name.as_str()).filter(|it| it.contains("hello")).collect();
        assert_eq!(names, ["hello"]);
    };
    work.edit(PAGE, "Changed. {{ hello_greeting }}", "{{ hello_greeting }}");

    let cloud_init = "ryo-hello/project-deployment/cloud-init/cloud-init-hello.yml";
    work.edit(cloud_init, "hello-bootstrap.sh", "hello-bootstrap.sh\n  - exit 3");
    let before = visits(direct);
    let ended = upgrade("3", "300");
    let failed = failure(&ended);
    assert_eq!(
        (ended.code, &failed["because"][0]),
        (Some(13), &json!("the new instance `hello` did not come up, and the old one is back"))
    );
    assert!(failed["because"][2].as_str().unwrap().starts_with("cloud-init failed in instance `hello`: "), "{failed}");
    serves(before).await;
    work.edit(cloud_init, "hello-bootstrap.sh\n  - exit 3", "hello-bootstrap.sh");

    let program = "ryo-hello/image-build/playbooks/roles/set-up-hello/files/hello.py";
    work.edit(program, "def main():", "def main():\n    sys.exit(\"out of order\")");
    // All of it is waited for: the page never comes.
    let ended = upgrade("4", "40");
    let failed = failure(&ended);
    assert_eq!(ended.code, Some(13), "{failed}");
    let last = failed["because"][1].as_str().unwrap();
    assert!(last.starts_with("instance `hello` did not come up; its journal ends with:\n"), "{failed}");
    assert!(last.contains("out of order"), "{failed}");
    serves(before).await;
    let plan = work.ryo(&["plan", "rollback", "ryo-hello", "-n", &host.name, "--to", "1"]).well();
    assert_eq!(plan.stdout, format!("rollback ryo-hello from 1 to 1 on {}: nothing to do\n", host.name));
}

#[tokio::test]
async fn an_instance_is_replaced_while_it_is_fetched_on_lxd() {
    replaced_while_it_is_fetched(Host::lxd()).await;
}

#[tokio::test]
async fn an_instance_is_replaced_while_it_is_fetched_on_incus() {
    replaced_while_it_is_fetched(Host::incus()).await;
}

/// Tells Consul of a node with one service, or takes it away.
async fn register(host: &Host, status: Option<&str>) {
    let wire = Wire::new("Consul", host.consul.clone(), wire::tcp(host.consul.clone()));
    let (path, body) = match status {
        Some(status) => (
            "/v1/catalog/register",
            json!({
                "Node": "tiny", "Address": "127.0.0.1", "SkipNodeUpdate": false,
                "Service": { "ID": "page", "Service": "page", "Port": 80 },
                "Checks": [{ "CheckID": "page", "Name": "page", "ServiceID": "page", "Status": status, "Output": "500" }],
            }),
        ),
        None => ("/v1/catalog/deregister", json!({ "Node": "tiny" })),
    };
    let answer = wire.send(Request::new(Method::PUT, path, Body::Json(body))).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_consul_finds_critical_is_swapped_back_on_lxd() {
    let host = Host::lxd();
    wipe_tiny(&host).await;
    let work = Work::new(host.clone());
    let words = |version| ["upgrade", "ryo-tiny", "-n", "HOST", "-v", version, "--modules", "--yes", "--timeout", "20"];
    let ryo = |version| work.ryo(&words(version).map(|word| if word == "HOST" { host.name.as_str() } else { word }));
    ryo("1").well();
    register(&host, Some("critical")).await;
    assert_eq!(Client::checks(&host.consul(), "tiny").await.unwrap().len(), 1);
    work.edit(GREETINGS, "Hello", "Welcome");
    let ended = ryo("2");
    // The check is not the new instance's fault, and the old one has it as well.
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("because: Consul finds instance `tiny` critical after "), "{}", ended.stderr);
    register(&host, Some("passing")).await;
    ryo("2").well();
    register(&host, None).await;
    assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Welcome"));
    wipe_tiny(&host).await;
}

#[tokio::test]
async fn an_upgrade_backs_up_first_if_there_is_anything_to_do() {
    let host = Host::lxd();
    wipe_tiny(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    let archives = || {
        let found = fs::read_dir(work.path("ryo-host/backup-restore/backups")).into_iter().flatten().flatten();
        let names = found.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let archives = names.filter(|name| name.ends_with(".tar.gz"));
        let mut owners: Vec<String> = archives.map(|name| name.rsplitn(3, '-').last().unwrap().to_owned()).collect();
        owners.sort();
        owners
    };
    let upgrade = |version| {
        work.ryo(&["upgrade", "ryo-tiny", "-n", &host.name, "-v", version, "--backup", "--yes"]).well().stdout
    };
    assert_eq!(upgrade("1"), format!("upgrade ryo-tiny 1 on {}: nothing to do\n", host.name));
    assert_eq!(archives(), Vec::<String>::new());
    work.edit(GREETINGS, "Hello", "Welcome");
    upgrade("2");
    let name = &host.name;
    assert_eq!(archives(), [format!("backup-{name}-ryo-tiny"), format!("backup-{name}-ryo-tiny-store")]);
    assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Welcome"));
    // Into the repository of restic that the settings name.
    let (repository, password) = (work.path("repository"), work.path("password"));
    fs::write(&password, "a password of a test").unwrap();
    let settings = fs::read_to_string(work.path("settings.yml")).unwrap();
    let store = format!("backup:\n  store: restic:{}\n  password_file: {}\n", repository.display(), password.display());
    fs::write(work.path("settings.yml"), settings + &store).unwrap();
    work.edit(GREETINGS, "Welcome", "Good day");
    upgrade("3");
    assert_eq!(archives().len(), 2);
    let mut restic = std::process::Command::new("restic");
    restic.arg("-r").arg(&repository).arg("--password-file").arg(&password).args(["snapshots", "--json"]);
    let snapshots: serde_json::Value = serde_json::from_slice(&restic.output().unwrap().stdout).unwrap();
    assert_eq!(snapshots.as_array().unwrap().len(), 2, "{snapshots}");
    wipe_tiny(&host).await;
}

/// What the greeting is, if the instance runs, and the instances of the project with those beside them.
async fn found(host: &Host) -> (Option<String>, Vec<String>) {
    host.ended(|name| name.contains("tiny")).await;
    let instances = host.client().instances().await.unwrap();
    let names: Vec<String> = instances.iter().map(|it| it.name.clone()).filter(|it| it.contains("tiny")).collect();
    let running = instances.iter().any(|it| it.name == "tiny" && it.is_running());
    let text = if running { Some(host.inside("tiny", &["cat", "/etc/greeting"]).await) } else { None };
    (text, names)
}

/// Runs it and kills it, as `kill -9` does, when its first step has gone on for so long. Returns whether it had not ended.
fn killed_late(work: &Work, words: &[&str], delay: Duration) -> bool {
    let mut child = work.command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.any(|line| line.unwrap().contains("\"step_started\""));
    assert!(begun, "{words:?} does nothing");
    std::thread::sleep(delay);
    let goes_on = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let _ = child.wait();
    goes_on
}

#[tokio::test]
async fn a_rollback_that_is_killed_at_any_time_is_mended_by_the_next_one() {
    let host = Host::lxd();
    wipe_tiny(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    work.edit(GREETINGS, "Hello", "Welcome");
    work.ryo(&["upgrade", "ryo-tiny", "-n", &host.name, "-v", "2", "--yes"]).well();
    let store = host.client().instance("store").await.unwrap().unwrap().value;
    for turn in turns() {
        let (to, greeting, other) = if turn % 2 == 0 { ("1", "Hello", "Welcome") } else { ("2", "Welcome", "Hello") };
        let words = ["rollback", "ryo-tiny", "-n", &host.name, "--to", to, "--yes", "--json"];
        let delay = Duration::from_millis(250 * turn as u64);
        let goes_on = killed_late(&work, &words, delay);
        if let (Some(text), _) = found(&host).await {
            assert!(text.starts_with(greeting) || text.starts_with(other), "killed after {delay:?}: {text}");
        }
        work.ryo(&words).well();
        let (text, names) = found(&host).await;
        assert!(text.is_some_and(|text| text.starts_with(greeting)), "killed after {delay:?}");
        assert_eq!(names, ["tiny"], "killed after {delay:?}");
        if !goes_on {
            break;
        }
    }
    assert_eq!(host.client().instance("store").await.unwrap().unwrap().value, store);
    wipe_tiny(&host).await;
}

/// Runs it until its `at`-th event of a step, and restarts the daemon of the host then. Returns whether there were so many.
fn restarted_meanwhile(work: &Work, words: &[&str], at: usize) -> bool {
    let mut child = work.command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let reached = lines.by_ref().filter(|line| line.contains("\"event\":\"step_")).nth(at).is_some();
    if reached {
        let restart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bed/restart");
        assert!(Command::new(restart).arg(&work.host.name).status().unwrap().success());
    }
    lines.for_each(drop);
    child.wait().unwrap();
    reached
}

/// On Incus, whose daemon nothing else uses at the same time.
#[tokio::test]
async fn a_daemon_that_is_restarted_in_the_middle_of_an_upgrade_does_no_harm() {
    let host = Host::incus();
    wipe_tiny(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    for at in turns() {
        let (from, to) = if at % 2 == 0 { ("Hello", "Welcome") } else { ("Welcome", "Hello") };
        work.edit(GREETINGS, from, to);
        let words = ["upgrade", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes", "--json"];
        let reached = restarted_meanwhile(&work, &words, at);
        if let (Some(text), _) = found(&host).await {
            assert!(text.starts_with(from) || text.starts_with(to), "restarted at event {at}: {text}");
        }
        work.ryo(&words).well();
        let (text, names) = found(&host).await;
        assert!(text.is_some_and(|text| text.starts_with(to)), "restarted at event {at}");
        assert_eq!(names, ["tiny"], "restarted at event {at}");
        if !reached {
            assert!(at >= 6, "only {at} events");
            break;
        }
    }
    wipe_tiny(&host).await;
}

#[tokio::test]
async fn three_versions_go_back_and_forward() {
    let host = Host::lxd();
    wipe_tiny(&host).await;
    let work = Work::new(host.clone());
    let ryo = |words: &[&str]| work.ryo(&[words, &["-n", &host.name, "--yes"]].concat()).well();
    let greetings = [("1", "Hello"), ("2", "Welcome"), ("3", "Good day")];
    ryo(&["deploy", "ryo-tiny", "-v", "1"]);
    for pair in greetings.windows(2) {
        work.edit(GREETINGS, pair[0].1, pair[1].1);
        ryo(&["upgrade", "ryo-tiny", "-v", pair[1].0]);
    }
    // What is checked out is that of version 3 all the time.
    let steps: [(&[&str], &str); 4] = [(&[], "2"), (&[], "1"), (&["--to", "3"], "3"), (&[], "2")];
    for (more, version) in steps {
        ryo(&[&["rollback", "ryo-tiny"], more].concat());
        let greeting = greetings.iter().find(|(known, _)| *known == version).unwrap().1;
        let (text, names) = found(&host).await;
        assert!(text.is_some_and(|text| text.starts_with(greeting)), "version {version}");
        assert_eq!(names, ["tiny"]);
        let tiny = host.client().instance("tiny").await.unwrap().unwrap().value;
        assert_eq!(tiny.config["user.ryo.version"], version);
        let plan = work.ryo(&["plan", "rollback", "ryo-tiny", "-n", &host.name, "--to", version]).well();
        assert!(plan.stdout.ends_with(": nothing to do\n"), "{plan:?}");
    }
    wipe_tiny(&host).await;
}
