//! Restores: the data come back as they were, those from before are kept, and whatever breaks or is made up, the data on
//! the host are whole and what was running runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::fstat;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use ryo::agent::snapshot::has_directory;
use ryo::archive::seal::Identities;
use ryo::archive::tree::Entry;
use ryo::archive::tree::remove::remove;
use ryo::archive::tree::unpack::{HELD, Most, unpack};
use ryo::archive::{self, Compression};
use ryo::event::Events;
use ryo::flow::backup;
use ryo::flow::restore::{self, Seen, Spec, find};
use ryo::plan::Plan;
use ryo::project::Kind;

use crate::backup::{data, deep, deployed, furnish, has_attributes, look};
use crate::support::faulty::{FAULTS, Fault, Faulty, every_exchange};
use crate::support::stage::Stage;

fn spec(id: &str, kind: Kind, archive: &Path, stamp: &str) -> Spec {
    let (id, stamp) = (id.to_owned(), stamp.to_owned());
    let identities = Identities::default();
    Spec { host: "local".to_owned(), id, kind, archive: archive.into(), stamp, identities }
}

/// Where backups are.
fn store(stage: &Stage) -> PathBuf {
    backup::directory(&stage.path("work"))
}

/// What is restored of a backup of the tiny project and its module.
pub fn specs(stage: &Stage, stamp: &str) -> Vec<Spec> {
    let of = |(id, kind)| {
        let (archive, found) = find::archive(&store(stage), "local", id, Some(stamp), &Identities::default()).unwrap();
        spec(id, kind, archive.path(), &found)
    };
    [("ryo-tiny-store", Kind::Module), ("ryo-tiny", Kind::Project)].map(of).to_vec()
}

/// A deployed project with a backup `1`, whose data have been spoilt since.
pub async fn spoilt() -> Stage {
    let stage = deployed().await;
    furnish(&data(&stage));
    backed_up(&stage).await;
    fs::write(data(&stage).join("data/plain"), "spoilt\n").unwrap();
    fs::remove_dir_all(data(&stage).join("data/deep")).unwrap();
    stage
}

/// The same with hardly any data.
pub async fn spoilt_a_little() -> Stage {
    let stage = deployed().await;
    fs::write(data(&stage).join("data/plain"), "plain\n").unwrap();
    backed_up(&stage).await;
    fs::write(data(&stage).join("data/plain"), "spoilt\n").unwrap();
    stage
}

async fn backed_up(stage: &Stage) {
    let archives = stage.archives("1", Compression::Gzip);
    stage.backs_up(stage.lxd.clone(), &archives, &Events::nowhere()).await.unwrap();
}

pub async fn restores(stage: &Stage, specs: &[Spec]) -> Result<String, (u8, String)> {
    let ended = stage.settles(stage.lxd.clone(), |_, seen| restore::plan("restore", specs, seen)).await;
    ended.map(|plan| plan.text())
}

pub fn runs(stage: &Stage) -> bool {
    ["tiny", "store"]
        .iter()
        .all(|name| stage.lxd.with_instance(name, |it| it.running && !it.config.contains_key("user.ryo.paused")))
}

pub fn beside(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(stage.path("host/var/containers")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_come_back_and_those_from_before_are_kept_until_it_is_settled() {
    let stage = spoilt().await;
    let before = look(&data(&stage));
    let inode = fs::metadata(data(&stage)).unwrap().ino();
    assert_eq!(
        restores(&stage, &specs(&stage, "1")).await.unwrap(),
        "restore:\n\
        \x20 ~ ryo-tiny-store: unpack backup-local-ryo-tiny-store-1.tar.gz beside the data\n\
        \x20 ~ ryo-tiny: unpack backup-local-ryo-tiny-1.tar.gz beside the data\n\
        \x20 ~ ryo-tiny: stop instance tiny\n\
        \x20 ~ ryo-tiny-store: stop instance store\n\
        \x20 ± ryo-tiny-store: exchange /var/containers/ryo-tiny-store and what was unpacked\n\
        \x20 ~ ryo-tiny-store: see instance store come up with the restored data\n\
        \x20 ± ryo-tiny: exchange /var/containers/ryo-tiny and what was unpacked\n\
        \x20 ~ ryo-tiny: see instance tiny come up with the restored data\n\
        8 steps\n"
    );
    let place = tempfile::tempdir().unwrap();
    let made = specs(&stage, "1");
    let archive = made[1].archive.path();
    let unpacked = Command::new("tar").arg("-xzpf").arg(archive).current_dir(place.path()).status().unwrap();
    assert!(unpacked.success());
    let restored = look(&data(&stage));
    assert_eq!(restored, look(&place.path().join("ryo-tiny")));
    assert_ne!(restored, before);
    assert!(fs::metadata(data(&stage).join("data/sparse")).unwrap().blocks() < 1000, "holes are filled");
    assert!(has_attributes(&data(&stage).join("data/plain")));
    assert!(runs(&stage));
    assert_eq!(stage.plan().await.steps, []);
    assert!(beside(&stage).contains(&format!(".ryo-kept-ryo-tiny@{inode}@1")), "{:?}", beside(&stage));

    let (code, text) = restores(&stage, &specs(&stage, "1")).await.unwrap_err();
    assert_eq!(
        (code, text.as_str()),
        (
            2,
            "error: the data of ryo-tiny-store from before the restore of 1 are still kept\n\
             hint: put them back with `ryo restore … --undo`\n\
             hint: or remove them with `ryo restore … --commit`\n"
        )
    );
    let undone = stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();
    assert_eq!(
        undone.text(),
        "undo:\n\
        \x20 ~ ryo-tiny-store: stop instance store\n\
        \x20 ± ryo-tiny-store: put /var/containers/ryo-tiny-store back as it was before the restore\n\
        \x20     destroys the restored data of ryo-tiny-store, with everything that was written to them since\n\
        \x20 ~ ryo-tiny-store: start instance store again\n\
        \x20 ~ ryo-tiny: stop instance tiny\n\
        \x20 ± ryo-tiny: put /var/containers/ryo-tiny back as it was before the restore\n\
        \x20     destroys the restored data of ryo-tiny, with everything that was written to them since\n\
        \x20 ~ ryo-tiny: start instance tiny again\n\
        6 steps\n"
    );
    assert_eq!(look(&data(&stage)), before);
    assert!(runs(&stage) && beside(&stage).is_empty());

    // Also when somebody has removed what was restored.
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    fs::remove_dir_all(data(&stage)).unwrap();
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();
    assert_eq!(look(&data(&stage)), before);
    assert!(runs(&stage) && beside(&stage).is_empty());

    restores(&stage, &specs(&stage, "1")).await.unwrap();
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_commit("commit", ids, seen)).await.unwrap();
    assert_eq!(look(&data(&stage)), restored);
    assert!(beside(&stage).is_empty());
    let nothing = stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await;
    assert_eq!(
        nothing.unwrap_err(),
        (2, "error: nothing is kept from before a restore of ryo-tiny-store, ryo-tiny\n".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_the_original_is_restored_and_the_newest_is_found() {
    let stage = spoilt().await;
    let tree = tempfile::tempdir().unwrap();
    furnish(&tree.path().join("ryo-tiny"));
    // As the original makes them: without the directory itself, in the PAX form, with names of owners.
    let archive = stage.path("work/ryo-host/backup-restore/backups/backup-local-ryo-tiny-20200101.tar.gz");
    let script = "tar --format=posix -czf \"$1\" ryo-tiny/*";
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(&archive).current_dir(tree.path()).status().unwrap();
    assert!(made.success());
    let later = std::time::SystemTime::now() + Duration::from_mins(1);
    fs::File::open(&archive).unwrap().set_modified(later).unwrap();
    let (found, stamp) = find::archive(&store(&stage), "local", "ryo-tiny", None, &Identities::default()).unwrap();
    assert_eq!((found.path(), stamp.as_str()), (&*archive, "20200101"));
    let (other, stamp) =
        find::archive(&store(&stage), "local", "ryo-tiny-store", None, &Identities::default()).unwrap();
    assert_eq!(stamp, "1", "{}", other.path().display());
    restores(&stage, &[spec("ryo-tiny", Kind::Project, found.path(), "20200101")]).await.unwrap();
    assert_eq!(look(&data(&stage)), look(&tree.path().join("ryo-tiny")));
    assert_eq!(fs::metadata(data(&stage)).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn holes_are_read_in_every_form_that_is_written() {
    let tree = tempfile::tempdir().unwrap();
    furnish(&tree.path().join("ryo-tiny"));
    let sparse = "ryo-tiny/data/sparse";
    // One that is a hole from its beginning to its end, and one whose name does not fit into a header.
    fs::File::create(tree.path().join("ryo-tiny/data/nothing")).unwrap().set_len(5 << 20).unwrap();
    let long = fs::File::create(tree.path().join("ryo-tiny/data").join("s".repeat(150))).unwrap();
    long.set_len(5 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&long, b"here", 3 << 20).unwrap();
    for maker in [
        "tar --sparse --format=posix --sparse-version=0.0",
        "tar --sparse --format=posix --sparse-version=0.1",
        "tar --sparse --format=posix --sparse-version=1.0",
        "tar --sparse --format=gnu",
        "bsdtar --format=pax",
    ] {
        let archive = tree.path().join("archive");
        let script = format!("{maker} -cf \"$1\" ryo-tiny");
        let made =
            Command::new("sh").args(["-c", &script, "sh"]).arg(&archive).current_dir(tree.path()).output().unwrap();
        assert!(made.status.success(), "{maker}: {made:?}");
        let length = fs::metadata(&archive).unwrap().len();
        assert!(length < 10 << 20, "{maker} does not leave holes out: {length} bytes");
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("ryo-tiny")).unwrap();
        let most = Most { members: 1000, bytes: 1 << 30, stored: length, held: HELD };
        let mut stream = fs::File::open(&archive).unwrap();
        unpack(&mut stream, "ryo-tiny", &place.path().join("ryo-tiny"), most)
            .unwrap_or_else(|error| panic!("{maker}: {error}"));
        assert_eq!(look(&place.path().join("ryo-tiny")), look(&tree.path().join("ryo-tiny")), "{maker}");
        let blocks = fs::metadata(place.path().join(sparse)).unwrap().blocks();
        assert!(blocks < 1000, "{maker}: holes are filled");
    }
}

fn anybodys(header: &mut tar::Header) {
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
}

/// A member with this extended header and content.
fn with_records(records: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
    let records: Vec<u8> = records
        .iter()
        .flat_map(|(name, value)| ryo::archive::tree::said::record(name.as_bytes(), value.as_bytes()))
        .collect();
    let mut archive = tar::Builder::new(vec![]);
    for (kind, name, content) in
        [(tar::EntryType::XHeader, "records", &records[..]), (tar::EntryType::Regular, "ryo-tiny/x", content)]
    {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        anybodys(&mut header);
        archive.append_data(&mut header, name, content).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn holes_of_which_nothing_sensible_is_said_are_refused() {
    let one = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "10")];
    let padded = |text: &str, content: &str| [format!("{text:\0<512}").as_bytes(), content.as_bytes()].concat();
    let records = |map| [("GNU.sparse.size", "10"), ("GNU.sparse.map", map)];
    for (archive, what) in [
        (with_records(&one, &padded("1\n8\n3\n", "abc")), "a piece behind the end"),
        (with_records(&one, &padded("2\n4\n2\n3\n1\n", "abc")), "pieces that overlap"),
        (with_records(&one, &padded("1\n0\n3\n", "ab")), "less content than is said"),
        (with_records(&one, &padded("1\n0\n3\n", "abcd")), "more content than is said"),
        (with_records(&one, &padded("99999999999999999999999\n", "")), "a number that is too large"),
        (with_records(&one, &padded("9999999\n", "")), "more pieces than anybody has"),
        (with_records(&one, &padded("x\n", "")), "no number"),
        (with_records(&one[..2], &padded("0\n", "")), "no size"),
        (with_records(&records("0,3,4"), b"abc"), "half a piece"),
        (with_records(&records("0,-3"), b"abc"), "a negative number"),
        (with_records(&records("18446744073709551615,3"), b"abc"), "a piece that nothing can hold"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let most = Most { members: 10, bytes: 1 << 20, stored: 1 << 20, held: HELD };
        let error = unpack(&mut &archive[..], "ryo-tiny", place.path(), most).unwrap_err();
        assert_eq!(
            error.sentence(),
            "it is no archive that can be read: `ryo-tiny/x` has holes of which nothing sensible is said",
            "{what}"
        );
    }
}

#[test]
fn what_no_file_can_have_is_refused() {
    let long = |length: usize| "x".repeat(length);
    let one = |name: &str, value: &str| with_records(&[(name, value)], b"");
    let names: Vec<String> = (0..300).map(|turn| format!("SCHILY.xattr.user.{turn}{}", long(240))).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let attributes = "`ryo-tiny/x` has attributes that no file can have";
    let path = "a path is longer than 64 KiB";
    for (archive, what) in [
        (one("SCHILY.xattr.user.a", &long((64 << 10) + 1)), attributes),
        (one(&format!("SCHILY.xattr.{}", long(256)), ""), attributes),
        (with_records(&many, b""), attributes),
        (one("SCHILY.acl.access", &long((512 << 10) + 1)), attributes),
        (one("SCHILY.acl.default", &long((512 << 10) + 1)), attributes),
        (one("path", &format!("ryo-tiny/{}", "a/".repeat(40_000))), path),
    ] {
        let place = tempfile::tempdir().unwrap();
        let most = Most { members: 10, bytes: 1 << 20, stored: 1 << 20, held: HELD };
        let error = unpack(&mut &archive[..], "ryo-tiny", place.path(), most).unwrap_err();
        assert_eq!(error.sentence(), format!("it is no archive that can be read: {what}"));
    }
}

fn member(path: &str, kind: archive::tree::Kind, records: Vec<(Vec<u8>, Vec<u8>)>) -> Entry {
    Entry { path: path.into(), kind, mode: 0o755, uid: 0, gid: 0, mtime: 1, size: 0, records }
}

/// A few bytes of a compressed archive can become as much as anybody likes.
#[test]
fn what_directories_are_to_have_is_not_held_without_end() {
    let records = || vec![(b"SCHILY.xattr.user.a".to_vec(), vec![b'x'; 64 << 10])];
    let directory = |turn| member(&format!("ryo-tiny/{turn}"), archive::tree::Kind::Directory, records()).head();
    let archive: Vec<u8> = (0..20).flat_map(directory).collect();
    let place = tempfile::tempdir().unwrap();
    let most = Most { members: 100, bytes: 0, stored: 0, held: 1 << 20 };
    let error = unpack(&mut &archive[..], "ryo-tiny", place.path(), most).unwrap_err();
    assert_eq!(error.sentence(), "there is more in it than may be: 1048576 bytes of what its directories are to have");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 16);
}

#[test]
fn directories_that_no_member_tells_of_are_made_however_many() {
    let fifo = member(&format!("ryo-tiny/{}x", "a/".repeat(30_000)), archive::tree::Kind::Fifo, vec![]);
    let archive = [fifo.head(), vec![0; 1024]].concat();
    let place = tempfile::tempdir().unwrap();
    let within = place.path().join("within");
    fs::create_dir(&within).unwrap();
    let most = Most { members: 1, bytes: 0, stored: 0, held: HELD };
    let unpacked = unpack(&mut &archive[..], "ryo-tiny", &within, most);
    remove(&within).unwrap();
    assert_eq!(unpacked.unwrap().members, 1);
}

/// Whoever works in a container can make directories of any depth, and the agent may not open as many files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_any_depth_are_restored_and_removed() {
    let stage = deployed().await;
    fs::create_dir(data(&stage).join("deep")).unwrap();
    let last = fstat(deep(&data(&stage).join("deep"), (600, 20))).unwrap();
    assert!(has_directory(last.st_ino, &data(&stage)).unwrap());
    assert!(!has_directory(u64::MAX, &data(&stage)).unwrap());
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limit }).unwrap();
    backed_up(&stage).await;
    let settles = |plan: fn(&str, &[String], &Seen) -> Result<Plan, restore::Error>| {
        stage.settles(stage.lxd.clone(), move |ids, seen| plan("settle", ids, seen))
    };
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    settles(restore::plan_undo).await.unwrap();
    assert_eq!(beside(&stage), Vec::<String>::new());
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    settles(restore::plan_commit).await.unwrap();
    assert_eq!(beside(&stage), Vec::<String>::new());
    // What a broken run has left goes with the next one.
    let left = stage.path("host/var/containers/.ryo-restore-ryo-tiny");
    fs::create_dir(&left).unwrap();
    drop(deep(&left, (600, 20)));
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    settles(restore::plan_commit).await.unwrap();
    assert_eq!(beside(&stage), Vec::<String>::new());
    remove(&data(&stage).join("deep")).unwrap();
    setrlimit(Resource::Nofile, limit).unwrap();
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_said_of_holes_does_harm(
        records in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "GNU.sparse.major", "GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.map", "GNU.sparse.offset",
                    "GNU.sparse.numbytes", "GNU.sparse.name", "size",
                ]),
                proptest::sample::select(vec![
                    "0", "1", "3", "5", "0,3", "0,1,4,2", "18446744073709551615", "18446744073709551615,1", "-1", "", "x",
                ]),
            ),
            1..6,
        ),
        content in "[0-9\n\0x]{0,40}",
    ) {
        let place = tempfile::tempdir().unwrap();
        let archive = with_records(&records, content.as_bytes());
        let most = Most { members: 10, bytes: 1 << 20, stored: 1 << 20, held: HELD };
        if unpack(&mut &archive[..], "ryo-tiny", place.path(), most).is_ok() {
            let kept = fs::read(place.path().join("x")).unwrap_or_default().into_iter().filter(|byte| *byte != 0).count();
            proptest::prop_assert!(kept <= content.len());
        }
    }
}

#[test]
fn a_file_that_is_a_hole_without_end_is_refused() {
    let size = (16_u64 << 40) + 1;
    let said = size.to_string();
    let posix = with_records(&[("GNU.sparse.size", &said), ("GNU.sparse.numblocks", "0")], b"");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_path("ryo-tiny/x").unwrap();
    header.set_size(0);
    anybodys(&mut header);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.realsize[4..].copy_from_slice(&size.to_be_bytes());
    gnu.realsize[0] = 0x80;
    gnu.sparse[0].offset = gnu.realsize;
    gnu.sparse[0].numbytes.copy_from_slice(b"00000000000\0");
    header.set_cksum();
    for archive in [posix, [&header.as_bytes()[..], &[0; 1024]].concat()] {
        let place = tempfile::tempdir().unwrap();
        let most = Most { members: 10, bytes: u64::MAX, stored: u64::MAX, held: HELD };
        let error = unpack(&mut &archive[..], "ryo-tiny", place.path(), most).unwrap_err();
        assert_eq!(error.sentence(), "it is no archive that can be read: `ryo-tiny/x` is larger than 16 TiB");
    }
}

/// A run was killed while the server started an instance for it: the server goes on, and refuses everything else meanwhile.
fn killed_at_a_start(stage: &Stage) {
    stage.lxd.with_instance("tiny", |tiny| {
        (tiny.running, tiny.starting) = (false, 3);
        tiny.config.insert("user.ryo.paused".to_owned(), "yes".to_owned());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_run_has_started_is_let_end_first() {
    let stage = spoilt_a_little().await;
    let before = look(&data(&stage));
    killed_at_a_start(&stage);
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    assert!(runs(&stage));
    let restored = look(&data(&stage));
    assert_ne!(restored, before);
    killed_at_a_start(&stage);
    let archives = stage.archives("2", Compression::None);
    stage.backs_up(stage.lxd.clone(), &archives, &Events::nowhere()).await.unwrap();
    assert!(runs(&stage));
    // Such a one that carries no label, as what others have deployed.
    stage.lxd.with_instance("tiny", |tiny| tiny.config.remove("user.ryo.project"));
    killed_at_a_start(&stage);
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();
    assert!(runs(&stage));
    assert_eq!(look(&data(&stage)), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_on_the_server_and_does_not_end_is_told() {
    let mut stage = spoilt_a_little().await;
    stage.limits.earlier = Duration::from_millis(300);
    let before = look(&data(&stage));
    killed_at_a_start(&stage);
    stage.lxd.with_instance("tiny", |tiny| tiny.starting = 1_000_000);
    let told = restores(&stage, &specs(&stage, "1")).await.unwrap_err();
    let text = "error: what is under way on the server (`Starting instance`) took longer than 0.3 s\n";
    assert_eq!(told, (1, text.to_owned()));
    assert_eq!(look(&data(&stage)), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_come_up_is_swapped_back() {
    let mut stage = spoilt().await;
    stage.limits.address = Duration::from_millis(100);
    let before = look(&data(&stage));
    let specs = &specs(&stage, "1")[1..];
    // It starts with the data from before, and not with those that are restored.
    let deep = data(&stage).join("data/deep");
    stage.lxd.with_instance("tiny", |tiny| {
        tiny.refuses = Some(Arc::new(move || deep.exists().then(|| "its data are too old".to_owned())));
    });
    let (code, text) = restores(&stage, specs).await.unwrap_err();
    assert_eq!(
        (code, text.as_str()),
        (
            13,
            "error: step 4 of 4 failed: ryo-tiny: see instance tiny come up with the restored data\n\
             \x20 because: with the restored data it did not come up, and the data from before are back\n\
             \x20 because: start of instance `tiny` failed: its data are too old\n\
             hint: run the same command again: what is done is found done\n"
        )
    );
    assert_eq!(look(&data(&stage)), before);
    assert!(runs(&stage) && beside(&stage).is_empty(), "{:?}", beside(&stage));
    stage.lxd.with_instance("tiny", |tiny| tiny.refuses = None);
    stage.lxd.with_instance("tiny", |tiny| tiny.unstartable = Some("its data are too old".to_owned()));
    let (code, text) = restores(&stage, specs).await.unwrap_err();
    // It cannot start with any data here: that is told, and the data are those from before.
    assert_eq!(code, 1, "{text}");
    assert_eq!(look(&data(&stage)), before);
    stage.lxd.with_instance("tiny", |tiny| tiny.unstartable = None);
    stage.deploys().await;
    assert!(runs(&stage) && beside(&stage).is_empty());
    assert_eq!(look(&data(&stage)), before);
}

fn archive(stage: &Stage, name: &str, make: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> PathBuf {
    let path = stage.path(name);
    let mut builder = tar::Builder::new(vec![]);
    make(&mut builder);
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    path
}

fn add(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

const TOO_LONG: &str = "because: it is no archive that can be read: the headers of a member are longer than 16 MiB";

/// A container can make a tree that is deeper than any path the system takes at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_is_deeper_than_a_path_may_be_long_comes_back() {
    use rustix::fs::{Mode, OFlags, RawDir, mkdirat, openat};
    let stage = deployed().await;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let (name, depth) = ("d".repeat(200), 30);
    let top = data(&stage).join("data");
    let mut at = rustix::fs::open(&top, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, &name, Mode::from_raw_mode(0o755)).unwrap();
        at = openat(&at, &name, flags, Mode::empty()).unwrap();
    }
    let file = openat(&at, "deep", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
    rustix::io::write(&file, b"content").unwrap();
    let specs = stage.archives("1", Compression::Gzip);
    stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await.unwrap();
    fs::remove_dir_all(top.join(&name)).unwrap();
    restores(&stage, &self::specs(&stage, "1")[1..]).await.unwrap();
    let mut at = rustix::fs::open(&top, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        at = openat(&at, &name, flags, Mode::empty()).unwrap();
    }
    let mut room = Vec::with_capacity(4096);
    let mut entries = RawDir::new(&at, room.spare_capacity_mut());
    let mut names = vec![];
    while let Some(entry) = entries.next() {
        names.push(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    assert!(names.contains(&"deep".to_owned()), "{names:?}");
}

/// What was half removed is not what anybody wants back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_breaks_off_leaves_nothing_that_could_be_taken_for_the_data() {
    let stage = spoilt().await;
    restores(&stage, &specs(&stage, "1")[1..]).await.unwrap();
    let restored = look(&data(&stage));
    let kept = beside(&stage).into_iter().find(|name| name.starts_with(".ryo-kept-ryo-tiny@")).unwrap();
    let busy = stage.path("host/var/containers").join(&kept).join("data");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&busy).status().unwrap();
    assert!(mounted.success());
    let commit = || stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_commit("commit", &ids[1..], seen));
    let (code, text) = commit().await.unwrap_err();
    assert!(code == 1 && text.contains("cannot change the data of ryo-tiny: "), "{text}");
    let undo = stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await;
    assert_eq!(
        undo.unwrap_err().1.lines().next().unwrap(),
        "error: nothing is kept from before a restore of ryo-tiny-store, ryo-tiny"
    );
    assert_eq!(look(&data(&stage)), restored);
    let left = stage.path("host/var/containers/.ryo-restore-ryo-tiny/data");
    assert!(Command::new("umount").arg(left).status().unwrap().success());
    // The next restore takes it away.
    restores(&stage, &specs(&stage, "1")[1..]).await.unwrap();
    assert_eq!(beside(&stage).len(), 1, "{:?}", beside(&stage));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_is_made_up_changes_nothing() {
    use tar::EntryType as T;
    type Members<'m> = &'m [(T, &'static str, &'static str, &'m [u8])];
    // What says something of a member, and is longer than anybody has anything to say.
    let long = vec![b'1'; 17 << 20];
    let table: [(&str, Members, &str); 12] = [
        ("up", &[(T::Regular, "ryo-tiny/../x", "", b"x")], "`ryo-tiny/../x` leads out of the directory"),
        ("absolute", &[(T::Regular, "/etc/x", "", b"x")], "`/etc/x` leads out of the directory"),
        ("another", &[(T::Regular, "ryo-other/x", "", b"x")], "`ryo-other/x` leads out of the directory"),
        ("device", &[(T::Char, "ryo-tiny/null", "", b"")], "`ryo-tiny/null` is a device"),
        (
            "name",
            &[(T::Link, "ryo-tiny/passwd", "../../etc/passwd", b"")],
            "`../../etc/passwd` leads out of the directory",
        ),
        (
            "through",
            &[(T::Symlink, "ryo-tiny/out", "/", b""), (T::Regular, "ryo-tiny/out/x", "", b"x")],
            "`ryo-tiny/out/x` leads through a link",
        ),
        (
            "twice",
            &[(T::Regular, "ryo-tiny/x", "", b"1"), (T::Regular, "ryo-tiny/x", "", b"2")],
            "it is no archive that can be read: `ryo-tiny/x` is there twice",
        ),
        (
            "sizes",
            &[(T::XHeader, "pax", "", b"11 size=512\n"), (T::Regular, "ryo-tiny/x", "", b"x")],
            "it is no archive that can be read",
        ),
        ("kind", &[(T::XGlobalHeader, "ryo-tiny/x", "", b"")], "`ryo-tiny/x` is of a kind that is not known"),
        ("long", &[(T::XHeader, "pax", "", &long[..]), (T::Regular, "ryo-tiny/x", "", b"x")], TOO_LONG),
        ("long name", &[(T::GNULongName, "././@LongLink", "", &long[..]), (T::Regular, "x", "", b"x")], TOO_LONG),
        (
            "long link",
            &[(T::GNULongLink, "././@LongLink", "", &long[..]), (T::Symlink, "ryo-tiny/x", "y", b"")],
            TOO_LONG,
        ),
    ];
    let stage = spoilt().await;
    let before = look(&data(&stage));
    for (name, members, wanted) in table {
        let made = archive(&stage, name, |builder| {
            for (kind, path, link, content) in members {
                add(builder, *kind, path, link, content);
            }
        });
        let (code, text) = restores(&stage, &[spec("ryo-tiny", Kind::Project, &made, "x")]).await.unwrap_err();
        assert_eq!(code, 1, "{name}: {text}");
        assert!(text.contains(wanted), "{name}: {text}");
        assert_eq!(look(&data(&stage)), before, "{name}");
        assert!(runs(&stage) && beside(&stage).is_empty(), "{name}: {:?}", beside(&stage));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_is_damaged_changes_nothing() {
    let stage = spoilt().await;
    let before = look(&data(&stage));
    let specs = specs(&stage, "1");
    let project = &specs[1..];
    let archive = project[0].archive.path();
    let whole = fs::read(archive).unwrap();
    let mut damaged: Vec<(String, Vec<u8>)> = vec![];
    for share in 1..12 {
        damaged.push((format!("cut at {share}/12"), whole[..whole.len() * share / 12].to_vec()));
        let mut flipped = whole.clone();
        flipped[whole.len() * share / 12] ^= 4;
        damaged.push((format!("flipped at {share}/12"), flipped));
    }
    // Cut between groups of members, it is a valid stream all the same.
    let end = Compression::Gzip.whole(&[0; 1024]).unwrap();
    damaged.push(("without its end".to_owned(), whole[..whole.len() - end.len()].to_vec()));
    damaged.push(("with more behind it".to_owned(), [&whole[..], &end].concat()));
    damaged.push(("another one".to_owned(), fs::read(specs[0].archive.path()).unwrap()));
    for (name, bytes) in damaged {
        fs::write(archive, bytes).unwrap();
        let ended = restores(&stage, project).await;
        assert!(ended.is_err(), "{name} is restored");
        assert_eq!(look(&data(&stage)), before, "{name}");
        assert!(runs(&stage) && beside(&stage).is_empty(), "{name}: {:?}", beside(&stage));
    }
    fs::write(archive, &whole).unwrap();
    let manifest = archive.with_file_name("backup-local-ryo-tiny-1.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let told = [
        ("\"mode\":\"4751\"", "\"mode\":\"0751\"", "is not what its manifest says: `ryo-tiny/data/plain` is another"),
        ("\"id\":\"ryo-tiny\"", "\"id\":\"ryo-x\"", "is of ryo-x on host `local`, not of ryo-tiny on host `local`"),
        ("\"host\":\"local\"", "\"host\":\"web\"", "is of ryo-tiny on host `web`, not of ryo-tiny on host `local`"),
        ("\"form\":1", "\"form\":9", "because: it is of form 9, this `ryo` reads form 1"),
    ];
    for (from, to, wanted) in told {
        assert!(text.contains(from), "{from}");
        fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        let (_, text) = restores(&stage, project).await.unwrap_err();
        assert!(text.contains(wanted), "{text}");
    }
    fs::write(&manifest, text).unwrap();
    // A restore of something else was killed while it unpacked.
    fs::create_dir(stage.path("host/var/containers/.ryo-restore-other")).unwrap();
    // A run was killed between the two steps of an exchange.
    let inode = fs::metadata(data(&stage)).unwrap().ino();
    fs::create_dir(stage.path(&format!("host/var/containers/.ryo-kept-ryo-tiny@{inode}@1"))).unwrap();
    let text = restores(&stage, project).await.unwrap();
    assert!(text.contains("  - other: remove what a restore of other that broke off has unpacked\n"), "{text}");
    assert_ne!(look(&data(&stage)), before);
    assert_eq!(beside(&stage), [format!(".ryo-kept-ryo-tiny@{inode}@1")]);
}

/// Restores with one exchange that breaks, then again. Returns whether there was such an exchange.
async fn broken(fault: Fault, at: usize) -> bool {
    let stage = spoilt_a_little().await;
    let before = look(&data(&stage));
    let specs = specs(&stage, "1");
    let faulty = Arc::new(Faulty::new(stage.lxd.clone(), fault, at));
    let ended = stage.settles(faulty.clone(), |_, seen| restore::plan("restore", &specs, seen)).await;
    if !faulty.happened() {
        return false;
    }
    let restored = look(&data(&stage)) != before;
    assert!(ended.is_err() || (restored && runs(&stage)), "{fault:?} at {at}: a lie");
    if let Err((code, text)) = restores(&stage, &specs).await {
        let settled = text.contains("are still kept") && restored;
        assert!(settled, "{fault:?} at {at}: after {ended:?}, running again: {code} {text}");
    }
    assert_ne!(look(&data(&stage)), before, "{fault:?} at {at}: after {ended:?}");
    assert!(runs(&stage), "{fault:?} at {at}: after {ended:?}");
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();
    assert_eq!(look(&data(&stage)), before, "{fault:?} at {at}: after {ended:?}");
    true
}

async fn sweep(fault: Fault) {
    let at = every_exchange(|at| broken(fault, at)).await;
    assert!(at > 10, "only {at} exchanges");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_survives_every_request_that_does_not_arrive() {
    sweep(FAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_survives_every_answer_that_is_lost() {
    sweep(FAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_survives_every_answer_that_breaks_off() {
    sweep(FAULTS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_survives_every_job_that_fails() {
    sweep(FAULTS[3]).await;
}
