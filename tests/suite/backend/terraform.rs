//! Terraform and Tofu: what they are given, what is made of what they say, and which part of a plan is theirs.
//!
//! No provider can be had here: a script stands in for the program. What it says was recorded from Terraform 1.11.4.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ryo::backend::program::Error;
use ryo::backend::terraform::{self, apply, forget, state};
use ryo::backend::{Deploy, Programs, Rollout, Terraform};
use ryo::event::{Event, Events, TaskStatus};
use ryo::flow::deploy::Unit;
use ryo::flow::program;
use ryo::plan::{Action, Plan, Step, Values};
use ryo::project::Kind;
use ryo::project::access::Writes;
use ryo::terraform::{Deployment, ObjectKind};

use super::{collected, done, stand_in, work};
use crate::support::work::Ended;

fn rollout(directory: &Path) -> Rollout {
    Rollout { directory: directory.to_owned(), host: "web".to_owned(), version: "20261123".to_owned() }
}

#[test]
fn terraform_is_given_what_the_original_gives_it() {
    let words =
        ["apply", "-json", "-input=false", "-auto-approve", "-var", "host_id=web", "-var", "image_version=20261123"];
    assert_eq!(apply(&rollout(Path::new("/work/ryo-hello/project-deployment"))), words);
}

const SAID: &str = r#"{"@level":"info","@message":"Terraform 1.11.4","@module":"terraform.ui","@timestamp":"2026-11-29T15:36:03.093497Z","terraform":"1.11.4","type":"version","ui":"1.2"}
{"@level":"info","@message":"terraform_data.b: Plan to create","@module":"terraform.ui","change":{"resource":{"addr":"terraform_data.b"},"action":"create"},"type":"planned_change"}
{"@level":"info","@message":"terraform_data.a[0]: Destroying... [id=e6b5d84a]","@module":"terraform.ui","hook":{"resource":{"addr":"terraform_data.a[0]","module":"","resource":"terraform_data.a[0]"},"action":"delete","id_key":"id","id_value":"e6b5d84a"},"type":"apply_start"}
{"@level":"info","@message":"terraform_data.a[0]: Destruction complete after 2s","@module":"terraform.ui","hook":{"resource":{"addr":"terraform_data.a[0]"},"action":"delete","elapsed_seconds":2},"type":"apply_complete"}
{"@level":"warn","@message":"Warning: Deprecated attribute","@module":"terraform.ui","diagnostic":{"severity":"warning","summary":"Deprecated attribute","detail":"Use another one."},"type":"diagnostic"}
{"@level":"info","@message":"terraform_data.b: Creating...","@module":"terraform.ui","hook":{"resource":{"addr":"terraform_data.b"},"action":"create"},"type":"apply_start"}
{"@level":"info","@message":"terraform_data.b: Creation errored after 0s","@module":"terraform.ui","hook":{"resource":{"addr":"terraform_data.b"},"action":"create","elapsed_seconds":0},"type":"apply_errored"}
{"@level":"error","@message":"Error: local-exec provisioner error","@module":"terraform.ui","diagnostic":{"severity":"error","summary":"local-exec provisioner error","detail":"Error running command 'exit 3': exit status 3. Output: out\nno\n","address":"terraform_data.b"},"type":"diagnostic"}
"#;

fn events() -> Vec<Event> {
    let task = |name: &str| Event::TaskStarted { name: name.to_owned(), handler: false };
    let mut destroyed = done(
        "web",
        "delete terraform_data.a[0]",
        None,
        TaskStatus::Changed,
        Some("terraform_data.a[0]: Destruction complete after 2s"),
    );
    if let Event::TaskDone { took, .. } = &mut destroyed {
        *took = 2000;
    }
    vec![
        task("delete terraform_data.a[0]"),
        destroyed,
        Event::Warned { message: "Warning: Deprecated attribute".to_owned() },
        task("create terraform_data.b"),
        done(
            "web",
            "create terraform_data.b",
            None,
            TaskStatus::Failed,
            Some("terraform_data.b: Creation errored after 0s"),
        ),
    ]
}

const FOR_PEOPLE: [&str; 11] = [
    "Terraform 1.11.4",
    "terraform_data.b: Plan to create",
    "terraform_data.a[0]: Destroying... [id=e6b5d84a]",
    "terraform_data.a[0]: Destruction complete after 2s",
    "Warning: Deprecated attribute",
    "Use another one.",
    "terraform_data.b: Creating...",
    "terraform_data.b: Creation errored after 0s",
    "Error: local-exec provisioner error",
    "Error running command 'exit 3': exit status 3. Output: out",
    "no",
];

#[test]
fn what_terraform_says_becomes_events_and_lines_for_people() {
    let told: Vec<(Option<Event>, Vec<String>)> = SAID.lines().map(|line| terraform::told("web", line)).collect();
    assert_eq!(told.iter().filter_map(|(event, _)| event.clone()).collect::<Vec<_>>(), events());
    assert_eq!(told.into_iter().flat_map(|(_, lines)| lines).collect::<Vec<_>>(), FOR_PEOPLE);
    assert_eq!(terraform::told("web", "panic: badly"), (None, vec!["panic: badly".to_owned()]));
}

/// A repository and a stand-in that notes how it was called and ends badly when it is told `fails`.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(name: &str, fails: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["repository/project-deployment", "repository/configuration"] {
            fs::create_dir_all(directory.path().join(folder)).unwrap();
        }
        let here = directory.path().display();
        fs::write(directory.path().join("said"), SAID).unwrap();
        let script = format!(
            "[ \"$1\" != --version ] || {{ echo 'Terraform v1.11.4'; exit; }}\n\
             echo \"$* [$TF_WORKSPACE $TF_IN_AUTOMATION $CHECKPOINT_DISABLE $TF_VAR_host_id] $(pwd)\" >> {here}/calls\n\
             case \"$*\" in *' workspace new web') mkdir -p terraform.tfstate.d/web;; *' apply '*) cat {here}/said;; esac\n\
             case \"$2\" in {fails}) echo 'Error: no' >&2; exit 1;; esac"
        );
        stand_in(directory.path(), name, &script);
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn run(&self, name: &'static str) -> (Result<(), String>, Vec<Event>) {
        let program = Terraform::find(name, self.directory.path().as_os_str()).await.unwrap();
        assert_eq!(program.name(), name);
        let (seen, events) = collected();
        let ended = program.deploy(&rollout(&self.path("repository/project-deployment")), &events).await;
        let events = seen.lock().unwrap().clone();
        (ended.map_err(|error| self.tidy(&error.to_string())), events)
    }

    /// How it was called since the last time that this was asked.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap();
        fs::remove_file(self.path("calls")).unwrap();
        text.lines().map(|line| self.tidy(line)).collect()
    }

    fn tidy(&self, text: &str) -> String {
        text.replace(&self.directory.path().display().to_string(), "HERE")
    }
}

#[tokio::test]
async fn a_deployment_is_a_workspace_an_init_and_an_apply() {
    for name in ["terraform", "tofu"] {
        let place = Place::new(name, "nothing");
        assert_eq!(place.run(name).await, (Ok(()), events()));
        let at = "HERE/repository/project-deployment";
        let call = |words: &str, workspace: &str| format!("-chdir={at} {words} [{workspace} 1 1 ] {at}");
        let apply = "apply -json -input=false -auto-approve -var host_id=web -var image_version=20261123";
        let rest = [call("init -input=false -no-color", "web"), call(apply, "web")];
        assert_eq!(place.calls(), [&[call("workspace new web", "")], &rest[..]].concat());
        // The original's scripts know it by this.
        assert_eq!(fs::read_to_string(place.path("repository/configuration/web_workspace_created")).unwrap(), "");
        place.run(name).await.0.unwrap();
        assert_eq!(place.calls(), [&[call("workspace select web", "")], &rest[..]].concat());
    }
}

#[tokio::test]
async fn a_terraform_that_fails_is_told_with_the_end_of_what_it_said() {
    let failed = |said: &str| format!("`HERE/terraform` ended with exit status: 1; its output ends with:\n{said}");
    let place = Place::new("terraform", "apply");
    let (ended, told) = place.run("terraform").await;
    assert_eq!(ended, Err(failed(&[&FOR_PEOPLE[..], &["Error: no"]].concat().join("\n"))));
    assert_eq!(told, events());
    for (fails, calls) in [("init", 2), ("workspace", 1)] {
        let place = Place::new("terraform", fails);
        assert_eq!(place.run("terraform").await, (Err(failed("Error: no")), vec![]));
        assert_eq!(place.calls().len(), calls);
        // Nothing says that there is a workspace where there is none.
        assert_eq!(place.path("repository/configuration/web_workspace_created").exists(), fails == "init");
    }
    let place = Place::new("terraform", "nothing");
    fs::remove_dir(place.path("repository/configuration")).unwrap();
    let told = "cannot change `HERE/repository/configuration/web_workspace_created`".to_owned();
    assert_eq!(place.run("terraform").await.0, Err(told));
}

#[test]
fn what_terraform_knows_of_a_host_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let file = state(directory.path(), "web");
    assert_eq!(file, directory.path().join("terraform.tfstate.d/web/terraform.tfstate"));
    forget(directory.path(), "web").unwrap();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "{}").unwrap();
    forget(directory.path(), "web").unwrap();
    assert!(!file.exists() && file.parent().unwrap().is_dir(), "the workspace stays");
    fs::create_dir(&file).unwrap();
    assert!(matches!(forget(directory.path(), "web"), Err(Error::File { .. })));
}

/// Does nothing.
struct Idle;

impl Deploy for Idle {
    fn name(&self) -> &'static str {
        "terraform"
    }

    fn deploy<'a>(&'a self, _: &'a Rollout, _: &'a Events) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

fn unit(owner: &str) -> Unit {
    Unit {
        owner: owner.to_owned(),
        kind: Kind::Project,
        version: "7".to_owned(),
        host_setup: None,
        images: vec![],
        deployment: Deployment::default(),
        directory: PathBuf::from(format!("/work/{owner}/project-deployment")),
        writes: Writes::default(),
    }
}

#[test]
fn a_program_comes_before_what_it_does_and_only_there() {
    let step = |owner: &str, action: Action| Step { owner: owner.to_owned(), action };
    let remove = |name: &str| Action::RemoveInstance(name.to_owned());
    let steps = vec![
        step("ryo-a", Action::RemoveBuild("left".to_owned())),
        step("ryo-a", Action::Record { kind: Kind::Project }),
        step("ryo-b", remove("b")),
        step("ryo-a", Action::StopInstance("a".to_owned())),
        step("ryo-a", remove("a1")),
        step("ryo-a", Action::RemoveObject { kind: ObjectKind::Profile, name: "a2".to_owned() }),
    ];
    let programs = Programs { deploy: Some(Arc::new(Idle)), ..Programs::default() };
    let programs = BTreeMap::from([("ryo-a".to_owned(), programs), ("ryo-b".to_owned(), Programs::default())]);
    let plan = Plan { title: "deploy".to_owned(), steps, values: Values::Known };
    let units = [unit("ryo-a"), unit("ryo-b")];
    let planned = program::plan(plan.clone(), &units, "web", &programs);
    assert_eq!(
        planned.text(),
        "deploy:\n\
        \x20 - ryo-a: remove the left-over build instance left\n\
        \x20     destroys build instance `left`\n\
        \x20 + ryo-a: enter the project in the list of deployed projects\n\
        \x20 - ryo-b: remove instance b, which no file names any longer\n\
        \x20     destroys instance `b` with everything in it that is not on a mounted host directory\n\
        \x20 ~ ryo-a: stop instance a\n\
        \x20 ~ ryo-a: have terraform bring up version 7\n\
        \x20 - ryo-a: remove instance a1, which no file names any longer\n\
        \x20     destroys instance `a1` with everything in it that is not on a mounted host directory\n\
        \x20 - ryo-a: remove profile a2, which no file names any longer\n\
        \x20     destroys profile a2\n\
        7 steps\n"
    );
    let Action::Deploy { rollout, .. } = &planned.steps[4].action else { panic!("{planned:?}") };
    assert_eq!(**rollout, Rollout { version: "7".to_owned(), ..self::rollout(&units[0].directory) });
    let prepared = Plan { steps: plan.steps[..2].to_vec(), ..plan };
    assert_eq!(program::plan(prepared.clone(), &units, "web", &programs), prepared);
}

#[test]
fn a_terraform_that_is_not_there_or_too_old_is_told_before_anything_is_done() {
    let directory = work();
    let settings = directory.path().join("settings.yml");
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let set = |deploy: &str| {
        let here = "hosts:\n  local:\n    socket: /nowhere/unix.socket\nprojects:\n  ryo-tiny:\n    deploy: ";
        fs::write(&settings, format!("{here}{deploy}\n")).unwrap();
    };
    let ryo = |words: &[&str]| {
        Ended::here(directory.path(), words, |command| {
            command.env("RYO_SETTINGS", &settings).env("PATH", &programs);
        })
    };
    let hint = "hint: install it, or let ryo do the work: without the option or the setting that asks for it\n";
    let plan = ["plan", "deploy", "ryo-tiny", "-n", "local"];
    set("terraform");
    let absent = ryo(&plan);
    let told = format!("error: there is no program `terraform` on the path\n{hint}");
    assert_eq!((absent.code, absent.stderr), (Some(2), told));
    let other = ryo(&["plan", "upgrade", "ryo-tiny", "-n", "local", "--deploy", "tofu"]);
    assert_eq!(other.stderr, format!("error: there is no program `tofu` on the path\n{hint}"));
    stand_in(&programs, "terraform", "echo 'Terraform v0.15.5'");
    let told = format!("error: `HERE/programs/terraform` is 0.15, and 1.0 or newer is needed\n{hint}");
    assert_eq!(ryo(&plan).stderr, told);
    let back = ryo(&["rollback", "ryo-tiny", "-n", "local"]);
    assert_eq!(
        (back.code, back.stderr.as_str()),
        (
            Some(2),
            "error: `ryo-tiny` is deployed by terraform, which would not know what ryo takes back\n\
             hint: check out what is wanted and deploy it: `ryo deploy … -v VERSION`\n"
        )
    );
    set("native");
    assert!(ryo(&plan).stderr.contains("cannot reach LXD"));
}
