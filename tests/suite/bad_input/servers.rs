//! Servers that fail in the middle of a deployment.

use std::sync::Arc;
use std::time::Duration;

use ryo::failure::Failure;
use serde_json::Value;

use crate::support::fake_lxd::FakeImage;
use crate::support::faulty::{Fault, Faulty};
use crate::support::stage::{Stage, Told};

const AGAIN: &str = "hint: run the same command again: what is done is found done\n";

/// What a deployment of the tiny repositories leaves, after `prepare`.
async fn clean(prepare: impl Fn(&Stage)) -> Value {
    let stage = Stage::new();
    prepare(&stage);
    stage.deploys().await;
    stage.everything()
}

/// Deploys again: it ends well, in the same state as if nothing had happened, and leaves nothing to do.
async fn mends(stage: &Stage, clean: &Value) {
    stage.deploys().await;
    assert_eq!(stage.everything(), *clean);
    assert_eq!(stage.plan().await.text(), "deploy ryo-tiny 1 on local: nothing to do\n");
}

fn told(code: u8, text: impl Into<String>) -> Told {
    Told { code, text: text.into(), warnings: vec![] }
}

/// What is told when the builds of both images fail alike, which run at the same time.
fn both_told(why: &str, text: String) -> Told {
    let other = "step 4 of 10 failed: ryo-tiny: build image ryo-tiny-tiny-1 from tiny (there is none)";
    Told { code: 1, text, warnings: vec![format!("{other}: {why}")] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_image_that_is_absent_is_told_before_anything_is_touched() {
    let rename =
        |stage: &Stage| stage.edit("ryo-tiny/image-build/tiny.pkr.hcl", "\"tiny\"\n  profile", "\"other\"\n  profile");
    let stage = Stage::new();
    rename(&stage);
    let before = stage.everything();
    assert_eq!(
        stage.fails().await,
        told(
            1,
            "error: no image is called `other`\n\
             hint: import an image under this name, or name another one under `images:` in the settings: `other: …`\n"
        )
    );
    assert_eq!((stage.lxd.log.writes(), stage.consul.log.writes()), (vec![], vec![]));
    assert_eq!(stage.everything()["lxd"], before["lxd"]);
    let add = |stage: &Stage| drop(stage.lxd.add_image("other", FakeImage::of("other")));
    add(&stage);
    let clean = clean(|stage| {
        rename(stage);
        add(stage);
    });
    mends(&stage, &clean.await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_while_an_image_is_published_leaves_no_build_instance() {
    let stage = Stage::new();
    stage.lxd.publishing_fails(Some("Failed to run: tar: write error: no space left on device"));
    assert_eq!(
        stage.fails().await,
        both_told(
            "publishing of instance `BUILD` failed: Failed to run: tar: write error: no space left on device",
            format!(
                "error: step 3 of 10 failed: ryo-tiny-store: build image ryo-tiny-store-store-1 from tiny (there is none)\n  \
                 because: publishing of instance `BUILD` failed: Failed to run: tar: write error: no space left on device\n\
                 hint: make room on the storage pool: `ryo image prune` removes images that nothing uses\n{AGAIN}"
            )
        )
    );
    assert_eq!(stage.lxd.instance_names(), Vec::<String>::new());
    stage.lxd.publishing_fails(None);
    mends(&stage, &clean(|_| ()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_boot_that_fails_is_told_with_its_console_and_made_anew() {
    let stage = Stage::new();
    *stage.boots.lock().unwrap() = (1, "bootstrap.sh: exit 3".to_owned());
    assert_eq!(
        stage.fails().await,
        told(
            1,
            format!(
                "error: step 5 of 10 failed: ryo-tiny-store: create instance store from ryo-tiny-store-store-1\n  \
                 because: instance `store` did not come up; its console ends with:\n    \
                 Booting\n    Failed to start the application\n  \
                 because: cloud-init failed in instance `store`: bootstrap.sh: exit 3\n\
                 hint: its log is /var/log/cloud-init-output.log in instance `store`\n{AGAIN}"
            )
        )
    );
    assert_eq!(stage.plan().await.steps[0].to_string(), "ryo-tiny-store: see instance store become healthy");
    mends(&stage, &clean(|_| ()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_whose_first_boot_fails_gives_the_old_one_back() {
    let change = |stage: &Stage| {
        stage.edit("ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2", "Hello", "Welcome");
    };
    let stage = Stage::new();
    stage.deploys().await;
    let old = stage.lxd.with_instance("tiny", |tiny| (tiny.base_image().to_owned(), tiny.devices.clone()));
    change(&stage);
    *stage.boots.lock().unwrap() = (1, "bootstrap.sh: exit 3".to_owned());
    assert_eq!(
        stage.fails().await,
        told(
            13,
            format!(
                "error: step 2 of 2 failed: ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1\n  \
                 because: the new instance `tiny` did not come up, and the old one is back\n  \
                 because: instance `tiny` did not come up; its console ends with:\n    \
                 Booting\n    Failed to start the application\n  \
                 because: cloud-init failed in instance `tiny`: bootstrap.sh: exit 3\n\
                 hint: what this run did before stays done, but for Consul keys that it wrote for the new one alone: \
         `ryo rollback --to VERSION` takes it back\n{AGAIN}"
            )
        )
    );
    assert_eq!(stage.lxd.instance_names(), ["store", "tiny"]);
    stage.lxd.with_instance("tiny", |tiny| {
        assert!(tiny.running && !tiny.config.contains_key("user.ryo.unproven"));
        assert_eq!((tiny.base_image().to_owned(), tiny.devices.clone()), old);
    });
    stage.deploys().await;
    assert_eq!(stage.lxd.instance_names(), ["store", "tiny"]);
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_without_an_address_is_not_waited_for_without_end() {
    let mut stage = Stage::new();
    stage.limits.address = Duration::from_millis(200);
    stage.lxd.without_addresses();
    assert_eq!(
        stage.fails().await,
        both_told(
            "an address of instance `BUILD` took longer than 0.2 s",
            format!(
                "error: step 3 of 10 failed: ryo-tiny-store: build image ryo-tiny-store-store-1 from tiny (there is none)\n  \
                 because: an address of instance `BUILD` took longer than 0.2 s\n{AGAIN}"
            )
        )
    );
    assert_eq!(stage.lxd.instance_names(), Vec::<String>::new());
    stage.lxd.with_addresses();
    mends(&stage, &clean(|_| ()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_in_use_that_does_not_come_up_is_seen_by_the_next_run_and_kept() {
    let mut stage = Stage::new();
    stage.deploys().await;
    let clean = stage.everything();
    stage.limits.address = Duration::from_millis(200);
    stage.lxd.with_instance("tiny", |tiny| {
        tiny.running = false;
        tiny.addresses.clear();
        tiny.config.insert("volatile.same".to_owned(), "yes".to_owned());
    });
    stage.lxd.without_addresses();
    let missing =
        "because: instance `tiny` did not come up\n  because: an address of instance `tiny` took longer than 0.2 s\n";
    assert_eq!(
        stage.fails().await,
        told(1, format!("error: step 1 of 1 failed: ryo-tiny: start instance tiny\n  {missing}{AGAIN}"))
    );
    assert_eq!(
        stage.fails().await,
        told(1, format!("error: step 1 of 1 failed: ryo-tiny: see instance tiny become healthy\n  {missing}{AGAIN}"))
    );
    stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    stage.lxd.with_addresses();
    mends(&stage, &clean).await;
    stage.lxd.with_instance("tiny", |tiny| assert_eq!(tiny.config["volatile.same"], "yes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_place_survives_every_wire_that_breaks() {
    let change =
        |stage: &Stage| stage.edit("ryo-tiny/project-deployment/02-tiny.tf", "network_part, 61]", "network_part, 62]");
    let clean = clean(change).await;
    for fault in [Fault::BeforeSend, Fault::AfterSend] {
        for at in 0.. {
            let stage = Stage::new();
            stage.deploys().await;
            change(&stage);
            let faulty = Arc::new(Faulty::new(stage.lxd.clone(), fault, at));
            let ended = stage.deploy(faulty.clone(), stage.consul.clone()).await;
            if !faulty.happened() {
                break;
            }
            let at = format!("{fault:?} at {at}: {ended:?}");
            assert!(ended.is_err() || stage.everything() == clean, "{at}");
            stage.deploys().await;
            assert_eq!(stage.everything(), clean, "{at}");
            let addresses = stage.lxd.with_instance("tiny", |tiny| tiny.addresses.clone());
            assert_eq!(addresses, ["10.10.1.62"], "{at}");
            assert!(stage.plan().await.steps.is_empty(), "{at}");
        }
    }
}

/// The tiny project with more keys than two transactions take.
fn many_keys(stage: &Stage) {
    let names = "store_names = [for number in range(150) : \"n${number}\"]";
    stage.edit("ryo-tiny/project-deployment/02-tiny.tf", "store_names = [local.project_id, \"tiny\"]", names);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consul_that_is_down_is_told_before_anything_is_touched() {
    let stage = Stage::new();
    stage.consul.broken(Some((500, "No cluster leader")));
    assert_eq!(
        stage.fails().await,
        told(1, "error: fake Consul has no leader\nhint: wait until the Consul server is ready\n")
    );
    stage.consul.broken(Some((500, "rpc error making call: EOF")));
    assert_eq!(
        stage.fails().await,
        told(
            1,
            "error: fake Consul refused `GET /v1/kv/ryo/owned/?recurse` (500): rpc error making call: EOF\n\
             hint: Consul's own log on the host says more\n"
        )
    );
    assert_eq!((stage.lxd.log.writes(), stage.consul.log.writes()), (vec![], vec![]));
    stage.consul.broken(None);
    mends(&stage, &clean(|_| ()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consul_that_breaks_between_two_of_several_transactions_is_set_right() {
    let clean = clean(many_keys).await;
    let mut refused = vec![];
    for fault in [Fault::JobFails, Fault::BeforeSend] {
        for at in 0.. {
            let stage = Stage::new();
            many_keys(&stage);
            let faulty = Arc::new(Faulty::new(stage.consul.clone(), fault, at));
            let ended = stage.deploy(stage.lxd.clone(), faulty.clone()).await;
            if !faulty.happened() {
                break;
            }
            let Err(text) = ended else {
                // A Consul that does not answer for the health of a new instance knows nothing of it.
                assert_eq!(stage.everything(), clean, "{fault:?} at {at}: a lie");
                continue;
            };
            refused.extend((fault == Fault::JobFails && text.contains("write 150")).then_some(text));
            mends(&stage, &clean).await;
        }
    }
    // The index, three transactions, the index.
    assert_eq!(refused.len(), 5);
    for text in refused {
        let (first, rest) =
            text.split_once(": the test wants it to fail").map_or((text.as_str(), ""), |(first, _)| (first, ""));
        assert_eq!(rest, "");
        assert!(
            first.starts_with(
                "error: step 9 of 10 failed: ryo-tiny: write 150 Consul keys\n  \
                 because: fake Consul refused `PUT /v1/txn` (500): "
            ),
            "{text}"
        );
        assert!(text.ends_with(&format!("hint: Consul's own log on the host says more\n{AGAIN}")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_work_on_one_host_the_second_leaves() {
    let stage = Stage::new();
    let first = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let second = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let lock = first.agent.lock("ryo", "ops@laptop: deploy ryo-tiny on local").await.unwrap();
    let failure: Failure = second.agent.lock("ryo", "me").await.map(drop).unwrap_err().into();
    assert_eq!(failure.kind.code(), 11);
    let text = failure.text();
    let (before, since) = text.split_once(" since ").unwrap();
    assert_eq!(before, "error: ops@laptop: deploy ryo-tiny on local has been at work on the host");
    assert_eq!(since.split_once('\n').unwrap().1, "hint: wait until it has ended\n");
    drop((lock, first));
    // The lock goes when its agent does, which is soon.
    for _ in 0..200 {
        if second.agent.lock("ryo", "me").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the lock outlived its holder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_that_turns_out_to_be_undefined_while_building_names_its_place() {
    let template = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
    let stage = Stage::new();
    stage.edit(template, "{{ project_id }}", "{{ project_id.name.first }}");
    let failed = stage.fails().await;
    assert_eq!(
        failed.text,
        format!(
            "error: step 4 of 10 failed: ryo-tiny: build image ryo-tiny-tiny-1 from tiny (there is none)\n  \
             because: provisioning of image `ryo-tiny-tiny-1` by \
             `HERE/work/ryo-tiny/image-build/playbooks/provision-tiny.yml` failed\n  \
             because: tasks failed on packer-lxd-build\n{AGAIN}"
        )
    );
    assert_eq!(failed.code, 1);
    assert_eq!(
        failed.warnings,
        ["task `set-up-tiny : A greeting` failed on packer-lxd-build: HERE/work/ryo-tiny/image-build/playbooks/roles/\
          set-up-tiny/templates/greeting.j2:1:25: `project_id.name` is undefined"]
    );
    assert_eq!(stage.lxd.instance_names(), Vec::<String>::new());
    stage.edit(template, "{{ project_id.name.first }}", "{{ project_id }}");
    mends(&stage, &clean(|_| ()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_is_told_with_its_message() {
    let tasks = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/tasks/main.yml";
    let stage = Stage::new();
    stage.edit(tasks, "path: /etc/plain", "path: /etc/nowhere/plain");
    let failed = stage.fails().await;
    assert_eq!(failed.code, 1);
    assert_eq!(
        failed.warnings,
        ["task `set-up-tiny : A line` failed on packer-lxd-build: Destination /etc/nowhere/plain does not exist !"]
    );
    assert_eq!(stage.lxd.instance_names(), Vec::<String>::new());
    stage.edit(tasks, "path: /etc/nowhere/plain", "path: /etc/plain");
    mends(&stage, &clean(|_| ()).await).await;
}
