//! What is mounted, and how full it is.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::module::System;

pub(super) fn facts(system: &System) -> Value {
    let table = fs::read_to_string(system.real("/proc/self/mounts")).unwrap_or_default();
    let more = fs::read_to_string(system.real("/proc/self/mountinfo")).unwrap_or_default();
    let parts = parts(&more);
    let mounts = table.lines().filter_map(|line| mount(line, &parts, system)).collect::<Vec<_>>();
    json!({ "mounts": mounts })
}

/// Where only a part of a file system is mounted.
fn parts(table: &str) -> BTreeSet<String> {
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let part = |fields: Vec<&str>| (*fields.get(3)? != "/").then(|| fields.get(4).map(|path| unescaped(path)))?;
    fields.filter_map(part).collect()
}

/// Reads a field in which blanks are written as `\040`.
pub(in crate::agent) fn unescaped(field: &str) -> String {
    let mut bytes = vec![];
    let mut rest = field.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[3..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What belongs to a device or to another machine; what the kernel makes up is no mount here.
fn mount(line: &str, parts: &BTreeSet<String>, system: &System) -> Option<Value> {
    let fields = line.split_whitespace().map(unescaped).collect::<Vec<_>>();
    let [device, path, kind, options, ..] = &fields[..] else { return None };
    if (!device.starts_with('/') && !device.contains(":/")) || kind == "none" {
        return None;
    }
    let bind = parts.contains(path) && !options.split(',').any(|option| option == "bind");
    let options = if bind { format!("{options},bind") } else { options.clone() };
    let mut about = json!({
        "mount": path,
        "device": device,
        "fstype": kind,
        "options": options,
        "uuid": uuid(device, system).unwrap_or_else(|| "N/A".to_owned()),
    });
    if let Ok(it) = rustix::fs::statvfs(system.real(path)) {
        let numbers = [
            ("size_total", it.f_frsize * it.f_blocks),
            ("size_available", it.f_frsize * it.f_bavail),
            ("block_size", it.f_bsize),
            ("block_total", it.f_blocks),
            ("block_available", it.f_bavail),
            ("block_used", it.f_blocks.saturating_sub(it.f_bavail)),
            ("inode_total", it.f_files),
            ("inode_available", it.f_favail),
            ("inode_used", it.f_files.saturating_sub(it.f_favail)),
        ];
        for (name, number) in numbers {
            about[name] = json!(number);
        }
    }
    Some(about)
}

/// The name under which a file system is known wherever it is, by the links that udev makes.
fn uuid(device: &str, system: &System) -> Option<String> {
    let own = fs::canonicalize(system.real(device)).ok()?;
    let mut links = fs::read_dir(system.real("/dev/disk/by-uuid")).ok()?.flatten();
    let link = links.find(|link| fs::canonicalize(link.path()).is_ok_and(|path| path == own))?;
    Some(link.file_name().to_string_lossy().into_owned())
}
