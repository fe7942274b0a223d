//! Encrypted backups: made, listed, verified and restored, interchangeable with `age`, and nothing of what is in them lies
//! open.

use std::fs;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use ryo::archive::Compression;
use ryo::archive::seal::{Identities, Recipients};
use ryo::event::Events;
use ryo::flow::backup;
use ryo::flow::backup::catalogue::{self, State};
use ryo::flow::backup::draft::{Draft, digest};
use ryo::flow::backup::verify::{Verdict, verify};
use ryo::flow::backup::{How, Manifest, record};
use ryo::flow::restore::{self, Spec, find};
use ryo::project::Kind;
use serde_json::Value;

use crate::backup::{data, deployed, furnish, look};
use crate::store::{ryo, store};
use crate::support::stage::Stage;

/// A key made by `age-keygen` in a file, and its recipient.
fn key(directory: &Path) -> (PathBuf, String) {
    let file = directory.join("key.txt");
    let _ = fs::remove_file(&file);
    assert!(Command::new("age-keygen").arg("-o").arg(&file).output().unwrap().status.success());
    let said = Command::new("age-keygen").arg("-y").arg(&file).output().unwrap();
    (file, String::from_utf8(said.stdout).unwrap().trim().to_owned())
}

fn recipients(texts: &[&str]) -> Recipients {
    Recipients::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A deployed project with an encrypted backup `1` of itself and its module, the key, and what was in it.
async fn sealed(compression: Compression) -> (Stage, PathBuf) {
    let stage = deployed().await;
    furnish(&data(&stage));
    let configuration = stage.path("work/ryo-tiny/configuration");
    fs::write(configuration.join("tiny_password_local.yml"), "tiny_password: s3cret-of-this-host\n").unwrap();
    fs::write(configuration.join("tiny_password_other.yml"), "tiny_password: of-another-host\n").unwrap();
    let (file, recipient) = key(&stage.path(""));
    let specs = stage.sealed_archives("1", compression, &recipients(&[&recipient]));
    stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await.unwrap();
    (stage, file)
}

fn opened(key: &Path, file: &Path) -> Vec<u8> {
    let ended = Command::new("age").arg("-d").arg("-i").arg(key).arg(file).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

fn archive(stage: &Stage, id: &str) -> PathBuf {
    store(stage).join(format!("backup-local-{id}-1.tar.gz.age"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_opens_an_encrypted_backup_and_nothing_of_it_lies_open() {
    let (stage, key) = sealed(Compression::Gzip).await;
    let archive = archive(&stage, "ryo-tiny");
    let place = tempfile::tempdir().unwrap();
    let plain = place.path().join("plain.tar.gz");
    fs::write(&plain, opened(&key, &archive)).unwrap();
    assert!(Command::new("tar").arg("-xzpf").arg(&plain).current_dir(place.path()).status().unwrap().success());
    assert_eq!(look(&place.path().join("ryo-tiny")), look(&data(&stage)));

    let manifest: Value = serde_json::from_slice(&opened(&key, &backup::manifest::beside(&archive))).unwrap();
    assert_eq!(manifest["archive"]["size"], fs::metadata(&archive).unwrap().len());
    assert_eq!(manifest["archive"]["sha256"], digest(&mut fs::File::open(&archive).unwrap()).unwrap());
    let names: Vec<&str> =
        manifest["kept"]["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "ryo-control-node/configuration/configuration.yml",
            "ryo-host/backup-restore/deployed-modules_local.yml",
            "ryo-host/backup-restore/deployed-projects_local.yml",
            "ryo-host/configuration/configuration_local.yml",
            "ryo-host/configuration/inventory_local",
            "ryo-tiny/configuration/configuration_local.yml",
            "ryo-tiny/configuration/tiny_password_local.yml",
        ]
    );
    let keys = manifest["kept"]["keys"].as_array().unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| key["value"].is_string()), "{keys:?}");
    assert_eq!(manifest["kept"]["left_out"], Value::Array(vec![]));

    let names: Vec<String> = {
        let entries = fs::read_dir(store(&stage)).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(
        names,
        [
            "backup-local-ryo-tiny-1.json.age",
            "backup-local-ryo-tiny-1.record",
            "backup-local-ryo-tiny-1.tar.gz.age",
            "backup-local-ryo-tiny-store-1.json.age",
            "backup-local-ryo-tiny-store-1.record",
            "backup-local-ryo-tiny-store-1.tar.gz.age",
        ]
    );
    for name in names {
        let bytes = fs::read(store(&stage).join(&name)).unwrap();
        for word in ["s3cret-of-this-host", "deep/er/large", "configuration_local", "czNjcmV0"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "`{word}` is in {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_backup_says_what_it_leaves_out_and_holds_no_secret() {
    let stage = deployed().await;
    let secret = "tiny_password: s3cret-of-this-host\n";
    fs::write(stage.path("work/ryo-tiny/configuration/tiny_password_local.yml"), secret).unwrap();
    let specs = stage.archives("1", Compression::Gzip);
    stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await.unwrap();
    let text = fs::read_to_string(backup::manifest::beside(&specs[1].file)).unwrap();
    assert!(text.contains("ryo-tiny/configuration/tiny_password_local.yml"), "{text}");
    assert!(!text.contains("\"content\"") && !text.contains("\"value\"") && !text.contains("s3cret"), "{text}");
    let manifest = Manifest::head(&specs[1].file, &Identities::default()).unwrap().unwrap();
    assert_eq!(manifest.kept.left_out, ["values of Consul keys and contents of files: the backup is not encrypted"]);
    assert!(!manifest.kept.keys.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_backup_is_restored_by_whoever_has_the_key() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (stage, key) = sealed(compression).await;
        let wanted = look(&data(&stage));
        fs::write(data(&stage).join("data/plain"), "spoilt\n").unwrap();
        let spoilt = look(&data(&stage));
        let restored = async |identities: &Identities| {
            let (archive, stamp) = find::archive(&store(&stage), "local", "ryo-tiny", None, identities).unwrap();
            let (host, id, identities) = ("local".to_owned(), "ryo-tiny".to_owned(), identities.clone());
            let spec = Spec { host, id, kind: Kind::Project, archive, stamp, identities };
            stage.settles(stage.lxd.clone(), |_, seen| restore::plan("restore", &[spec], seen)).await.map(drop)
        };
        let hint =
            "hint: name the file with the identity: `--identity FILE`, or `backup: {identity: FILE}` in the settings";
        for (identities, why) in [
            (Identities::default(), "it is encrypted, and no identity was given"),
            (Identities::made_up().0, "it is encrypted to others: no identity that was given opens it"),
        ] {
            let (code, text) = restored(&identities).await.unwrap_err();
            let end = format!(
                "because: cannot read `HERE/work/ryo-host/backup-restore/backups/backup-local-ryo-tiny-1.json.age`\n  because: {why}\n{hint}\n\
                 hint: run the same command again: what is done is found done\n"
            );
            assert_eq!(code, 2, "{text}");
            assert!(text.ends_with(&end), "{text}");
            assert_eq!(look(&data(&stage)), spoilt);
        }
        restored(&Identities::read(Some(&key)).unwrap()).await.unwrap();
        assert_eq!(look(&data(&stage)), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_age_has_encrypted_is_restored() {
    let stage = deployed().await;
    furnish(&data(&stage));
    let (key, recipient) = key(&stage.path(""));
    let archive = archive(&stage, "ryo-tiny");
    fs::create_dir_all(store(&stage)).unwrap();
    let script = "tar --format=posix -cz ryo-tiny/* | age -r \"$1\" -o \"$2\"";
    let parent = data(&stage).parent().unwrap().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &recipient]).arg(&archive).current_dir(parent);
    assert!(command.status().unwrap().success());
    let wanted = look(&data(&stage));
    fs::remove_dir_all(data(&stage).join("data/deep")).unwrap();
    let identities = Identities::read(Some(&key)).unwrap();
    let found = catalogue::look(&store(&stage), &Identities::default()).unwrap().backups;
    assert_eq!(found[0].about, None, "nobody can tell whose it is");
    let (found, stamp) = find::archive(&store(&stage), "local", "ryo-tiny", None, &identities).unwrap();
    assert_eq!((found.path(), stamp.as_str()), (&*archive, "1"));
    let (host, id) = ("local".to_owned(), "ryo-tiny".to_owned());
    let spec = Spec { host, id, kind: Kind::Project, archive: found, stamp, identities };
    stage.settles(stage.lxd.clone(), |_, seen| restore::plan("restore", &[spec], seen)).await.unwrap();
    assert_eq!(look(&data(&stage)), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_backup_is_looked_after_without_the_key_and_opened_with_it() {
    let (stage, key) = sealed(Compression::Gzip).await;
    let ended = ryo(&stage, &["backup", "list"]).well();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        (
            "HOST  ID  STAMP  AGE  SIZE  MADE BY  STATE\n\
             local  ryo-tiny  1  SPAN  SIZE  ryo, encrypted  whole\n\
             local  ryo-tiny-store  1  SPAN  SIZE  ryo, encrypted  whole\n",
            ""
        )
    );
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny"]).well();
    assert_eq!(
        ended.stdout,
        "local ryo-tiny 1: as it was written; what is in it was not read, as there is no identity that opens it\n"
    );
    let ended = ryo(&stage, &["restore", "ryo-tiny", "-n", "local", "--yes"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: the archive `HERE/ryo-host/backup-restore/backups/backup-local-ryo-tiny-1.tar.gz.age` cannot be \
             restored (near byte N of N)\n\
             \x20 because: it is encrypted, and no identity was given\n\
             hint: name the file with the identity: `--identity FILE`, or `backup: {identity: FILE}` in the settings\n"
        )
    );
    let key = key.display().to_string();
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny", "--identity", &key]).well();
    assert_eq!(ended.stdout, "local ryo-tiny 1: whole (17 members, SIZE)\n");
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny"]).well();
    assert!(ended.stdout.ends_with("  content  not known: no identity was given that opens it\n"), "{}", ended.stdout);
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny", "--identity", &key]).well();
    assert!(ended.stdout.contains("  content  17 members, SIZE\n"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("  kept  3 Consul keys, 7 files\n"), "{}", ended.stdout);
    // The settings know the key as well.
    let settings = stage.path("work/with-key.yml");
    fs::write(&settings, format!("backup:\n  identity: {key}\n")).unwrap();
    let words = ["backup", "show", "ryo-tiny", "--files", "out", "--settings", "with-key.yml"];
    let ended = ryo(&stage, &words).well();
    assert_eq!(ended.stdout, "7 files of local ryo-tiny 1 written into out\n");
    let file = "ryo-tiny/configuration/tiny_password_local.yml";
    assert_eq!(fs::read(stage.path("work/out").join(file)).unwrap(), fs::read(stage.path("work").join(file)).unwrap());
    let ended = ryo(&stage, &words);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(1),
            "error: cannot write `ryo-control-node/configuration/configuration.yml` into `out`: File exists (os error 17)\n"
        )
    );
    // Without the key, a changed byte shows as well.
    let archive = archive(&stage, "ryo-tiny");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), "local ryo-tiny 1: damaged: its bytes are not those that were written\n")
    );
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny", "--identity", &key]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), "local ryo-tiny 1: damaged: the archive cannot be read: decryption error, near byte N of N\n")
    );
    fs::remove_file(record::beside(&archive)).unwrap();
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("not verified: ") && ended.stdout.contains("no identity was given"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cut_of_an_encrypted_backup_is_told() {
    let (stage, key) = sealed(Compression::Gzip).await;
    let archive = archive(&stage, "ryo-tiny-store");
    let identities = Identities::read(Some(&key)).unwrap();
    let whole = fs::read(&archive).unwrap();
    let backup = |identities: &Identities| {
        let found = catalogue::look(&store(&stage), identities).unwrap().backups;
        found.into_iter().find(|it| it.archive.path() == archive).unwrap()
    };
    for length in (0..whole.len()).step_by(7) {
        fs::write(&archive, &whole[..length]).unwrap();
        for identities in [&identities, &Identities::default()] {
            let verdict = verify(&backup(identities), identities).unwrap();
            assert!(matches!(verdict, Verdict::Damaged(_)), "{length}: {verdict:?}");
            assert!(matches!(backup(identities).state, State::Damaged(_)), "{length}");
        }
    }
    for at in (0..whole.len()).step_by(5) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&archive, bytes).unwrap();
        // One that names another recipient is not opened at all.
        let verdict = verify(&backup(&identities), &identities);
        assert!(!matches!(verdict, Ok(Verdict::Whole { .. } | Verdict::Unopened)), "{at}: {verdict:?}");
    }
    fs::write(&archive, &whole).unwrap();
    assert!(matches!(verify(&backup(&identities), &identities).unwrap(), Verdict::Whole { .. }));
}

/// A member without the end of an archive.
pub fn group(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(vec![]);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, name, content).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes
}

#[test]
fn a_draft_of_an_encrypted_archive_does_not_lie_open_while_it_is_made() {
    let place = tempfile::tempdir().unwrap();
    let (identities, recipients) = Identities::made_up();
    let stage = Stage::new();
    let mut spec = stage.sealed_archives("1", Compression::None, &recipients).remove(0);
    spec.file = place.path().join("backup-local-x-1.tar.age");
    let mut draft = Draft::begin(&spec).unwrap();
    let clear = b"this is not to be read by anybody".repeat(100);
    for (name, how) in [("a", How::Serving), ("b", How::Serving), ("a", How::Changed)] {
        draft.group(&mut &group(name, &clear)[..], how).unwrap();
    }
    let on_the_disk = |place: &Path| {
        let files = fs::read_dir(place).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.collect::<Vec<_>>().concat()
    };
    let open = |bytes: &[u8]| bytes.windows(20).any(|window| clear.starts_with(window));
    assert!(!open(&on_the_disk(place.path())));
    let whole = draft.finish().unwrap();
    assert!(!open(&on_the_disk(place.path())));
    draft.place().unwrap();
    drop(draft);
    let names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names, [spec.file.clone()]);
    let bytes = fs::read(&spec.file).unwrap();
    assert_eq!((bytes.len() as u64, digest(&mut &bytes[..]).unwrap()), (whole.size, whole.sha256));
    let mut plain = vec![];
    identities.open(&bytes[..]).unwrap().read_to_end(&mut plain).unwrap();
    assert_eq!(plain, [group("b", &clear), group("a", &clear), vec![0; 1024]].concat());
}

#[test]
fn pieces_of_what_is_sealed_are_read_from_anywhere() {
    let (identities, recipients) = Identities::made_up();
    let clear: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut sealing = recipients.seal(vec![]).unwrap();
    sealing.write_all(&clear).unwrap();
    let sealed = sealing.finish().unwrap();
    for from in [0, 1, 65_535, 65_536, 200_000, clear.len() - 1, clear.len()] {
        let mut opened = identities.open(Cursor::new(&sealed)).unwrap();
        opened.seek(SeekFrom::Start(from as u64)).unwrap();
        let mut piece = vec![];
        opened.take(100_000).read_to_end(&mut piece).unwrap();
        assert_eq!(piece, clear[from..(from + 100_000).min(clear.len())], "from {from}");
    }
}

#[test]
fn what_is_no_recipient_or_identity_is_told_and_no_secret_is() {
    let place = tempfile::tempdir().unwrap();
    let (file, recipient) = key(place.path());
    let secret = fs::read_to_string(&file).unwrap().lines().last().unwrap().to_owned();
    let told = |text: &str| Recipients::parse(&[text.to_owned()]).unwrap_err().to_string();
    assert_eq!(told("age1x"), "`age1x` is no recipient: `age1…` is required, as `age-keygen` prints it");
    assert_eq!(told("anna"), "`anna` is no recipient: `age1…` is required, as `age-keygen` prints it");
    assert_eq!(
        told(&secret),
        "a secret key was given where a recipient is required: `age-keygen -y` prints the recipient of a key"
    );
    assert_eq!(recipients(&[&recipient, &format!(" {recipient}\n")]), recipients(&[&recipient, &recipient]));
    let told = |text: &str| {
        fs::write(&file, text).unwrap();
        let error = Identities::read(Some(&file)).unwrap_err().to_string();
        error.replace(&place.path().display().to_string(), "HERE")
    };
    assert_eq!(told(""), "there is no identity in `HERE/key.txt`");
    assert_eq!(told("# nothing\n\n"), "there is no identity in `HERE/key.txt`");
    let wrong = format!("# mine\n{secret}X\n");
    assert_eq!(told(&wrong), "`HERE/key.txt`, line 2: this is no identity: `AGE-SECRET-KEY-1…` is required");
    assert_eq!(
        told("age-encryption.org/v1\n"),
        "the identity in `HERE/key.txt` is encrypted itself: open it with `age -d` first"
    );
    fs::remove_file(&file).unwrap();
    let missing = Identities::read(Some(&file)).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the identity in "), "{missing}");
    fs::write(&file, format!("# mine\n{secret}\n")).unwrap();
    assert_eq!(format!("{:?}", Identities::read(Some(&file)).unwrap()), "***");
}

#[test]
fn a_header_of_any_length_is_not_read() {
    let (identities, _) = Identities::made_up();
    let mut bytes = b"age-encryption.org/v1\n".to_vec();
    for _ in 0..100_000 {
        bytes.extend(
            b"-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        );
    }
    let Err(error) = identities.open(&bytes[..]) else { panic!("it is opened") };
    assert_eq!(error.to_string(), "it is no archive that can be read: it breaks off");
}
