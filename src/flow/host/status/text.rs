//! What a person reads of a host.

use std::fmt::Write as _;

use crate::event::duration;
use crate::flow::figures::{self, day, gib, percent, span};
use crate::flow::host::status::{Instance, Kept, Space, Status, Unit};

impl Status {
    /// What a person reads, at the time `now` in seconds since 1970.
    pub fn text(&self, now: u64) -> String {
        let mut text = format!("host {}: {}, Linux {}, up {}\n", self.host, self.system, self.kernel, span(self.up));
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<18}{value}");
        };
        let certificate = self.certificate_until.map_or(String::new(), |until| {
            let left = until.saturating_sub(now);
            let left = if left == 0 { "it has ended".to_owned() } else { format!("in {}", span(left)) };
            format!(", certificate until {} ({left})", day(until))
        });
        row("server", &format!("{}{certificate}", self.server));
        row("consul", self.consul.as_ref().or(self.consul_error.as_ref()).map_or("-", String::as_str));
        let needed = if self.reboot.is_empty() { "not needed".to_owned() } else { self.reboot.join("; ") };
        row("reboot", &needed);
        for Space { name, used, total } in &self.spaces {
            row(name, &format!("{} of {} GiB used ({} %)", gib(*used), gib(*total), percent(*used, *total)));
        }
        let backup = self
            .backup
            .map_or("never".to_owned(), |at| format!("{} ago, on {}", span(now.saturating_sub(at)), day(at)));
        row("last backup", &backup);
        for Kept { id, stamp, since, size } in &self.kept {
            let size = size.map_or("size not counted".to_owned(), |size| format!("{} GiB", gib(size)));
            let age = span(now.saturating_sub(*since));
            row("old data", &format!("{id} from before the restore of {stamp}, {age} ago, {size}"));
        }
        row("instances", &self.instances.len().to_string());
        for Instance { name, status, owner, version, .. } in &self.instances {
            let of = [owner.as_deref(), version.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "{}", format!("    {name:<15} {:<10}{of}", status.to_lowercase()).trim_end());
        }
        text
    }
}

/// A table of hosts, one row for each project and module, at the time `now` in seconds since 1970. A host that could not be
/// looked at has one row that says why.
pub fn table(hosts: &[(String, Result<Status, String>)], now: u64) -> String {
    let head = ["HOST", "PROJECT OR MODULE", "VERSION", "HEALTH", "INSTANCES", "LAST CHANGE", "OUTAGE", "LAST BACKUP"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (host, seen) in hosts {
        let host = figures::line(host);
        match seen {
            Ok(status) => rows.extend(status.rows(now).into_iter().map(|row| [vec![host.clone()], row].concat())),
            Err(why) => rows.push(vec![host, format!("cannot be looked at: {}", figures::line(why))]),
        }
    }
    figures::table(&rows)
}

impl Status {
    fn rows(&self, now: u64) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = self.units.iter().map(|unit| unit.row(now)).collect();
        let others: Vec<&Instance> = self.instances.iter().filter(|it| it.owner.is_none()).collect();
        rows.extend(others.into_iter().map(|it| {
            let health = if it.problems.is_empty() { "healthy".to_owned() } else { it.problems.join("; ") };
            let cells = ["-", "-", &figures::line(&health), &figures::line(&it.name), "-", "-", "-"];
            cells.map(str::to_owned).to_vec()
        }));
        if rows.is_empty() {
            rows.push(vec!["nothing is deployed".to_owned()]);
        }
        rows
    }
}

impl Unit {
    /// Whether it is well, in words: the first of its problems, with the instance where there are several.
    pub(super) fn health(&self) -> String {
        let first = match (self.problems.as_slice(), self.instances.as_slice()) {
            ([], []) => return "no instance".to_owned(),
            ([], _) => return "healthy".to_owned(),
            ([first, ..], [one]) => first.strip_prefix(&format!("{one}: ")).unwrap_or(first),
            ([first, ..], _) => first,
        };
        match self.problems.len() {
            1 => first.to_owned(),
            count => format!("{first}, and {} more", count - 1),
        }
    }

    /// When it was changed last, in words.
    pub(super) fn changed(&self, now: u64) -> String {
        let change = self.change.as_ref().map(|change| {
            let failed = if change.result == "done" { "" } else { ", failed" };
            format!("{} ago{failed}", span(now.saturating_sub(change.when)))
        });
        change.unwrap_or_else(|| "-".to_owned())
    }

    /// The longest outage of the last change, in words.
    pub(super) fn outage(&self) -> String {
        let longest = self.change.as_ref().and_then(|change| change.outages.values().max());
        longest.map_or_else(|| "-".to_owned(), |took| duration(*took))
    }

    /// When it was backed up last, in words.
    pub(super) fn backed_up(&self, now: u64) -> String {
        self.backup.map_or_else(|| "never".to_owned(), |at| format!("{} ago", span(now.saturating_sub(at))))
    }

    fn row(&self, now: u64) -> Vec<String> {
        let listed = |items: &[String]| if items.is_empty() { "-".to_owned() } else { items.join(", ") };
        let (versions, instances) = (listed(&self.versions), listed(&self.instances));
        let foreign = [&self.name, &versions, &self.health(), &instances].map(|text| figures::line(text));
        [foreign.to_vec(), vec![self.changed(now), self.outage(), self.backed_up(now)]].concat()
    }
}
