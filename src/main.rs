//! `ryo`: arguments and environment in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use ryo::failure::{Failure, Kind};
use ryo::{cli, ui};
use tokio::runtime::Handle;

/// How long connections may take to say goodbye.
const FAREWELL: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Whoever reads JSON is told so, too.
            if error.use_stderr() && std::env::args_os().any(|word| word == "--json") {
                let said = error.render().to_string();
                let first = said.lines().next().unwrap_or_default();
                let failure = Failure::new(Kind::Request, first.strip_prefix("error: ").unwrap_or(first).to_owned());
                let _ = writeln!(std::io::stdout(), "{}", failure.json());
            }
            error.exit()
        }
    };
    if let Err(error) = ui::trace::begin(&std::env::var(ui::trace::VARIABLE).unwrap_or_default()) {
        let _ = writeln!(std::io::stderr(), "error: {}", ui::visible(&error));
        return ExitCode::from(Kind::Request.code());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let ended = runtime.block_on(async {
        let ended = cli::run(arguments).await;
        farewell().await;
        ended
    });
    // Who reads standard input waits for a key that nobody will press.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(failure) => {
            let _ = write!(std::io::stderr(), "{}", ui::visible(&failure.text()));
            ExitCode::from(failure.kind.code())
        }
    }
}

/// Waits until the tasks of what was dropped have ended. A tunnel of this process has no kernel behind it that would tell
/// the other side.
async fn farewell() {
    let until = Instant::now() + FAREWELL;
    while Handle::current().metrics().num_alive_tasks() > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
