//! How a database server that a repository names is reached.

use std::io;
use std::sync::Arc;

use crate::lxd;
use crate::sql;
use crate::terraform::DatabaseProvider;
use crate::wire::Dial;

/// Opens an address, from wherever that is.
pub(super) type Open = Arc<dyn Fn(String) -> Dial + Send + Sync>;

/// The way to the server of `provider` through `open`. What its name means is found out each time: its instance may be
/// made in between.
pub(super) fn way(provider: &DatabaseProvider, lxd: &lxd::Client, open: Open) -> sql::Way {
    let (host, port, lxd) = (provider.host.clone(), provider.port, lxd.clone());
    sql::Way::Stream(Arc::new(move || {
        let (host, lxd, open) = (host.clone(), lxd.clone(), open.clone());
        Box::pin(async move {
            let address = match instance(&host) {
                Some(instance) => address(&lxd, instance).await?,
                None => host,
            };
            let address =
                if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            open(address)().await
        })
    }))
}

/// The instance that is meant by the name of a service in Consul, e.g. `mariadb.service.web.ryo`: images register under
/// the name of their instance, and not every computer asks Consul for names.
fn instance(host: &str) -> Option<&str> {
    let (name, rest) = host.split_once(".service.")?;
    let domain = rest.rsplit('.').next()?;
    (domain == "ryo" && !name.contains('.')).then_some(name)
}

async fn address(lxd: &lxd::Client, instance: &str) -> io::Result<String> {
    let state = lxd.state(instance).await.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    let addresses = state.addresses();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    let none = || io::Error::new(io::ErrorKind::NotFound, format!("the instance `{instance}` has no address"));
    first.map(ToString::to_string).ok_or_else(none)
}
