//! Everything on a host: what is found there, in which order it is backed up, and what of it is restored.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ryo::archive::Compression;
use ryo::archive::seal::{Identities, Recipients};
use ryo::event::Events;
use ryo::failure::Failure;
use ryo::flow::backup::{self, Manifest, Source, Spec};
use ryo::flow::instance::Pause;
use ryo::flow::restore::set::{self, Set};
use ryo::flow::session::{self, Wanted};
use ryo::flow::unit::Version;
use ryo::flow::whole::{self, Known, Part};
use ryo::flow::{apply, restore};
use ryo::project::{self, Kind};
use tokio::sync::watch;

use crate::backup::{data, deployed, look};
use crate::support::stage::Stage;

fn known(stage: &Stage) -> Known {
    let (repositories, problems) = project::of_host(&stage.path("work"), "local");
    assert!(problems.is_empty(), "{problems:?}");
    Known::here(&stage.path("work"), "local", repositories)
}

/// Everything on the host, as specs of a backup.
fn specs(stage: &Stage, stamp: &str, parts: &[Part]) -> Vec<Spec> {
    let directory = backup::directory(&stage.path("work"));
    let spec = |part: &Part| Spec {
        host: "local".to_owned(),
        source: Source { id: part.id.clone(), kind: part.kind },
        stamp: stamp.to_owned(),
        file: directory.join(backup::name("local", &part.id, stamp, Compression::Gzip)),
        repository: None,
        compression: Compression::Gzip,
        recipients: Recipients::default(),
        of_host: parts.to_vec(),
    };
    parts.iter().filter(|part| part.data).map(spec).collect()
}

/// Backs everything up; returns the steps.
async fn backed_up(stage: &Stage, stamp: &str) -> Vec<String> {
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let specs = specs(stage, stamp, &whole::look(&world, &known(stage)).await.unwrap());
    let plan =
        backup::plan_at_once("backup", "local", &specs, &backup::look(&world, &specs).await.unwrap(), Pause::Stop);
    let (_sender, stop) = watch::channel(false);
    apply::apply(&world, &plan, &Events::nowhere(), &stop).await.unwrap();
    plan.steps.iter().map(ToString::to_string).collect()
}

fn found(stage: &Stage, stamp: Option<&str>) -> Result<Set, (u8, String)> {
    let here = stage.path("").display().to_string();
    let directory = backup::directory(&stage.path("work"));
    set::find(&directory, "local", stamp, &known(stage), &Identities::default()).map_err(|error| {
        let failure = Failure::from(error);
        (failure.kind.code(), failure.text().replace(&here, "HERE/"))
    })
}

fn archive(stage: &Stage, id: &str, stamp: &str) -> PathBuf {
    backup::directory(&stage.path("work")).join(backup::name("local", id, stamp, Compression::Gzip))
}

/// A host with the tiny project, its module, and data of which nothing else is known.
async fn furnished() -> Stage {
    let stage = deployed().await;
    fs::write(data(&stage).join("data/plain"), "plain\n").unwrap();
    fs::create_dir(stage.path("host/var/containers/forgotten")).unwrap();
    fs::write(stage.path("host/var/containers/forgotten/old"), "old\n").unwrap();
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_a_host_is_stopped_and_backed_up_at_once() {
    let stage = furnished().await;
    assert_eq!(
        backed_up(&stage, "1").await,
        [
            "ryo-tiny-store: copy /var/containers/ryo-tiny-store while it serves",
            "ryo-tiny: copy /var/containers/ryo-tiny while it serves",
            "local: stop instance tiny",
            "local: stop instance store",
            "ryo-tiny-store: copy what has changed in /var/containers/ryo-tiny-store",
            "forgotten: copy /var/containers/forgotten",
            "ryo-tiny: copy what has changed in /var/containers/ryo-tiny",
            "local: start instance store again",
            "local: start instance tiny again",
            "ryo-tiny-store: write backup-local-ryo-tiny-store-1.tar.gz",
            "forgotten: write backup-local-forgotten-1.tar.gz",
            "ryo-tiny: write backup-local-ryo-tiny-1.tar.gz",
        ]
    );
    for name in ["tiny", "store"] {
        assert!(stage.lxd.with_instance(name, |it| it.running && !it.config.contains_key("user.ryo.paused")));
    }
    let manifest = Manifest::head(archive(&stage, "forgotten", "1"), &Identities::default()).unwrap().unwrap();
    let part = |id: &str, kind, version: Option<&str>| Part {
        id: id.to_owned(),
        kind,
        version: version.map(str::to_owned),
        data: true,
    };
    let parts = [
        part("ryo-tiny-store", Kind::Module, Some("1")),
        part("forgotten", Kind::Project, None),
        part("ryo-tiny", Kind::Project, Some("1")),
    ];
    assert_eq!(manifest.of_host, parts);
    let set = found(&stage, None).unwrap();
    assert_eq!((set.stamp.as_str(), set.parts.as_slice()), ("1", &parts[..]));
    assert_eq!(
        set.specs.iter().map(|spec| spec.id.as_str()).collect::<Vec<_>>(),
        parts.each_ref().map(|it| &it.id[..])
    );
    assert_eq!(set.differences(&[]), ["instance store is not there", "instance tiny is not there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_comes_back_on_a_fresh_host() {
    let stage = furnished().await;
    backed_up(&stage, "1").await;
    let before = look(&stage.path("host/var/containers"));
    // As a host is that was made anew: no instance, no image, no data, and here no list of what was deployed.
    let fresh = Stage::new();
    let (from, to) = (stage.path("work/ryo-host/backup-restore/backups"), fresh.path("work/ryo-host/backup-restore"));
    fs::create_dir_all(&to).unwrap();
    let copied = std::process::Command::new("cp").arg("-a").args([&from, &to]).status().unwrap();
    assert!(copied.success());
    let known = known(&fresh);
    let set = found(&fresh, None).unwrap();
    let world = fresh.world(fresh.lxd.clone(), fresh.consul.clone()).await;
    let (_sender, stop) = watch::channel(false);
    let ids: Vec<String> = set.specs.iter().map(|spec| spec.id.clone()).collect();
    let plan = restore::plan("restore", &set.specs, &restore::look(&world, &ids).await.unwrap()).unwrap();
    let (unpack, _) = restore::halves(&plan);
    assert_eq!(unpack.steps.len(), 3);
    apply::apply(&world, &unpack, &Events::nowhere(), &stop).await.unwrap();
    let order = ["ryo-tiny-store", "ryo-tiny"].map(|id| known.repositories[id].clone()).to_vec();
    let version = Version::Each { versions: set.versions(), otherwise: "2".to_owned() };
    let wanted = Wanted { title: "restore".to_owned(), repositories: order, version };
    let deploy = session::plan(&world, &wanted, &Events::nowhere(), &stop).await.unwrap();
    apply::apply(&world, &deploy.plan, &Events::nowhere(), &stop).await.unwrap();
    let plan = restore::plan("restore", &set.specs, &restore::look(&world, &ids).await.unwrap()).unwrap();
    let (_, exchange) = restore::halves(&plan);
    assert_eq!(
        exchange.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "ryo-tiny: stop instance tiny",
            "ryo-tiny-store: stop instance store",
            "ryo-tiny-store: exchange /var/containers/ryo-tiny-store and what was unpacked",
            "ryo-tiny-store: see instance store come up with the restored data",
            "forgotten: exchange /var/containers/forgotten and what was unpacked",
            "ryo-tiny: exchange /var/containers/ryo-tiny and what was unpacked",
            "ryo-tiny: see instance tiny come up with the restored data",
        ]
    );
    apply::apply(&world, &exchange, &Events::nowhere(), &stop).await.unwrap();
    let mut now = look(&fresh.path("host/var/containers"));
    now.retain(|name, _| !name.contains(".ryo-kept-"));
    assert_eq!(now, before);
    assert_eq!(set.differences(&world.lxd.instances().await.unwrap()), Vec::<String>::new());
    let kept: BTreeSet<String> = world.agent.stock(backup::DATA).await.unwrap().kept.into_keys().collect();
    assert_eq!(kept, set.specs.iter().map(|spec| spec.id.clone()).collect());
    fresh.lxd.with_instance("store", |store| store.config.insert("user.ryo.version".to_owned(), "2".to_owned()));
    fresh.lxd.with_instance("tiny", |tiny| tiny.config.insert("volatile.base_image".to_owned(), "another".to_owned()));
    assert_eq!(
        set.differences(&world.lxd.instances().await.unwrap()),
        [
            "instance store is of version 2; version 1 was backed up",
            "the image of instance tiny was built anew since the backup",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_host_that_is_not_whole_is_not_restored() {
    let stage = furnished().await;
    assert_eq!(
        found(&stage, None).unwrap_err(),
        (
            2,
            "error: there is no backup of all of host `local` in `HERE/work/ryo-host/backup-restore/backups`\n\
             hint: name its stamp with `-s`; `ryo restore` restores a project or module alone\n"
                .to_owned()
        )
    );
    backed_up(&stage, "1").await;
    // One of a project alone is newer, and is not meant.
    let alone = stage.archives("9", Compression::Gzip);
    stage.backs_up(stage.lxd.clone(), &alone, &Events::nowhere()).await.unwrap();
    assert_eq!(found(&stage, None).unwrap().stamp, "1");
    assert_eq!(found(&stage, Some("9")).unwrap().specs.len(), 2);
    fs::rename(archive(&stage, "ryo-tiny", "1"), stage.path("away")).unwrap();
    assert_eq!(
        found(&stage, Some("1")).unwrap_err(),
        (
            2,
            "error: the backup 1 of host `local` is not whole: there is no archive of ryo-tiny\n\
             hint: put the archives back, name another stamp with `-s`, or restore what is there by `ryo restore`\n"
                .to_owned()
        )
    );
    // Archives of the original say of themselves what they are by their names.
    fs::rename(stage.path("away"), archive(&stage, "ryo-tiny", "20200101")).unwrap();
    let original = found(&stage, Some("20200101")).unwrap();
    assert_eq!(original.specs.len(), 1);
    assert_eq!((original.specs[0].id.as_str(), original.specs[0].kind), ("ryo-tiny", Kind::Project));
    assert_eq!(original.versions().len(), 0);
}

#[test]
fn what_needs_others_comes_behind_them() {
    let work = tempfile::tempdir().unwrap();
    let repository = |name: &str, kind: &str, needs: &str| {
        let directory = work.path().join(name);
        fs::create_dir_all(directory.join(format!("{kind}-deployment"))).unwrap();
        fs::create_dir_all(directory.join("configuration")).unwrap();
        let file = if kind == "project" { "configuration_local.yml" } else { "configuration.yml" };
        let remote = if kind == "project" { "remote_build: true\n" } else { "" };
        fs::write(directory.join("configuration").join(file), format!("{kind}_id: {name}\n{remote}")).unwrap();
        fs::write(directory.join("deploy.sh"), format!("MODULES=\"{needs}\"\n")).unwrap();
    };
    repository("a-project", "project", "z-base c-proxy");
    repository("c-proxy", "module", "z-base");
    repository("b-late", "module", "");
    repository("z-base", "module", "");
    repository("m-first", "module", "");
    fs::create_dir_all(work.path().join("elsewhere/project-deployment")).unwrap();
    let (repositories, problems) = project::of_host(work.path(), "local");
    assert!(problems.is_empty(), "{problems:?}");
    let known = Known { repositories, modules: vec!["m-first".to_owned(), "old".to_owned()], projects: vec![] };
    let data = ["a-project", "c-proxy", "b-late", "z-base", "m-first", "old", "stranger"].map(str::to_owned);
    let parts = whole::parts(&BTreeSet::from(data), &[], &known);
    assert_eq!(
        parts.iter().map(|part| part.id.as_str()).collect::<Vec<_>>(),
        ["m-first", "old", "b-late", "z-base", "c-proxy", "stranger", "a-project"]
    );
}
