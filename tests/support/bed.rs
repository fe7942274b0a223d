//! Where the real servers are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ryo::http::Http;
use ryo::wire::{self, Wire};

/// Reads what `tests/run` exports.
pub fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set: this test needs real servers, run tests/run"))
}

/// The wire to the LXD of the bed.
pub fn lxd() -> Arc<dyn Http> {
    unix("LXD", &var("RYO_LXD_SOCKET"))
}

/// The wire to the Incus of the bed.
pub fn incus() -> Arc<dyn Http> {
    unix("Incus", &var("RYO_INCUS_SOCKET"))
}

fn unix(kind: &str, path: &str) -> Arc<dyn Http> {
    Arc::new(Wire::new(format!("{kind} at {path}"), "lxd", wire::unix(path)))
}

/// The wire to the Consul beside the LXD of the bed.
pub fn consul() -> Arc<dyn Http> {
    let url = var("RYO_LXD_CONSUL");
    let address = url.strip_prefix("http://").unwrap_or(&url).trim_end_matches('/').to_owned();
    Arc::new(Wire::new(format!("Consul at {address}"), address.clone(), wire::tcp(address)))
}

/// A name that no other test uses at the same time.
pub fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t-{stem}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
