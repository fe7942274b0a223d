//! Bad input that only a real server shows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::support::bed::var;
use crate::support::work::{Host, Work};

#[test]
fn an_account_that_may_not_use_the_socket_is_told_which_group_may() {
    let host = Host::lxd();
    let work = Work::new(host.clone());
    fs::set_permissions(work.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    // Nobody may enter the directory of whoever built the program.
    let program = work.path("ryo");
    fs::copy(var("RYO_BIN"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.args(["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).current_dir(work.path("."));
    command.env("RYO_SETTINGS", work.path("settings.yml")).env("HOME", work.path("home")).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: cannot reach LXD at {} on {}\n  because: Permission denied (os error 13)\n\
             hint: add the account to the group of LXD or Incus on the host (`lxd`, `incus-admin`)\n",
            host.socket, host.name
        )
    );
    assert_eq!(output.status.code(), Some(1));
}
