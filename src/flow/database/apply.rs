//! Makes what is wanted on a database server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::agent::client::Attributes;
use crate::flow::database::look::{Connection, place};
use crate::flow::database::statements::statements;
use crate::flow::database::{Difference, Seen};
use crate::flow::world::World;
use crate::flow::{apply, host_setup};
use crate::sql;
use crate::terraform::database::{DatabaseObject, DatabaseProvider};

/// How long to wait between two attempts to reach a server that is starting.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a server that answers may take to know its accounts.
const ACCOUNTS: Duration = Duration::from_secs(20);

/// Looks again and does what is needed: what was planned may have been done by a run that was cut off.
///
/// A server that could not be looked at before is waited for.
pub async fn object(
    world: &World,
    provider: &DatabaseProvider,
    wanted: &DatabaseObject,
    difference: &Difference,
    stop: &watch::Receiver<bool>,
) -> Result<(), sql::Error> {
    let wait = if matches!(difference, Difference::Unknown(_)) { world.limits.database } else { Duration::ZERO };
    let mut connection = connected(world, provider, wait, stop).await?;
    let about = connection.about().await?;
    let found = connection.look(wanted).await?;
    let state = if let Seen::Present(state) = &found { Some(state) } else { None };
    for statement in statements(wanted, state, &about) {
        connection.run(statement).await?;
    }
    connection.close().await;
    Ok(())
}

async fn connected(
    world: &World,
    provider: &DatabaseProvider,
    wait: Duration,
    stop: &watch::Receiver<bool>,
) -> Result<Connection, sql::Error> {
    let began = Instant::now();
    loop {
        let ended = Connection::open(world, provider).await;
        let patience = match &ended {
            Ok(_) => Duration::ZERO,
            Err(sql::Error::Login { .. }) => wait.min(ACCOUNTS),
            Err(_) => wait,
        };
        if began.elapsed() >= patience || *stop.borrow() {
            return ended;
        }
        sleep(PAUSE).await;
    }
}

/// Remembers on the host what is the owner's.
pub async fn remember(world: &World, owner: &str, owned: &BTreeSet<String>) -> Result<(), apply::Error> {
    host_setup::make_directory(world, &format!("{}/{}/{owner}", world.state, world.host)).await?;
    let lines = owned.iter().fold(String::new(), |lines, name| lines + name + "\n");
    let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
    world.agent.write(&place(world, owner), lines.as_bytes(), &attributes).await?;
    Ok(())
}
