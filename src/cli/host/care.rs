//! `ryo host status`, `ryo host clean`.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::Common;
use crate::cli::shown::Shown;
use crate::event::Event;
use crate::failure::{Failure, Kind};
use crate::flow::host::status;
use crate::flow::journal;
use crate::machine::Command;
use crate::rig;

/// Removes every copy of the program that an agent was started from, and says how many kilobytes they were. What is not
/// named like a copy of ours stays.
const CLEAN: &str = r#"
total=0
for place in /var/lib/ryo/agent /var/tmp/ryo-[0-9]* /root/.cache/ryo/agent /home/*/.cache/ryo/agent; do
    for copy in "$place"/????????????????????????????????; do
        [ -f "$copy/ryo" ] || continue
        set -- $(du -sk "$copy")
        total=$((total + $1))
        rm -rf "$copy"
    done
    rmdir "$place" 2>/dev/null
done
echo "$total"
"#;

/// Says how a host is.
pub async fn status(host: &str, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let address = common.address(host)?;
    shown.events.emit(Event::Looking { what: format!("host {host}") });
    let world = rig::open(&address, &common.settings()?, &shown.events).await?;
    let status = status::look(&world).await?;
    shown.ui.result(&status, status.text(journal::seconds()).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Removes what was put there to work with.
pub async fn clean(host: &str, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let address = common.address(host)?;
    let agent = rig::agent(&address, &common.settings()?, &shown.events).await?;
    let ended = agent.run(&Command::new(["sh", "-c", CLEAN]), &[]).await?;
    let said = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    let Ok(kilobytes) = said.parse::<u64>() else {
        let why = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        return Err(Failure::new(Kind::World, format!("cannot remove the copies of ryo on host {host}: {why}")));
    };
    let text = format!("host {host} is clean: {} MiB of ryo removed", kilobytes.div_ceil(1024));
    shown.ui.result(&json!({ "host": host, "removed": kilobytes.saturating_mul(1024) }), &text);
    Ok(ExitCode::SUCCESS)
}
