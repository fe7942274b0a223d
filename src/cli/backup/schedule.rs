//! `ryo backup schedule`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::backup::prune::Keep;
use crate::cli::backup::{Compress, store};
use crate::cli::shown::Shown;
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::journal;
use crate::flow::schedule::{self, Done, Existing, Place, Scope, Spec, Systemd};
use crate::local::Local;
use crate::project::Repository;
use crate::rig;

/// What is backed up, and when.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo backup schedule ryo-gitea -n web --daily --keep-daily 7 --keep-weekly 4")]
pub struct Arguments {
    /// The repository of a project or a module
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// When; what there is is shown if nothing is said
    #[command(flatten)]
    pub when: When,
    /// What stays: the others are removed after each backup
    #[command(flatten)]
    pub keep: Keep,
    /// Leave the modules of a project alone
    #[arg(long)]
    pub no_modules: bool,
    /// Freeze instances instead of stopping them: they do not serve for a moment only, and what is backed up is as after a
    /// power cut
    #[arg(long)]
    pub freeze: bool,
    /// How archives are compressed; a repository of restic does it itself
    #[arg(long, value_enum, default_value_t = Compress::Gzip, value_name = "HOW")]
    pub compress: Compress,
    /// Encrypt it to this recipient of `age`; may be given several times (default: those of the settings)
    #[arg(long, value_name = "RECIPIENT")]
    pub encrypt: Vec<String>,
    /// Where they go
    #[command(flatten)]
    pub to: store::Target,
}

/// When.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub struct When {
    /// Every night at three o'clock
    #[arg(long)]
    pub daily: bool,
    /// In the night to Sunday at three o'clock
    #[arg(long)]
    pub weekly: bool,
    /// At these times, as systemd writes them, e.g. `Mon..Fri 22:30`
    #[arg(long, value_name = "EXPRESSION")]
    pub on_calendar: Option<String>,
    /// Never again: the timer is removed
    #[arg(long)]
    pub remove: bool,
}

impl When {
    fn calendar(&self) -> Option<String> {
        match (&self.on_calendar, self.daily, self.weekly) {
            (Some(expression), ..) => Some(expression.clone()),
            (None, true, _) => Some("*-*-* 03:00:00".to_owned()),
            (None, _, true) => Some("Sun *-*-* 03:00:00".to_owned()),
            _ => None,
        }
    }
}

/// Makes, changes, removes or shows a schedule.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let repository = common.load(&arguments.directory)?;
    let id = repository.identity(&arguments.host).map_err(problems)?.id;
    let name = schedule::name(&arguments.host, &id);
    let configuration = std::env::var_os("XDG_CONFIG_HOME").filter(|it| !it.is_empty()).map(PathBuf::from);
    let place = Place::of_account(&rig::home(), configuration.as_deref());
    let local = Local::new();
    let systemd = Systemd { machine: &local, place };
    let calendar = arguments.when.calendar();
    if calendar.is_none() && !arguments.when.remove && arguments.keep != Keep::default() {
        let hint = "give `--daily`, `--weekly` or `--on-calendar EXPRESSION`";
        return Err(Failure::new(Kind::Request, "nothing says when backups are made").hint(hint));
    }
    if calendar.is_some() {
        arguments.to.words("--to", common)?;
        arguments.to.store(&repository.working_directory, common)?;
    }
    systemd.answers().await?;
    let title = format!("backups of {id} on host `{}`", arguments.host);
    let Some(calendar) = calendar else {
        let text = if arguments.when.remove {
            match systemd.remove(&name).await? {
                Done::Something => format!("{title} are made no more at certain times"),
                Done::Nothing => format!("{title} are not made at certain times"),
            }
        } else {
            systemd.look(&name).await?.map_or(format!("{title} are not made at certain times"), |it| text(&title, &it))
        };
        shown.ui.result(&json!({ "unit": name, "exists": systemd.look(&name).await?.is_some() }), &text);
        return Ok(ExitCode::SUCCESS);
    };
    // What will run with nobody in front of it is looked through before.
    arguments.to.recipients(&arguments.encrypt, common)?;
    rig::address(&repository.working_directory, &arguments.host).map_err(problems)?;
    systemd.understands(&calendar).await?;
    let spec = spec(arguments, common, &repository, id, calendar)?;
    let units = schedule::units(&spec, systemd.place.scope)?;
    let done = systemd.set(&name, &units).await?;
    let existing = Existing { name: name.clone(), units, runs: true };
    let text = match done {
        Done::Something => text(&title, &existing),
        Done::Nothing => format!("{}\nnothing was changed", text(&title, &existing)),
    };
    let commands: Vec<_> = [Some(&spec.backup), spec.prune.as_ref()].into_iter().flatten().collect();
    let result = json!({
        "unit": name,
        "exists": true,
        "changed": done == Done::Something,
        "calendar": spec.calendar,
        "commands": commands,
        "directory": systemd.place.directory,
    });
    shown.ui.result(&result, &text);
    let account = journal::account();
    if systemd.place.scope == Scope::User && !systemd.lingers(&account).await? {
        let hint = format!("`loginctl enable-linger {account}` lets it run always");
        shown.events.warn(format!("the timer runs only while `{account}` is logged in; {hint}"));
    }
    if arguments.keep == Keep::default() {
        shown.events.warn("nothing removes old backups; say what stays with `--keep-daily` and the like".to_owned());
    }
    Ok(ExitCode::SUCCESS)
}

fn text(title: &str, existing: &Existing) -> String {
    let Existing { name, units, runs } = existing;
    let state = if *runs { "" } else { ", but the timer does not run" };
    let mut lines = vec![format!("{title}: {}{state}", schedule::values(&units.timer, "OnCalendar").join(", "))];
    let services = [Some(&units.service), units.prune.as_ref()];
    let commands = services.into_iter().flatten().flat_map(|service| schedule::values(service, "ExecStart"));
    lines.extend(commands.map(|command| format!("  {command}")));
    let prune = units.prune.as_ref().map_or(String::new(), |_| format!(", {}.service", schedule::pruning(name)));
    lines.push(format!("  units: {name}.timer, {name}.service{prune}"));
    lines.join("\n")
}

fn spec(
    arguments: &Arguments,
    common: &Common,
    repository: &Repository,
    id: String,
    calendar: String,
) -> Result<Spec, Failure> {
    let text = |path: &Path| absolute(path).display().to_string();
    let program = std::env::current_exe().map_err(|error| Failure::new(Kind::World, error))?;
    let mut first = vec![text(&program), "backup".to_owned()];
    let mut global = vec!["--working-directory".to_owned(), text(&repository.working_directory)];
    if let Some(settings) = &common.settings {
        global.extend(["--settings".to_owned(), text(settings)]);
    }
    let mut prune = first.clone();
    prune.push("prune".to_owned());
    first.push(text(&repository.directory));
    first.extend(["-n".to_owned(), arguments.host.clone(), "--yes".to_owned()]);
    let mut ids = vec![];
    if arguments.no_modules {
        first.push("--no-modules".to_owned());
    } else {
        for module in common.siblings(repository, &repository.modules)? {
            ids.push(module.identity(&arguments.host).map_err(problems)?.id);
        }
    }
    ids.push(id.clone());
    if arguments.freeze {
        first.push("--freeze".to_owned());
    }
    if arguments.compress != Compress::Gzip {
        let how = if arguments.compress == Compress::Zstd { "zstd" } else { "none" };
        first.extend(["--compress".to_owned(), how.to_owned()]);
    }
    first.extend(arguments.encrypt.iter().flat_map(|recipient| ["--encrypt".to_owned(), recipient.clone()]));
    prune.extend(ids);
    prune.extend(["-n".to_owned(), arguments.host.clone(), "--yes".to_owned()]);
    first.extend(arguments.to.words("--to", common)?);
    prune.extend(arguments.to.words("--from", common)?);
    prune.extend(arguments.keep.words());
    first.extend(global.clone());
    prune.extend(global);
    if let Some(key) = &common.host_key {
        first.extend(["--host-key".to_owned(), key.clone()]);
    }
    let prune = (arguments.keep != Keep::default()).then_some(prune);
    let variables = ["HOME", "XDG_CONFIG_HOME"];
    let environment = variables.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let environment = environment.filter(|(_, value)| !value.is_empty()).collect();
    let directory = absolute(&repository.working_directory);
    Ok(Spec { host: arguments.host.clone(), id, calendar, backup: first, prune, directory, environment })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
