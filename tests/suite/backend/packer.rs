//! Packer: what it is given, what is made of what it says, and how it fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ryo::backend::packer::{BuildPlace, Output, words};
use ryo::backend::program::Stream;
use ryo::backend::{Build as _, ImageBuild, Packer};
use ryo::event::{Event, TaskStatus};

use super::{collected, done, stand_in, work};
use crate::support::work::Ended;

fn image(template: impl AsRef<Path>) -> ImageBuild {
    let given = [("host_id", "web"), ("hello_version", "1.0.0"), ("remote", "true"), ("version", "20261123")];
    ImageBuild {
        template: template.as_ref().to_owned(),
        source: None,
        variables: given.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

#[test]
fn packer_is_given_what_the_original_gives_it() {
    let template = PathBuf::from("/work/ryo-hello/image-build/hello.pkr.hcl");
    let expected = |remote: &str, only: &[&str]| {
        let mut words = vec!["build", "-machine-readable", "-color=false"];
        words.extend(only);
        let variables = ["hello_version=1.0.0", "host_id=web", remote, "version=20261123"];
        words.extend(variables.iter().flat_map(|variable| ["-var", variable]));
        words.push("/work/ryo-hello/image-build/hello.pkr.hcl");
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(&image(&template), BuildPlace::Host), expected("remote=true", &[]));
    assert_eq!(words(&image(&template), BuildPlace::Here), expected("remote=false", &[]));
    let one = ImageBuild { source: Some("lxd.container".to_owned()), ..image(&template) };
    assert_eq!(words(&one, BuildPlace::Host), expected("remote=true", &["-only=lxd.container"]));
    let bare = ImageBuild { variables: BTreeMap::new(), ..image("/a.pkr.hcl") };
    assert_eq!(words(&bare, BuildPlace::Here), ["build", "-machine-readable", "-color=false", "/a.pkr.hcl"]);
}

/// As Packer 1.6.6 writes it, with ansible-core 2.15 in it.
const SAID: &str = r#"1795966705,,ui,say,==> lxd.container: Creating container...
1795966709,,ui,message,    lxd.container: Setting up proxy adapter for Ansible....
1795966710,,ui,message,    lxd.container:
1795966710,,ui,message,    lxd.container: PLAY [Provision the image%!(PACKER_COMMA) well] ********************
1795966712,,ui,message,    lxd.container: TASK [upgrade-container : Upgrade all packages] ********************
1795966712,,ui,message,    lxd.container: ok: [packer-lxd-build]
1795966712,,ui,message,    lxd.container: TASK [upgrade-container : command] *********************************
1795966712,,ui,message,    lxd.container: fatal: [packer-lxd-build]: FAILED! => {"changed": true%!(PACKER_COMMA) "cmd": ["false"]%!(PACKER_COMMA) "msg": "non-zero\nreturn code"}
1795966713,,ui,say,==> lxd.container: Unregistering and deleting deleting container...
1795966713,,ui,error,Build 'lxd.container' errored after 8 seconds: Error executing Ansible: Non-zero exit status: exit status 2
1795966713,,error-count,1
1795966713,,ui,error,\n==> Some builds didn't complete successfully and had errors:
1795966713,lxd.container,error,Error executing Ansible: Non-zero exit status: exit status 2
1795966713,,ui,error,--> lxd.container: Error executing Ansible: Non-zero exit status: exit status 2
1795966713,,ui,say,\n==> Builds finished but no artifacts were created.
"#;

#[test]
fn what_packer_says_becomes_events_and_lines_for_people() {
    let mut output = Output::default();
    let told: Vec<(Option<Event>, Vec<String>)> = SAID.lines().map(|line| output.line(Stream::Output, line)).collect();
    let task = |name: &str| Event::TaskStarted { name: name.to_owned(), handler: false };
    let host = "packer-lxd-build";
    let command = "upgrade-container : command";
    let events: Vec<Event> = told.iter().filter_map(|(event, _)| event.clone()).collect();
    assert_eq!(
        events,
        [
            task("Creating container..."),
            Event::PlayStarted { name: "Provision the image, well".to_owned() },
            task("upgrade-container : Upgrade all packages"),
            done(host, "upgrade-container : Upgrade all packages", None, TaskStatus::Ok, None),
            task(command),
            done(host, command, None, TaskStatus::Failed, Some("non-zero\nreturn code")),
            task("Unregistering and deleting deleting container..."),
        ]
    );
    let lines: Vec<&str> = told.iter().flat_map(|(_, lines)| lines).map(String::as_str).collect();
    assert_eq!(
        lines,
        [
            "Creating container...",
            "Setting up proxy adapter for Ansible....",
            "PLAY [Provision the image, well] ********************",
            "TASK [upgrade-container : Upgrade all packages] ********************",
            "ok: [packer-lxd-build]",
            "TASK [upgrade-container : command] *********************************",
            r#"fatal: [packer-lxd-build]: FAILED! => {"changed": true, "cmd": ["false"], "msg": "non-zero\nreturn code"}"#,
            "Unregistering and deleting deleting container...",
            "Build 'lxd.container' errored after 8 seconds: Error executing Ansible: Non-zero exit status: exit status 2",
            "==> Some builds didn't complete successfully and had errors:",
            "Error executing Ansible: Non-zero exit status: exit status 2",
            "==> Builds finished but no artifacts were created.",
        ]
    );
    // What is not of this form is for people as it is.
    let lost = output.line(Stream::Error, "panic: runtime error, badly");
    assert_eq!(lost, (None, vec!["panic: runtime error, badly".to_owned()]));
}

/// Runs a stand-in that says what `said` holds and ends with `status`.
async fn run(said: &str, status: u8) -> (Result<(), String>, Vec<Event>, String) {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().display();
    fs::write(directory.path().join("said"), said).unwrap();
    let script = format!(
        "[ \"$1\" != --version ] || {{ echo 1.6.6; exit; }}\n\
         echo \"$@ $ANSIBLE_NOCOLOR $CHECKPOINT_DISABLE $(pwd)\" > {here}/words\ncat {here}/said\nexit {status}"
    );
    stand_in(directory.path(), "packer", &script);
    let packer = Packer::find(directory.path().as_os_str(), BuildPlace::Host).await.unwrap();
    let (seen, events) = collected();
    let ended = packer.build(&image(directory.path().join("hello.pkr.hcl")), &events).await;
    let tidy = |text: String| text.replace(&here.to_string(), "HERE");
    let events = seen.lock().unwrap().clone();
    let words = fs::read_to_string(directory.path().join("words")).unwrap();
    (ended.map_err(|error| tidy(error.to_string())), events, tidy(words))
}

#[tokio::test]
async fn a_packer_that_fails_is_told_with_the_end_of_what_it_said() {
    let (ended, events, words) = run(SAID, 1).await;
    assert_eq!(events.len(), 7);
    assert_eq!(
        words,
        "build -machine-readable -color=false -var hello_version=1.0.0 -var host_id=web -var remote=true \
         -var version=20261123 HERE/hello.pkr.hcl 1 1 HERE\n"
    );
    let said = ended.unwrap_err();
    assert!(
        said.starts_with("`HERE/packer` ended with exit status: 1; its output ends with:\nCreating container...\n")
            && said.ends_with("\n==> Builds finished but no artifacts were created."),
        "{said}"
    );
    assert_eq!(run("", 0).await.0, Ok(()));
}

#[test]
fn a_packer_that_is_not_there_or_too_old_is_told_before_anything_is_done() {
    let directory = work();
    let settings = directory.path().join("settings.yml");
    let here = "hosts:\n  local:\n    socket: /nowhere/unix.socket\n";
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let ryo = |words: &[&str]| {
        Ended::here(directory.path(), words, |command| {
            command.env("RYO_SETTINGS", &settings).env("PATH", &programs);
        })
    };
    let deploy = ["plan", "deploy", "ryo-tiny", "-n", "local"];
    let absent = "error: there is no program `packer` on the path\n\
                  hint: install it, or let ryo do the work: without the option or the setting that asks for it\n";
    fs::write(&settings, here).unwrap();
    for words in [
        [&deploy[..], &["--build", "packer"]].concat(),
        vec!["plan", "upgrade", "ryo-tiny", "-n", "local", "--build", "packer"],
        vec!["image", "build", "ryo-tiny", "-n", "local", "--build", "packer"],
    ] {
        let ended = ryo(&words);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(2), absent), "{words:?}");
    }
    fs::write(&settings, format!("{here}projects:\n  ryo-tiny:\n    build: packer\n")).unwrap();
    assert_eq!(ryo(&deploy).stderr, absent);
    stand_in(&programs, "packer", "echo 1.5.6");
    assert_eq!(
        ryo(&deploy).stderr,
        "error: `HERE/programs/packer` is 1.5, and 1.6 or newer is needed\n\
         hint: install it, or let ryo do the work: without the option or the setting that asks for it\n"
    );
    let native = ryo(&[&deploy[..], &["--build", "native"]].concat());
    assert!(native.stderr.contains("cannot reach LXD"), "{}", native.stderr);
}
