//! Magic variables: what a run tells of itself, its play, its hosts and their variables.
//!
//! Source: Ansible's documentation, "Special Variables".

use std::any::Any;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::module::Mode;
use crate::playbook::inventory::is_this_computer;
use crate::playbook::jinja::{self, Object, Value};
use crate::playbook::model::Task;
use crate::playbook::scope::{Cast, OMIT, TaskScope, Wanted, World};

/// Magic variables that are told where all variables are.
pub(super) const MAGIC: &[&str] = &[
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_name",
    "ansible_playbook_python",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "omit",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_path",
];

fn texts(list: Vec<String>) -> Value {
    Value::list(list.into_iter().map(Value::text).collect())
}

impl TaskScope<'_> {
    pub(super) fn magic(&self, name: &str) -> Option<Value> {
        let world = self.world;
        let path =
            |path: &Path| Value::text(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy());
        let role = self.task.and_then(|task| task.role.as_ref());
        Some(match name {
            "omit" => Value::text(OMIT),
            "inventory_hostname" => Value::text(&self.host),
            "inventory_hostname_short" => {
                let address = self.host.parse::<std::net::IpAddr>().is_ok();
                Value::text(if address { &self.host } else { self.host.split('.').next().unwrap_or_default() })
            }
            "playbook_dir" => path(&self.play.map_or(&world.directory, |play| &play.directory).clone()),
            "role_path" => path(&role?.path),
            "role_name" | "ansible_role_name" => Value::text(&role?.name),
            "ansible_play_name" => match (&self.play?.name, &self.play?.hosts.value) {
                (Some(name), _) => Value::text(name),
                (None, Json::Array(hosts)) => {
                    Value::text(hosts.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","))
                }
                (None, hosts) => Value::from(hosts),
            },
            "group_names" => {
                let inventory = world.inventory();
                let mut groups = inventory.groups_of(&self.host);
                let ungrouped = groups.is_empty() && inventory.own_vars(&self.host).is_some();
                groups.extend(ungrouped.then(|| "ungrouped".to_owned()));
                texts(groups)
            }
            "groups" => {
                let inventory = world.inventory();
                let names = ["all", "ungrouped"].into_iter().chain(inventory.groups.keys().map(String::as_str));
                let groups: Vec<(&str, Vec<String>)> = names.map(|name| (name, inventory.members(name))).collect();
                Value::dict(groups.into_iter().map(|(name, hosts)| (Value::text(name), texts(hosts))).collect())
            }
            "hostvars" => Value::Object(Arc::new(HostVars::of(self))),
            "ansible_play_hosts" | "play_hosts" => texts(self.cast.alive.clone()),
            "ansible_play_batch" => texts(self.cast.batch.clone()),
            "ansible_play_hosts_all" => texts(self.cast.all.clone()),
            "ansible_check_mode" => Value::Bool(world.mode == Mode::Check),
            "ansible_diff_mode" => Value::Bool(false),
            "ansible_parent_role_names" => texts(self.task.map(Task::parents).filter(|it| !it.is_empty())?),
            "ansible_play_role_names" | "role_names" => {
                self.play?;
                texts(self.named().map(|role| role.name.clone()).collect())
            }
            "ansible_role_names" | "ansible_dependent_role_names" => {
                self.play?;
                let names = self.named().filter(|_| name == "ansible_role_names").map(|role| &role.name);
                let dependencies = self.named().flat_map(|role| &role.dependencies).map(|role| &role.name);
                let names: BTreeSet<&String> = names.chain(dependencies).collect();
                texts(names.into_iter().cloned().collect())
            }
            "ansible_run_tags" => {
                let only = &world.named.tags.only;
                texts(if only.is_empty() { vec!["all".to_owned()] } else { only.clone() })
            }
            "ansible_skip_tags" => texts(world.named.tags.skip.clone()),
            "ansible_forks" => Value::count(world.named.forks.max(1)),
            "ansible_limit" => Value::text(world.named.limit.as_ref()?),
            "ansible_verbosity" => Value::Int(0),
            "ansible_inventory_sources" => texts(world.named.sources.clone()),
            "ansible_search_path" => {
                let roles = self.chain().map(|role| role.path.clone());
                let here = self.task.map(|task| task.directory.clone());
                let places = roles.chain(here).chain([self.directory().to_owned()]);
                Value::list(places.map(|place| path(&place)).collect())
            }
            "ansible_managed" if self.raw(name).is_none() => Value::text("Ansible managed"),
            "ansible_playbook_python" if self.raw(name).is_none() => Value::text("/usr/bin/python3"),
            "ansible_version" => Value::dict(vec![
                (Value::text("full"), Value::text("2.15.13")),
                (Value::text("major"), Value::Int(2)),
                (Value::text("minor"), Value::Int(15)),
                (Value::text("revision"), Value::Int(13)),
                (Value::text("string"), Value::text("2.15.13")),
            ]),
            "inventory_dir" if self.raw(name).is_none() => {
                path(std::path::absolute(world.inventory().file.as_ref()?).ok()?.parent()?)
            }
            "ansible_host" if self.task.is_some() && self.raw(name).is_none() => {
                let usual = if self.is_implicit() { "127.0.0.1" } else { &self.host };
                self.raw("ansible_ssh_host").map_or_else(|| Value::text(usual), |(raw, _)| Value::from(raw))
            }
            "ansible_connection" if self.raw(name).is_none() => self.connection()?,
            "inventory_file" if self.raw(name).is_none() => path(world.inventory().file.as_ref()?),
            "ansible_facts" => {
                let facts = self.state.facts.as_ref();
                self.ask();
                let mut all = facts.map(|facts| facts.as_ref().clone()).unwrap_or_default();
                // The owner's facts keep their whole name here, too.
                all.shift_remove("local").map(|local| all.insert("ansible_local".to_owned(), local));
                let bare = |name: &String| name.strip_prefix("ansible_").unwrap_or(name).to_owned();
                all.extend(self.state.told.iter().map(|(name, value)| (bare(name), value.clone())));
                Value::from(&Json::Object(all))
            }
            _ => return None,
        })
    }

    /// Whether the host is this computer, which no inventory names.
    pub fn is_implicit(&self) -> bool {
        is_this_computer(&self.host) && self.world.inventory().own_vars(&self.host).is_none()
    }

    /// How a task reaches the host, unless a variable says it.
    fn connection(&self) -> Option<Value> {
        if self.is_implicit() {
            return Some(Value::text("local"));
        }
        self.keyword(&self.task?.settings.connection).ok().map(|kind| kind.unwrap_or_else(|| Value::text("ssh")))
    }
}

/// `hostvars`.
#[derive(Clone)]
struct HostVars {
    world: Arc<World>,
    cast: Arc<Cast>,
    wanted: Wanted,
}

impl HostVars {
    fn of(scope: &TaskScope<'_>) -> Self {
        Self { world: scope.world.clone(), cast: scope.cast.clone(), wanted: scope.wanted.clone() }
    }

    fn scope(&self, host: &str) -> TaskScope<'_> {
        let mut scope = TaskScope::new(&self.world, host, None, None, &self.cast);
        scope.wanted = self.wanted.clone();
        scope
    }
}

impl std::fmt::Debug for HostVars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<hostvars>")
    }
}

impl Object for HostVars {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        let known = self.world.inventory().own_vars(key).is_some() || is_this_computer(key);
        Ok(known.then(|| Value::Object(Arc::new(OneHostVars { all: self.clone(), host: key.to_owned() }))))
    }

    fn keys(&self) -> Vec<String> {
        self.world.inventory().members("all")
    }

    fn is_mapping(&self) -> bool {
        true
    }

    fn whole(&self) -> Option<Value> {
        let of = |host: String| Some((Value::text(&host), self.get(&host).ok().flatten()?));
        Some(Value::dict(self.keys().into_iter().filter_map(of).collect()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `hostvars[name]`.
struct OneHostVars {
    all: HostVars,
    host: String,
}

impl std::fmt::Debug for OneHostVars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<variables of {}>", self.host)
    }
}

impl Object for OneHostVars {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        jinja::Scope::variable(&self.all.scope(&self.host), key)
    }

    fn keys(&self) -> Vec<String> {
        let scope = self.all.scope(&self.host);
        scope.ask();
        let mut names = scope.everything_named();
        names.retain(|name| scope.has(name) || scope.magic(name).is_some());
        names
    }

    fn is_mapping(&self) -> bool {
        true
    }

    fn whole(&self) -> Option<Value> {
        let scope = self.all.scope(&self.host);
        scope.ask();
        Some(scope.everything(|name| scope.value(name)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
