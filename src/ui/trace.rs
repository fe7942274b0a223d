//! What goes over the wires, as lines on standard error, for whoever looks for a fault: only if `RYO_LOG` asks for it.
//!
//! Told are requests and programs by their names. What they carry is not: it may be secret. What libraries tell of
//! themselves is not told either, for the same reason.

use std::io;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that asks for it.
pub const VARIABLE: &str = "RYO_LOG";

/// Begins to tell what `level` asks for: `debug`, or nothing.
///
/// # Errors
///
/// It is another word.
pub fn begin(level: &str) -> Result<(), String> {
    match level {
        "" => Ok(()),
        "debug" => {
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
            let ours = Targets::new().with_target(env!("CARGO_PKG_NAME"), Level::DEBUG);
            tracing_subscriber::registry().with(lines).with(ours).try_init().map_err(|error| error.to_string())
        }
        other => Err(format!("`{VARIABLE}` is `{other}`, must be `debug` or not set")),
    }
}
