//! `ryo`: arguments and environment in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use ryo::cli;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(cli::run(arguments)) {
        Ok(code) => code,
        Err(failure) => {
            let _ = write!(std::io::stderr(), "{}", failure.text());
            ExitCode::from(failure.kind.code())
        }
    }
}
