//! The examples, from cold, on both kinds of servers: what a browser gets of them through the web proxy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::work::{Host, Work};

/// The page, as the repository has it.
pub const PAGE: &str = "ryo-hello/image-build/playbooks/roles/set-up-hello/templates/page.html.j2";

/// What the page says as it is in the repository.
pub const GREETING: &str = "This page comes out of your own server.";

/// Removes everything that the examples leave on a host.
pub async fn wipe(host: &Host) {
    host.wipe(&["ryo-hello", "ryo-web-proxy"], &["hello", "web-proxy"], "service/web-proxy/").await;
}

/// Fetches `path` from `address` and returns status and body, or nothing when no whole answer comes.
pub fn fetch(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Fetches a page that the proxy serves from a moment after the deployment on: it learns of it from Consul.
pub async fn page(address: &str) -> String {
    let begun = Instant::now();
    loop {
        let answer = fetch(address, "/hello");
        match answer {
            Some((200, body)) => return body,
            _ if begun.elapsed() < Duration::from_secs(30) => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => panic!("no page at {address}, but {answer:?}"),
        }
    }
}

/// The page on `host` where somebody at `visitor` asks for the time that `visit` counts.
pub fn expected_page(host: &str, visitor: &str, greeting: &str, visit: u32) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>ryo-hello</title>
<h1>{greeting}</h1>
<p>Visit {visit}. You are visitor {visit}, asking from {visitor}.</p>
<p>ryo-hello 1.0.0 on {host}, mail to root@localhost.localdomain.</p>
<ul>
<li><a href="https://rollyourown.xyz">How this works</a></li>
</ul>
</html>
"#
    )
}

fn titles(ended: &str) -> Vec<String> {
    let mut lines = ended.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let result = lines.rfind(|line| line["event"] == "result").expect("a result");
    let steps = result["result"]["steps"].as_array().expect("steps").clone();
    steps.iter().map(|step| step["title"].as_str().unwrap().to_owned()).collect()
}

async fn deployed_from_cold_and_fetched(host: Host) {
    wipe(&host).await;
    let work = Work::examples(host.clone());
    let words = |first: &[&'static str], last: &[&'static str]| {
        let mut words: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
        words.extend(["ryo-hello", "-n", &host.name, "-v", "1", "--no-pull"].map(str::to_owned));
        words.extend(last.iter().map(|&word| word.to_owned()));
        words
    };
    let deploy = words(&["deploy"], &["--yes"]);
    let deploy: Vec<_> = deploy.iter().map(String::as_str).collect();
    work.ryo(&deploy).well();

    let proxy = format!("{}.1:8080", host.network);
    let own = format!("{}.1", host.network);
    assert_eq!(page(&proxy).await, expected_page(&host.name, &own, GREETING, 1));
    let direct = format!("{}.1:8081", host.network);
    assert_eq!(fetch(&direct, "/health"), Some((200, "ok\n".to_owned())));
    assert_eq!(fetch(&direct, "/internal"), Some((200, "{\"version\": \"1.0.0\"}\n".to_owned())));
    assert_eq!(fetch(&proxy, "/hello/internal").map(|it| it.0), Some(403), "what is for the inside");
    assert_eq!(fetch(&proxy, "/").map(|it| it.0), Some(404), "what nobody serves");

    let again = work.ryo(&deploy).well();
    assert_eq!(again.stdout, format!("deploy ryo-hello 1 on {}: nothing to do\n", host.name));

    let untouched = host.client().instance("web-proxy").await.unwrap().unwrap().value;
    work.edit(PAGE, "{{ hello_greeting }}", "Changed. {{ hello_greeting }}");
    let plan = words(&["plan", "deploy"], &["--json"]);
    let plan = work.ryo(&plan.iter().map(String::as_str).collect::<Vec<_>>()).well();
    assert_eq!(
        titles(&plan.stdout),
        [
            "build image ryo-hello-hello-1 from debian/12 (what it is made from has changed)",
            "replace instance hello by one from ryo-hello-hello-1",
        ]
    );
    work.ryo(&deploy).well();
    assert_eq!(page(&proxy).await, expected_page(&host.name, &own, &format!("Changed. {GREETING}"), 2));
    assert_eq!(host.client().instance("web-proxy").await.unwrap().unwrap().value, untouched);
    backed_up_and_restored(&work, &host).await;
    wipe(&host).await;
}

/// The page has been shown twice: it counts in the directory that is backed up.
async fn backed_up_and_restored(work: &Work, host: &Host) {
    let proxy = format!("{}.1:8080", host.network);
    let visitor = async || page(&proxy).await.split_once("visitor ").map(|(_, rest)| rest[..1].to_owned());
    let ryo = |command: &str, more: &[&str]| {
        work.ryo(&[&[command, "ryo-hello", "-n", &host.name, "--yes"], more].concat()).well().stdout
    };
    let said = ryo("backup", &["-s", "one"]);
    assert!(said.contains(&format!("\nbackup ryo-hello one on {}: done\n", host.name)), "{said}");
    assert_eq!(visitor().await.as_deref(), Some("3"));
    assert_eq!(visitor().await.as_deref(), Some("4"));
    ryo("restore", &[]);
    assert_eq!(visitor().await.as_deref(), Some("3"), "what was counted when it was backed up goes on");
    ryo("restore", &["--undo"]);
    assert_eq!(visitor().await.as_deref(), Some("5"), "what was there before the restore goes on");
    let key = work.path("key.txt").display().to_string();
    let made = Command::new("age-keygen").args(["-o", &key]).output().unwrap();
    let recipient = String::from_utf8(made.stderr).unwrap().trim().rsplit(' ').next().unwrap().to_owned();
    ryo("backup", &["-s", "two", "--encrypt", &recipient]);
    assert_eq!(visitor().await.as_deref(), Some("6"));
    let said = work.ryo(&["backup", "verify", "-s", "two", "--identity", &key]).well().stdout;
    assert!(said.contains(&format!("{} ryo-hello two: whole (", host.name)), "{said}");
    ryo("restore", &["--identity", &key]);
    assert_eq!(visitor().await.as_deref(), Some("6"), "what was counted when it was encrypted goes on");
    ryo("restore", &["--commit"]);
    let said = work.ryo(&["backup", "show", "ryo-hello", "--identity", &key, "--files", "kept"]).well().stdout;
    assert!(said.contains(" files of "), "{said}");
    let configuration = format!("ryo-hello/configuration/configuration_{}.yml", host.name);
    assert_eq!(fs::read(work.path("kept").join(&configuration)).unwrap(), fs::read(work.path(&configuration)).unwrap());
}

#[tokio::test]
async fn the_examples_are_deployed_from_cold_and_fetched_on_lxd() {
    deployed_from_cold_and_fetched(Host::lxd()).await;
}

#[tokio::test]
async fn the_examples_are_deployed_from_cold_and_fetched_on_incus() {
    deployed_from_cold_and_fetched(Host::incus()).await;
}
