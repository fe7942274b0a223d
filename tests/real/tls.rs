//! LXD and Incus by TLS, with the files of the `lxc` program.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ryo::failure::{Failure, Kind};
use ryo::http::{Body, Http, Method, Request};
use ryo::lxd::Client;
use ryo::rig::tls;
use ryo::ssh::Route;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::bed;

const HERE: &str = "127.0.0.1";

/// A server of the bed that listens by TLS for the time of a test.
struct Listening {
    http: Arc<dyn Http>,
    port: u16,
}

impl Listening {
    async fn new(http: Arc<dyn Http>) -> Self {
        let port = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
        let listening = Self { http, port };
        listening.ask(Method::PATCH, "/1.0", config(&format!("{HERE}:{port}"))).await;
        listening
    }

    async fn ask(&self, method: Method, path: &str, body: Body) -> Value {
        let response = self.http.send(Request::new(method, path, body)).await.unwrap();
        let status = response.status;
        let answer: Value = serde_json::from_slice(&response.bytes(1 << 20).await.unwrap()).unwrap();
        assert!(status < 300, "{path}: {answer}");
        answer["metadata"].clone()
    }

    fn known(&self) -> Client {
        Client::new(self.http.clone())
    }

    async fn open(&self, directory: &Path) -> Result<Client, Failure> {
        tls::open("web", (HERE, self.port), Route::Direct, directory, &self.known()).await
    }

    /// The certificates of clients that it lets in, by fingerprint.
    async fn trusted(&self) -> Vec<String> {
        let all = self.ask(Method::GET, "/1.0/certificates", Body::Empty).await;
        let paths = all.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
        paths.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
    }

    async fn end(self, before: &[String]) {
        for fingerprint in self.trusted().await.iter().filter(|it| !before.contains(it)) {
            self.ask(Method::DELETE, &format!("/1.0/certificates/{fingerprint}"), Body::Empty).await;
        }
        self.ask(Method::PATCH, "/1.0", config("")).await;
    }
}

fn config(address: &str) -> Body {
    Body::Json(json!({ "config": { "core.https_address": address } }))
}

fn openssl(words: &[&str]) -> String {
    let output = Command::new("openssl").args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A server is had with no file at all, with the files that this made, and with those of `lxc`; never another one.
async fn is_spoken_to(http: Arc<dyn Http>, other: Arc<dyn Http>) {
    let server = Listening::new(http).await;
    let before = server.trusted().await;
    let files = TempDir::new().unwrap();
    let directory = files.path().join("lxc");

    let client = server.open(&directory).await.unwrap();
    assert_eq!(client.name(), format!("LXD at https://{HERE}:{}", server.port));
    // The comparison with Ansible comes and goes beside this.
    let names = async |client: &Client| {
        let instances = client.instances().await.unwrap().into_iter().map(|it| it.name);
        instances.filter(|name| !name.starts_with("differential-")).collect::<Vec<_>>()
    };
    assert_eq!(names(&client).await, names(&server.known()).await);
    let mode = |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("client.key"), mode("client.crt"), mode("servercerts/web.crt")), (0o600, 0o644, 0o644));
    assert_eq!(server.trusted().await.len(), before.len() + 1);
    let certificate = directory.join("client.crt");
    let shown = openssl(&["x509", "-in", certificate.to_str().unwrap(), "-noout", "-ext", "keyUsage,extendedKeyUsage"]);
    assert!(shown.contains("Digital Signature") && shown.contains("TLS Web Client Authentication"), "{shown}");

    let content = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let made = ["client.key", "client.crt", "servercerts/web.crt"].map(content);
    server.open(&directory).await.unwrap();
    assert_eq!(made, ["client.key", "client.crt", "servercerts/web.crt"].map(content));
    assert_eq!(server.trusted().await.len(), before.len() + 1);

    // As ryo-control-node makes them.
    let theirs = TempDir::new().unwrap();
    let path = |name: &str| theirs.path().join(name).display().to_string();
    let request = ["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-subj", "/CN=control-node", "-days", "2"];
    openssl(&[&request[..], &["-keyout", &path("client.key"), "-out", &path("client.crt")]].concat());
    server.open(theirs.path()).await.unwrap();
    assert_eq!(server.trusted().await.len(), before.len() + 2);

    let other = Listening::new(other).await;
    let failure = other.open(&directory).await.err().unwrap();
    assert_eq!(failure.kind, Kind::Identity);
    assert_eq!(
        failure.text(),
        format!(
            "error: the server at {HERE}:{} is not the one that `{}` says\n  because: cannot reach LXD at https://{HERE}:{0}\n  \
             because: invalid peer certificate: ApplicationVerificationFailure\nhint: if the server was set up anew, remove that \
             file: the certificate is then fetched over SSH\n",
            other.port,
            directory.join("servercerts/web.crt").display(),
        )
    );
    let theirs = other.trusted().await;
    other.end(&theirs).await;
    server.end(&before).await;
}

#[tokio::test]
async fn lxd_is_spoken_to_by_tls_and_nobody_else() {
    is_spoken_to(bed::lxd(), bed::incus()).await;
}

#[tokio::test]
async fn incus_is_spoken_to_by_tls_and_nobody_else() {
    is_spoken_to(bed::incus(), bed::lxd()).await;
}

/// The authority of a control node says who the server is, when nothing else does.
#[tokio::test]
async fn a_server_is_known_by_an_authority() {
    let server = Listening::new(bed::lxd()).await;
    let before = server.trusted().await;
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let request = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=nobody", "-days", "2"];
    openssl(&[&request[..], &["-keyout", &path("ca.key"), "-out", &path("client.ca")]].concat());

    let failure = server.open(files.path()).await.err().unwrap();
    assert_eq!(failure.kind, Kind::Identity);
    let text = failure.text();
    assert!(text.contains(&format!("is not the one that `{}` says\n", path("client.ca"))), "{text}");
    assert!(text.contains("because: invalid peer certificate: UnknownIssuer\n"), "{text}");
    assert!(!files.path().join("servercerts").exists());
    server.end(&before).await;
}

/// What is in the directory is used or refused, and never replaced.
#[tokio::test]
async fn files_that_cannot_be_used_are_told() {
    let server = Listening::new(bed::lxd()).await;
    let before = server.trusted().await;
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let told = async || {
        let failure = server.open(files.path()).await.err().unwrap();
        assert_eq!(failure.kind, Kind::Request);
        failure.text()
    };

    fs::write(path("client.key"), "none").unwrap();
    let half = format!("error: there is `{}`, and no `{}`\n", path("client.key"), path("client.crt"));
    assert_eq!(told().await, half);
    fs::write(path("client.crt"), "none").unwrap();
    let key = "no items found";
    assert_eq!(told().await, format!("error: cannot use `{}`\n  because: {key}\n", path("client.key")));
    fs::remove_file(path("client.key")).unwrap();
    let half = format!("error: there is `{}`, and no `{}`\n", path("client.crt"), path("client.key"));
    assert_eq!(told().await, half);
    let request = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=nobody", "-days", "2"];
    openssl(&[&request[..], &["-keyout", &path("client.key"), "-out", &path("other")]].concat());
    let empty = format!("error: cannot use `{}`\n  because: there is no certificate in it\n", path("client.crt"));
    assert_eq!(told().await, empty);
    assert_eq!(fs::read_to_string(path("client.crt")).unwrap(), "none");
    server.end(&before).await;
}
