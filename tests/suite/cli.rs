//! The program from outside: what a person types, reads and gets as an exit code. No server is needed.

use std::path::Path;

use clap::CommandFactory as _;
use ryo::cli::Arguments;

use crate::support::work::{Ended, copy};

/// A working directory with the repositories of the tests and these settings.
fn work(settings: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories"), directory.path());
    std::fs::write(directory.path().join("settings.yml"), settings).unwrap();
    directory
}

fn ryo(directory: &Path, words: &[&str]) -> Ended {
    Ended::here(directory, words, |command| {
        command.env("RYO_SETTINGS", directory.join("settings.yml")).env_remove("SSH_AUTH_SOCK");
    })
}

#[test]
fn the_words_of_all_commands_fit_together() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_that_a_person_types_has_help_with_an_example() {
    fn look(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            assert!(sub.get_about().is_some(), "{path} does not say what it is for");
            if sub.has_subcommands() {
                look(sub, &path);
            } else {
                let example = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(example.contains(&path), "{path} has no example: {example}");
            }
        }
    }
    look(&Arguments::command(), "ryo");
}

#[test]
fn a_typing_error_in_a_command_names_the_nearest_one() {
    let directory = work("");
    let ended = ryo(directory.path(), &["depoly", "ryo-tiny"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: unrecognized subcommand 'depoly'\n\n  tip: a similar subcommand exists: 'deploy'\n\n\
         Usage: ryo [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n"
    );
}

#[test]
fn a_program_that_reads_json_is_told_of_a_typing_error_and_of_a_full_disk() {
    let directory = work("");
    let ended = ryo(directory.path(), &["log", "--limit", "0", "--json"]);
    assert_eq!(ended.code, Some(2));
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (told["event"].as_str(), told["error"].as_str()),
        (Some("failed"), Some("invalid value '0' for '--limit <N>': a number from 1 is required"))
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ryo"));
    command.args(["log"]).env("HOME", directory.path()).stdout(std::fs::File::create("/dev/full").unwrap());
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(said, "error: what was to be shown cannot be written: No space left on device (os error 28)\n");
}

#[test]
fn a_version_has_to_be_a_part_of_a_name() {
    let directory = work("");
    for version in ["", "1;x", "-1", "a b"] {
        let ended =
            ryo(directory.path(), &["deploy", "ryo-tiny", "-n", "local", &format!("--image-version={version}")]);
        assert_eq!(ended.code, Some(2));
        let wanted = format!(
            "error: invalid value '{version}' for '--image-version <VERSION>': \
             letters, digits, dashes, dots and underscores are required\n"
        );
        assert!(ended.stderr.starts_with(&wanted), "{}", ended.stderr);
    }
}

#[test]
fn a_directory_that_is_no_repository_is_named() {
    let directory = work("");
    let ended = ryo(directory.path(), &["deploy", "ryo-tinny", "-n", "local"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: 1 problem; nothing was touched\n  HERE/ryo-tinny: there is no such directory (did you mean `ryo-tiny`?)\n"
    );
}

#[test]
fn a_host_that_nobody_configured_is_a_problem_of_the_configuration() {
    let directory = work("");
    let ended = ryo(directory.path(), &["deploy", "ryo-tiny", "-n", "web"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("ryo-host/configuration/configuration_web.yml"), "{}", ended.stderr);
}

#[test]
fn a_server_that_does_not_listen_is_named_with_what_to_do() {
    let directory = work("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    let ended = ryo(directory.path(), &["deploy", "ryo-tiny", "-n", "local", "--yes"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>(),
        [
            "error: cannot reach LXD at /nowhere/unix.socket on local",
            "  because: No such file or directory (os error 2)",
            "hint: start LXD or Incus on the host",
        ]
    );
}

#[test]
fn a_mistake_in_the_settings_is_named_with_its_place() {
    let cases = [
        ("hosts: [", "error: HERE/settings.yml:1:8: unclosed bracket"),
        (
            "hosts:\n  local:\n    sokcet: /x\n",
            "error: HERE/settings.yml: `hosts.local.sokcet`: unknown field `sokcet`",
        ),
        (
            "backup:\n  store: restic:backups\n",
            "error: HERE/settings.yml: `backup.store`: `backups` begins neither with `/` nor with `~/`\n",
        ),
        ("hosts:\n  local:\n    port: seven\n", "error: HERE/settings.yml: `hosts.local.port`: invalid type"),
    ];
    for (settings, expected) in cases {
        let directory = work(settings);
        let ended = ryo(directory.path(), &["plan", "deploy", "ryo-tiny", "-n", "local"]);
        assert_eq!(ended.code, Some(2), "{settings}: {}", ended.stderr);
        assert!(ended.stderr.starts_with(expected), "{settings}: {}", ended.stderr);
    }
}

#[test]
fn requests_are_told_to_whoever_looks_for_a_fault() {
    let directory = work("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    let told = |level: &str| {
        Ended::here(directory.path(), &["plan", "deploy", "ryo-tiny", "-n", "local"], |command| {
            command.env("RYO_SETTINGS", directory.path().join("settings.yml")).env("RYO_LOG", level);
        })
    };
    let lines = |ended: &Ended| -> Vec<String> {
        let ours = ended.stderr.lines().filter_map(|line| line.split_once(" DEBUG ").map(|(_, rest)| rest.to_owned()));
        ours.map(|line| line.split(" took=").next().unwrap().to_owned()).collect()
    };
    let request = "request host=\"LXD at /nowhere/unix.socket on local\" method=GET path=\"/1.0\" status=0";
    let ended = told("debug");
    assert_eq!((ended.code, lines(&ended)), (Some(1), vec![request.to_owned()]), "{}", ended.stderr);
    assert_eq!(lines(&told("")), Vec::<String>::new());
    let ended = told("trace");
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(2), "error: `RYO_LOG` is `trace`, must be `debug` or not set\n")
    );
}

#[test]
fn a_failure_is_one_object_for_programs() {
    let directory = work("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    let ended = ryo(directory.path(), &["plan", "deploy", "ryo-tiny", "-n", "local", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stdout.lines().last(),
        Some(
            "{\"event\":\"failed\",\"error\":\"cannot reach LXD at /nowhere/unix.socket on local\",\
             \"because\":[\"No such file or directory (os error 2)\"],\
             \"hints\":[\"start LXD or Incus on the host\"],\"code\":1}"
        )
    );
}

#[test]
fn the_directory_with_the_repositories_is_found_or_asked_for() {
    let directory = work("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    let below = directory.path().join("ryo-tiny/image-build");
    let found = ryo(&below, &["image", "list", "-n", "local", "--settings", "../../settings.yml"]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("settings.yml"), "").unwrap();
    let ended = ryo(elsewhere.path(), &["image", "list", "-n", "local"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: no directory with `ryo-host` in it here or above\n\
         hint: change to the working directory, or name it with `--working-directory`\n\
         hint: `ryo init` makes a new one\n"
    );
}

/// Everything that a build would make for a host counts as awaited.
#[test]
fn a_plan_can_be_had_from_the_repositories_alone() {
    let directory = work("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    let words = ["plan", "deploy", "ryo-tiny", "-n", "local", "-v", "7", "--offline"];
    let ended = ryo(directory.path(), &words);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "deploy ryo-tiny 7 on local (offline, as on an empty host):\n\
         \x20 ~ ryo-tiny-store: set up the host (first time)\n\
         \x20 ~ ryo-tiny: set up the host (first time)\n\
         \x20 + ryo-tiny-store: build image ryo-tiny-store-store-7 from tiny (there is none)\n\
         \x20 + ryo-tiny: build image ryo-tiny-tiny-7 from tiny (there is none)\n\
         \x20 + ryo-tiny-store: create instance store from ryo-tiny-store-store-7\n\
         \x20     device data: disk, path /data, readonly false, shift true, source /var/containers/ryo-tiny-store/data\n\
         \x20     device eth0: nic, ipv4.address 10.10.1.60, name eth0, network local\n\
         \x20 + ryo-tiny-store: enter the module in the list of deployed modules\n\
         \x20 ~ ryo-tiny: write 1 Consul key\n\
         \x20     set service/store/entries/ryo-tiny-domain\n\
         \x20 + ryo-tiny: create instance tiny from ryo-tiny-tiny-7\n\
         \x20     device data: disk, path /data, readonly false, shift true, source /var/containers/ryo-tiny/data\n\
         \x20     device eth0: nic, ipv4.address 10.10.1.61, name eth0, network local\n\
         \x20     device proxy0: proxy, connect tcp:10.10.1.61:80, listen tcp:10.10.1.1:8061, nat yes\n\
         \x20 ~ ryo-tiny: write 2 Consul keys\n\
         \x20     set service/store/names/ryo-tiny\n\
         \x20     set service/store/names/tiny\n\
         \x20 + ryo-tiny: enter the project in the list of deployed projects\n\
         10 steps\n"
    );
}

#[test]
fn several_repositories_are_checked_at_once() {
    let directory = work("");
    let ended = ryo(directory.path(), &["check", "ryo-tiny", "ryo-tiny-store", "-n", "local"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "no problems\n"));
    let ended = ryo(directory.path(), &["check", "ryo-tiny", "ryo-gone", "-n", "web"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stdout,
        "ryo-gone: there is no such directory\n\
         ryo-host/configuration/configuration_web.yml: this configuration file is missing\n\
         ryo-tiny/configuration/configuration_web.yml: this configuration file is missing\n3 problems\n"
    );
}

#[test]
fn shells_can_complete_the_words() {
    let directory = work("");
    for (shell, sign) in [("bash", "complete -F _ryo"), ("zsh", "#compdef ryo"), ("fish", "complete -c ryo")] {
        let ended = ryo(directory.path(), &["completions", shell]).well();
        assert!(ended.stdout.contains(sign) && ended.stdout.contains("deploy"), "{shell}: {}", ended.stdout);
    }
    // What bash is told is what it understands.
    for (words, at, completed) in [("dep", 1, "deploy\n"), ("backup list --pass", 3, "--password-file\n")] {
        let last = words.rsplit(' ').next().unwrap();
        let script = format!(
            "source <(\"$0\" completions bash); COMP_WORDS=(ryo {words}); COMP_CWORD={at}; _ryo ryo {last} ryo; echo \"${{COMPREPLY[@]}}\""
        );
        let bash =
            std::process::Command::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_ryo")]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&bash.stdout), completed, "{}", String::from_utf8_lossy(&bash.stderr));
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_example() {
    let directory = work("");
    ryo(directory.path(), &["man", "pages"]).well();
    let page = |name: &str| std::fs::read_to_string(directory.path().join("pages").join(name)).unwrap();
    assert!(page("ryo-deploy.1").contains("ryo deploy ryo\\-gitea \\-n web"), "{}", page("ryo-deploy.1"));
    assert!(page("ryo-host-setup.1").contains("ryo host setup"));
    assert!(!directory.path().join("pages/ryo-agent.1").exists());
    let ended = ryo(directory.path(), &["man", "settings.yml"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), "error: cannot write to settings.yml: File exists (os error 17)\n")
    );
}
