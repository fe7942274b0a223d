//! Requests to web servers, made from the target itself.
//!
//! Whom to trust is what the machine says: its own bundle of certificates, `SSL_CERT_FILE`, and what the task adds.

use std::error::Error as _;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Method, NoProxy, Proxy, Response, Url, redirect};
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Context, Failed};
use crate::secret::Secret;

mod trust;

/// `url_username`.
pub const USERNAME: Parameter = Parameter::new("url_username", Kind::Text).or(&["username", "user"]);
/// `url_password`.
pub const PASSWORD: Parameter = Parameter::new("url_password", Kind::Text).or(&["password"]);
/// `force_basic_auth`.
pub const FORCE_BASIC_AUTH: Parameter = Parameter::new("force_basic_auth", Kind::Flag);
/// `validate_certs`.
pub const VALIDATE_CERTS: Parameter = Parameter::new("validate_certs", Kind::Flag);
/// `use_proxy`.
pub const USE_PROXY: Parameter = Parameter::new("use_proxy", Kind::Flag);
/// `http_agent`.
pub const HTTP_AGENT: Parameter = Parameter::new("http_agent", Kind::Text);
/// `client_cert`.
pub const CLIENT_CERT: Parameter = Parameter::new("client_cert", Kind::Text);
/// `client_key`.
pub const CLIENT_KEY: Parameter = Parameter::new("client_key", Kind::Text);

/// Most bytes of a file that is fetched.
pub const LARGEST: u64 = 16 << 30;

/// Most servers that one request is sent on to.
const REDIRECTS: usize = 10;

/// How a task reaches a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// Account for basic authentication.
    pub url_username: Option<String>,
    /// Its password.
    pub url_password: Option<Secret>,
    /// Whether both are sent before the server asks.
    pub force_basic_auth: bool,
    /// Whether the server must prove who it is.
    pub validate_certs: bool,
    /// Whether the proxies of the environment are used.
    pub use_proxy: bool,
    /// Who we say we are.
    pub http_agent: String,
    /// A PEM file with the certificate that we show.
    pub client_cert: Option<String>,
    /// A PEM file with its key; the certificate's file if none.
    pub client_key: Option<String>,
    /// A PEM file with more authorities to trust.
    pub ca_path: Option<String>,
    /// A socket to connect to instead of the server's name.
    pub unix_socket: Option<String>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            url_username: None,
            url_password: None,
            force_basic_auth: false,
            validate_certs: true,
            use_proxy: true,
            http_agent: "ansible-httpget".to_owned(),
            client_cert: None,
            client_key: None,
            ca_path: None,
            unix_socket: None,
        }
    }
}

/// Whether an answer that points elsewhere is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// It is, ten times at most.
    Followed,
    /// It is the answer.
    Kept,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// e.g. `GET`
    pub method: &'a str,
    /// Of whom.
    pub url: &'a str,
    /// Lines of its head.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Option<Vec<u8>>,
    /// What is followed.
    pub redirects: Redirects,
    /// How long nothing may come.
    pub timeout: Duration,
    /// How the server is reached.
    pub access: &'a Access,
    /// Most bytes of the answer.
    pub most: u64,
}

impl<'a> Request<'a> {
    /// Asks for what is at `url`.
    pub fn get(url: &'a str, access: &'a Access) -> Self {
        Self {
            method: "GET",
            url,
            headers: vec![],
            body: None,
            redirects: Redirects::Followed,
            timeout: Duration::from_secs(30),
            access,
            most: LARGEST,
        }
    }
}

/// What came of it, beside the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// e.g. 200
    pub status: u16,
    /// What Ansible says of it, e.g. `OK (1234 bytes)` or `HTTP Error 404: Not Found`.
    pub message: String,
    /// Where it came from in the end.
    pub url: String,
    /// The lines of its head, names in lower case; several of one name joined by `, `.
    pub headers: Vec<(String, String)>,
    /// The cookies it sets: name and value.
    pub cookies: Vec<(String, String)>,
}

impl Answer {
    /// The line of its head of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends `request` and writes the content of the answer, whatever its status, to `into`. Also knows `file://`.
///
/// # Errors
///
/// [`Failed`] with Ansible's `msg` for a server that is not reached, and with a status of -1.
pub fn ask(request: &Request, host: &Context, into: &mut (dyn Write + Send)) -> Result<Answer, Failed> {
    if let Some(path) = request.url.strip_prefix("file://") {
        return local(path, host, into);
    }
    // A runtime within a runtime is refused, and whoever calls may be in one.
    let ended = thread::scope(|scope| {
        let working = scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| unreached(&error))?;
            runtime.block_on(exchange(request, host, into))
        });
        working.join()
    });
    ended.unwrap_or_else(|_| Err(unreached(&"broken off")))
}

/// The whole content of the answer, which must have status 200.
///
/// # Errors
///
/// [`Failed`]: there is no such answer, or it is too long.
pub fn fetch(request: &Request, host: &Context) -> Result<Vec<u8>, Failed> {
    let mut content = vec![];
    let answer = ask(request, host, &mut content)?;
    if answer.status == 200 {
        return Ok(content);
    }
    Err(Failed::new(format!("{}: {}", shown(request.url), answer.message)).with("status_code", answer.status))
}

/// An address without what may be a password.
pub fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

fn unreached(why: &dyn std::fmt::Display) -> Failed {
    Failed::new(format!("Request failed: {why}")).with("status", -1)
}

fn local(path: &str, host: &Context, into: &mut dyn Write) -> Result<Answer, Failed> {
    let told = |error: io::Error| unreached(&format!("cannot read {path}: {error}"));
    let mut file = std::fs::File::open(host.system.real(path)).map_err(told)?;
    let size = io::copy(&mut file, into).map_err(told)?;
    Ok(Answer {
        status: 200,
        message: format!("OK ({size} bytes)"),
        url: format!("file://{path}"),
        ..Answer::default()
    })
}

async fn exchange(request: &Request<'_>, host: &Context<'_>, into: &mut (dyn Write + Send)) -> Result<Answer, Failed> {
    let url = Url::parse(request.url).map_err(|error| unreached(&error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unreached(&format!("`{}` addresses are not supported", url.scheme())));
    }
    let client = client(request, &url, host)?;
    let mut response = send(&client, &url, request, request.access.force_basic_auth).await?;
    let asks = response.headers().get(WWW_AUTHENTICATE).is_some();
    if response.status() == 401 && asks && request.access.url_username.is_some() && !request.access.force_basic_auth {
        response = send(&client, &url, request, true).await?;
    }
    let answer = answer(&response, request.url);
    let mut length = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&cause(&error)))? {
        length += chunk.len() as u64;
        if length > request.most {
            return Err(unreached(&format!("the answer is longer than {} bytes", request.most)));
        }
        into.write_all(&chunk).map_err(|error| Failed::new(format!("cannot write what comes: {error}")))?;
    }
    Ok(answer)
}

async fn send(client: &Client, url: &Url, request: &Request<'_>, named: bool) -> Result<Response, Failed> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| unreached(&error))?;
    let mut sent = client.request(method, url.clone()).headers(headers(&request.headers)?);
    if let Some(body) = &request.body {
        sent = sent.body(body.clone());
    } else if matches!(request.method, "POST" | "PUT" | "PATCH") {
        sent = sent.header(CONTENT_LENGTH, 0);
    }
    if let Some(name) = request.access.url_username.as_ref().filter(|_| named) {
        sent = sent.basic_auth(name, request.access.url_password.as_ref().map(Secret::reveal));
    }
    sent.send().await.map_err(|error| unreached(&cause(&error)))
}

fn headers(lines: &[(String, String)]) -> Result<HeaderMap, Failed> {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let wrong = || Failed::new(format!("`{name}` cannot be a line of a request's head"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(name == AUTHORIZATION);
        map.append(name, value);
    }
    Ok(map)
}

pub(crate) fn client(request: &Request, url: &Url, host: &Context) -> Result<Client, Failed> {
    let access = request.access;
    let followed = match request.redirects {
        Redirects::Followed => redirect::Policy::limited(REDIRECTS),
        Redirects::Kept => redirect::Policy::none(),
    };
    let mut builder = Client::builder()
        .user_agent(&access.http_agent)
        .referer(false)
        .connect_timeout(request.timeout)
        .read_timeout(request.timeout)
        .redirect(followed)
        .tls_backend_preconfigured(trust::config(access, url.scheme() == "https", host)?);
    if let Some(path) = &access.unix_socket {
        builder = builder.unix_socket(host.system.real(path));
    }
    for proxy in proxies(access, host)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| unreached(&cause(&error)))
}

/// The proxies that the task's environment, else the agent's, names.
fn proxies(access: &Access, host: &Context) -> Result<Vec<Proxy>, Failed> {
    let set = |name: &str| {
        let of = |name: &str| host.environment.get(name).cloned().or_else(|| std::env::var(name).ok());
        of(name).or_else(|| of(&name.to_uppercase())).filter(|value| !value.is_empty())
    };
    if !access.use_proxy {
        return Ok(vec![]);
    }
    let but = set("no_proxy").and_then(|list| NoProxy::from_string(&list));
    let wrong = |error: reqwest::Error| unreached(&format!("the proxy of the environment: {}", cause(&error)));
    let http = set("http_proxy").map(Proxy::http).transpose().map_err(wrong)?;
    let https = set("https_proxy").map(Proxy::https).transpose().map_err(wrong)?;
    Ok(http.into_iter().chain(https).map(|proxy| proxy.no_proxy(but.clone())).collect())
}

/// The library's own text has the whole address in it, so only its cause is kept.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    if error.is_redirect() {
        return "it was sent on too often".to_owned();
    }
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "the request cannot be made".to_owned(), ToString::to_string)
}

fn answer(response: &Response, asked: &str) -> Answer {
    let status = response.status();
    let mut answer = Answer { status: status.as_u16(), ..Answer::default() };
    for name in response.headers().keys() {
        let values = response.headers().get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>();
        if name == "set-cookie" {
            answer.cookies = values.iter().filter_map(|line| cookie(line)).collect();
        }
        answer.headers.push((name.as_str().to_owned(), values.join(", ")));
    }
    let reason = status.canonical_reason().unwrap_or_default();
    answer.message = if status.is_success() {
        format!("OK ({} bytes)", answer.header("content-length").unwrap_or("unknown"))
    } else {
        format!("HTTP Error {}: {reason}", status.as_u16())
    };
    // What was asked stays as it was written unless it was sent on.
    let same = Url::parse(asked).is_ok_and(|asked| asked == *response.url());
    answer.url = if same { asked.to_owned() } else { response.url().to_string() };
    answer
}

fn cookie(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split(';').next()?.split_once('=')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}
