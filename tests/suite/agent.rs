//! The agent, over a pair of pipes on this computer.

use std::time::{Duration, Instant};

use ryo::agent::client::Attributes;
use ryo::agent::{Binary, Client, Error, wire};
use ryo::machine::Command;
use ryo::module::{Blobs, Environment, Mode, copy, parse};
use serde_json::{Value, json};

fn binary() -> Binary {
    Binary::at(env!("CARGO_BIN_EXE_ryo"))
}

async fn client() -> Client {
    Client::local(&binary(), None).await.unwrap()
}

fn task(module: &str, arguments: &Value) -> ryo::module::Task {
    parse(module, None, arguments.as_object().unwrap()).unwrap()
}

#[tokio::test]
async fn a_task_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b").display().to_string();
    let client = client().await;
    let task = task("file", &json!({ "path": path, "state": "directory", "mode": "0750" }));
    let (nothing, none) = (Environment::new(), Blobs::new());
    let first = client.task(&task, &nothing, &none, Mode::Apply).await.unwrap();
    assert_eq!((first.changed, &first.failed), (true, &None));
    assert_eq!(first.values["mode"], json!("0750"));
    let second = client.task(&task, &nothing, &none, Mode::Apply).await.unwrap();
    assert!(!second.changed);
}

#[tokio::test]
async fn a_large_content_is_sent_only_if_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let bytes = vec![b'x'; 3 << 20];
    let mut blobs = Blobs::new();
    let ryo::module::Task::Copy(mut arguments) =
        task("copy", &json!({ "src": "large", "dest": path.display().to_string() }))
    else {
        panic!("copy is copy");
    };
    arguments.source = Some(copy::Source::made("large", bytes.clone(), &mut blobs));
    let task = ryo::module::Task::Copy(arguments);
    let client = client().await;
    let first = client.task(&task, &Environment::new(), &blobs, Mode::Apply).await.unwrap();
    assert_eq!((first.changed, &first.failed), (true, &None));
    assert!(std::fs::read(&path).unwrap() == bytes);
    // Without the bytes, it cannot be done again, and need not be.
    let second = client.task(&task, &Environment::new(), &Blobs::new(), Mode::Apply).await.unwrap();
    assert_eq!((second.changed, &second.failed), (false, &None));
}

#[tokio::test]
async fn files_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file").display().to_string();
    let client = client().await;
    assert_eq!(client.read(&path).await.unwrap(), None);
    assert_eq!(client.stat(&path).await.unwrap(), json!({ "exists": false }));
    let attributes = Attributes { mode: Some(0o600), ..Attributes::default() };
    let content = vec![7; 1 << 20];
    client.write(&path, &content, &attributes).await.unwrap();
    assert!(client.read(&path).await.unwrap() == Some(content));
    assert_eq!(client.stat(&path).await.unwrap()["mode"], json!("0600"));
    let missing = folder.path().join("none/file").display().to_string();
    let error = client.write(&missing, b"x", &attributes).await.unwrap_err();
    assert_eq!(error.to_string(), format!("localhost: cannot write {missing}: No such file or directory (os error 2)"));
}

#[tokio::test]
async fn words_are_run() {
    let client = client().await;
    let finished = client.run(&Command::new(["sh", "-c", "cat; echo no >&2; exit 4"]), b"yes").await.unwrap();
    assert_eq!((finished.status, &finished.stdout[..], &finished.stderr[..]), (4, &b"yes"[..], &b"no\n"[..]));
    assert_eq!(client.run(&Command::new(["ryo-no-such-program"]), b"").await.unwrap().status, 127);
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_given_back_with_the_connection() {
    let name = format!("test-{}", std::process::id());
    let (first, second) = (client().await, client().await);
    let held = first.lock(&name, "anna@desk: deploy gitea").await.unwrap();
    match second.lock(&name, "bert@desk: deploy gitea").await.unwrap_err() {
        Error::Held { machine, who, since } => {
            assert_eq!((machine.as_str(), who.as_str()), ("localhost", "anna@desk: deploy gitea"));
            assert_eq!(since.len(), "2026-11-23T03:07:43Z".len());
        }
        other => panic!("{other}"),
    }
    drop(held);
    first.facts().await.unwrap();
    let held = second.lock(&name, "bert@desk: deploy gitea").await.unwrap();
    drop((held, second));
    let again = async {
        while let Err(error) = first.lock(&name, "anna@desk: again").await {
            assert!(matches!(error, Error::Held { .. }), "{error}");
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
}

#[tokio::test]
async fn the_agent_ends_with_its_client_and_takes_its_programs_along() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let client = client().await;
    let agent = client.hello().pid;
    let line = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", note.display());
    let sleep = task("shell", &json!({ "cmd": line }));
    let (nothing, none) = (Environment::new(), Blobs::new());
    let waiting = async {
        while !note.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = client.task(&sleep, &nothing, &none, Mode::Apply) => panic!("it sleeps"),
        () = waiting => {}
    }
    let program = std::fs::read_to_string(&note).unwrap().trim().to_owned();
    drop(client);
    let began = Instant::now();
    let alive = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| !it.contains(") Z "));
    while alive(&agent.to_string()) || alive(&program) {
        assert!(began.elapsed() < Duration::from_secs(1), "still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn facts_are_named_as_ansible_names_them() {
    let facts = client().await.facts().await.unwrap();
    for name in [
        "hostname",
        "fqdn",
        "distribution",
        "distribution_release",
        "distribution_version",
        "os_family",
        "architecture",
        "kernel",
        "memtotal_mb",
        "processor_vcpus",
        "all_ipv4_addresses",
        "default_ipv4",
        "env",
        "user_id",
        "date_time",
        "pkg_mgr",
        "service_mgr",
    ] {
        assert!(!facts[name].is_null(), "{name}");
    }
    assert_eq!(facts["architecture"], json!(std::env::consts::ARCH));
}

proptest::proptest! {
    #[test]
    fn bytes_that_are_no_frames_are_refused_without_harm(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut rest = &bytes[..];
        while let Ok(Some(frame)) = wire::read(&mut rest) {
            proptest::prop_assert!(frame.payload.len() <= bytes.len());
            let _ = (frame.piece().is_ok(), frame.message::<wire::Request>().is_ok());
        }
    }

    #[test]
    fn frames_are_read_as_they_were_written(id: u64, content in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        let frames = wire::Frame::data(id, &content).collect::<Vec<_>>();
        let bytes = frames.iter().flat_map(wire::Frame::encoded).collect::<Vec<_>>();
        let mut rest = &bytes[..];
        let mut read = vec![];
        while let Some(frame) = wire::read(&mut rest).unwrap() {
            read.push(frame);
        }
        proptest::prop_assert_eq!(read, frames);
    }
}

#[test]
fn a_stream_that_is_broken_is_told_apart() {
    let table: [(&[u8], &str); 4] = [
        (b"\xff\xff\xff\xffC", "a frame of 4294967295 bytes is too long"),
        (b"\0\0\0\0X", "no frame has the type 0x58"),
        (b"\0\0\0", "the stream ended within a frame"),
        (b"\0\0\0\x02Cx", "the stream ended within a frame"),
    ];
    for (bytes, wanted) in table {
        assert_eq!(wire::read(&mut &bytes[..]).unwrap_err().to_string(), wanted);
    }
    assert!(wire::read(&mut &b""[..]).unwrap().is_none());
}
