//! A port of this computer that leads to a byte stream, for a client that knows addresses only.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::sql::Dial;

/// Opens the stream and a port that leads to it. The port takes one connection and goes with it.
pub(super) async fn open(dial: &Dial) -> io::Result<SocketAddr> {
    let mut stream = dial().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        if let Ok((mut near, _)) = listener.accept().await {
            drop(listener);
            let _ = tokio::io::copy_bidirectional(&mut near, &mut stream).await;
        }
    });
    Ok(address)
}
