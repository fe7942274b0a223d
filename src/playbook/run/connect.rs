//! From variables to agents: how a host is reached, as whom, and one agent for each of these.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use crate::agent::{self, Client};
use crate::machine::Machine;
use crate::module::program;
use crate::playbook::connection::{Become, Connection, Guest, Method, Ssh};
use crate::playbook::jinja::{self, Value, filters_text};
use crate::playbook::model::{Keyword, Settings};
use crate::playbook::scope::TaskScope;
use crate::playbook::{Connect, Refused, Request};
use crate::secret::Secret;

/// How a task reaches its target, and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The target.
    pub connection: Connection,
    /// The account.
    pub account: Option<(Become, Option<Secret>)>,
}

/// Reads the way from the variables and keywords of a task.
///
/// # Errors
///
/// A variable that cannot be rendered or means nothing.
pub fn way(scope: &TaskScope<'_>, request: &Request) -> Result<Way, String> {
    let connection = connection(scope, request)?;
    let account = account(scope, request, &connection)?;
    Ok(Way { connection, account })
}

fn variable(scope: &TaskScope<'_>, names: &[&str]) -> Result<Option<Value>, String> {
    for name in names {
        match jinja::Scope::variable(scope, name)? {
            Some(Value::Undefined(missing)) => return Err(missing.to_string()),
            Some(Value::None) | None => {}
            Some(value) => return Ok(Some(value)),
        }
    }
    Ok(None)
}

fn keyword(scope: &TaskScope<'_>, of: fn(&Settings) -> &Keyword) -> Result<Option<Value>, String> {
    scope.task.map_or(Ok(None), |task| scope.keyword(of(&task.settings)))
}

fn text(scope: &TaskScope<'_>, names: &[&str]) -> Result<Option<String>, String> {
    Ok(variable(scope, names)?.map(|value| value.to_string()).filter(|text| !text.is_empty()))
}

fn connection(scope: &TaskScope<'_>, request: &Request) -> Result<Connection, String> {
    if scope.is_implicit() {
        return Ok(Connection::Local);
    }
    let kind = match text(scope, &["ansible_connection"])? {
        Some(kind) => kind,
        None => keyword(scope, |it| &it.connection)?.map_or_else(|| "ssh".to_owned(), |it| it.to_string()),
    };
    let short = kind.rsplit('.').next().unwrap_or(&kind);
    match short {
        "local" => Ok(Connection::Local),
        "ssh" | "smart" | "paramiko" | "paramiko_ssh" => ssh(scope, request).map(Connection::Ssh),
        "lxd" => Ok(Connection::Lxd(guest(scope, "lxd")?)),
        "incus" => Ok(Connection::Incus(guest(scope, "incus")?)),
        _ => Err(format!("there is no connection `{kind}` here")),
    }
}

fn ssh(scope: &TaskScope<'_>, request: &Request) -> Result<Ssh, String> {
    let keyword_port = keyword(scope, |it| &it.port)?;
    let port = match variable(scope, &["ansible_port", "ansible_ssh_port"])?.or(keyword_port) {
        None => 22,
        Some(value) => {
            let text = value.to_string();
            text.parse().map_err(|_| format!("`ansible_port` is `{text}`, must be a port"))?
        }
    };
    let remote_user = keyword(scope, |it| &it.remote_user)?.map(|user| user.to_string());
    let user = text(scope, &["ansible_user", "ansible_ssh_user"])?.or(remote_user).or_else(|| request.user.clone());
    let key = text(scope, &["ansible_ssh_private_key_file", "ansible_private_key_file"])?
        .map(|path| PathBuf::from(filters_text::expand_user(&path)))
        .or_else(|| request.key.clone());
    Ok(Ssh {
        host: text(scope, &["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| scope.host.clone()),
        port,
        user,
        key,
        password: text(scope, &["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?.map(Secret::new),
    })
}

fn guest(scope: &TaskScope<'_>, kind: &str) -> Result<Guest, String> {
    let named = |what: &str| format!("ansible_{kind}_{what}");
    Ok(Guest {
        remote: text(scope, &[&named("remote")])?.unwrap_or_else(|| "local".to_owned()),
        instance: text(scope, &[&named("host"), "ansible_host", "inventory_hostname"])?
            .unwrap_or_else(|| scope.host.clone()),
        project: text(scope, &[&named("project")])?,
    })
}

/// Reads a truth value as Ansible's keywords do.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Str(text) => matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1" | "y" | "t"),
        other => other.truth(),
    }
}

fn account(
    scope: &TaskScope<'_>,
    request: &Request,
    connection: &Connection,
) -> Result<Option<(Become, Option<Secret>)>, String> {
    let wanted = match variable(scope, &["ansible_become"])? {
        Some(value) => truth(&value),
        None => keyword(scope, |it| &it.becomes)?.is_some_and(|value| truth(&value)),
    };
    if !wanted {
        return Ok(None);
    }
    let or_keyword = |name: &str, of: fn(&Settings) -> &Keyword| match text(scope, &[name])? {
        Some(value) => Ok::<_, String>(Some(value)),
        None => Ok(keyword(scope, of)?.map(|value| value.to_string()).filter(|text| !text.is_empty())),
    };
    let user = or_keyword("ansible_become_user", |it| &it.become_user)?.unwrap_or_else(|| "root".to_owned());
    let method = or_keyword("ansible_become_method", |it| &it.become_method)?;
    let method = match method.as_deref().map(|name| name.rsplit('.').next().unwrap_or(name)) {
        None | Some("sudo") => Method::Sudo,
        Some("su") => Method::Su,
        Some(other) => return Err(format!("there is no become method `{other}` here")),
    };
    let flags = or_keyword("ansible_become_flags", |it| &it.become_flags)?;
    let flags = program::split(flags.as_deref().unwrap_or_default());
    let flags = flags.map_err(|error| format!("`become_flags` cannot be read: {error}"))?;
    let already = match connection {
        Connection::Local => user == "root" && rustix::process::geteuid().is_root(),
        Connection::Ssh(ssh) => ssh.user.as_ref() == Some(&user),
        Connection::Lxd(_) | Connection::Incus(_) => user == "root",
    };
    if already {
        return Ok(None);
    }
    let password = text(scope, &["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"])?
        .map(Secret::new)
        .or_else(|| request.become_password.clone());
    Ok(Some((Become { user, method, flags }, password)))
}

type Cell<T> = Arc<OnceCell<Arc<T>>>;
/// Whom an agent works as, where.
type Post = (Connection, Option<Become>);

/// Returns the cell of a key; a new one if there is none.
fn cell_of<K: PartialEq, T: ?Sized>(cells: &mut Vec<(K, Cell<T>)>, key: K) -> Cell<T> {
    if let Some((_, cell)) = cells.iter().find(|(known, _)| *known == key) {
        return cell.clone();
    }
    let cell: Cell<T> = Arc::new(OnceCell::new());
    cells.push((key, cell.clone()));
    cell
}

/// The machines and agents of a run, opened when they are first needed.
pub struct Agents {
    connect: Connect,
    binary: OnceCell<agent::Binary>,
    machines: Mutex<Vec<(Connection, Cell<dyn Machine>)>>,
    clients: Mutex<Vec<(Post, Cell<Client>)>>,
}

impl Agents {
    /// Starts with none.
    pub fn new(connect: Connect) -> Self {
        Self { connect, binary: OnceCell::new(), machines: Mutex::default(), clients: Mutex::default() }
    }

    /// Returns the agent at the end of a way.
    ///
    /// # Errors
    ///
    /// What the carrier or the agent said.
    pub async fn at(&self, way: &Way) -> Result<Arc<Client>, Refused> {
        let account = way.account.as_ref().map(|(account, _)| account.clone());
        let cell = cell_of(&mut *self.clients.lock().await, (way.connection.clone(), account));
        cell.get_or_try_init(|| self.start(way)).await.cloned()
    }

    async fn start(&self, way: &Way) -> Result<Arc<Client>, Refused> {
        let account = way.account.as_ref().map(|(account, password)| (account, password.as_ref()));
        let binary = self.binary.get_or_try_init(|| async { agent::Binary::own() }).await?;
        let client = if way.connection == Connection::Local {
            Client::local(binary, account).await?
        } else {
            let machine = self.machine(&way.connection).await?;
            Client::start(machine.as_ref(), binary, account).await?
        };
        Ok(Arc::new(client))
    }

    /// Returns the machine at the end of a connection, opened if it is not yet.
    ///
    /// # Errors
    ///
    /// What the carrier said.
    pub async fn machine(&self, connection: &Connection) -> Result<Arc<dyn Machine>, Refused> {
        let cell = cell_of(&mut *self.machines.lock().await, connection.clone());
        cell.get_or_try_init(|| (self.connect)(connection.clone())).await.cloned()
    }

    /// Forgets all agents: the next tasks start new ones.
    pub async fn forget_all(&self) {
        self.clients.lock().await.clear();
        self.machines.lock().await.clear();
    }

    /// Forgets an agent that went away.
    pub async fn forget(&self, way: &Way) {
        let account = way.account.as_ref().map(|(account, _)| account.clone());
        let mut clients = self.clients.lock().await;
        clients.retain(|((connection, known), _)| *connection != way.connection || *known != account);
    }

    /// Forgets a connection, with all agents behind it.
    pub async fn lost(&self, connection: &Connection) {
        self.clients.lock().await.retain(|((known, _), _)| known != connection);
        self.machines.lock().await.retain(|(known, _)| known != connection);
    }
}
