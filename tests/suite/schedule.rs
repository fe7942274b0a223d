//! Backups at certain times: the units as they are written, and what systemd is told.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use ryo::failure::Failure;
use ryo::flow::schedule::{Done, Error, Place, Scope, Spec, Systemd, name, pruning, units, values};
use ryo::machine::{Command, Lost, Machine, Process};

use crate::store::ryo;
use crate::support::stage::Stage;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn spec(program: &str) -> Spec {
    Spec {
        host: "web".to_owned(),
        id: "ryo-gitea".to_owned(),
        calendar: "*-*-* 03:00:00".to_owned(),
        backup: words(&format!("{program} backup /home/anna/ryo-projects/ryo-gitea -n web --yes")),
        prune: Some(words(&format!("{program} backup prune ryo-mariadb ryo-gitea -n web --yes --keep-daily 7"))),
        directory: "/tmp".into(),
        environment: vec![("HOME".to_owned(), "/root".to_owned())],
    }
}

#[test]
fn units_are_written_like_this() {
    let written = units(&spec("/usr/local/bin/ryo"), Scope::System).unwrap();
    assert_eq!(
        written.service,
        "# Written by `ryo backup schedule`, which also changes and removes it.\n\
         [Unit]\n\
         Description=Backup of ryo-gitea on host web\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         OnSuccess=ryo-prune-web-ryo-gitea.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         WorkingDirectory=/tmp\n\
         Environment=HOME=/root\n\
         ExecStart=/usr/local/bin/ryo backup /home/anna/ryo-projects/ryo-gitea -n web --yes\n\
         Restart=on-failure\n\
         RestartPreventExitStatus=1 2 3 12 13 101 130\n\
         RestartSec=5min\n"
    );
    // When this has to wait, no backup is made again for it.
    assert_eq!(
        written.prune.unwrap(),
        "# Written by `ryo backup schedule`, which also changes and removes it.\n\
         [Unit]\n\
         Description=Removal of old backups of ryo-gitea on host web\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         WorkingDirectory=/tmp\n\
         Environment=HOME=/root\n\
         ExecStart=/usr/local/bin/ryo backup prune ryo-mariadb ryo-gitea -n web --yes --keep-daily 7\n\
         Restart=on-failure\n\
         RestartPreventExitStatus=1 2 3 12 13 101 130\n\
         RestartSec=5min\n"
    );
    assert_eq!(
        written.timer,
        "# Written by `ryo backup schedule`, which also changes and removes it.\n\
         [Unit]\n\
         Description=When ryo-gitea on host web is backed up\n\
         \n\
         [Timer]\n\
         OnCalendar=*-*-* 03:00:00\n\
         RandomizedDelaySec=15min\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    );
    let alone = units(&Spec { prune: None, ..spec("/ryo") }, Scope::User).unwrap();
    assert!(!alone.service.contains("network-online") && !alone.service.contains("OnSuccess"));
    assert_eq!(alone.prune, None);
}

#[test]
fn what_means_something_to_systemd_is_written_so_that_it_does_not() {
    let mut odd = spec("/usr/local/bin/ryo");
    odd.directory = "/home/anna/my 100% projects".into();
    odd.environment = vec![("HOME".to_owned(), "/home/\"anna\" $HOME 5%".to_owned())];
    odd.backup = ["/opt/my ryo", "", "a b", "100%", "$HOME", "q\"u\\o", "Mon..Fri", ";"].map(str::to_owned).to_vec();
    let service = units(&odd, Scope::User).unwrap().service;
    assert_eq!(values(&service, "WorkingDirectory"), ["/home/anna/my 100%% projects"]);
    assert_eq!(values(&service, "Environment"), [r#""HOME=/home/\"anna\" $HOME 5%%""#]);
    assert_eq!(values(&service, "ExecStart"), [r#""/opt/my ryo" "" "a b" 100%% $$HOME "q\"u\\o" Mon..Fri ";""#]);
    odd.calendar = "daily\nOnCalendar=weekly".to_owned();
    let refused = units(&odd, Scope::User).unwrap_err();
    assert_eq!(refused.to_string(), "`daily\\nOnCalendar=weekly` cannot stand in a unit of systemd");
    odd = spec("/usr/local/bin/ryo");
    odd.backup.push("a\nb".to_owned());
    assert!(matches!(units(&odd, Scope::User), Err(Error::Word(_))));
}

/// systemd's own program reads the units and finds nothing to say.
#[test]
fn systemd_accepts_the_units() {
    for scope in [Scope::System, Scope::User] {
        let directory = tempfile::tempdir().unwrap();
        let mut spec = spec(env!("CARGO_BIN_EXE_ryo"));
        spec.prune =
            Some([env!("CARGO_BIN_EXE_ryo"), "a b", "100%", "$HOME", "q\"u\\o", ";"].map(str::to_owned).to_vec());
        let written = units(&spec, scope).unwrap();
        let name = name("web", "ryo-gitea");
        let texts = [
            (format!("{name}.service"), written.service),
            (format!("{name}.timer"), written.timer),
            (format!("{}.service", pruning(&name)), written.prune.unwrap()),
        ];
        let files = texts.map(|(name, text)| {
            let file = directory.path().join(name);
            fs::write(&file, text).unwrap();
            file
        });
        let mut command = process::Command::new("systemd-analyze");
        command.args((scope == Scope::User).then_some("--user")).args(["verify", "--man=no"]).args(&files);
        command.env("XDG_RUNTIME_DIR", directory.path());
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && !said.contains("ryo-"), "{scope:?}: {said}");
    }
}

/// A computer with a systemd that remembers what it was told.
#[derive(Default)]
struct Fake {
    said: Mutex<Vec<String>>,
    enabled: Mutex<BTreeSet<String>>,
    /// What it answers to everything: status and standard error.
    broken: Option<(i32, &'static str)>,
    lingers: bool,
}

impl Fake {
    /// What was said since.
    fn take(&self) -> Vec<String> {
        let asks = ["show", "is-active", "is-enabled", "show-user", "calendar"];
        let mut said = std::mem::take(&mut *self.said.lock().unwrap());
        said.retain(|line| !asks.iter().any(|ask| line.split(' ').any(|word| word == *ask)));
        said
    }

    fn answer(&self, words: &[String]) -> (i32, String, String) {
        if let Some((status, text)) = self.broken {
            return (status, String::new(), text.to_owned());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--user").collect();
        let mut enabled = self.enabled.lock().unwrap();
        match words[..] {
            ["systemctl", "is-active" | "is-enabled", "--quiet", unit] => {
                (if enabled.contains(unit) { 0 } else { 3 }, String::new(), String::new())
            }
            ["systemctl", "enable", "--now", unit] => {
                enabled.insert(unit.to_owned());
                (0, String::new(), "Created symlink\n".to_owned())
            }
            ["systemctl", "disable", "--now", unit] => {
                enabled.remove(unit);
                (0, String::new(), String::new())
            }
            ["systemd-analyze", "calendar", "--", "often"] => (1, String::new(), "Failed to parse: often\n".to_owned()),
            ["loginctl", ..] => (0, if self.lingers { "yes\n" } else { "no\n" }.to_owned(), String::new()),
            _ => (0, String::new(), String::new()),
        }
    }
}

impl Machine for Fake {
    fn name(&self) -> &'static str {
        "this computer"
    }

    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        self.said.lock().unwrap().push(command.to_string());
        let (status, stdout, stderr) = self.answer(&command.words);
        Box::pin(async move {
            Ok(Process {
                stdin: Box::new(tokio::io::sink()),
                stdout: Box::new(Cursor::new(stdout.into_bytes())),
                stderr: Box::new(Cursor::new(stderr.into_bytes())),
                end: Box::pin(async move { Ok(status) }),
            })
        })
    }
}

fn systemd<'m>(machine: &'m Fake, directory: &Path) -> Systemd<'m> {
    Systemd { machine, place: Place { scope: Scope::User, directory: directory.join("systemd/user") } }
}

#[tokio::test]
async fn a_schedule_is_made_changed_and_removed_and_a_second_run_changes_nothing() {
    let (machine, directory) = (Fake::default(), tempfile::tempdir().unwrap());
    let systemd = systemd(&machine, directory.path());
    let name = name("web", "ryo-gitea");
    assert_eq!(systemd.look(&name).await.unwrap(), None);
    assert_eq!(systemd.remove(&name).await.unwrap(), Done::Nothing);

    let first = units(&spec("/ryo"), Scope::User).unwrap();
    assert_eq!(systemd.set(&name, &first).await.unwrap(), Done::Something);
    assert_eq!(
        machine.take(),
        ["systemctl --user daemon-reload", "systemctl --user enable --now ryo-backup-web-ryo-gitea.timer"]
    );
    let there = systemd.look(&name).await.unwrap().unwrap();
    assert_eq!((&there.units, there.runs), (&first, true));
    assert_eq!(systemd.set(&name, &first).await.unwrap(), Done::Nothing);
    assert_eq!(machine.take(), Vec::<String>::new());

    let weekly = Spec { calendar: "weekly".to_owned(), ..spec("/ryo") };
    let second = units(&weekly, Scope::User).unwrap();
    assert_eq!(systemd.set(&name, &second).await.unwrap(), Done::Something);
    assert_eq!(
        machine.take(),
        ["systemctl --user daemon-reload", "systemctl --user restart ryo-backup-web-ryo-gitea.timer"]
    );
    // Nothing is removed any more.
    let second = units(&Spec { prune: None, ..weekly }, Scope::User).unwrap();
    assert_eq!(systemd.set(&name, &second).await.unwrap(), Done::Something);
    assert!(!directory.path().join("systemd/user/ryo-prune-web-ryo-gitea.service").exists());
    machine.take();
    // A run that was killed before systemd was told.
    machine.enabled.lock().unwrap().clear();
    assert!(!systemd.look(&name).await.unwrap().unwrap().runs);
    assert_eq!(systemd.set(&name, &second).await.unwrap(), Done::Something);
    assert_eq!(machine.take(), ["systemctl --user enable --now ryo-backup-web-ryo-gitea.timer"]);

    systemd.set(&name, &first).await.unwrap();
    machine.take();
    assert_eq!(systemd.remove(&name).await.unwrap(), Done::Something);
    assert_eq!(
        machine.take(),
        ["systemctl --user disable --now ryo-backup-web-ryo-gitea.timer", "systemctl --user daemon-reload"]
    );
    assert_eq!(fs::read_dir(directory.path().join("systemd/user")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_time_that_is_none_and_a_systemd_that_is_not_there_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let fine = Fake::default();
    let text = |error: Error| Failure::from(error).text();
    systemd(&fine, directory.path()).understands("daily").await.unwrap();
    assert_eq!(
        text(systemd(&fine, directory.path()).understands("often").await.unwrap_err()),
        "error: `often` is no calendar expression of systemd: Failed to parse: often\n\
         hint: `man systemd.time` says how they are written, e.g. `Mon..Fri 22:30`\n"
    );
    assert!(!systemd(&fine, directory.path()).lingers("anna").await.unwrap());
    assert!(systemd(&Fake { lingers: true, ..Fake::default() }, directory.path()).lingers("anna").await.unwrap());

    let none = Fake { broken: Some((1, "Failed to connect to bus: No medium found\n")), ..Fake::default() };
    assert_eq!(
        text(systemd(&none, directory.path()).answers().await.unwrap_err()),
        "error: systemd does not answer: Failed to connect to bus: No medium found\n\
         hint: log in as this account itself (not with `su`), or have root run `loginctl enable-linger` for it\n"
    );
    let missing = Fake { broken: Some((127, "systemctl: not found\n")), ..Fake::default() };
    let system =
        Systemd { machine: &missing, place: Place { scope: Scope::System, directory: directory.path().into() } };
    assert_eq!(
        text(system.answers().await.unwrap_err()),
        "error: systemd does not answer: systemctl: not found\n\
         hint: run `ryo backup` from whatever starts things here at certain times\n"
    );
    // Without the program that knows times, it is left to systemd.
    system.understands("daily").await.unwrap();
    let written = units(&spec("/ryo"), Scope::System).unwrap();
    assert_eq!(
        text(system.set("ryo-backup-web-ryo-gitea", &written).await.unwrap_err()),
        "error: `systemctl daemon-reload` failed: systemctl: not found\n"
    );
}

#[test]
fn what_is_missing_is_told_before_anything_is_written() {
    let stage = Stage::new();
    let ended = ryo(&stage, &["backup", "schedule", "ryo-tiny", "-n", "local", "--keep-daily", "7"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: nothing says when backups are made\n\
             hint: give `--daily`, `--weekly` or `--on-calendar EXPRESSION`\n"
        )
    );
    let ended = ryo(&stage, &["backup", "schedule", "ryo-tiny", "-n", "local", "--daily", "--weekly"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.starts_with("error: the argument '--daily' cannot be used with '--weekly'\n"),
        "{}",
        ended.stderr
    );
}
