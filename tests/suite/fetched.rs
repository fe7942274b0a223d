//! Modules that fetch, unpack and edit files, below a temporary root, with a server of their own.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use ryo::archive::{self, Compression, codec};
use ryo::module::apt::lists;
use ryo::module::source::gather;
use ryo::module::{Blobs, Mode, Outcome, System, Task, apt_repository, get_url, parse};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::module::{cases, once, root, run, task};
use crate::support::mirror::{self, Mirror, Repository, Served};

/// A root that trusts a server of its own.
fn mirrored() -> (TempDir, Mirror) {
    let (root, mirror) = (root(), Mirror::new(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    fs::create_dir_all(root.path().join("etc/ssl/certs")).unwrap();
    fs::create_dir_all(root.path().join("var/tmp")).unwrap();
    fs::create_dir_all(root.path().join("srv")).unwrap();
    fs::write(root.path().join("etc/ssl/certs/ca-certificates.crt"), mirror.authority()).unwrap();
    (root, mirror)
}

fn apply(root: &Path, module: &str, arguments: &Value) -> Outcome {
    let task = parse(module, None, arguments.as_object().unwrap()).unwrap();
    run(root, &task, &Blobs::new(), Mode::Apply)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names in a directory, in order.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const SHA256_NEW: &str = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";

#[test]
fn files_are_fetched_as_ansible_fetches_them() {
    let (root, mirror) = mirrored();
    let at = root.path();
    mirror.put("tool", Served::Bytes(b"new".to_vec()));
    mirror.put("there", Served::Elsewhere("/tool".to_owned()));
    mirror.put("other", Served::Changed(b"other".to_vec()));
    mirror.put("private", Served::Private("Basic YW5uYTp3b3Jk".to_owned(), b"private".to_vec()));
    mirror.put("sums", Served::Bytes(format!("{}  other\n{SHA256_NEW} *./tool\n", "0".repeat(64)).into_bytes()));
    let sum = |digest: &str| format!("sha256:{digest}");
    let sums = format!("sha256:{}", mirror.url("sums"));
    // What is asked; whether something changes and what is said; what is then at `/srv/tool`.
    let table = [
        (json!({ "url": "tool", "mode": "0755" }), Ok((true, "OK (3 bytes)")), "new"),
        (json!({ "url": "tool" }), Ok((false, "HTTP Error 304: Not Modified")), "new"),
        (json!({ "url": "tool", "force": true }), Ok((false, "OK (3 bytes)")), "new"),
        (json!({ "url": "tool", "checksum": sum(SHA256_NEW) }), Ok((false, "file already exists")), "new"),
        (
            json!({ "url": "tool", "checksum": sum(SHA256_NEW), "mode": "0700" }),
            Ok((true, "file already exists but file attributes changed")),
            "new",
        ),
        (json!({ "url": "other", "backup": true }), Ok((true, "OK (5 bytes)")), "other"),
        (
            json!({ "url": "there", "checksum": sums }),
            Err("Unable to find a checksum for file 'there' in 'SUMS'"),
            "other",
        ),
        (json!({ "url": "tool", "checksum": sums }), Ok((true, "OK (3 bytes)")), "new"),
        (
            json!({ "url": "other", "checksum": sum(&"0".repeat(64)) }),
            Err("The checksum for /srv/tool did not match ZEROS; it was \
                 d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa."),
            "new",
        ),
        (json!({ "url": "nothing", "force": true }), Err("Request failed"), "new"),
        (json!({ "url": "private", "force": true }), Err("Request failed"), "new"),
        (
            json!({ "url": "private", "url_username": "anna", "url_password": "word", "force": true }),
            Ok((true, "OK (7 bytes)")),
            "private",
        ),
        (json!({ "url": "there", "force": true, "owner": "0" }), Ok((true, "OK (3 bytes)")), "new"),
    ];
    for (mut arguments, wanted, content) in table {
        let name = arguments.to_string();
        arguments["url"] = json!(mirror.url(arguments["url"].as_str().unwrap()));
        arguments["dest"] = json!("/srv/tool");
        let outcome = apply(at, "get_url", &arguments);
        let text = |text: &str| text.replace("SUMS", &mirror.url("sums")).replace("ZEROS", &"0".repeat(64));
        match wanted {
            Ok((changed, message)) => {
                assert_eq!(outcome.failed, None, "{name}");
                assert_eq!((outcome.changed, &outcome.values["msg"]), (changed, &json!(message)), "{name}");
            }
            Err(message) => assert_eq!(outcome.failed, Some(text(message)), "{name}"),
        }
        assert_eq!(read(&at.join("srv/tool")), content, "{name}");
    }
    let kept = names(&at.join("srv"));
    assert_eq!((kept.len(), &kept[0]), (2, &"tool".to_owned()), "the file and its one backup: {kept:?}");
    assert_eq!(fs::metadata(at.join("srv/tool")).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn what_was_fetched_is_told_with_its_digests() {
    let (root, mirror) = mirrored();
    mirror.put("a/tool.bin", Served::Bytes(b"new".to_vec()));
    let arguments = json!({ "url": mirror.url("a/tool.bin?x=1"), "dest": "/srv/", "mode": "0640" });
    let outcome = apply(root.path(), "get_url", &arguments);
    for (name, wanted) in [
        ("dest", json!("/srv/tool.bin")),
        ("checksum_dest", Value::Null),
        ("checksum_src", json!("c2a6b03f190dfb2b4aa91f8af8d477a9bc3401dc")),
        ("md5sum", json!("22af645d1859cb5ca6da0c484f1f37ea")),
        ("status_code", json!(200)),
        ("mode", json!("0640")),
        ("size", json!(3)),
        ("state", json!("file")),
        ("url", json!(mirror.url("a/tool.bin?x=1"))),
    ] {
        assert_eq!(outcome.values.get(name), Some(&wanted), "{name}: {outcome:?}");
    }
}

#[test]
fn a_server_is_believed_only_if_the_machine_trusts_its_authority() {
    let (root, mirror) = mirrored();
    mirror.put("tool", Served::Bytes(b"new".to_vec()));
    let ask = |more: Value| {
        let mut arguments = json!({ "url": mirror.url("tool"), "dest": "/srv/tool", "force": true });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        apply(root.path(), "get_url", &arguments).failed
    };
    assert_eq!(ask(json!({})), None);
    let other = Mirror::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let bundle = root.path().join("etc/ssl/certs/ca-certificates.crt");
    fs::write(&bundle, other.authority()).unwrap();
    assert_eq!(ask(json!({})).unwrap(), "Request failed: invalid peer certificate: UnknownIssuer");
    assert_eq!(ask(json!({ "validate_certs": false })), None);
    fs::remove_file(&bundle).unwrap();
    let wanted = "Request failed: this machine trusts no authority: `/etc/ssl/certs/ca-certificates.crt` is not there \
                  (package `ca-certificates`)";
    assert_eq!(ask(json!({})).unwrap(), wanted);
}

#[test]
fn a_list_of_digests_is_read_as_sha256sum_writes_it() {
    let table = [
        ("abc\n", "x", Some("abc")),
        ("abc  x\ndef  y\n", "y", Some("def")),
        ("abc *./x\n", "x", Some("abc")),
        ("abc  dir/x\n", "x", None),
        ("", "x", None),
    ];
    for (list, name, wanted) in table {
        assert_eq!(get_url::checksum::find(list, name).as_deref(), wanted, "{list:?}");
    }
}

#[test]
fn a_web_service_is_asked_and_its_answer_told() {
    let (root, mirror) = mirrored();
    mirror.put("echo", Served::Echo);
    mirror.put("there", Served::Elsewhere("/echo".to_owned()));
    mirror.put("text", Served::Bytes(b"text".to_vec()));
    // What is asked, why it fails, and some of what is told.
    let table = [
        (
            json!({ "url": "echo" }),
            None,
            json!({ "status": 200, "redirected": false, "json": { "method": "GET", "type": null, "body": "" } }),
        ),
        (
            json!({ "url": "echo", "method": "post", "body": { "a": [1, "ä"] }, "body_format": "json" }),
            None,
            json!({ "json": { "method": "POST", "type": "application/json", "body": "{\"a\": [1, \"\\u00e4\"]}" } }),
        ),
        (
            json!({ "url": "echo", "method": "PUT", "body": [["a", "b c"], ["d", [1, 2]]], "body_format": "form-urlencoded" }),
            None,
            json!({ "json": { "method": "PUT", "type": "application/x-www-form-urlencoded", "body": "a=b+c&d=1&d=2" } }),
        ),
        (json!({ "url": "there" }), None, json!({ "redirected": true, "status": 200 })),
        (
            json!({ "url": "there", "method": "POST" }),
            Some("Status code was 302 and not [200]: HTTP Error 302: Found"),
            json!({ "status": 302, "location": mirror.url("echo") }),
        ),
        (json!({ "url": "there", "follow_redirects": "none", "status_code": [302] }), None, json!({ "status": 302 })),
        (
            json!({ "url": "nothing", "return_content": true, "status_code": "200,204" }),
            Some("Status code was 404 and not [200, 204]: HTTP Error 404: Not Found"),
            json!({ "status": 404, "content": "not here" }),
        ),
        (
            json!({ "url": "text", "return_content": true }),
            None,
            json!({ "content": "text", "msg": "OK (4 bytes)", "changed": false }),
        ),
        (
            json!({ "url": "text", "dest": "/srv/text" }),
            None,
            json!({ "path": "/srv/text", "changed": true, "mode": "0644" }),
        ),
        (
            json!({ "url": "text", "creates": "/srv/text" }),
            None,
            json!({ "stdout": "skipped, since '/srv/text' exists" }),
        ),
        (json!({ "url": "text", "removes": "/no" }), None, json!({ "stdout": "skipped, since '/no' does not exist" })),
    ];
    for (mut arguments, failed, told) in table {
        let name = arguments.to_string();
        arguments["url"] = json!(mirror.url(arguments["url"].as_str().unwrap()));
        let mut outcome = apply(root.path(), "uri", &arguments);
        assert_eq!(outcome.failed.as_deref(), failed, "{name}");
        outcome.values.insert("changed".to_owned(), json!(outcome.changed));
        for (key, wanted) in told.as_object().unwrap() {
            assert_eq!(&outcome.values[key], wanted, "{name}: {key}");
        }
    }
    assert_eq!(read(&root.path().join("srv/text")), "text");
}

#[test]
fn keys_are_added_found_and_removed() {
    let (root, mirror) = mirrored();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    let (one, two) = (Repository::new(&one, "first", "1"), Repository::new(&two, "second", "1"));
    mirror.put("key.gpg", Served::Bytes(one.binary.clone()));
    mirror.put("key.asc", Served::Bytes(two.armored.clone()));
    fs::write(root.path().join("srv/two.asc"), &two.armored).unwrap();
    let data = String::from_utf8(two.armored.clone()).unwrap();
    let (id, other) = (one.fingerprint[24..].to_owned(), two.fingerprint[24..].to_owned());
    let parts = "/etc/apt/trusted.gpg.d";
    let files = |at: &str| if root.path().join(at).is_dir() { names(&root.path().join(at)) } else { vec![] };
    let file = |repository: &Repository| format!("{}.gpg", repository.fingerprint.to_lowercase());
    let mut both = vec![file(&one), file(&two)];
    both.sort();
    // What is asked, whether it changes something, the number told, and the files then there.
    let table = [
        (json!({ "url": mirror.url("key.gpg") }), true, &id, vec![file(&one)]),
        (json!({ "url": mirror.url("key.gpg"), "state": "present" }), false, &id, vec![file(&one)]),
        (json!({ "url": mirror.url("gone"), "id": one.fingerprint }), false, &id, vec![file(&one)]),
        (json!({ "url": mirror.url("key.asc"), "id": format!("0x{}", &other[8..]) }), true, &other, both.clone()),
        (json!({ "data": data }), false, &other, both.clone()),
        (json!({ "file": "/srv/two.asc", "keyring": "/srv/ring.gpg" }), true, &other, both.clone()),
        (json!({ "file": "/srv/two.asc", "keyring": "/srv/ring.gpg" }), false, &other, both.clone()),
        (json!({ "url": mirror.url("key.gpg"), "keyring": "/srv/ring.gpg" }), true, &id, both.clone()),
        (json!({ "data": data, "keyring": "/srv/keyrings/ring.asc" }), true, &other, both),
        (json!({ "id": other, "state": "absent" }), true, &other, vec![file(&one)]),
        (json!({ "id": other, "state": "absent" }), false, &other, vec![file(&one)]),
        (json!({ "id": id, "state": "absent" }), true, &id, vec![]),
    ];
    for (arguments, changed, wanted, there) in table {
        let name = arguments.to_string();
        let checked = run(
            root.path(),
            &parse("apt_key", None, arguments.as_object().unwrap()).unwrap(),
            &Blobs::new(),
            Mode::Check,
        );
        let outcome = apply(root.path(), "apt_key", &arguments);
        assert_eq!((&outcome.failed, outcome.changed, checked.changed), (&None, changed, changed), "{name}");
        let number = outcome.values["fp"].as_str().unwrap();
        assert!(wanted.ends_with(number), "{name}: {number}");
        assert_eq!(files(&parts[1..]), there, "{name}");
    }
    // What is written is what gpg reads.
    for ring in ["srv/ring.gpg", "srv/keyrings/ring.asc"] {
        let path = root.path().join(ring);
        let shown =
            mirror::run("gpg", &["--show-keys", "--with-colons", path.to_str().unwrap()], &folder.path().join("one"));
        assert!(String::from_utf8(shown).unwrap().contains(&two.fingerprint), "{ring}");
    }
    for (arguments, wanted) in [
        (json!({ "data": "no key" }), "Unable to extract key from 'inline data': it is no OpenPGP key"),
        (json!({ "url": mirror.url("gone") }), "Failed to download key at URL: HTTP Error 404: Not Found"),
        (json!({ "id": "xyz", "state": "absent" }), "Invalid key_id"),
    ] {
        let failed = apply(root.path(), "apt_key", &arguments).failed.unwrap();
        assert_eq!(failed, wanted.replace("URL", &mirror.url("gone")));
    }
}

#[test]
fn lines_of_repositories_are_planned_as_the_table_says() {
    for (name, case) in cases("apt_repository") {
        let Task::AptRepository(arguments) = task("apt_repository", &case) else { panic!("{name}") };
        let found: apt_repository::Files = serde_json::from_value(case["found"].clone()).unwrap();
        match apt_repository::plan(&arguments, &found) {
            Ok(after) => assert_eq!(json!(after), case["after"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
    let ppa = json!({ "repo": "ppa:nginx/stable" });
    let error = parse("apt_repository", None, ppa.as_object().unwrap()).unwrap_err();
    let wanted = "`apt_repository`: `repo` is `ppa:nginx/stable`, must be a line of `sources.list`: write the PPA's own \
                  (`deb https://ppa.launchpadcontent.net/… SUITE main`) and its key";
    assert_eq!(error.to_string(), wanted);
}

/// The tables of these modules were made by Ansible.
#[test]
fn files_are_edited_as_ansible_edits_them() {
    for module in ["ini_file", "replace"] {
        for (name, case) in cases(module) {
            let root = root();
            let path = root.path().join("etc/conf");
            if let Some(before) = case["before"].as_str() {
                fs::write(&path, before).unwrap();
            }
            let mut arguments = case["args"].clone();
            arguments["path"] = json!("/etc/conf");
            let outcome = apply(root.path(), module, &arguments);
            let after = fs::read_to_string(&path).ok();
            assert_eq!(json!(after), case["after"], "{name}");
            let message = outcome.failed.clone().map_or(outcome.values.get("msg").cloned(), |it| Some(json!(it)));
            assert_eq!(
                (json!(outcome.changed), json!(outcome.failed.is_some()), message.unwrap_or_default()),
                (case["changed"].clone(), case["failed"].clone(), case["msg"].clone()),
                "{name}"
            );
        }
    }
}

/// A directory with everything that an archive can hold, packed by the programs of this computer.
fn packed(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let top = folder.join("top/app-1");
    fs::create_dir_all(top.join("deep/er")).unwrap();
    fs::write(top.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(top.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(top.join("deep/er/text"), "text\n".repeat(5000)).unwrap();
    fs::hard_link(top.join("run"), top.join("run-too")).unwrap();
    std::os::unix::fs::symlink("run", top.join("link")).unwrap();
    let name = "n".repeat(120);
    fs::write(top.join(&name), "long").unwrap();
    let table = [
        ("app.tar", "-cf"),
        ("app.tar.gz", "-czf"),
        ("app.tar.bz2", "-cjf"),
        ("app.tar.xz", "-cJf"),
        ("app.tar.zst", "--zstd -cf"),
    ];
    for (name, words) in table {
        let path = folder.join(name);
        let words = words.split(' ').chain([path.to_str().unwrap(), "-C", "top", "app-1"]);
        mirror::run("tar", &words.collect::<Vec<_>>(), folder);
    }
    mirror::run("python3", &["-m", "zipfile", "-c", "app.zip", "top/app-1"], folder);
    vec![
        ("app.tar", "TarArchive"),
        ("app.tar.gz", "TgzArchive"),
        ("app.tar.bz2", "TarBzipArchive"),
        ("app.tar.xz", "TarXzArchive"),
        ("app.tar.zst", "TarZstdArchive"),
        ("app.zip", "ZipArchive"),
    ]
}

#[test]
fn archives_of_every_kind_are_unpacked_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, handler) in packed(folder.path()) {
        let (root, mirror) = mirrored();
        let srv = root.path().join("srv");
        mirror.put(name, Served::Bytes(fs::read(folder.path().join(name)).unwrap()));
        let arguments = json!({ "src": mirror.url(name), "dest": "/srv", "remote_src": true, "list_files": true });
        let task = parse("unarchive", None, arguments.as_object().unwrap()).unwrap();
        let first = once(root.path(), &task, &Blobs::new());
        assert_eq!(first.values["handler"], json!(handler), "{name}");
        assert!(first.values["files"].as_array().unwrap().contains(&json!("app-1/deep/er/text")), "{name}");
        assert_eq!(read(&srv.join("app-1/deep/er/text")), "text\n".repeat(5000), "{name}");
        assert_eq!(fs::metadata(srv.join("app-1/run")).unwrap().permissions().mode() & 0o777, 0o755, "{name}");
        assert_eq!(read(&srv.join("app-1").join("n".repeat(120))), "long", "{name}");
        if handler != "ZipArchive" {
            assert_eq!(fs::read_link(srv.join("app-1/link")).unwrap(), Path::new("run"), "{name}");
            let (run, too) = (srv.join("app-1/run"), srv.join("app-1/run-too"));
            assert_eq!(fs::metadata(run).unwrap().ino(), fs::metadata(too).unwrap().ino(), "{name}");
        }
        assert_eq!(names(&root.path().join("var/tmp")), Vec::<String>::new(), "{name}: what was fetched is gone");
        // What somebody changes comes back.
        fs::write(srv.join("app-1/run"), "other").unwrap();
        once(root.path(), &task, &Blobs::new());
        assert_eq!(read(&srv.join("app-1/run")), "#!/bin/sh\n", "{name}");
    }
}

#[test]
fn what_a_task_says_of_members_is_what_they_become() {
    type Row<'a> = (Value, &'a str, &'a [&'a str], &'a [(&'a str, u32)]);
    let folder = tempfile::tempdir().unwrap();
    packed(folder.path());
    let long = "n".repeat(120);
    // Arguments; a directory and what is then in it; some modes.
    let table: [Row; 5] = [
        (
            json!({ "extra_opts": ["--strip-components=1"], "mode": "0640" }),
            "",
            &["deep", "link", &long, "run", "run-too"],
            &[("run", 0o640), ("deep", 0o640), ("deep/er/text", 0o640)],
        ),
        (json!({ "extra_opts": ["--strip-components", "2"] }), "", &["er"], &[("er/text", 0o644)]),
        (json!({ "exclude": ["app-1/deep", "link"] }), "app-1", &[&long, "run", "run-too"], &[]),
        (json!({ "include": ["app-1/deep"] }), "app-1", &["deep"], &[("deep/er/text", 0o644)]),
        (
            json!({ "creates": "/srv/none", "mode": "u=rwX,go=" }),
            "app-1",
            &["deep", "link", &long, "run", "run-too"],
            &[("run", 0o700), ("deep", 0o700), (&long, 0o600)],
        ),
    ];
    for (mut arguments, directory, inside, modes) in table {
        let name = arguments.to_string();
        let (root, control) = (mirrored().0, folder.path());
        arguments["src"] = json!("app.tar.gz");
        arguments["dest"] = json!("/srv/");
        let Task::Unarchive(mut task) = parse("unarchive", None, arguments.as_object().unwrap()).unwrap() else {
            panic!("unarchive is unarchive")
        };
        let mut blobs = Blobs::new();
        task.source = Some(gather("app.tar.gz", &control.join("app.tar.gz"), true, &mut blobs).unwrap());
        once(root.path(), &Task::Unarchive(task), &blobs);
        let srv = root.path().join("srv");
        let directory = srv.join(directory);
        assert_eq!(names(&directory), inside, "{name}");
        for (path, wanted) in modes {
            let mode = fs::metadata(directory.join(path)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{mode:o}"), format!("{wanted:o}"), "{name}: {path}");
        }
    }
}

/// A tar archive of one member.
fn tar(name: &str, kind: tar::EntryType, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    if !link.is_empty() {
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    let mut builder = tar::Builder::new(vec![]);
    builder.append(&header, &b""[..]).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn nothing_leaves_the_directory_that_an_archive_is_unpacked_into() {
    let whole = mirrored().0;
    let root = whole.path();
    std::os::unix::fs::symlink("../etc", root.join("srv/out")).unwrap();
    let file = tar::EntryType::Regular;
    let table = [
        (tar("../evil", file, ""), "`../evil` leads out of the directory"),
        (tar("/etc/evil", file, ""), "`/etc/evil` leads out of the directory"),
        (tar("a/../../evil", file, ""), "`a/../../evil` leads out of the directory"),
        (tar("out/evil", file, ""), "`out/evil` leads through a link"),
        (tar("evil", tar::EntryType::Link, "../etc/passwd"), "`../etc/passwd` leads out of the directory"),
        (tar("evil", tar::EntryType::Link, "out/passwd"), "`evil` leads through a link"),
        (tar("evil", tar::EntryType::Char, ""), "`evil` is a device"),
        (b"no archive".to_vec(), "it is no archive that can be read: "),
        (vec![0; 10240], "found no files in archive. Empty archive files are not supported."),
    ];
    for (bytes, wanted) in table {
        fs::write(root.join("var/a.tar"), &bytes).unwrap();
        let arguments = json!({ "src": "/var/a.tar", "dest": "/srv", "remote_src": true });
        let failed = apply(root, "unarchive", &arguments).failed.unwrap_or_default();
        assert!(failed.contains(wanted), "{failed}, not {wanted}");
        assert_eq!(names(&root.join("srv")), ["out"], "{wanted}");
        assert_eq!(names(&root.join("etc")), ["cron.d", "group", "passwd", "ssl"], "{wanted}");
    }
}

#[test]
fn directories_are_packed_and_come_out_as_they_were() {
    for (format, list) in [("gz", "-tzf"), ("bz2", "-tjf"), ("xz", "-tJf"), ("tar", "-tf"), ("zip", "")] {
        let whole = mirrored().0;
        let root = whole.path();
        fs::create_dir_all(root.join("srv/data/sub/empty")).unwrap();
        fs::write(root.join("srv/data/a"), "a").unwrap();
        fs::write(root.join("srv/data/skip.log"), "log").unwrap();
        fs::write(root.join("srv/data/sub/b"), vec![b'b'; 300_000]).unwrap();
        let arguments = json!({
            "path": "/srv/data", "dest": "/var/data.x", "format": format, "force_archive": true, "mode": "0600",
            "exclusion_patterns": ["*.log"],
        });
        let task = parse("archive", None, arguments.as_object().unwrap()).unwrap();
        let first = once(root, &task, &Blobs::new());
        let archived = json!(["/srv/data/a", "/srv/data/sub", "/srv/data/sub/b", "/srv/data/sub/empty"]);
        let mut told = first.values["archived"].as_array().unwrap().clone();
        told.sort_by_key(Value::to_string);
        assert_eq!((json!(told), &first.values["arcroot"]), (archived, &json!("/srv/")), "{format}");
        assert_eq!(
            (&first.values["dest_state"], &first.values["mode"]),
            (&json!("archive"), &json!("0600")),
            "{format}"
        );
        if !list.is_empty() {
            let listed = mirror::run("tar", &[list, "var/data.x"], root);
            let listed = String::from_utf8(listed).unwrap();
            let mut listed: Vec<&str> = listed.lines().map(|it| it.trim_end_matches('/')).collect();
            listed.sort_unstable();
            assert_eq!(listed, ["data/a", "data/sub", "data/sub/b", "data/sub/empty"], "{format}");
        }
        fs::create_dir(root.join("srv/back")).unwrap();
        let back = json!({ "src": "/var/data.x", "dest": "/srv/back", "remote_src": true });
        once(root, &parse("unarchive", None, back.as_object().unwrap()).unwrap(), &Blobs::new());
        assert_eq!(read(&root.join("srv/back/data/sub/b")).len(), 300_000, "{format}");
        assert!(root.join("srv/back/data/sub/empty").is_dir(), "{format}");
    }
}

#[test]
fn a_single_file_is_compressed_and_removed() {
    let whole = mirrored().0;
    let root = whole.path();
    fs::write(root.join("srv/log"), "line\n").unwrap();
    let arguments = json!({ "path": "/srv/log", "remove": true });
    let outcome = apply(root, "archive", &arguments);
    assert_eq!(
        (outcome.failed, &outcome.values["dest"], &outcome.values["dest_state"]),
        (None, &json!("/srv/log.gz"), &json!("compress"))
    );
    let packed = fs::read(root.join("srv/log.gz")).unwrap();
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut Compression::of(&packed).decoder(&packed[..]).unwrap(), &mut plain).unwrap();
    assert_eq!((plain.as_str(), names(&root.join("srv"))), ("line\n", vec!["log.gz".to_owned()]));
}

#[test]
fn a_damaged_archive_is_no_archive() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in packed(folder.path()) {
        let whole = fs::read(folder.path().join(name)).unwrap();
        let path = folder.path().join("cut");
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let read = archive::walk(&path, &mut |_, content| {
            std::io::copy(content, &mut std::io::sink()).map(|_| ()).map_err(archive::Error::Read)
        });
        assert!(read.is_err(), "{name}");
    }
}

#[test]
fn what_is_compressed_comes_out_again() {
    for compression in [Compression::None, Compression::Gzip, Compression::Bzip2, Compression::Xz, Compression::Zstd] {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let mut encoder = codec::Encoder::new(vec![], compression).unwrap();
        encoder.write_all(&bytes).unwrap();
        let packed = encoder.finish().unwrap();
        let mut plain = vec![];
        std::io::Read::read_to_end(&mut compression.decoder(&packed[..]).unwrap(), &mut plain).unwrap();
        assert!(plain == bytes, "{compression:?}");
        assert_eq!(Compression::of(&packed), compression);
    }
}

#[test]
fn a_piece_of_a_backup_comes_out_again_and_noise_costs_nothing() {
    let text: Vec<u8> = (0..150_000_u32).flat_map(|number| format!("{} ", number / 7).into_bytes()).collect();
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    })
    .take(1 << 20)
    .collect();
    let half = [&text[..1 << 19], &noise[..1 << 19]].concat();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        for bytes in [&text, &noise, &half, &vec![], &b"short".to_vec()] {
            let packed = [compression.whole(bytes).unwrap(), compression.whole(b"more").unwrap()].concat();
            let mut plain = vec![];
            std::io::Read::read_to_end(&mut compression.decoder(&packed[..]).unwrap(), &mut plain).unwrap();
            assert!(plain == [&bytes[..], b"more"].concat(), "{compression:?}");
            assert!(packed.len() < bytes.len() + 300, "{compression:?}: {} of {}", packed.len(), bytes.len());
        }
        let length = |bytes: &[u8]| compression.whole(bytes).unwrap().len();
        if compression != Compression::None {
            assert!(length(&text) < text.len() / 2 && length(&half) < half.len() * 4 / 5, "{compression:?}");
        }
    }
}

#[test]
fn files_are_found_by_name_age_size_and_content() {
    let whole = mirrored().0;
    let root = whole.path();
    fs::create_dir_all(root.join("srv/sub/.hid")).unwrap();
    for (name, text) in
        [("a.log", "one\ntwo\n"), ("b.txt", "two\n"), ("sub/c.log", ""), ("sub/.hid/d.log", "x"), (".e", "")]
    {
        fs::write(root.join("srv").join(name), text).unwrap();
    }
    std::os::unix::fs::symlink("a.log", root.join("srv/link")).unwrap();
    let table = [
        (json!({}), "a.log b.txt"),
        (json!({ "recurse": true, "patterns": "*.log" }), "a.log sub/c.log sub/.hid/d.log"),
        (json!({ "recurse": true, "patterns": "*.log", "depth": 2 }), "a.log sub/c.log"),
        (json!({ "hidden": true }), ".e a.log b.txt"),
        (json!({ "file_type": "any", "excludes": "*.txt,link" }), "a.log sub"),
        (json!({ "file_type": "directory" }), "sub"),
        (json!({ "file_type": "link" }), "link"),
        (json!({ "use_regex": true, "patterns": ["[ab]\\.", "never"] }), "a.log b.txt"),
        (json!({ "contains": "two" }), "a.log b.txt"),
        (json!({ "contains": "wo" }), ""),
        (json!({ "contains": "e\\nt", "read_whole_file": true }), "a.log"),
        (json!({ "size": "5b" }), "a.log"),
        (json!({ "size": "-4" }), "b.txt"),
        (json!({ "age": "1h" }), ""),
        (json!({ "age": "-1h" }), "a.log b.txt"),
    ];
    for (mut arguments, wanted) in table {
        let name = arguments.to_string();
        arguments["paths"] = json!("/srv");
        let found = apply(root, "find", &arguments).values;
        let paths: Vec<&str> =
            found["files"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
        let wanted: Vec<String> = wanted.split_whitespace().map(|name| format!("/srv/{name}")).collect();
        assert_eq!((json!(paths), &found["matched"]), (json!(wanted), &json!(wanted.len())), "{name}");
    }
    let none = apply(root, "find", &json!({ "paths": "/none" })).values;
    assert_eq!(none["skipped_paths"], json!({ "/none": "'/none' is not a directory" }));
}

#[test]
fn files_are_assembled_slurped_and_made_for_a_while() {
    let whole = mirrored().0;
    let root = whole.path();
    fs::create_dir_all(root.join("srv/parts/dir")).unwrap();
    for (name, text) in [("b", "two\n"), ("a", "one"), (".c", "hidden\n"), ("d.bak", "old\n")] {
        fs::write(root.join("srv/parts").join(name), text).unwrap();
    }
    let table = [
        (json!({ "ignore_hidden": true, "regexp": "^[a-z]$" }), "one\ntwo\n"),
        (json!({ "delimiter": "--\\n", "regexp": "^[ab]$" }), "one\n--\ntwo\n"),
        (json!({ "delimiter": "--", "regexp": "^[.ab]" }), "hidden\n--\none\n--\ntwo\n"),
    ];
    for (mut arguments, wanted) in table {
        arguments["src"] = json!("/srv/parts");
        arguments["dest"] = json!("/srv/whole");
        once(root, &parse("assemble", None, arguments.as_object().unwrap()).unwrap(), &Blobs::new());
        assert_eq!(read(&root.join("srv/whole")), wanted);
    }
    let slurped = apply(root, "slurp", &json!({ "src": "/srv/parts/a" })).values;
    assert_eq!((&slurped["content"], &slurped["encoding"]), (&json!("b25l"), &json!("base64")));
    let missing = apply(root, "slurp", &json!({ "src": "/srv/none" })).failed;
    assert_eq!(missing.as_deref(), Some("file not found: /srv/none"));
    let made = apply(root, "tempfile", &json!({ "path": "/srv", "state": "directory", "suffix": ".x" })).values;
    let path = made["path"].as_str().unwrap();
    assert!(path.starts_with("/srv/ansible.") && path.ends_with('x') && root.join(&path[1..]).is_dir(), "{path}");
    assert_eq!(made["mode"], json!("0700"));
}

#[test]
fn a_script_of_the_control_node_is_run_on_the_target() {
    let (whole, control) = (mirrored().0, tempfile::tempdir().unwrap());
    let path = control.path().join("it's.sh");
    fs::write(&path, "#!/bin/sh\necho \"$1/$2\"; exit 3\n").unwrap();
    let Task::Script(mut task) = parse("script", Some("\"it's.sh\" 'a b' c"), &serde_json::Map::new()).unwrap() else {
        panic!("script is script")
    };
    let mut blobs = Blobs::new();
    task.source = Some(gather("it's.sh", &path, true, &mut blobs).unwrap());
    let outcome = run(whole.path(), &Task::Script(task), &blobs, Mode::Apply);
    assert_eq!(
        (outcome.failed.as_deref(), &outcome.values["stdout"]),
        (Some("non-zero return code"), &json!("a b/c\n"))
    );
    assert_eq!(names(&whole.path().join("var/tmp")), Vec::<String>::new());
    assert_eq!(outcome.values["rc"], json!(3));
}

#[test]
fn a_tree_is_made_the_same_and_only_what_differs_is_sent() {
    let (whole, control) = (mirrored().0, tempfile::tempdir().unwrap());
    let (root, site) = (whole.path(), control.path().join("site"));
    fs::create_dir_all(site.join("sub")).unwrap();
    for (name, text) in [("index", "index"), ("sub/a", "a"), ("skip.log", "log")] {
        fs::write(site.join(name), text).unwrap();
    }
    std::os::unix::fs::symlink("index", site.join("link")).unwrap();
    let push = |src: &str, more: Value, blobs: &mut Blobs| {
        let mut arguments = json!({ "src": src, "dest": "/srv/www", "rsync_opts": ["--exclude=*.log"] });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let Task::Synchronize(mut task) = parse("synchronize", None, arguments.as_object().unwrap()).unwrap() else {
            panic!("synchronize is synchronize")
        };
        let path = control.path().join(src.trim_end_matches('/'));
        task.nodes = ryo::module::synchronize::tree::offered(src, &path, &task.options, blobs).unwrap();
        Task::Synchronize(task)
    };
    let mut blobs = Blobs::new();
    let first = once(root, &push("site/", json!({}), &mut blobs), &blobs);
    let said = json!([
        "cd+++++++++ ./",
        "<f+++++++++ index",
        "cL+++++++++ link -> index",
        "cd+++++++++ sub/",
        "<f+++++++++ sub/a"
    ]);
    assert_eq!(first.values["stdout_lines"], said);
    assert_eq!(names(&root.join("srv/www")), ["index", "link", "sub"]);
    // The same content with another time needs no bytes.
    let later = fs::File::options().write(true).open(site.join("index")).unwrap();
    later.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    let task = push("site/", json!({}), &mut blobs);
    let outcome = run(root, &task, &Blobs::new(), Mode::Apply);
    assert_eq!((outcome.failed, &outcome.values["stdout_lines"]), (None, &json!(["<f..t...... index"])));
    assert_eq!(fs::metadata(root.join("srv/www/index")).unwrap().mtime(), 1_000_000_000);
    fs::write(site.join("sub/a"), "longer").unwrap();
    fs::remove_file(site.join("link")).unwrap();
    fs::write(root.join("srv/www/old.log"), "kept").unwrap();
    let outcome = run(root, &push("site/", json!({ "delete": true }), &mut blobs), &blobs, Mode::Apply);
    let said = outcome.values["msg"].as_str().unwrap();
    assert!(said.contains("<f.s") && said.contains(" sub/a\n") && said.contains("*deleting   link\n"), "{said}");
    assert_eq!(names(&root.join("srv/www")), ["index", "old.log", "sub"]);
    assert_eq!(read(&root.join("srv/www/sub/a")), "longer");
    once(root, &push("site", json!({}), &mut blobs), &blobs);
    assert_eq!(read(&root.join("srv/www/site/sub/a")), "longer");
    once(root, &push("site/index", json!({ "dest": "/srv/other" }), &mut blobs), &blobs);
    assert_eq!(read(&root.join("srv/other")), "index");
    let strange = json!({ "src": "a", "dest": "b", "rsync_opts": ["--chown=a:b"] });
    let error = parse("synchronize", None, strange.as_object().unwrap()).unwrap_err().to_string();
    let wanted =
        "`synchronize`: `rsync_opts` is `--chown=a:b`, must be options that are known here, e.g. `--exclude=PATTERN`";
    assert_eq!(error, wanted);
}

/// Programs that only say what they are told, below a path of their own.
fn programs(folder: &Path, scripts: &[(&str, &str)]) -> ryo::module::Environment {
    for (name, script) in scripts {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >> \"{}/log\"\n{script}\n", folder.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    [("PATH".to_owned(), format!("{}:/usr/bin:/bin", folder.display()))].into()
}

#[test]
fn managers_of_packages_are_asked_before_they_are_told() {
    let yarn = "case \"$*\" in list*) echo '{\"type\":\"tree\",\"data\":{\"trees\":[{\"name\":\"left@1.0\"}]}}';; esac";
    let npm = "case \"$*\" in list*) echo '{\"dependencies\":{\"left\":{\"version\":\"1.0\"}}}';; esac";
    let snap = "case \"$*\" in list) printf 'Name Version Rev Tracking Publisher Notes\\nlxd 5.0 1 5.0/stable canonical -\\n';; esac";
    let pip = "case \"$*\" in list*) echo 'Left-Pad==1.0';; install*) echo 'Successfully installed x';; esac";
    // Module, arguments, whether something changes, and what the program was told.
    let table = [
        ("yarn", json!({ "path": "/srv" }), true, "yarn install --non-interactive"),
        ("yarn", json!({ "path": "/srv", "name": "left" }), false, "yarn list --depth=0 --json"),
        (
            "yarn",
            json!({ "path": "/srv", "name": "pad", "version": "2" }),
            true,
            "yarn list --depth=0 --json|yarn add pad@2",
        ),
        (
            "yarn",
            json!({ "path": "/srv", "name": "left", "state": "absent" }),
            true,
            "yarn list --depth=0 --json|yarn remove left",
        ),
        ("npm", json!({ "path": "/srv", "name": "left" , "version": "1.0" }), false, "npm list --json --long"),
        (
            "npm",
            json!({ "global": true, "name": "pad" }),
            true,
            "npm list --json --long --global|npm install --global pad",
        ),
        ("npm", json!({ "path": "/srv", "ci": true }), true, "npm ci"),
        ("snap", json!({ "name": "lxd", "channel": "5.0/stable" }), false, "snap list"),
        (
            "snap",
            json!({ "name": "lxd", "channel": "5.21/stable" }),
            true,
            "snap list|snap refresh --channel 5.21/stable lxd",
        ),
        (
            "snap",
            json!({ "name": ["yq", "certbot"], "classic": true }),
            true,
            "snap list|snap install --classic yq|snap install --classic certbot",
        ),
        ("snap", json!({ "name": "lxd,yq", "state": "absent" }), true, "snap list|snap remove lxd"),
        ("pip", json!({ "name": "left_pad", "version": "1.0" }), true, "pip3 install left_pad==1.0"),
        (
            "pip",
            json!({ "requirements": "/r.txt", "extra_args": "--user -q" }),
            false,
            "pip3 list --format=freeze|pip3 install --user -q -r /r.txt|pip3 list --format=freeze",
        ),
    ];
    for (module, arguments, changed, told) in table {
        let (whole, folder) = (mirrored().0, tempfile::tempdir().unwrap());
        let environment = programs(folder.path(), &[("yarn", yarn), ("npm", npm), ("snap", snap), ("pip3", pip)]);
        fs::write(whole.path().join("srv/package.json"), "{}").unwrap();
        fs::write(whole.path().join("srv/yarn.lock"), "").unwrap();
        let task = parse(module, None, arguments.as_object().unwrap()).unwrap();
        let system = ryo::module::System::below(whole.path());
        let content = |_: &ryo::module::copy::Content, _: &mut dyn std::io::Write| Ok(());
        let context = ryo::module::Context { system: &system, environment: &environment, content: &content };
        let outcome = ryo::module::run(&task, &context, Mode::Apply);
        assert_eq!((outcome.failed, outcome.changed), (None, changed), "{module} {arguments}");
        let log = read(&folder.path().join("log"));
        assert_eq!(log.lines().collect::<Vec<_>>().join("|"), told, "{module} {arguments}");
    }
    let nowhere: ryo::module::Environment = [("PATH".to_owned(), "/nowhere".to_owned())].into();
    let whole = mirrored().0;
    let system = ryo::module::System::below(whole.path());
    let content = |_: &ryo::module::copy::Content, _: &mut dyn std::io::Write| Ok(());
    let context = ryo::module::Context { system: &system, environment: &nowhere, content: &content };
    let task = parse("snap", None, json!({ "name": "lxd" }).as_object().unwrap()).unwrap();
    let failed = ryo::module::run(&task, &context, Mode::Apply).failed.unwrap();
    assert_eq!(failed, "Failed to find required executable \"snap\" in paths: /nowhere");
}

#[test]
fn package_lists_of_an_image_build_serve_until_something_about_them_changes() {
    // Changes are told by the time of the file system, whose steps are a few milliseconds.
    let later = || std::thread::sleep(std::time::Duration::from_millis(20));
    let root = root();
    let (system, at) = (System::below(root.path()), |path: &str| root.path().join(path));
    for directory in
        ["etc/apt/sources.list.d", "usr/share/keyrings", "var/lib/dpkg", "var/lib/apt/lists", "var/lib/ryo"]
    {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("etc/apt/sources.list"), "deb http://deb.debian.org/debian bookworm main\n").unwrap();
    fs::write(at("var/lib/apt/lists/Packages"), "Package: a\n").unwrap();
    later();

    lists::fetched(&system);
    assert!(!lists::serve(&system), "a machine that lives on");
    assert!(!at("var/lib/ryo/image-build").exists());
    assert!(!lists::is_of_an_image(&system));

    fs::write(at("var/lib/ryo/image-build"), "").unwrap();
    assert!(lists::is_of_an_image(&system));
    assert!(!lists::serve(&system), "not fetched yet");
    lists::fetched(&system);
    assert!(lists::serve(&system));

    let changes: [(&str, &dyn Fn()); 6] = [
        ("a source", &|| fs::write(at("etc/apt/sources.list.d/more.list"), "deb http://x y z\n").unwrap()),
        ("a key", &|| fs::write(at("usr/share/keyrings/more.gpg"), "key").unwrap()),
        ("an architecture", &|| fs::write(at("var/lib/dpkg/arch"), "arm64\n").unwrap()),
        ("lists removed", &|| fs::remove_file(at("var/lib/apt/lists/Packages")).unwrap()),
        ("a source removed", &|| fs::remove_file(at("etc/apt/sources.list.d/more.list")).unwrap()),
        ("a setting of an old date", &|| {
            let file = fs::File::create(at("etc/apt/apt.conf")).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }),
    ];
    for (what, change) in changes {
        change();
        assert!(!lists::serve(&system), "{what}");
        later();
        lists::fetched(&system);
        assert!(lists::serve(&system), "{what}, fetched again");
    }

    fs::write(at("etc/apt/sources.list.d/local.sources"), "Types: deb\nURIs: file:/srv/packages\n").unwrap();
    later();
    lists::fetched(&system);
    assert!(!lists::serve(&system), "packages of this machine may be others at any time");
    fs::remove_file(at("etc/apt/sources.list.d/local.sources")).unwrap();
    later();
    lists::fetched(&system);
    let mark = fs::File::options().write(true).open(at("var/lib/ryo/image-build")).unwrap();
    mark.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(601)).unwrap();
    assert!(!lists::serve(&system), "too long ago");
}
