//! What every machine must do, whatever carries it.

use ryo::machine::{Command, Machine, run};

/// Checks the contract of [`Machine`] against `machine`, on which a POSIX system runs.
pub async fn contract(machine: &dyn Machine) {
    let megabyte = (0..1_048_576u32).map(|place| u8::try_from(place % 251).unwrap()).collect::<Vec<_>>();
    let finished = run(machine, &Command::new(["cat"]), &megabyte).await.unwrap();
    assert_eq!(finished.status, 0);
    assert!(finished.stdout == megabyte, "a megabyte comes back as it was sent");
    assert_eq!(finished.stderr, b"");

    let odd = ["it's", "a \"word\"", "$HOME `id` \\", "", "*", "two\nlines", "ä"];
    let command = Command::new(["printf", "<%s>"].into_iter().chain(odd));
    let finished = run(machine, &command, b"").await.unwrap();
    let wanted = odd.map(|word| format!("<{word}>")).concat();
    assert_eq!(String::from_utf8(finished.stdout).unwrap(), wanted);

    let command = Command::new(["sh", "-c", "echo out; echo err >&2; exit 3"]);
    let finished = run(machine, &command, b"").await.unwrap();
    assert_eq!((finished.status, &finished.stdout[..], &finished.stderr[..]), (3, &b"out\n"[..], &b"err\n"[..]));

    let finished = run(machine, &Command::new(["true"]), &megabyte).await.unwrap();
    assert_eq!(finished.status, 0, "a command that does not read its input ends all the same");

    let finished = run(machine, &Command::new(["ryo-no-such-program"]), &megabyte).await.unwrap();
    assert_eq!(finished.status, 127);
}

#[tokio::test]
async fn this_computer_is_a_machine() {
    contract(&ryo::local::Local::new()).await;
}
