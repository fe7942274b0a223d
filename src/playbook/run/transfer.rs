//! Files of a target that come to the control node: `fetch`, and `synchronize` with `mode: pull`.

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tokio::runtime::Handle;

use crate::agent::{self, Client, wire};
use crate::module::arguments::text;
use crate::module::draft::Draft;
use crate::module::stat::{self, Algorithm};
use crate::module::synchronize;
use crate::module::synchronize::receive::{Direction, receive};
use crate::module::synchronize::tree::Node;
use crate::module::{self, Blobs, Context, Environment, Failed, Mode, Outcome, System, action};
use crate::playbook::jinja::Value;
use crate::playbook::run::connect::{Way, truth};
use crate::playbook::run::prepare::{Prepared, here};
use crate::playbook::run::result;
use crate::playbook::scope::TaskScope;

/// A file that comes here.
pub struct Fetch {
    /// On the target.
    src: String,
    /// Here: the file, or the directory that it goes below.
    dest: String,
    /// Whether `dest` is meant as it is; else the host's name and the whole path come behind it.
    flat: bool,
    /// Whether it is a failure if there is no such file.
    must: bool,
    /// The host's name.
    host: String,
    /// Where the target is.
    pub way: Way,
}

/// A tree that comes here.
pub struct Pull {
    /// What the task says.
    pub arguments: synchronize::Arguments,
    /// Where it goes here.
    pub dest: String,
    /// Where the target is.
    pub way: Way,
    /// Whether it comes.
    pub mode: Mode,
}

/// Prepares `fetch`.
pub fn fetch(scope: &TaskScope<'_>, arguments: &Map<String, Json>, way: Way, mode: Mode) -> Prepared {
    if mode == Mode::Check {
        let message = json!("check mode not (yet) supported for this module");
        return Prepared::Done(result::pairs([("changed", json!(false)), ("skipped", json!(true)), ("msg", message)]));
    }
    let flag = |name: &str, usual: bool| arguments.get(name).map_or(usual, |value| truth(&Value::from(value)));
    let (Some(src), Some(dest)) = (arguments.get("src"), arguments.get("dest")) else {
        return Prepared::Fail("src and dest are required".to_owned());
    };
    Prepared::Fetch(Box::new(Fetch {
        src: text(src),
        dest: here(scope, &text(dest)),
        flat: flag("flat", false),
        must: flag("fail_on_missing", true),
        host: scope.host.clone(),
        way,
    }))
}

impl Fetch {
    /// Brings the file here if it is not here already.
    ///
    /// # Errors
    ///
    /// The agent went away.
    pub async fn run(&self, client: &Client) -> Result<Outcome, agent::Error> {
        let asked = Map::from_iter([
            ("path".to_owned(), json!(self.src)),
            ("follow".to_owned(), json!(true)),
            ("checksum_algorithm".to_owned(), json!("sha1")),
        ]);
        let Ok(task) = module::parse("stat", None, &asked) else { return Ok(failed("the file cannot be asked for")) };
        let outcome = client.task(&task, &Environment::new(), &Blobs::new(), Mode::Check).await?;
        let found = outcome.values.get("stat").cloned().unwrap_or_default();
        let missing = if found["exists"] != json!(true) {
            Some("the remote file does not exist, not transferring, ignored")
        } else if found["isdir"] == json!(true) {
            Some("remote file is a directory, fetch cannot work on directories")
        } else {
            None
        };
        if let Some(why) = missing {
            let values = Map::from_iter([("msg".to_owned(), json!(why)), ("file".to_owned(), json!(self.src))]);
            let failed = self.must.then(|| why.to_owned());
            return Ok(Outcome { failed, values, ..Outcome::default() });
        }
        let (Some(path), Some(remote)) = (found["path"].as_str(), found["checksum"].as_str()) else {
            return Ok(failed(&format!("{} cannot be read", self.src)));
        };
        match self.place(path) {
            Ok(dest) => self.bring(client, path, remote, &dest).await,
            Err(message) => Ok(failed(&message)),
        }
    }

    /// Where it goes.
    fn place(&self, src: &str) -> Result<PathBuf, String> {
        let top = Path::new(&self.dest);
        if self.flat {
            let directory = self.dest.ends_with('/');
            if top.is_dir() && !directory {
                let why =
                    "dest is an existing directory, use a trailing slash if you want to fetch src into that directory";
                return Err(why.to_owned());
            }
            let name = Path::new(src).file_name().unwrap_or_default();
            return Ok(if directory { top.join(name) } else { top.to_owned() });
        }
        // The target has no say in what is written here beyond this directory.
        let inside = Path::new(src).components().all(|part| part != Component::ParentDir);
        let below = src.trim_start_matches('/');
        if inside { Ok(top.join(&self.host).join(below)) } else { Err(format!("{src} leads out of {}", self.dest)) }
    }

    async fn bring(&self, client: &Client, src: &str, remote: &str, dest: &Path) -> Result<Outcome, agent::Error> {
        let path = dest.to_string_lossy().into_owned();
        let mut values = Map::from_iter([("dest".to_owned(), json!(path)), ("checksum".to_owned(), json!(remote))]);
        if stat::checksum(dest, Algorithm::Sha1).is_ok_and(|local| local == remote) {
            values.insert("file".to_owned(), json!(src));
            values.insert("md5sum".to_owned(), json!(stat::checksum(dest, Algorithm::Md5).ok()));
            return Ok(Outcome { values, ..Outcome::default() });
        }
        let system = System::whole();
        let nothing = Environment::new();
        let none = |_: &module::copy::Content, _: &mut dyn Write| Ok(());
        let host = Context { system: &system, environment: &nothing, content: &none };
        let begun = dest.parent().map_or(Ok(()), std::fs::create_dir_all);
        let begun = begun.map_err(|error| Failed::new(format!("Failed to fetch the file: {error}")));
        let mut draft = match begun.and_then(|()| Draft::new(&path, &host)) {
            Ok(draft) => draft,
            Err(error) => return Ok(failed(&error.message)),
        };
        let mut from = 0;
        loop {
            let piece = client.piece(src, from).await?;
            if let Err(error) = draft.file.write_all(&piece) {
                return Ok(failed(&format!("Failed to fetch the file: {error}")));
            }
            from += piece.len() as u64;
            if (piece.len() as u64) < wire::WINDOW {
                break;
            }
        }
        let local = stat::checksum(draft.path(), Algorithm::Sha1).unwrap_or_default();
        if local != remote {
            values.insert("remote_checksum".to_owned(), json!(remote));
            values.insert("checksum".to_owned(), json!(local));
            return Ok(Outcome { failed: Some("checksum mismatch".to_owned()), values, ..Outcome::default() });
        }
        values.insert("md5sum".to_owned(), json!(stat::checksum(draft.path(), Algorithm::Md5).ok()));
        values.insert("remote_md5sum".to_owned(), Json::Null);
        values.insert("remote_checksum".to_owned(), json!(remote));
        if let Err(error) = draft.place(&action::Write { path, ..action::Write::default() }, &host) {
            return Ok(failed(&error.message));
        }
        Ok(Outcome { changed: true, values, ..Outcome::default() })
    }
}

fn failed(message: &str) -> Outcome {
    Outcome { failed: Some(message.to_owned()), ..Outcome::default() }
}

impl Pull {
    /// Makes the tree here be as that of the target.
    ///
    /// # Errors
    ///
    /// The agent went away.
    pub async fn run(&self, client: &Arc<Client>) -> Result<Outcome, agent::Error> {
        let task = module::Task::Synchronize(self.arguments.clone());
        let mut listed = client.task(&task, &Environment::new(), &Blobs::new(), Mode::Check).await?;
        if listed.failed.is_some() {
            return Ok(listed);
        }
        let nodes = listed.values.shift_remove("nodes").unwrap_or_default();
        let Ok(nodes) = serde_json::from_value::<Vec<Node>>(nodes) else { return Ok(failed("the list is damaged")) };
        let foreign = nodes.iter().find(|node| !below(&node.path));
        if let Some(node) = foreign {
            return Ok(failed(&format!("`{}` leads out of {}", node.path, self.dest)));
        }
        let src = listed.values.get("src").and_then(Json::as_str).unwrap_or_default().to_owned();
        let (arguments, dest, mode) = (self.arguments.clone(), self.dest.clone(), self.mode);
        let (client, handle) = (Arc::clone(client), Handle::current());
        let received = tokio::task::spawn_blocking(move || {
            let system = System::whole();
            let nothing = Environment::new();
            let none = |_: &module::copy::Content, _: &mut dyn Write| Ok(());
            let host = Context { system: &system, environment: &nothing, content: &none };
            let names = names(&src, &nodes);
            let fetch = |node: &Node, into: &mut dyn Write| {
                let path = names(node);
                let mut from = 0;
                loop {
                    let piece = handle.block_on(client.piece(&path, from));
                    let piece = piece.map_err(|error| Failed::new(error.to_string()))?;
                    into.write_all(&piece)
                        .map_err(|error| Failed::new(format!("cannot write {}: {error}", node.path)))?;
                    from += piece.len() as u64;
                    if (piece.len() as u64) < wire::WINDOW {
                        return Ok(());
                    }
                }
            };
            receive(&arguments, &nodes, &dest, (Direction::Received, &fetch), &host, mode)
        });
        Ok(match received.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Failed { message, values })) => Outcome { failed: Some(message), values, ..Outcome::default() },
            Err(error) => failed(&error.to_string()),
        })
    }
}

/// Whether a path stays where it begins.
fn below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Says where a node is on the target: below `src`, or it is `src` itself, whatever it is called here.
fn names<'n>(src: &'n str, nodes: &[Node]) -> impl Fn(&Node) -> String + 'n {
    let single = nodes.len() == 1;
    let above = if src.ends_with('/') { src } else { src.rsplit_once('/').map_or("", |(above, _)| above) };
    move |node: &Node| {
        if single && !src.ends_with('/') {
            return src.to_owned();
        }
        format!("{}/{}", above.trim_end_matches('/'), node.path)
    }
}
