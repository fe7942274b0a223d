//! `uri`: a request to a web service, and its answer as the result.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Write, octal, umask};
use crate::module::arguments::{Kind, Parameter, text};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES, What};
use crate::module::draft::Draft;
use crate::module::get_url::{lines, name, there};
use crate::module::stat::{self, Algorithm};
use crate::module::text as bytes;
use crate::module::web::{self, Access, Answer, Redirects, Request};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, apart, copy, plan, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("url", Kind::Text).required(),
    Parameter::new("dest", Kind::Text),
    Parameter::new("method", Kind::Text),
    Parameter::new("body", Kind::Any),
    Parameter::new("body_format", Kind::Choice(&["form-urlencoded", "json", "raw"])),
    Parameter::new("src", Kind::Text),
    Parameter::new("remote_src", Kind::Flag),
    Parameter::new("return_content", Kind::Flag),
    Parameter::new("follow_redirects", Kind::Choice(&["all", "no", "none", "safe", "urllib2", "yes"])),
    Parameter::new("creates", Kind::Text),
    Parameter::new("removes", Kind::Text),
    Parameter::new("status_code", Kind::List),
    Parameter::new("timeout", Kind::Integer),
    Parameter::new("headers", Kind::Any),
    Parameter::new("force", Kind::Flag).or(&["thirsty"]),
    Parameter::new("decompress", Kind::Flag),
    Parameter::new("unix_socket", Kind::Text),
    Parameter::new("ca_path", Kind::Text),
    web::USERNAME,
    web::PASSWORD,
    web::FORCE_BASIC_AUTH,
    web::VALIDATE_CERTS,
    web::USE_PROXY,
    web::HTTP_AGENT,
    web::CLIENT_CERT,
    web::CLIENT_KEY,
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// Most bytes of an answer that is told.
const TOLD: u64 = 64 << 20;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Of whom it is asked.
    pub url: String,
    /// Where the content goes.
    pub dest: Option<String>,
    /// In upper case.
    #[serde(default = "get")]
    pub method: String,
    /// What is sent, in the form in which it is sent.
    pub body: Option<String>,
    /// A file of the target that is sent.
    pub src: Option<String>,
    /// The content of a file of the control node that is sent; put here by the control node.
    pub source: Option<copy::Source>,
    /// Whether `src` is on the target.
    #[serde(default)]
    pub remote_src: bool,
    /// Whether the content is told.
    #[serde(default)]
    pub return_content: bool,
    /// Whether an answer that points elsewhere is followed.
    #[serde(default)]
    pub follow_redirects: Follow,
    /// Not if this is there.
    pub creates: Option<String>,
    /// Not if this is not there.
    pub removes: Option<String>,
    /// What the answer may be.
    #[serde(default = "fine")]
    pub status_code: Vec<u16>,
    /// Seconds for which nothing may come.
    #[serde(default = "thirty")]
    pub timeout: u64,
    /// Lines of the request's head.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Whether what others keep for us will not do.
    #[serde(default)]
    pub force: bool,
    /// How the server is reached.
    #[serde(flatten)]
    pub access: Access,
    /// Mode, owner, group of `dest`.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// All.
    #[serde(alias = "yes", alias = "urllib2")]
    All,
    /// None.
    #[serde(alias = "no")]
    None,
    /// Of requests that only read.
    #[default]
    Safe,
}

fn get() -> String {
    "GET".to_owned()
}

fn fine() -> Vec<u16> {
    vec![200]
}

fn thirty() -> u64 {
    30
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("uri", &arguments, &["body", "src"])?;
    arguments.remove("decompress");
    let format = arguments.remove("body_format");
    let format = format.as_ref().and_then(Value::as_str).unwrap_or("raw").to_owned();
    let mut headers = arguments.remove("headers").and_then(|it| it.as_object().cloned()).unwrap_or_default();
    let kind = match format.as_str() {
        "json" => Some("application/json"),
        "form-urlencoded" => Some("application/x-www-form-urlencoded"),
        _ => None,
    };
    if let Some(kind) = kind
        && !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"))
    {
        headers.insert("Content-Type".to_owned(), json!(kind));
    }
    arguments.insert("headers".to_owned(), Value::Object(headers));
    let body = arguments.remove("body");
    if body.is_some() || format == "json" {
        arguments.insert("body".to_owned(), json!(encoded(body.unwrap_or_default(), &format)));
    }
    if let Some(method) = arguments.get_mut("method") {
        *method = json!(text(method).to_uppercase());
    }
    if let Some(Value::Array(codes)) = arguments.get_mut("status_code") {
        for code in codes {
            *code = code_of(code)?;
        }
    }
    let arguments: Arguments = typed("uri", arguments)?;
    attributes::check("uri", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

fn code_of(written: &Value) -> Result<Value, Error> {
    let code = text(written).trim().parse::<u16>();
    code.map(Value::from).map_err(|_| Error::Value {
        module: "uri".to_owned(),
        name: "status_code".to_owned(),
        value: text(written),
        wanted: "a list of status codes".to_owned(),
    })
}

/// A body as it is sent. Text goes as it is.
fn encoded(body: Value, format: &str) -> String {
    match (body, format) {
        (Value::String(text), _) => text,
        (body, "form-urlencoded") => form(&body),
        (Value::Null, "json") => "null".to_owned(),
        (body, _) => copy::spaced(&body),
    }
}

fn form(body: &Value) -> String {
    let pairs: Vec<(String, Value)> = match body {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        Value::Array(items) => {
            let pair = |item: &Value| Some((text(item.get(0)?), item.get(1)?.clone()));
            items.iter().filter_map(pair).collect()
        }
        _ => vec![],
    };
    let mut words = vec![];
    for (name, values) in pairs {
        let values = if let Value::Array(values) = values { values } else { vec![values] };
        for value in values.iter().filter(|value| !value.is_null()) {
            words.push(format!("{}={}", escaped(&name), escaped(&text(value))));
        }
    }
    words.join("&")
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let told = |text: String| {
        Ok(Outcome { values: Map::from_iter([("stdout".to_owned(), json!(text))]), ..Outcome::default() })
    };
    if mode == Mode::Check {
        let values = Map::from_iter([("msg".to_owned(), json!("remote module (uri) does not support check mode"))]);
        return Ok(Outcome { skipped: true, values, ..Outcome::default() });
    }
    match (&arguments.creates, &arguments.removes) {
        (Some(path), _) if there(path, host) => return told(format!("skipped, since '{path}' exists")),
        (_, Some(path)) if !there(path, host) => return told(format!("skipped, since '{path}' does not exist")),
        _ => {}
    }
    asked(arguments, host)
}

fn asked(arguments: &Arguments, host: &Context) -> Result<Outcome, Failed> {
    let began = Instant::now();
    let dest = arguments.dest.as_ref().map(|dest| host.system.path(dest));
    let body = body(arguments, host)?;
    let mut content = Content { kept: vec![], draft: None };
    if let Some(dest) = &dest {
        let directory = host.system.real(dest).is_dir();
        let place = if directory { format!("{}/fetched", dest.trim_end_matches('/')) } else { dest.clone() };
        content.draft = Some(Draft::new(&place, host)?);
    }
    let request = request(arguments, dest.as_deref(), body, host);
    let (answer, values) = match web::ask(&request, host, &mut content) {
        Ok(answer) => {
            let values = told(&answer);
            (answer, values)
        }
        Err(failed) => {
            let values = Map::from_iter([("status".to_owned(), json!(-1))]);
            (Answer { message: failed.message, url: arguments.url.clone(), ..Answer::default() }, values)
        }
    };
    let mut asked = Asked { arguments, host, values };
    asked.tell("redirected", answer.url != arguments.url);
    asked.tell("url", web::shown(&answer.url));
    asked.tell("elapsed", began.elapsed().as_secs());
    asked.judged(&answer, content, dest)
}

/// What comes of an answer: into a file, or kept to be told.
struct Content {
    kept: Vec<u8>,
    draft: Option<Draft>,
}

impl std::io::Write for Content {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if let Some(draft) = &mut self.draft {
            draft.file.write_all(piece)?;
        }
        let room = usize::try_from(TOLD).unwrap_or(usize::MAX).saturating_sub(self.kept.len());
        self.kept.extend(&piece[..piece.len().min(room)]);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn body(arguments: &Arguments, host: &Context) -> Result<Option<Vec<u8>>, Failed> {
    if let Some(copy::Source::File { content, .. }) = &arguments.source {
        return host.whole(content).map(Some);
    }
    let Some(src) = &arguments.src else { return Ok(arguments.body.clone().map(String::into_bytes)) };
    let content = bytes::read(&host.system.path(src), host.system)?;
    content.map(Some).ok_or_else(|| Failed::new(format!("Unable to open source file {src}")))
}

fn request<'a>(arguments: &'a Arguments, dest: Option<&str>, body: Option<Vec<u8>>, host: &Context) -> Request<'a> {
    let mut request = Request::get(&arguments.url, &arguments.access);
    request.method = &arguments.method;
    request.headers = lines(&arguments.headers);
    request.body = body;
    request.timeout = Duration::from_secs(arguments.timeout.max(1));
    let reads = matches!(request.method, "GET" | "HEAD");
    request.redirects = match arguments.follow_redirects {
        Follow::All => Redirects::Followed,
        Follow::Safe if reads => Redirects::Followed,
        Follow::Safe | Follow::None => Redirects::Kept,
    };
    let known = dest.and_then(|dest| host.system.real(dest).metadata().ok()).filter(std::fs::Metadata::is_file);
    if arguments.force {
        request.headers.push(("cache-control".to_owned(), "no-cache".to_owned()));
    } else if let Some(modified) = known.and_then(|about| about.modified().ok()) {
        request.headers.push(("if-modified-since".to_owned(), super::clock::http(modified)));
    }
    request
}

/// The lines of the answer's head, named as variables can be.
fn told(answer: &Answer) -> Map<String, Value> {
    let mut values = Map::new();
    for (name, value) in &answer.headers {
        values.insert(name.replace('-', "_"), json!(value));
    }
    let cookies = answer.cookies.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let line = answer.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    values.insert("cookies".to_owned(), Value::Object(cookies));
    values.insert("cookies_string".to_owned(), json!(line.join("; ")));
    values.insert("status".to_owned(), json!(answer.status));
    values
}

struct Asked<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    values: Map<String, Value>,
}

impl Asked<'_> {
    fn tell(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    fn judged(mut self, answer: &Answer, content: Content, dest: Option<String>) -> Result<Outcome, Failed> {
        let good = self.arguments.status_code.contains(&answer.status);
        let Content { kept, draft } = content;
        if let Some(location) = self.values.get("location").and_then(Value::as_str) {
            let whole = reqwest::Url::parse(&answer.url).ok().and_then(|base| base.join(location).ok());
            if let Some(whole) = whole {
                self.tell("location", whole.as_str());
            }
        }
        let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let sub = kind.rsplit(['/', '+']).next().unwrap_or_default().to_lowercase();
        if matches!(sub.as_str(), "json" | "javascript")
            && let Ok(value) = serde_json::from_slice::<Value>(&kept)
        {
            self.tell("json", value);
        }
        if self.arguments.return_content {
            self.tell("content", String::from_utf8_lossy(&kept).into_owned());
        }
        let mut outcome = match (draft, dest, good) {
            (Some(draft), Some(dest), true) if answer.status != 304 => self.written(draft, dest, answer)?,
            (_, dest, _) => {
                if let Some(dest) = dest.filter(|_| answer.status != 0) {
                    self.tell("path", dest);
                }
                Outcome { values: self.values, ..Outcome::default() }
            }
        };
        if good {
            outcome.values.insert("msg".to_owned(), json!(answer.message));
            return Ok(outcome);
        }
        let status = if answer.status == 0 { -1 } else { i32::from(answer.status) };
        let wanted = self.arguments.status_code.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let why = format!("Status code was {status} and not [{wanted}]: {}", answer.message);
        Err(Failed { message: why, values: outcome.values })
    }

    fn written(&mut self, draft: Draft, dest: String, answer: &Answer) -> Result<Outcome, Failed> {
        let directory = self.host.system.real(&dest).is_dir();
        let dest = if directory { format!("{}/{}", dest.trim_end_matches('/'), name(answer)) } else { dest };
        let wanted = attributes::look(&self.arguments.attributes, self.host.system, Mode::Apply)?;
        let read = |error: std::io::Error| Failed::new(format!("cannot read what came: {error}"));
        let real = self.host.system.real(&dest);
        let same = real.is_file()
            && stat::checksum(&real, Algorithm::Sha1).map_err(read)?
                == stat::checksum(draft.path(), Algorithm::Sha1).map_err(read)?;
        if !same {
            let write = Write {
                path: dest.clone(),
                mode: (!real.exists()).then(|| octal(wanted.bits(0o666 & !umask(), What::File))),
                ids: wanted.ids,
                ..Write::default()
            };
            draft.place(&write, self.host)?;
        }
        let mut dressing = Plan { values: std::mem::take(&mut self.values), ..Plan::default() };
        if let Some(found) = self.host.system.found(&dest).ok().flatten() {
            dressing.actions = attributes::plan(&dest, &found, &wanted);
        }
        dressing.tell("path", dest);
        let outcome = plan::finish(dressing, self.host, Mode::Apply)?;
        Ok(Outcome { changed: true, ..outcome })
    }
}
