//! A machine that is an instance of LXD or Incus: commands over its exec API.

use futures_util::future::BoxFuture;

use crate::lxd::Client;
use crate::lxd::exec::Exec;
use crate::lxd::model::Config;
use crate::machine::{Command, Lost, Machine, Process};

/// A running instance as somewhere to run commands, as its root.
#[derive(Clone)]
pub struct Container {
    client: Client,
    instance: String,
    name: String,
}

impl Container {
    /// Makes the machine of `instance`; nothing is sent yet. A person calls it `name`, e.g. `container web on host-1`.
    pub fn new(client: Client, instance: impl Into<String>, name: impl Into<String>) -> Self {
        Self { client, instance: instance.into(), name: name.into() }
    }
}

impl Machine for Container {
    fn name(&self) -> &str {
        &self.name
    }

    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        tracing::debug!(machine = self.name, program = command.words.first(), "program");
        Box::pin(async move {
            let started = self.client.exec(&self.instance, &command.words, &Config::new()).await;
            let Exec { stdin, stdout, stderr, end } = started.map_err(|source| Lost::new(&self.name, source))?;
            let name = self.name.clone();
            let end = async move { end.await.map_err(|source| Lost::new(&name, source)) };
            Ok(Process { stdin, stdout, stderr, end: Box::pin(end) })
        })
    }
}
