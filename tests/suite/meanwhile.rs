//! What others do while a backup is made: instances are stopped and started by hand, other backups go to the same place.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::thread;

use ryo::flow::backup::unfinished::{self, Unfinished};

#[test]
fn what_cannot_be_looked_at_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let writing = Unfinished::begin(&place("backup-web-a-1.tar.gz")).unwrap();
    fs::write(place("backup-web-b-1.tar.gz.partial"), "half").unwrap();
    assert!(unfinished::is_in_use(File::open(&writing.path)));
    assert!(!unfinished::is_in_use(File::open(place("backup-web-b-1.tar.gz.partial"))));
    assert!(unfinished::is_in_use(Err(io::ErrorKind::PermissionDenied.into())));
    assert!(!unfinished::is_in_use(Err(io::ErrorKind::NotFound.into())));
    // Nobody can open this one.
    std::os::unix::fs::symlink("backup-web-c-1.tar.gz.partial", place("backup-web-c-1.tar.gz.partial")).unwrap();
    unfinished::sweep(directory.path()).unwrap();
    let mut names: Vec<String> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["backup-web-a-1.tar.gz.partial", "backup-web-c-1.tar.gz.partial"]);
}

#[test]
fn two_that_sweep_at_once_do_not_mind_each_other() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    for turn in 0..400 {
        fs::write(directory.path().join(format!("backup-web-a-{turn}.tar.gz.partial")), "half").unwrap();
    }
    let sweeping = [(); 4].map(|()| {
        let directory = directory.clone();
        thread::spawn(move || unfinished::sweep(directory.path()))
    });
    for sweeping in sweeping {
        sweeping.join().unwrap().unwrap();
    }
}
