//! The client of LXD and Incus against the fake.

use std::sync::Arc;

use ryo::container::Container;
use ryo::lxd::Client;
use ryo::machine::{Command, run};

use crate::support::fake_lxd::FakeLxd;

#[tokio::test]
async fn a_command_in_an_instance_gets_its_input_and_gives_its_output() {
    let fake = Arc::new(FakeLxd::default());
    fake.on_exec(|mut exec| {
        Box::pin(async move {
            tokio::io::copy(&mut exec.stdin, &mut exec.stdout).await.unwrap();
            3
        })
    });
    let client = Client::new(fake.clone());
    let new = ryo::lxd::instance::NewInstance {
        name: "web".to_owned(),
        source: ryo::lxd::instance::ImageSource::Alias("tiny".to_owned()),
        virtual_machine: false,
        profiles: vec!["default".to_owned()],
        config: [].into(),
        devices: [].into(),
        ephemeral: false,
        description: String::new(),
    };
    client.create(&new).await.unwrap();
    client.start("web").await.unwrap();
    let input = vec![7; 3 << 20];
    let done = run(&Container::new(client, "web", "web"), &Command::new(["cat"]), &input).await.unwrap();
    assert_eq!(done.status, 3);
    assert_eq!(done.stdout.len(), input.len());
}
