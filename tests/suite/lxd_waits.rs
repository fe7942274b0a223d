//! Waiting for an address and for the end of the first boot.

use std::time::{Duration, Instant};

use ryo::lxd::Error;
use ryo::lxd::wait::{self, Booted, CloudInit};
use serde_json::json;

use super::{running, told};
use crate::support::fake_lxd::{FakeFile, FakeLxd};

const SOON: Duration = Duration::from_millis(120);

fn report(fake: &FakeLxd, name: &str, content: &str) {
    let file = FakeFile { content: content.as_bytes().to_vec(), mode: 0o644, ..FakeFile::default() };
    fake.with_instance("web", |web| web.files.insert(format!("/run/cloud-init/{name}.json"), file));
}

/// Has the wait for the end of cloud-init end with `status`.
fn ends(fake: &FakeLxd, status: i32) {
    prints(fake, status, "");
}

/// The same, with something said of how long the services have been running.
fn prints(fake: &FakeLxd, status: i32, ago: &'static str) {
    fake.on_exec(move |exec| {
        Box::pin(async move {
            assert_eq!(exec.words[..2], ["sh", "-c"]);
            assert!(exec.words[2].contains("cloud-init status --wait"), "{:?}", exec.words);
            exec.prints(status, ago, "").await
        })
    });
}

#[tokio::test]
async fn an_address_is_returned_when_it_is_there() {
    let (fake, client) = running().await;
    assert_eq!(wait::address(&client, "web", SOON).await.unwrap()[0].to_string(), "10.99.0.100");
    assert_eq!(fake.log.all(), ["GET /1.0/instances/web/state"]);
}

#[tokio::test]
async fn an_address_that_does_not_come_is_given_up() {
    let (fake, client) = running().await;
    fake.with_instance("web", |web| web.addresses.clear());
    let error = wait::address(&client, "web", Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(told(&error), "an address of instance `web` took longer than 1 s");
}

#[tokio::test]
async fn an_instance_that_went_down_is_not_waited_for() {
    let (fake, client) = running().await;
    fake.with_instance("web", |web| web.running = false);
    let error = wait::address(&client, "web", Duration::from_mins(10)).await.unwrap_err();
    assert_eq!(told(&error), "instance `web` is stopped instead of running");
}

#[tokio::test]
async fn without_cloud_init_there_is_nothing_to_wait_for() {
    let (fake, client) = running().await;
    assert_eq!(wait::cloud_init(&client, "web", SOON).await.unwrap(), CloudInit::Absent);
    ends(&fake, 0);
    assert_eq!(wait::cloud_init(&client, "web", SOON).await.unwrap(), CloudInit::Absent);
}

#[tokio::test]
async fn a_good_first_boot_tells_its_warnings() {
    let (fake, client) = running().await;
    ends(&fake, 2);
    report(&fake, "result", r#"{"v1": {"datasource": "DataSourceNoCloud", "errors": []}}"#);
    let status = json!({ "v1": {
        "stage": null,
        "init": { "errors": [], "recoverable_errors": { "WARNING": ["unknown key `x`"], "DEPRECATED": ["old"] } },
        "modules-final": { "errors": [] },
    } });
    report(&fake, "status", &status.to_string());
    let warnings = vec!["WARNING: unknown key `x`".to_owned(), "DEPRECATED: old".to_owned()];
    assert_eq!(wait::cloud_init(&client, "web", SOON).await.unwrap(), CloudInit::Done { warnings, services: None });
}

#[tokio::test]
async fn a_bad_first_boot_is_told_in_its_own_words_whatever_the_exit_status() {
    for status in [0, 1, 2] {
        let (fake, client) = running().await;
        ends(&fake, status);
        let errors = json!({ "v1": { "errors": ["('scripts_user', RuntimeError('Runparts: 1 failures'))"] } });
        report(&fake, "result", &errors.to_string());
        let error = wait::cloud_init(&client, "web", SOON).await.unwrap_err();
        let expected = "cloud-init failed in instance `web`: ('scripts_user', RuntimeError('Runparts: 1 failures'))";
        assert_eq!(told(&error), expected);
    }
}

#[tokio::test]
async fn a_first_boot_that_does_not_end_is_given_up() {
    let (fake, client) = running().await;
    fake.on_exec(|_| Box::pin(std::future::pending()));
    let error = wait::cloud_init(&client, "web", SOON).await.unwrap_err();
    assert_eq!(told(&error), "cloud-init in instance `web` took longer than 0.12 s");
}

#[tokio::test]
async fn what_boots_is_asked_for_its_address_when_cloud_init_has_ended() {
    let (fake, client) = running().await;
    ends(&fake, 2);
    report(&fake, "result", r#"{"v1": {"errors": []}}"#);
    report(&fake, "status", r#"{"v1": {"init": {"recoverable_errors": {"WARNING": ["old"]}}}}"#);
    let Booted { addresses, warnings, .. } =
        wait::booted(&client, "web", [SOON, SOON], Instant::now() + SOON).await.unwrap();
    assert_eq!((addresses[0].to_string(), warnings), ("10.99.0.100".to_owned(), vec!["WARNING: old".to_owned()]));
    let asked = fake.log.all();
    let place = |what: &str| asked.iter().position(|line| line.starts_with(what)).unwrap();
    assert!(place("POST /1.0/instances/web/exec") < place("GET /1.0/instances/web/state"), "{asked:?}");
}

#[tokio::test]
async fn services_run_since_systemd_had_started_them_and_not_since_all_else_was_done() {
    let (fake, client) = running().await;
    report(&fake, "result", r#"{"v1": {"errors": []}}"#);
    let boots = async || {
        let begun = Instant::now();
        let booted = wait::booted(&client, "web", [SOON, SOON], Instant::now() + SOON).await.unwrap();
        (begun, booted.services, Instant::now())
    };
    prints(&fake, 0, "0\n");
    let (begun, services, ended) = boots().await;
    assert!(begun <= services && services <= ended);
    // What it cannot be: before it was waited for, or no time at all.
    for ago in ["600000\n", "18446744073709551615\n", "-1\n", "1.5\n", "soon\n", ""] {
        prints(&fake, 0, ago);
        let before = Instant::now();
        let (begun, services, ended) = boots().await;
        assert!(before <= begun && begun < services && services <= ended, "{ago:?}");
    }
}

#[tokio::test]
async fn of_what_goes_down_while_it_boots_this_is_said() {
    let (fake, client) = running().await;
    fake.on_exec(|_| Box::pin(std::future::pending()));
    fake.with_instance("web", |web| web.running = false);
    let error = wait::booted(&client, "web", [SOON, SOON], Instant::now() + SOON).await.unwrap_err();
    assert_eq!(told(&error), "instance `web` is stopped instead of running");
}

#[tokio::test]
async fn whatever_its_parts_may_take_all_of_a_boot_has_its_own_limit() {
    let (fake, client) = running().await;
    fake.with_instance("web", |web| web.addresses.clear());
    let hour = Duration::from_hours(1);
    let error = wait::booted(&client, "web", [hour, hour], Instant::now() + SOON).await.unwrap_err();
    assert!(matches!(&error, Error::Timeout { after, .. } if *after <= SOON), "{error:?}");
}

#[tokio::test]
async fn a_report_that_makes_no_sense_says_which() {
    let (fake, client) = running().await;
    ends(&fake, 0);
    report(&fake, "result", "{");
    let error = wait::cloud_init(&client, "web", SOON).await.unwrap_err();
    let expected = "cannot understand the answer of cloud-init in instance `web` to `/run/cloud-init/result.json`\n\
                    EOF while parsing an object at line 1 column 1";
    assert_eq!(told(&error), expected);
}
