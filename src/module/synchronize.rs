//! `synchronize`: a tree of files made the same elsewhere, as `rsync --archive` would.
//!
//! One side lists its tree, the other compares and asks for the contents that differ. Nothing of it needs a program.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

pub mod filter;
pub mod receive;
pub mod tree;

use filter::Rule;
use receive::{Direction, receive};
use tree::{Digests, Node};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("src", Kind::Text).required(),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("mode", Kind::Choice(&["pull", "push"])),
    Parameter::new("delete", Kind::Flag),
    Parameter::new("archive", Kind::Flag),
    Parameter::new("checksum", Kind::Flag),
    Parameter::new("existing_only", Kind::Flag),
    Parameter::new("dirs", Kind::Flag),
    Parameter::new("recursive", Kind::Flag),
    Parameter::new("links", Kind::Flag),
    Parameter::new("copy_links", Kind::Flag),
    Parameter::new("perms", Kind::Flag),
    Parameter::new("times", Kind::Flag),
    Parameter::new("owner", Kind::Flag),
    Parameter::new("group", Kind::Flag),
    Parameter::new("rsync_opts", Kind::List),
    Parameter::new("compress", Kind::Flag),
    Parameter::new("delay_updates", Kind::Flag),
    Parameter::new("dest_port", Kind::Any),
    Parameter::new("partial", Kind::Flag),
    Parameter::new("private_key", Kind::Text),
    Parameter::new("rsync_path", Kind::Text),
    Parameter::new("rsync_timeout", Kind::Integer),
    Parameter::new("set_remote_user", Kind::Flag),
    Parameter::new("ssh_args", Kind::Text),
    Parameter::new("ssh_connection_multiplexing", Kind::Flag),
    Parameter::new("use_ssh_args", Kind::Flag),
    Parameter::new("verify_host", Kind::Flag),
];

/// What is said about a connection of its own, which there is not: everything goes over the agent's.
const CARRIED: [&str; 13] = [
    "compress",
    "delay_updates",
    "dest_port",
    "dirs",
    "partial",
    "private_key",
    "rsync_path",
    "rsync_timeout",
    "set_remote_user",
    "ssh_args",
    "ssh_connection_multiplexing",
    "use_ssh_args",
    "verify_host",
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where it comes from; a trailing `/` means the contents of a directory.
    pub src: String,
    /// Where it goes.
    pub dest: String,
    /// Which of them is on the target.
    #[serde(default)]
    pub mode: Way,
    /// How it is made the same.
    pub options: Options,
    /// What the control node has at `src`, put here by it when it pushes.
    #[serde(default)]
    pub nodes: Vec<Node>,
}

/// Which way it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the control node to the target.
    #[default]
    Push,
    /// From the target to the control node.
    Pull,
}

/// How a tree is made the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Options {
    /// Whether what the source does not have goes.
    pub delete: bool,
    /// Whether contents are compared by their digests.
    pub checksum: bool,
    /// Whether nothing new is made.
    pub existing_only: bool,
    /// Whether directories are gone into.
    pub recursive: bool,
    /// Whether links are made.
    pub links: bool,
    /// Whether links are followed.
    pub copy_links: bool,
    /// Whether permission bits are made the same.
    pub perms: bool,
    /// Whether times are made the same.
    pub times: bool,
    /// Whether owners are made the same; only root can.
    pub owner: bool,
    /// Whether groups are made the same; only root can.
    pub group: bool,
    /// What is left out and what is not, the first that fits counts.
    pub rules: Vec<Rule>,
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    for name in CARRIED {
        arguments.remove(name);
    }
    let mut flag = |name: &str| arguments.remove(name).map(|value| value == json!(true));
    let archive = flag("archive").unwrap_or(true);
    let mut of_archive = |name: &str| flag(name).unwrap_or(archive);
    let mut options = Options {
        recursive: of_archive("recursive"),
        links: of_archive("links"),
        perms: of_archive("perms"),
        times: of_archive("times"),
        owner: of_archive("owner"),
        group: of_archive("group"),
        delete: false,
        checksum: false,
        existing_only: false,
        copy_links: false,
        rules: vec![],
    };
    options.delete = flag("delete").unwrap_or(false);
    options.checksum = flag("checksum").unwrap_or(false);
    options.existing_only = flag("existing_only").unwrap_or(false);
    options.copy_links = flag("copy_links").unwrap_or(false);
    let words = arguments.remove("rsync_opts").and_then(|words| serde_json::from_value::<Vec<String>>(words).ok());
    filter::read(&words.unwrap_or_default(), &mut options)?;
    let options = serde_json::to_value(options).unwrap_or_default();
    arguments.insert("options".to_owned(), options);
    typed("synchronize", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    match arguments.mode {
        Way::Push => {
            let fetch = |node: &Node, into: &mut dyn std::io::Write| match &node.content {
                Some(content) => (host.content)(content, into),
                None => Ok(()),
            };
            let dest = host.system.path(&arguments.dest);
            receive(arguments, &arguments.nodes, &dest, (Direction::Sent, &fetch), host, mode)
        }
        Way::Pull => {
            let src = host.system.path(&arguments.src);
            let digests = if arguments.options.checksum { Digests::Made } else { Digests::Left };
            let nodes = tree::gather(&src, &host.system.real(&src), &arguments.options, host.system, digests);
            let nodes = nodes.map_err(|error| Failed::new(format!("cannot read {src}: {error}")))?;
            let values = Map::from_iter([
                ("nodes".to_owned(), serde_json::to_value(nodes).unwrap_or(Value::Null)),
                ("src".to_owned(), json!(src)),
            ]);
            Ok(Outcome { values, ..Outcome::default() })
        }
    }
}
