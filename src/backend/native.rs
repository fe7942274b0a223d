//! `ryo` itself.

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::backend::{Configure, Error, HostSetup};
use crate::event::Events;
use crate::playbook::reading::Reading;
use crate::playbook::{self, Connect, Source};

/// Runs playbooks over connections that are there.
pub struct Native {
    /// Opens what a playbook names.
    pub connect: Connect,
    /// How a playbook's files are read.
    pub reading: Reading,
}

impl Configure for Native {
    fn set_up<'a>(
        &'a self,
        setup: HostSetup,
        events: &'a Events,
        stop: watch::Receiver<bool>,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        let HostSetup { playbook, inventory, extra_vars, mode } = setup;
        let request = playbook::Request {
            extra_vars,
            mode,
            reading: self.reading.clone(),
            ..playbook::Request::new(playbook, vec![Source::File(inventory)], stop)
        };
        Box::pin(async move {
            let recap = playbook::run(request, self.connect.clone(), events).await?;
            Ok(recap.hosts.iter().map(|host| host.changed).sum())
        })
    }
}
