//! Opening byte streams.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::net::{TcpStream, UnixStream};

use crate::http::Stream;

/// Opens one byte stream to a server. Called for every new connection.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Stream>>> + Send + Sync>;

/// Opens the unix socket at `path`. A missing socket is `NotFound`, a forbidden one `PermissionDenied`.
pub fn unix(path: impl AsRef<Path>) -> Dial {
    let path: Arc<Path> = path.as_ref().into();
    Arc::new(move || {
        let path = path.clone();
        Box::pin(async move { Ok(Box::new(UnixStream::connect(&path).await?) as Box<dyn Stream>) })
    })
}

/// Opens a TCP connection to `address`: host and port, e.g. `127.0.0.1:8500` or `[fd10::1]:8500`.
pub fn tcp(address: impl Into<String>) -> Dial {
    let address: Arc<str> = address.into().into();
    Arc::new(move || {
        let address = address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(&*address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    })
}
