//! This computer as a machine.

use ryo::local::Local;
use ryo::machine::{Command, Machine as _};
use tokio::io::AsyncReadExt as _;

#[tokio::test]
async fn a_program_that_is_let_go_of_is_killed() {
    let command = Command::new(["sh", "-c", "echo $$; exec sleep 1000"]);
    let mut process = Local::new().open(&command).await.unwrap();
    let mut line = vec![];
    while !line.ends_with(b"\n") {
        line.push(process.stdout.read_u8().await.unwrap());
    }
    let stat = format!("/proc/{}/stat", String::from_utf8(line).unwrap().trim());
    assert!(std::path::Path::new(&stat).exists());
    drop(process);
    let gone = async {
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.unwrap();
}

#[tokio::test]
async fn a_signal_is_told_as_a_shell_tells_it() {
    let process = Local::new().open(&Command::new(["sh", "-c", "kill -TERM $$"])).await.unwrap();
    assert_eq!(process.end.await.unwrap(), 143);
}
