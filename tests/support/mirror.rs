//! An https server with what a test made: keys, a signed repository of packages, archives, a git repository.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MODIFIED_SINCE, LOCATION, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is at a path.
#[derive(Clone, Debug)]
pub enum Served {
    /// Bytes that are as they have always been.
    Bytes(Vec<u8>),
    /// Bytes that have just changed.
    Changed(Vec<u8>),
    /// A word that it is elsewhere.
    Elsewhere(String),
    /// Bytes for those who know the name and the password.
    Private(String, Vec<u8>),
    /// What was sent, with its method and type, as JSON.
    Echo,
}

type Files = Arc<Mutex<BTreeMap<String, Served>>>;

/// A server that goes with the test.
pub struct Mirror {
    address: SocketAddr,
    authority: String,
    files: Files,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    /// Serves nothing yet, on a free port of `address`.
    pub fn new(address: IpAddr) -> Self {
        let (authority, config) = certified(address);
        let (files, asked) = (Files::default(), Arc::<Mutex<Vec<String>>>::default());
        let (sender, bound) = std::sync::mpsc::channel();
        let (served, noted) = (files.clone(), asked.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((address, 0)).await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                listen(listener, TlsAcceptor::from(Arc::new(config)), served, noted).await;
            });
        });
        Self { address: bound.recv().unwrap(), authority, files, asked }
    }

    /// The certificate of the authority that vouches for it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The address of what is at `path`.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.address)
    }

    /// Puts something at `path`.
    pub fn put(&self, path: &str, served: Served) {
        self.files.lock().unwrap().insert(path.to_owned(), served);
    }

    /// Puts every file below a directory below `path`.
    pub fn put_folder(&self, path: &str, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.put_folder(&path, &entry.path());
            } else {
                self.put(&path, Served::Bytes(fs::read(entry.path()).unwrap()));
            }
        }
    }

    /// What was asked since the last time: method and path.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A test authority in PEM, and a server that it vouches for.
fn certified(address: IpAddr) -> (String, ServerConfig) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = format!("Authority {:016x} of a test", rand::random::<u64>());
    params.distinguished_name.push(DnType::CommonName, name);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec![address.to_string(), "mirror.test".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (issuer.pem(), config)
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, files: Files, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, files, asked) = (acceptor.clone(), files.clone(), asked.clone());
        tokio::spawn(async move {
            // Who does not trust the authority hangs up.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let (files, asked) = (files.clone(), asked.clone());
                async move { Ok::<_, Infallible>(answer(request, &files, &asked).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, files: &Files, asked: &Mutex<Vec<String>>) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    asked.lock().unwrap().push(format!("{} {path}", request.method()));
    let found = files.lock().unwrap().get(&path).cloned();
    let old = request.headers().contains_key(IF_MODIFIED_SINCE);
    let mut response = Response::new(Full::default());
    let (status, bytes) = match found {
        None => (StatusCode::NOT_FOUND, b"not here".to_vec()),
        Some(Served::Bytes(_)) if old => (StatusCode::NOT_MODIFIED, vec![]),
        Some(Served::Bytes(bytes) | Served::Changed(bytes)) => (StatusCode::OK, bytes),
        Some(Served::Elsewhere(url)) => {
            response.headers_mut().insert(LOCATION, HeaderValue::from_str(&url).unwrap());
            (StatusCode::FOUND, vec![])
        }
        Some(Served::Private(known, bytes)) => {
            let given = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok().map(str::to_owned));
            if given == Some(known) {
                (StatusCode::OK, bytes)
            } else {
                let basic = HeaderValue::from_static("Basic realm=\"test\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, basic);
                (StatusCode::UNAUTHORIZED, vec![])
            }
        }
        Some(Served::Echo) => {
            let method = request.method().to_string();
            let kind = request.headers().get(CONTENT_TYPE).map(|it| it.to_str().unwrap().to_owned());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let told = serde_json::json!({
                "method": method, "type": kind, "body": String::from_utf8_lossy(&body),
            });
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *response.status_mut() = StatusCode::OK;
            *response.body_mut() = Full::new(Bytes::from(told.to_string()));
            return response;
        }
    };
    *response.status_mut() = status;
    *response.body_mut() = Full::new(Bytes::from(bytes));
    response
}

/// Runs a program of this computer; its output if it ends well.
pub fn run(program: &str, words: &[&str], folder: &Path) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).env("GNUPGHOME", folder.join("gnupg")).stdin(Stdio::null());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", folder);
    let ended = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(ended.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

/// A repository of packages, signed by a key of its own.
pub struct Repository {
    /// The key, armored.
    pub armored: Vec<u8>,
    /// The key, binary.
    pub binary: Vec<u8>,
    /// Its fingerprint.
    pub fingerprint: String,
}

impl Repository {
    /// Makes a repository in `folder`: the suite `stable`, component `main`, with the package `name` in `version`.
    pub fn new(folder: &Path, name: &str, version: &str) -> Self {
        let gnupg = folder.join("gnupg");
        fs::create_dir_all(&gnupg).unwrap();
        fs::set_permissions(&gnupg, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let words =
            ["--batch", "--passphrase", "", "--quick-gen-key", "Mirror <mirror@test>", "ed25519", "sign", "never"];
        run("gpg", &words, folder);
        let listed = String::from_utf8(run("gpg", &["--list-keys", "--with-colons"], folder)).unwrap();
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        let repository = Self {
            armored: run("gpg", &["--armor", "--export"], folder),
            binary: run("gpg", &["--export"], folder),
            fingerprint: fingerprint.trim_matches(':').to_owned(),
        };
        Self::fill(folder, name, version);
        run("gpgconf", &["--kill", "all"], folder);
        repository
    }

    fn fill(folder: &Path, name: &str, version: &str) {
        let deb = format!("{name}_{version}_all.deb");
        let packages = folder.join("dists/stable/main/binary-amd64");
        fs::create_dir_all(folder.join("pool")).unwrap();
        fs::create_dir_all(&packages).unwrap();
        package(folder, &folder.join("pool").join(&deb), name, version);
        let control = String::from_utf8(run("dpkg-deb", &["-f", &format!("pool/{deb}")], folder)).unwrap();
        let sum = String::from_utf8(run("sha256sum", &[&format!("pool/{deb}")], folder)).unwrap();
        let sum = sum.split_whitespace().next().unwrap().to_owned();
        let size = fs::metadata(folder.join("pool").join(&deb)).unwrap().len();
        let list = format!("{}\nFilename: pool/{deb}\nSize: {size}\nSHA256: {sum}\n", control.trim_end());
        fs::write(packages.join("Packages"), &list).unwrap();
        let sum = String::from_utf8(run("sha256sum", &["dists/stable/main/binary-amd64/Packages"], folder)).unwrap();
        let sum = sum.split_whitespace().next().unwrap().to_owned();
        let release = format!(
            "Origin: test\nSuite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\n\
             Date: {}\nSHA256:\n {sum} {} main/binary-amd64/Packages\n",
            ryo::module::clock::http(std::time::SystemTime::now()).replace("GMT", "UTC"),
            list.len(),
        );
        fs::write(folder.join("dists/stable/Release"), release).unwrap();
        let words = ["--batch", "--yes", "--clearsign", "-o", "dists/stable/InRelease", "dists/stable/Release"];
        run("gpg", &words, folder);
    }
}

/// Builds a package with one file, `/usr/share/NAME/version`.
pub fn package(folder: &Path, deb: &Path, name: &str, version: &str) {
    let root = folder.join("built").join(name);
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("usr/share").join(name)).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@test>\n\
         Description: of a test\n"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    fs::write(root.join("usr/share").join(name).join("version"), format!("{version}\n")).unwrap();
    run("dpkg-deb", &["--root-owner-group", "--build", root.to_str().unwrap(), deb.to_str().unwrap()], folder);
}
