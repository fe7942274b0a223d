//! `ryo play`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use tokio::sync::watch;

use crate::cli::{Common, interrupt, password};
use crate::failure::{Failure, Kind};
use crate::module::Mode;
use crate::place::{Place, Problem};
use crate::playbook::configuration::{self, Configuration};
use crate::playbook::outline::{self, Listed};
use crate::playbook::reading::{self, Reading};
use crate::playbook::vault::Vault;
use crate::playbook::{self, Ask, Asked, Diffs, Error, Request, Source, tags};
use crate::rig;
use crate::secret::Secret;
use crate::ui::{Format, Ui, ask};

/// Its arguments.
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ryo play site.yml -i inventory.ini --limit web --check --diff
  ryo play site.yml -i inventory.ini --tags web,certificates --skip-tags slow
  ryo play site.yml -i inventory.ini --vault-password-file ~/.vault

Of `ansible.cfg` (ANSIBLE_CONFIG, ./ansible.cfg, ~/.ansible.cfg, /etc/ansible/ansible.cfg) and the environment count: \
roles_path (ANSIBLE_ROLES_PATH), inventory (ANSIBLE_INVENTORY), remote_user (ANSIBLE_REMOTE_USER), \
private_key_file (ANSIBLE_PRIVATE_KEY_FILE), vault_password_file (ANSIBLE_VAULT_PASSWORD_FILE), \
forks (ANSIBLE_FORKS). A flag wins over a variable, a variable over the file.")]
pub struct Arguments {
    /// The playbook
    #[arg(value_name = "FILE")]
    pub playbook: PathBuf,
    /// Hosts: a file or directory (INI or YAML), or names with a comma behind; may be given again
    #[arg(short, long, value_name = "INVENTORY")]
    pub inventory: Vec<String>,
    /// Variables over all others: k=v, @FILE, JSON or YAML; may be given again
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,
    /// Only these hosts of every play
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,
    /// Only tasks with one of these tags (also `tagged`, `untagged`, `all`); may be given again
    #[arg(short, long, value_name = "TAGS")]
    pub tags: Vec<String>,
    /// No tasks with one of these tags; may be given again
    #[arg(long, value_name = "TAGS")]
    pub skip_tags: Vec<String>,
    /// Begin at the task of that name
    #[arg(long, value_name = "TASK")]
    pub start_at_task: Option<String>,
    /// List the tasks that would be carried out, do nothing
    #[arg(long)]
    pub list_tasks: bool,
    /// List all tags, do nothing
    #[arg(long)]
    pub list_tags: bool,
    /// Say what would be done, do nothing
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show differences
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// Most hosts worked on at a time (default: 5)
    #[arg(short, long, value_name = "N")]
    pub forks: Option<usize>,
    /// File with the password for `become`
    #[arg(long, value_name = "FILE")]
    pub become_password_file: Option<PathBuf>,
    /// File with the password of `ansible-vault`, or a program that says it; may be given again
    #[arg(long, value_name = "FILE")]
    pub vault_password_file: Vec<PathBuf>,
    /// Password of `ansible-vault` with a label: LABEL@FILE, or LABEL@prompt to be asked; may be given again
    #[arg(long, value_name = "LABEL@SOURCE")]
    pub vault_id: Vec<String>,
    /// Ask for the password of `ansible-vault`
    #[arg(short = 'J', long)]
    pub ask_vault_pass: bool,
    /// Private key where the inventory gives none
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Login name where the inventory gives none
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only look for problems
    #[arg(long)]
    pub syntax_check: bool,
}

/// Runs it.
///
/// Exit code 0 if every task ended well, 1 if one failed, 2 if the playbook cannot be carried out as it is written.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let (ui, events) = Ui::new(if common.json { Format::Json } else { Format::Plain });
    let listed = match (arguments.list_tasks, arguments.list_tags) {
        (_, true) => Some(Listed::Tags),
        (true, false) => Some(Listed::Tasks),
        (false, false) => None,
    };
    let syntax_only = arguments.syntax_check;
    let request = request(arguments, interrupt::listen(&ui))?;
    if let Some(listed) = listed {
        let text = outline::list(&request.playbook, &request.tags, listed, &request.reading)
            .map_err(|problems| Failure::new(Kind::Request, Error::Problems(problems)))?;
        ui.result(&json!({ "outline": text }), &text);
        ui.finish().map_err(|error| Failure::new(Kind::World, error))?;
        return Ok(ExitCode::SUCCESS);
    }
    if syntax_only {
        let known =
            playbook::Known { inventory: request.inventory, extra_vars: request.extra_vars, reading: request.reading };
        let problems = playbook::check(&request.playbook, &known);
        return if problems.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Error::Problems(problems).into()) };
    }
    let connect = rig::connections(rig::ssh_settings(common.host_key.clone()), events.clone());
    let result = playbook::run(request, connect, &events).await;
    let finished = ui.finish();
    match result {
        Ok(recap) => {
            ui.result(&json!({ "hosts": recap.hosts }), "");
            finished.map_err(|error| Failure::new(Kind::World, error))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let failure = Failure::from(error);
            ui.failed(&failure);
            Err(failure)
        }
    }
}

fn request(arguments: Arguments, stop: watch::Receiver<bool>) -> Result<Request, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let file = configuration::file(&environment);
    let configuration = configuration::read(file.as_deref(), &environment).map_err(refused)?;
    let vault = vault(&arguments, &configuration)?;
    let reading = Reading { vault, roles: configuration.roles, managed: configuration.managed };
    let mut extra_vars = serde_json::Map::new();
    for text in &arguments.extra_vars {
        extra_vars.extend(playbook::extra_vars(text, &reading).map_err(refused)?);
    }
    let become_password = arguments.become_password_file.as_deref().map(password).transpose()?;
    let inventory = if arguments.inventory.is_empty() { configuration.inventory } else { arguments.inventory };
    let inventory = inventory.iter().map(|text| source(text)).collect();
    Ok(Request {
        extra_vars,
        mode: if arguments.check { Mode::Check } else { Mode::Apply },
        diffs: if arguments.diff { Diffs::Shown } else { Diffs::Hidden },
        limit: arguments.limit,
        forks: arguments.forks.or(configuration.forks).unwrap_or(5),
        become_password,
        user: arguments.user.or(configuration.user),
        key: arguments.private_key.or(configuration.key),
        tags: tags::Wanted { only: tags::read(&arguments.tags), skip: tags::read(&arguments.skip_tags) },
        start_at: arguments.start_at_task,
        reading,
        ask: ask::is_possible().then(|| Ask::new(answer)),
        ..Request::new(arguments.playbook, inventory, stop)
    })
}

/// The passwords of `ansible-vault`: those with a label, those of files, and the one that is asked for.
fn vault(arguments: &Arguments, configuration: &Configuration) -> Result<Vault, Failure> {
    let mut passwords = vec![];
    for id in &arguments.vault_id {
        let (label, source) = id.split_once('@').unwrap_or(("default", id));
        let password = match source {
            "prompt" | "prompt_ask_vault_pass" => asked(&format!("Vault password ({label}):"))?,
            file => reading::password(Path::new(file)).map_err(refused)?,
        };
        passwords.push((label.to_owned(), password));
    }
    let configured = configuration.vault_password_file.iter().filter(|_| arguments.vault_password_file.is_empty());
    for file in arguments.vault_password_file.iter().chain(configured) {
        passwords.push(("default".to_owned(), reading::password(file).map_err(refused)?));
    }
    if arguments.ask_vault_pass {
        passwords.push(("default".to_owned(), asked("Vault password:")?));
    }
    Ok(Vault::new(passwords))
}

fn asked(question: &str) -> Result<Secret, Failure> {
    ask::password(question, "--vault-password-file")
        .map_err(|error| refused(Problem::new(Place::default(), error.to_string())))
}

/// Asks for a variable of `vars_prompt`.
fn answer(asked: &Asked) -> Result<String, String> {
    let once = || -> Result<String, ask::Error> {
        if !asked.private {
            return ask::text(&asked.question, asked.default.as_deref(), "-e");
        }
        let typed = ask::password(&asked.question, "-e")?.reveal().to_owned();
        Ok(if typed.is_empty() { asked.default.clone().unwrap_or_default() } else { typed })
    };
    loop {
        let first = once().map_err(|error| error.to_string())?;
        if !asked.confirm || once().map_err(|error| error.to_string())? == first {
            return Ok(first);
        }
    }
}

fn refused(problem: Problem) -> Failure {
    Failure::new(Kind::Request, Error::Problems(vec![problem]))
}

fn source(text: &str) -> Source {
    if text.contains(',') { Source::Names(text.to_owned()) } else { Source::File(PathBuf::from(text)) }
}
