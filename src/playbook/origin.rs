//! What a template is told of itself: `template_path`, `template_host` and so on.
//!
//! Source: ansible-core 2.15, `template/__init__.py`, `generate_ansible_template_vars`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use crate::module::System;
use crate::playbook::jinja::Value;
use crate::playbook::jinja::dates;
use crate::playbook::scope::TaskScope;

/// Tells the template that was found at `path`, called `src`, where it is from and where its text goes.
pub fn tell(scope: &TaskScope<'_>, src: &str, path: &Path, dest: Option<&str>) {
    let about = std::fs::metadata(path).ok();
    let uid = about.as_ref().map_or(0, MetadataExt::uid);
    let accounts = System::whole().accounts();
    let owner = accounts.into_iter().find(|account| account.uid == uid);
    let owner = owner.map_or_else(|| Value::Int(i64::from(uid)), |account| Value::text(account.name));
    let written = about.and_then(|about| about.modified().ok()).unwrap_or(SystemTime::UNIX_EPOCH);
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if let Some(managed) = &scope.world.reading.managed {
        let named = [("{file}", src), ("{host}", &host), ("{uid}", &owner.to_string())];
        let text =
            named.iter().fold(managed.clone(), |text, (name, value)| text.replace(name, &value.replace('%', "%%")));
        scope.know("ansible_managed", Value::text(dates::formatted(written, &text).unwrap_or(text)));
    }
    let known = [
        ("template_host", Value::text(host)),
        ("template_path", Value::text(src)),
        ("template_fullpath", Value::text(full.to_string_lossy())),
        ("template_uid", owner),
        ("template_mtime", dates::at(written)),
        ("template_run_date", dates::at(SystemTime::now())),
    ];
    for (name, value) in known {
        scope.know(name, value);
    }
    if let Some(dest) = dest {
        scope.know("template_destpath", Value::text(dest));
    }
}
