//! `alternatives`: which of several programs a common name means.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("path", Kind::Text).required(),
    Parameter::new("link", Kind::Text),
    Parameter::new("priority", Kind::Integer),
    Parameter::new("state", Kind::Choice(&["present", "selected", "absent", "auto"])),
    Parameter::new("subcommands", Kind::Any).or(&["slaves"]),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The common name.
    pub name: String,
    /// The program.
    pub path: String,
    /// Where the common name is a link.
    pub link: Option<String>,
    /// The highest is meant unless one is chosen.
    pub priority: Option<i64>,
    /// What becomes of it.
    #[serde(default)]
    pub state: State,
    /// Names that go with it.
    pub subcommands: Option<Vec<Follower>>,
}

/// What becomes of an alternative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    Present,
    /// It is there and chosen.
    #[default]
    Selected,
    /// It is not there.
    Absent,
    /// It is there, and none is chosen.
    Auto,
}

/// A name that goes with another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// The common name.
    pub name: String,
    /// The program.
    pub path: String,
    /// Where the common name is a link.
    pub link: String,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("alternatives", arguments)
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// `auto` or `manual`.
    pub mode: String,
    /// What is meant now.
    pub meant: Option<String>,
    /// Where the link is.
    pub link: Option<String>,
    /// All of them.
    pub known: Vec<Alternative>,
}

/// One of several programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// Where.
    pub path: String,
    /// The highest is meant unless one is chosen.
    pub priority: i64,
    /// Names that go with it.
    pub followers: Vec<Follower>,
}

/// Reads what `update-alternatives --display` writes.
pub fn read(text: &str, wanted: Option<&[Follower]>) -> Scene {
    let mut scene = Scene::default();
    let mut links: Vec<(String, String)> = vec![];
    for line in text.lines() {
        let words = line.split_whitespace().collect::<Vec<_>>();
        match words[..] {
            [_, "-", "auto", "mode"] | [_, "-", "status", "is", "auto."] => "auto".clone_into(&mut scene.mode),
            [_, "-", "manual", "mode"] | [_, "-", "status", "is", "manual."] => "manual".clone_into(&mut scene.mode),
            ["link", "currently", "points", "to", path] => scene.meant = Some(path.to_owned()),
            ["link", _, "is", path] => scene.link = Some(path.to_owned()),
            ["slave" | "follower", name, "is", link] => links.push((name.to_owned(), link.to_owned())),
            [path, "-", .., "priority", number] if path.starts_with('/') => {
                let priority = number.parse().unwrap_or(0);
                scene.known.push(Alternative { path: path.to_owned(), priority, followers: vec![] });
            }
            ["slave" | "follower", name, path] => {
                let name = name.trim_end_matches(':').to_owned();
                let given = wanted.unwrap_or_default().iter().find(|it| it.name == name).map(|it| it.link.clone());
                let link = links.iter().find(|(known, _)| *known == name).map(|(_, link)| link.clone()).or(given);
                let follower = Follower { name, path: path.to_owned(), link: link.unwrap_or_default() };
                scene.known.last_mut().into_iter().for_each(|last| last.followers.push(follower.clone()));
            }
            _ => {}
        }
    }
    scene
}

/// What is to be done: options of `update-alternatives`, each with what a person reads of it.
///
/// # Errors
///
/// [`Failed`]: nobody says where the link is.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Vec<(Vec<String>, String)>, Failed> {
    let Arguments { name, path, .. } = arguments;
    let own = scene.known.iter().find(|it| it.path == *path);
    let step = |words: &[&str], said: String| (words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), said);
    if arguments.state == State::Absent {
        let removed = || step(&["--remove", name, path], format!("Remove alternative '{path}' from '{name}'."));
        return Ok(own.map(|_| removed()).into_iter().collect());
    }
    let mut steps = vec![];
    let same = |own: &Alternative| {
        let priority = arguments.priority.is_none_or(|priority| priority == own.priority);
        let followers = arguments.subcommands.as_ref().is_none_or(|wanted| {
            wanted.iter().all(|it| own.followers.contains(it)) && own.followers.iter().all(|it| wanted.contains(it))
        });
        priority && followers
    };
    if !own.is_some_and(same) {
        let missing = "Needed to install the alternative, but unable to do so as we are missing the link";
        let link = arguments.link.as_ref().or(scene.link.as_ref()).ok_or_else(|| Failed::new(missing))?;
        let priority = arguments.priority.or(own.map(|it| it.priority)).unwrap_or(50).to_string();
        let (mut words, said) =
            step(&["--install", link, name, path, &priority], format!("Install alternative '{path}' for '{name}'."));
        for it in arguments.subcommands.iter().flatten() {
            words.extend(["--slave", &it.link, &it.name, &it.path].map(str::to_owned));
        }
        steps.push((words, said));
    }
    if arguments.state == State::Selected && scene.meant.as_ref() != Some(path) {
        steps.push(step(&["--set", name, path], format!("Set alternative '{path}' for '{name}'.")));
    }
    if arguments.state == State::Auto && scene.mode == "manual" {
        steps.push(step(&["--auto", name], format!("Set alternative to auto for '{name}'.")));
    }
    Ok(steps)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let shown = program::english(&["update-alternatives", "--display", &arguments.name], host)?;
    let text = if shown.status == 0 { shown.stdout } else { String::new() };
    let steps = plan(arguments, &read(&text, arguments.subcommands.as_deref()))?;
    let installs = steps.iter().any(|(words, _)| words[0] == "--install");
    if installs && !host.system.real(&arguments.path).exists() {
        return Err(Failed::new(format!("Specified path {} does not exist", arguments.path)));
    }
    if mode == Mode::Apply {
        for (words, _) in &steps {
            let words = ["update-alternatives"].into_iter().chain(words.iter().map(String::as_str));
            program::must(&words.collect::<Vec<_>>(), "", host)?;
        }
    }
    let said = steps.iter().map(|(_, said)| said.as_str()).collect::<Vec<_>>().join(" ");
    let mut outcome = Outcome { changed: !steps.is_empty(), ..Outcome::default() };
    outcome.values.insert("msg".to_owned(), json!(said));
    Ok(outcome)
}
