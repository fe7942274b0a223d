//! Backups: what is in an archive, that others can read it, and that whatever breaks, nothing is left stopped and
//! nothing is said that is not so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use ryo::archive::Compression;
use ryo::archive::seal::{Identities, Recipients};
use ryo::archive::tree::group::Member;
use ryo::archive::tree::remove::remove;
use ryo::archive::tree::roll::roll;
use ryo::archive::tree::{Entry, Kind};
use ryo::event::{Event, Events};
use ryo::failure::Failure;
use ryo::flow::backup::draft::Draft;
use ryo::flow::backup::manifest::Archive;
use ryo::flow::backup::verify::{Verdict, verify};
use ryo::flow::backup::{How, Manifest, Ongoing, catalogue, place};
use ryo::flow::instance::Pause;
use ryo::flow::progress::Progress;
use tokio::sync::watch;

use crate::seal::group;
use crate::support::faulty::{FAULTS, Fault, Faulty, every_exchange};
use crate::support::stage::Stage;

/// Where the project's data are.
pub fn data(stage: &Stage) -> PathBuf {
    stage.path("host/var/containers/ryo-tiny")
}

/// Everything that a tree can hold.
pub fn furnish(root: &Path) {
    let data = root.join("data");
    fs::create_dir_all(data.join("deep/er")).unwrap();
    fs::write(data.join("plain"), "plain\n").unwrap();
    fs::write(data.join("empty"), "").unwrap();
    fs::write(data.join("deep/er/large"), vec![b'x'; (3 << 20) + 17]).unwrap();
    fs::write(data.join("n".repeat(200)), "a long name\n").unwrap();
    fs::write(data.join(OsString::from_vec(b"no \xff text".to_vec())), "bytes\n").unwrap();
    std::os::unix::fs::chown(data.join("plain"), Some(70_001), Some(33)).unwrap();
    std::os::unix::fs::chown(data.join("deep"), Some(3_000_000), Some(3_000_001)).unwrap();
    // A change of owner takes these bits away.
    fs::set_permissions(data.join("plain"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(data.join("deep"), fs::Permissions::from_mode(0o2770)).unwrap();
    fs::hard_link(data.join("plain"), data.join("deep/same")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", data.join("link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(180), data.join("long-link")).unwrap();
    fs::hard_link(data.join("link"), data.join("deep/same-link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, data.join("pipe"), rustix::fs::FileType::Fifo, 0o640.into(), 0).unwrap();
    let mut sparse = fs::File::create(data.join("sparse")).unwrap();
    for number in 0..30_u64 {
        sparse.seek(SeekFrom::Start(number << 20)).unwrap();
        sparse.write_all(b"here").unwrap();
    }
    sparse.set_len(40 << 20).unwrap();
    for (name, value) in ATTRIBUTES {
        rustix::fs::setxattr(data.join("plain"), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for path in below(root).into_iter().filter(|path| path.is_file() && !path.is_symlink()) {
        fs::File::open(path).unwrap().set_modified(old).unwrap();
    }
    let ancient = fs::File::create(data.join("ancient")).unwrap();
    ancient.set_modified(SystemTime::UNIX_EPOCH - Duration::from_hours(24 * 365)).unwrap();
}

/// Extended attributes of one file: values may hold anything, names nearly so.
pub const ATTRIBUTES: [(&str, &[u8]); 3] =
    [("user.note", b"kept"), ("user.lines", b"a\n20 path=ryo-tiny/b\n\0\xff"), ("user.a=b%3D", b"c=d")];

/// Whether the file has them.
pub fn has_attributes(file: &Path) -> bool {
    ATTRIBUTES.iter().all(|(name, wanted)| {
        let mut value = [0; 64];
        rustix::fs::getxattr(file, *name, &mut value[..]).is_ok_and(|length| &value[..length] == *wanted)
    })
}

fn below(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

/// A tree as values that can be compared: everything but sockets.
pub fn look(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in below(root) {
        let about = fs::symlink_metadata(&path).unwrap();
        if about.file_type().is_socket() {
            continue;
        }
        let content = if about.is_file() {
            let bytes = fs::read(&path).unwrap();
            format!("{} {}", bytes.len(), ryo::flow::backup::draft::digest(&mut &bytes[..]).unwrap())
        } else if about.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else {
            String::new()
        };
        let links = if about.is_dir() { 0 } else { about.nlink() };
        let mtime = if about.is_dir() { 0 } else { about.mtime() };
        let mode = if about.is_symlink() { 0 } else { about.mode() };
        let name = format!("{:?}", path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string());
        found.insert(name, format!("{mode:o} {}:{} {mtime} {links} {content}", about.uid(), about.gid()));
    }
    found
}

fn unpacked(program: &str, words: &[&str], archive: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let ended = Command::new(program).args(words).arg(archive).current_dir(place.path()).output().unwrap();
    assert!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.stderr));
    place
}

pub async fn deployed() -> Stage {
    let stage = Stage::new();
    stage.deploys().await;
    stage
}

pub fn manifest(archive: &Path) -> Manifest {
    let mut members = vec![];
    let mut visit = |member| {
        members.push(member);
        true
    };
    let manifest = Manifest::read(archive, &Identities::default(), &mut visit).unwrap().unwrap();
    Manifest { members, ..manifest }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_stops_copies_and_starts_and_others_can_unpack_it() {
    let stage = deployed().await;
    furnish(&data(&stage));
    let socket = data(&stage).join("data/socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let (device, kind) = (data(&stage).join("data/null"), rustix::fs::FileType::CharacterDevice);
    rustix::fs::mknodat(rustix::fs::CWD, &device, kind, 0o666.into(), rustix::fs::makedev(1, 3)).unwrap();
    let specs = stage.archives("1", Compression::Gzip);
    let warnings = Arc::new(Mutex::new(vec![]));
    let noted = warnings.clone();
    let events = Events::new(move |event| {
        if let Event::Warned { message } = event {
            noted.lock().unwrap().push(message);
        }
    });
    let plan = stage.backs_up(stage.lxd.clone(), &specs, &events).await.unwrap();
    assert_eq!(
        plan.text(),
        "backup ryo-tiny on local:\n\
        \x20 ~ ryo-tiny-store: copy /var/containers/ryo-tiny-store while it serves\n\
        \x20 ~ ryo-tiny: copy /var/containers/ryo-tiny while it serves\n\
        \x20 ~ ryo-tiny: stop instance tiny\n\
        \x20 ~ ryo-tiny-store: stop instance store\n\
        \x20 ~ ryo-tiny-store: copy what has changed in /var/containers/ryo-tiny-store\n\
        \x20 ~ ryo-tiny-store: start instance store again\n\
        \x20 ~ ryo-tiny: copy what has changed in /var/containers/ryo-tiny\n\
        \x20 ~ ryo-tiny: start instance tiny again\n\
        \x20 + ryo-tiny-store: write backup-local-ryo-tiny-store-1.tar.gz\n\
        \x20 + ryo-tiny: write backup-local-ryo-tiny-1.tar.gz\n\
        10 steps\n"
    );
    assert_eq!(
        *warnings.lock().unwrap(),
        [
            "not in the archive, because they are sockets: ryo-tiny/data/socket",
            "not in the archive, because they are devices: ryo-tiny/data/null",
        ]
    );
    fs::remove_file(device).unwrap();
    let archive = &specs[1].file;
    let wanted = look(&data(&stage));
    for (program, words) in [("tar", &["-xzpf"][..]), ("bsdtar", &["-xpf"])] {
        let place = unpacked(program, words, archive);
        assert_eq!(look(&place.path().join("ryo-tiny")), wanted, "{program}");
        let sparse = fs::metadata(place.path().join("ryo-tiny/data/sparse")).unwrap();
        assert!(sparse.blocks() < 1000, "{program} filled the holes: {} blocks", sparse.blocks());
    }
    let place = unpacked("tar", &["--xattrs", "-xzpf"], archive);
    assert!(has_attributes(&place.path().join("ryo-tiny/data/plain")));

    let manifest = manifest(archive);
    assert_eq!(
        (manifest.host.as_str(), manifest.kind.as_str(), manifest.id.as_str()),
        ("local", "project", "ryo-tiny")
    );
    assert_eq!(
        manifest.archive.sha256,
        ryo::flow::backup::draft::digest(&mut fs::File::open(archive).unwrap()).unwrap()
    );
    assert_eq!(manifest.sockets, ["ryo-tiny/data/socket"]);
    assert_eq!(manifest.devices, ["ryo-tiny/data/null"]);
    assert_eq!(manifest.members[0].path, "ryo-tiny");
    assert!(manifest.members.iter().any(|it| it.path == "ryo-tiny/data/no \\xff text"));
    assert_eq!(manifest.instances.len(), 1);
    assert!(manifest.instances[0].outage.is_some() && manifest.instances[0].image.is_some());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(archive), mode(&archive.with_extension("").with_extension("json"))), (0o600, 0o600));
    assert_eq!(stage.plan().await.steps, []);
    let again = stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await.unwrap_err();
    assert_eq!(
        again,
        "error: `HERE/work/ryo-host/backup-restore/backups/backup-local-ryo-tiny-store-1.tar.gz` is there already\n\
         hint: give another stamp with `-s`\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_frozen_and_not_stopped_if_that_is_wanted() {
    let stage = deployed().await;
    furnish(&data(&stage));
    let specs = &stage.archives("1", Compression::Gzip)[1..];
    let frozen = Arc::new(Mutex::new(vec![]));
    let (lxd, seen) = (stage.lxd.clone(), frozen.clone());
    let events = Events::new(move |event| {
        if let Event::StepDone { title, .. } = event {
            let (running, frozen) = lxd.with_instance("tiny", |tiny| (tiny.running, tiny.frozen));
            seen.lock().unwrap().push((title, running, frozen));
        }
    });
    stage.backs_up_by(Pause::Freeze, stage.lxd.clone(), specs, &events).await.unwrap();
    let step = |title: &str, frozen: bool| (format!("ryo-tiny: {title}"), true, frozen);
    assert_eq!(
        *frozen.lock().unwrap(),
        [
            step("copy /var/containers/ryo-tiny while it serves", false),
            step("freeze instance tiny", true),
            step("copy what has changed in /var/containers/ryo-tiny", true),
            step("start instance tiny again", false),
            step("write backup-local-ryo-tiny-1.tar.gz", false),
        ]
    );
    assert!(manifest(&specs[0].file).instances[0].outage.is_some());

    // A run that broke off has left it frozen: whatever comes next lets it go on.
    stage.lxd.with_instance("tiny", |tiny| {
        tiny.frozen = true;
        tiny.config.insert("user.ryo.paused".to_owned(), "yes".to_owned());
    });
    let plan = stage.plan().await;
    assert_eq!(plan.text(), "deploy ryo-tiny 1 on local:\n  ~ ryo-tiny: start instance tiny again\n1 step\n");
    stage.deploys().await;
    assert!(!stage.lxd.with_instance("tiny", |tiny| tiny.frozen));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_stopped_stays_stopped_and_is_copied_once() {
    let stage = deployed().await;
    stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    for (stamp, compression, words) in [("z", Compression::Zstd, &["-xf"][..]), ("n", Compression::None, &["-xf"])] {
        let specs = &stage.archives(stamp, compression)[1..];
        let plan = stage.backs_up(stage.lxd.clone(), specs, &Events::nowhere()).await.unwrap();
        let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        let name = specs[0].file.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(steps, ["ryo-tiny: copy /var/containers/ryo-tiny".to_owned(), format!("ryo-tiny: write {name}")]);
        let place = unpacked("tar", words, &specs[0].file);
        assert_eq!(look(&place.path().join("ryo-tiny")), look(&data(&stage)));
    }
    assert!(!stage.lxd.with_instance("tiny", |tiny| tiny.running));
}

/// A step, and what it says of how far it is.
fn noting() -> (Progress, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(vec![]));
    let noted = said.clone();
    let events = Events::new(move |event| {
        if let Event::StepProgress { message, .. } = event {
            noted.lock().unwrap().push(message);
        }
    });
    (Progress { events, number: 1 }, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_has_changed_is_read_again_and_each_member_is_there_once() {
    let stage = deployed().await;
    let root = data(&stage);
    furnish(&root);
    for number in 0..2000 {
        fs::write(root.join(format!("data/deep/{number}")), format!("{number}\n").repeat(400)).unwrap();
    }
    fs::hard_link(root.join("data/deep/7"), root.join("data/deep/er/seven")).unwrap();
    // Times tell only of what has been left alone for a while.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    // Nobody may write to what is copied for the second time.
    stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    let (_sender, stop) = watch::channel(false);
    let (progress, said) = noting();
    for (stamp, compression) in [("1", Compression::Gzip), ("2", Compression::Zstd), ("3", Compression::None)] {
        let spec = &stage.archives(stamp, compression)[1];
        let mut ongoing = Ongoing::default();
        ongoing.copy(&world, spec, How::Serving, &progress, &stop).await.unwrap();
        said.lock().unwrap().clear();
        fs::write(root.join("data/deep/1000"), stamp).unwrap();
        fs::write(root.join("data/deep/7"), stamp.repeat(7)).unwrap();
        fs::remove_file(root.join(format!("data/deep/50{stamp}"))).unwrap();
        fs::write(root.join(format!("data/new{stamp}")), "new\n").unwrap();
        ongoing.copy(&world, spec, How::Changed, &progress, &stop).await.unwrap();
        // Four files, a name, and the directories that have another list of names. What the test has just changed is
        // read again the next time.
        let again: usize = said.lock().unwrap().last().unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((6..14).contains(&again), "{again}");
        ongoing.archive(&world, spec, &progress).await.unwrap();
        let place = unpacked("tar", &["-xpf"], &spec.file);
        assert_eq!(look(&place.path().join("ryo-tiny")), look(&root), "{compression:?}");
        let mut paths: Vec<String> = manifest(&spec.file).members.into_iter().map(|it| it.path).collect();
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count, "each once");
    }
}

/// Nothing of a file says that a directory above it was renamed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_name_of_a_file_is_there_whichever_directory_was_renamed_meanwhile() {
    let stage = deployed().await;
    let root = data(&stage);
    let names = [["alice/mail", "bob/mail"], ["drafts/note", "archive/note"], ["same/1", "same/2"]];
    for [first, second] in names {
        for name in [first, second] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        }
        fs::write(root.join(first), first.repeat(1000)).unwrap();
        fs::hard_link(root.join(first), root.join(second)).unwrap();
    }
    std::os::unix::fs::symlink("there", root.join("alice/link")).unwrap();
    fs::hard_link(root.join("alice/link"), root.join("bob/link")).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let (_sender, stop) = watch::channel(false);
    let (progress, said) = noting();
    let spec = &stage.archives("1", Compression::Gzip)[1];
    let mut ongoing = Ongoing::default();
    ongoing.copy(&world, spec, How::Serving, &progress, &stop).await.unwrap();
    fs::rename(root.join("alice"), root.join("carol")).unwrap();
    fs::rename(root.join("drafts"), root.join("edited")).unwrap();
    ongoing.pause(&world, &["tiny".to_owned()], Pause::Stop).await.unwrap();
    ongoing.copy(&world, spec, How::Changed, &progress, &stop).await.unwrap();
    // The directory with the other names in it, both that have a new one, what is in these, and what was packed under a
    // name that it has no more. What is as it was is not read again.
    assert_eq!(said.lock().unwrap().last().unwrap(), "8 members");
    ongoing.archive(&world, spec, &progress).await.unwrap();
    let place = unpacked("tar", &["-xzpf"], &spec.file);
    assert_eq!(look(&place.path().join("ryo-tiny")), look(&root));
    let made = catalogue::look(spec.file.parent().unwrap(), &Identities::default()).unwrap().backups;
    assert!(matches!(verify(&made[0], &Identities::default()).unwrap(), Verdict::Whole { .. }));
}

/// Makes so many directories with names of that length, one in the other below `top`, and returns the last one. Their
/// path is longer than one that the system takes.
pub fn deep(top: &Path, (count, length): (usize, usize)) -> OwnedFd {
    let mut at = OwnedFd::from(fs::File::open(top).unwrap());
    let name = "d".repeat(length);
    for _ in 0..count {
        mkdirat(&at, &name, 0o755.into()).unwrap();
        at = openat(&at, &name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    }
    at
}

#[test]
fn what_has_too_long_a_path_is_left_out_and_told() {
    let place = tempfile::tempdir().unwrap();
    let top = place.path().join("top");
    fs::create_dir(&top).unwrap();
    drop(deep(&top, (300, 250)));
    let mut archive = vec![];
    let rolled = roll(&top, b"ryo-tiny", None, &mut |piece, _| {
        archive.extend(piece);
        Ok(())
    });
    remove(&top).unwrap();
    let beginning = "d".repeat(100);
    assert_eq!(
        rolled.unwrap().left.lines(),
        [format!("not in the archive, because their paths are longer than 64 KiB: ryo-tiny/{beginning}…")]
    );
    let mut members = 0;
    ryo::archive::tree::read::members(&mut &archive[..], &mut |_, _| {
        members += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(members, 1 + ((64 << 10) - "ryo-tiny".len()) / 251);
}

/// A directory, and another name of a file that is not there.
fn name_of_nothing() -> [Entry; 2] {
    let entry = |path: &str, kind: Kind| Entry {
        path: path.into(),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: 1,
        size: 0,
        records: vec![],
    };
    [entry("ryo-tiny", Kind::Directory), entry("ryo-tiny/b", Kind::Name(b"ryo-tiny/a".to_vec()))]
}

#[test]
fn no_archive_is_given_its_name_that_could_not_be_unpacked() {
    let stage = Stage::new();
    let spec = &stage.archives("1", Compression::None)[1];
    let mut draft = Draft::begin(spec).unwrap();
    let members: Vec<u8> = name_of_nothing().iter().flat_map(Entry::head).collect();
    draft.group(&mut &members[..], How::Serving).unwrap();
    let error = place::in_directory(draft, spec, |_| unreachable!()).unwrap_err();
    assert_eq!(
        Failure::from(error).text(),
        "error: what comes from the host is not what it should be\n  \
         because: it is no archive that can be read: `ryo-tiny/b` is another name of nothing\n"
    );
    assert!(!spec.file.exists());
}

/// As one that was made when this was not seen yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_could_not_be_unpacked_is_damaged_although_it_is_what_its_manifest_says() {
    let stage = deployed().await;
    let spec = &stage.archives("1", Compression::None)[1];
    stage.backs_up(stage.lxd.clone(), std::slice::from_ref(spec), &Events::nowhere()).await.unwrap();
    let members = name_of_nothing();
    let bytes = [members.iter().flat_map(Entry::head).collect(), vec![0; 1024]].concat();
    fs::write(&spec.file, &bytes).unwrap();
    let made = manifest(&spec.file);
    let sha256 = ryo::flow::backup::draft::digest(&mut &bytes[..]).unwrap();
    let archive = Archive { size: bytes.len() as u64, sha256, ..made.archive };
    let members = members.map(|entry| (&Member { entry, sha256: None }).into()).to_vec();
    Manifest { archive, members, ..made }.write(&spec.file, &Recipients::default()).unwrap();
    let made = catalogue::look(spec.file.parent().unwrap(), &Identities::default()).unwrap().backups;
    let Verdict::Damaged(what) = verify(&made[0], &Identities::default()).unwrap() else { panic!("it is whole") };
    let wanted = "it is no archive that can be read: `ryo-tiny/b` is another name of nothing, near byte";
    assert!(what.starts_with(wanted), "{what}");
}

/// A group that becomes longer when it is written anew comes last, and so do its members, and names of its files after it.
#[test]
fn members_are_told_in_the_order_of_the_archive() {
    let stage = Stage::new();
    let spec = &stage.archives("1", Compression::Gzip)[0];
    let mut draft = Draft::begin(spec).unwrap();
    // Lines of which a thorough compressor makes much more than a quick one.
    let turns = std::iter::successors(Some(1_u32), |x| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let line = |turn: u32| format!("a line like any other {} and {}\n", turn >> 22, turn >> 27).into_bytes();
    let lines: Vec<u8> = turns.take(30_000).flat_map(line).collect();
    let best = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let first = best(&[group("stale", b"1"), group("long", &lines)].concat());
    draft.group(&mut &first[..], How::Serving).unwrap();
    draft.group(&mut &best(&group("other", b"2"))[..], How::Serving).unwrap();
    let named = |name: &str, file: &str| {
        let kind = Kind::Name(file.as_bytes().to_vec());
        let entry = Entry { path: name.into(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 1, size: 0, records: vec![] };
        entry.head()
    };
    draft.group(&mut &best(&[named("again", "long"), group("beside", b"4")].concat())[..], How::Serving).unwrap();
    draft.group(&mut &best(&named("once more", "other"))[..], How::Serving).unwrap();
    draft.group(&mut &best(&group("stale", b"3"))[..], How::Changed).unwrap();
    let whole = draft.finish().unwrap();
    draft.place().unwrap();
    let told: Vec<_> = whole.members.iter().map(|it| String::from_utf8(it.entry.path.clone()).unwrap()).collect();
    let listed = Command::new("tar").arg("-tzf").arg(&spec.file).output().unwrap().stdout;
    assert_eq!(told, String::from_utf8(listed).unwrap().lines().collect::<Vec<_>>());
    assert_eq!(told, ["other", "once more", "stale", "long", "again", "beside"]);
    unpacked("tar", &["-xzpf"], &spec.file);
}

/// Makes a backup of which one exchange with the server of containers breaks, then another one. What says that it is done
/// is done; what was running runs after the next backup at the latest, and nothing unfinished is left. Returns whether
/// there was such an exchange.
async fn broken(fault: Fault, at: usize) -> bool {
    let stage = deployed().await;
    let faulty = Arc::new(Faulty::new(stage.lxd.clone(), fault, at));
    let specs = stage.archives("1", Compression::Gzip);
    let ended = stage.backs_up(faulty.clone(), &specs, &Events::nowhere()).await;
    if !faulty.happened() {
        return false;
    }
    let there = specs.iter().all(|spec| spec.file.exists());
    assert!(ended.is_err() || there, "{fault:?} at {at}: a lie");
    let specs = stage.archives("2", Compression::Gzip);
    let again = stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await;
    assert!(again.is_ok(), "{fault:?} at {at}: after {ended:?}, running again: {again:?}");
    for name in ["tiny", "store"] {
        let (running, marked) =
            stage.lxd.with_instance(name, |it| (it.running, it.config.contains_key("user.ryo.paused")));
        assert!(running && !marked, "{fault:?} at {at}: {name} after {ended:?}");
    }
    for entry in fs::read_dir(specs[0].file.parent().unwrap()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(!name.ends_with(".partial"), "{fault:?} at {at}: {name} is left");
    }
    true
}

/// Breaks every exchange of a backup, one at a time, in one way.
async fn sweep(fault: Fault) {
    let at = every_exchange(|at| broken(fault, at)).await;
    assert!(at > 10, "only {at} exchanges");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_survives_every_request_that_does_not_arrive() {
    sweep(FAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_survives_every_answer_that_is_lost() {
    sweep(FAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_survives_every_answer_that_breaks_off() {
    sweep(FAULTS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_survives_every_job_that_fails() {
    sweep(FAULTS[3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_starts_what_a_broken_backup_left_stopped() {
    let stage = deployed().await;
    stage.lxd.with_instance("tiny", |tiny| {
        tiny.running = false;
        tiny.config.insert("user.ryo.paused".to_owned(), "yes".to_owned());
    });
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["ryo-tiny: start instance tiny again"]);
    stage.deploys().await;
    assert_eq!(stage.plan().await.steps, []);
}
