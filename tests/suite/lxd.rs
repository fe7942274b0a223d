//! The client of LXD and Incus against the fake.

#[path = "lxd_images.rs"]
mod images;
#[path = "lxd_requests.rs"]
mod requests;
#[path = "lxd_waits.rs"]
mod waits;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ryo::container::Container;
use ryo::http::{Http, HttpError, Request, Response, Socket};
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::{Client, Error};
use ryo::machine::{Command, run};

use crate::support::exchange::response;
use crate::support::fake_lxd::{FakeFile, FakeLxd};
use crate::support::faulty::{FAULTS, Fault, Faulty};

pub(crate) fn tiny(name: &str) -> NewInstance {
    NewInstance {
        name: name.to_owned(),
        source: ImageSource::Alias("tiny".to_owned()),
        virtual_machine: false,
        profiles: vec!["default".to_owned()],
        config: [].into(),
        devices: [].into(),
        ephemeral: false,
        description: String::new(),
    }
}

/// A fake with the running instance `web`.
pub(crate) async fn running() -> (Arc<FakeLxd>, Client) {
    let fake = Arc::new(FakeLxd::default());
    let client = Client::new(fake.clone());
    client.create(&tiny("web")).await.unwrap();
    client.start("web").await.unwrap();
    fake.log.clear();
    (fake, client)
}

/// A server that answers everything alike.
pub(crate) struct Parrot(pub(crate) u16, pub(crate) &'static str);

impl Http for Parrot {
    fn name(&self) -> &'static str {
        "LXD at /s"
    }

    fn send(&self, _: Request) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async { Ok(response(self.0, vec![], self.1.as_bytes().to_vec())) })
    }

    fn websocket<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>> {
        let source = ErrorKind::ConnectionRefused.into();
        Box::pin(async { Err(HttpError::Unreachable { host: self.name().to_owned(), source }) })
    }
}

/// The error with its causes, one a line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_command_in_an_instance_gets_its_input_and_gives_its_output() {
    let (fake, client) = running().await;
    fake.on_exec(|mut exec| {
        Box::pin(async move {
            tokio::io::copy(&mut exec.stdin, &mut exec.stdout).await.unwrap();
            3
        })
    });
    let input = vec![7; 3 << 20];
    let done = run(&Container::new(client, "web", "web"), &Command::new(["cat"]), &input).await.unwrap();
    assert_eq!((done.status, done.stdout == input, done.stderr), (3, true, vec![]));
}

#[tokio::test]
async fn a_program_that_is_not_there_ends_with_127_on_both_servers() {
    for fake in [FakeLxd::default(), FakeLxd::incus()] {
        let client = Client::new(Arc::new(fake));
        client.create(&tiny("web")).await.unwrap();
        client.start("web").await.unwrap();
        let done = run(&Container::new(client, "web", "web"), &Command::new(["nope"]), b"").await.unwrap();
        assert_eq!((done.status, done.stdout, done.stderr), (127, vec![], vec![]));
    }
}

#[tokio::test]
async fn a_broken_stream_of_a_command_is_never_its_end() {
    let (fake, _) = running().await;
    fake.on_exec(|mut exec| {
        Box::pin(async move {
            use tokio::io::AsyncWriteExt as _;
            for _ in 0..100 {
                let _ = exec.stdout.write_all(&[1; 10_000]).await;
            }
            0
        })
    });
    let machine = |at| {
        let wire = Arc::new(Faulty::new(fake.clone(), Fault::HalfAnswer, at));
        (wire.clone(), Container::new(Client::new(wire), "web", "web"))
    };
    for at in 0.. {
        let (wire, machine) = machine(at);
        let outcome = run(&machine, &Command::new(["x"]), b"").await;
        if !wire.happened() {
            break;
        }
        let whole = outcome.as_ref().is_ok_and(|done| done.status == 0 && done.stdout.len() == 1_000_000);
        assert!(outcome.is_err() || whole, "exchange {at}");
    }
}

#[tokio::test]
async fn a_shutdown_that_takes_too_long_is_ended_the_hard_way() {
    let (fake, client) = running().await;
    fake.with_instance("web", |web| web.stubborn = true);
    client.stop("web", Duration::from_secs(3)).await.unwrap();
    assert!(!fake.with_instance("web", |web| web.running));
    // What is stopped is stopped already.
    client.stop("web", Duration::from_secs(3)).await.unwrap();
}

#[tokio::test]
async fn a_file_is_read_through_links_but_not_for_ever() {
    let (fake, client) = running().await;
    let file = |link: bool, content: &str| FakeFile { link, content: content.into(), ..FakeFile::default() };
    fake.with_instance("web", |web| {
        let files = [("/a/b", file(true, "../c")), ("/a/../c", file(true, "/d")), ("/d", file(false, "text"))];
        web.files.extend(files.map(|(path, file)| (path.to_owned(), file)));
        web.files.insert("/loop".to_owned(), file(true, "loop"));
    });
    assert_eq!(client.pull_file("web", "/a/b", 10).await.unwrap().unwrap().content, b"text");
    let error = client.pull_file("web", "/loop", 10).await.unwrap_err();
    let expected = "cannot understand the answer of fake LXD to `GET /1.0/instances/web/files?path=%2Floop`\n\
                    too many symbolic links";
    assert_eq!(told(&error), expected);
    assert!(matches!(client.pull_file("web", "/d", 3).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn an_update_of_what_somebody_else_changed_is_refused() {
    let (fake, client) = running().await;
    let read = client.instance("web").await.unwrap().unwrap();
    fake.with_instance("web", |web| web.description = "theirs".to_owned());
    let mut settings = read.value.settings();
    settings.description = "ours".to_owned();
    assert!(client.update("web", &settings, &read.etag).await.unwrap_err().is_stale());
    assert_eq!(fake.with_instance("web", |web| web.description.clone()), "theirs");
    let read = client.instance("web").await.unwrap().unwrap();
    client.update("web", &settings, &read.etag).await.unwrap();
    assert_eq!(fake.with_instance("web", |web| web.description.clone()), "ours");
}

#[tokio::test]
async fn looking_takes_one_request_and_writes_nothing() {
    let (fake, client) = running().await;
    let all = client.instances().await.unwrap();
    let addresses: Vec<_> = all[0].state.as_ref().unwrap().addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.99.0.100"]);
    assert_eq!(fake.log.all(), ["GET /1.0/instances?recursion=2"]);
    assert_eq!(fake.log.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_operation_is_told_in_the_words_of_the_server() {
    for fake in [FakeLxd::default(), FakeLxd::incus()] {
        let fake = Arc::new(fake);
        let client = Client::new(fake.clone());
        client.create(&tiny("web")).await.unwrap();
        fake.with_instance("web", |web| web.unstartable = Some("Missing source path \"/x\" for disk \"d\"".to_owned()));
        let error = client.start("web").await.unwrap_err();
        let expected = "start of instance `web` failed: Missing source path \"/x\" for disk \"d\"";
        assert_eq!(told(&error), expected);
    }
}

#[tokio::test]
async fn any_single_fault_is_told_or_makes_no_difference() {
    let (clean, _) = running().await;
    for fault in FAULTS {
        for at in 0.. {
            let fake = Arc::new(FakeLxd::default());
            let wire = Arc::new(Faulty::new(fake.clone(), fault, at));
            let client = Client::new(wire.clone());
            let outcome = async {
                client.create(&tiny("web")).await?;
                client.start("web").await
            };
            let outcome = outcome.await;
            if !wire.happened() {
                break;
            }
            assert!(outcome.is_err() || fake.world() == clean.world(), "{fault:?} at {at}: a lie");
        }
    }
}

#[tokio::test]
async fn refusals_are_told_in_the_words_of_the_server() {
    let cases: [(u16, &str, &str); 8] = [
        (
            404,
            r#"{"type":"error","error":"Instance not found","error_code":404,"metadata":null}"#,
            "LXD at /s refused `GET /1.0/instances/web/state` (404): Instance not found",
        ),
        (403, "Forbidden\n", "LXD at /s refused `GET /1.0/instances/web/state` (403): Forbidden"),
        (
            200,
            r#"{"type":"error","error":"not now","error_code":500,"metadata":null}"#,
            "LXD at /s refused `GET /1.0/instances/web/state` (500): not now",
        ),
        (
            200,
            r#"{"type":"sync","metadata":{"network":{"eth0":{"addresses":7}}}}"#,
            "cannot understand the answer of LXD at /s to `GET /1.0/instances/web/state`\n\
             network.eth0.addresses: invalid type: integer `7`, expected a sequence",
        ),
        (
            200,
            r#"{"type":"strange"}"#,
            "cannot understand the answer of LXD at /s to `GET /1.0/instances/web/state`\n\
             unknown kind of answer `strange`",
        ),
        (
            200,
            "<html>",
            "cannot understand the answer of LXD at /s to `GET /1.0/instances/web/state`\n\
             expected value at line 1 column 1",
        ),
        (
            200,
            "",
            "cannot understand the answer of LXD at /s to `GET /1.0/instances/web/state`\n\
             EOF while parsing a value at line 1 column 0",
        ),
        (301, "", "LXD at /s refused `GET /1.0/instances/web/state` (301): "),
    ];
    for (status, body, text) in cases {
        let client = Client::new(Arc::new(Parrot(status, body)));
        assert_eq!(told(&client.state("web").await.unwrap_err()), text);
    }
}

#[tokio::test]
async fn a_server_that_does_not_trust_us_is_told_apart() {
    let client = Client::new(Arc::new(Parrot(200, r#"{"type":"sync","metadata":{"auth":"untrusted"}}"#)));
    let error = client.server().await.unwrap_err();
    assert_eq!(error.to_string(), "LXD at /s does not trust this client");
    assert!(matches!(error, Error::Untrusted { .. }));
}

#[tokio::test]
async fn an_instance_that_does_not_run_is_a_lost_machine() {
    let (_, client) = running().await;
    client.kill("web").await.unwrap();
    let lost = run(&Container::new(client, "web", "container web on host-1"), &Command::new(["x"]), b"").await;
    let expected = "lost the connection to container web on host-1\n\
                    fake LXD refused `POST /1.0/instances/web/exec` (400): Instance is not running";
    assert_eq!(told(&lost.unwrap_err()), expected);
}

#[test]
fn every_error_has_its_text() {
    let text = str::to_owned;
    let cases: [(Error, &str); 6] = [
        (
            Error::Timeout { what: text("start of instance `web`"), after: Duration::from_secs(30) },
            "start of instance `web` took longer than 30 s",
        ),
        (Error::Digest { sent: text("aa"), received: text("bb") }, "the image arrived damaged: sent aa, received bb"),
        (Error::NoImage { name: text("gitea-1") }, "no image is called `gitea-1`"),
        (Error::UnknownRemote { name: text("x"), image: text("x:y") }, "no remote is called `x` (image `x:y`)"),
        (
            Error::CloudInit { instance: text("web"), errors: vec![text("one"), text("two")] },
            "cloud-init failed in instance `web`: one; two",
        ),
        (
            Error::Transfer { what: text("image `aa`"), source: ErrorKind::StorageFull.into() },
            "cannot transfer image `aa`",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}
