//! The client of Consul against the real one.

use std::sync::Arc;

use ryo::consul::{Change, Client, Error};

use crate::support::bed::{self, unique};
use crate::support::recorder::Recorder;

#[tokio::test]
async fn keys_are_changed_all_at_once_or_not_at_all() {
    let root = unique("keys");
    let recorder = Arc::new(Recorder::new(bed::consul(), &[(&root, "test")]));
    let client = Client::new(recorder.clone(), None, None);
    let key = |name: &str| format!("{root}/{name}");
    let set = |name: &str, value: &str| Change::Set { key: key(name), value: value.as_bytes().to_vec() };
    assert_eq!(client.get(&key("a")).await.unwrap(), None);
    assert_eq!(client.list(&format!("{root}/")).await.unwrap(), vec![]);

    client.transaction(&[set("a", "one"), set("empty", ""), set("b c/ä", "x")]).await.unwrap();
    let all = client.list(&format!("{root}/")).await.unwrap();
    let texts: Vec<_> = all.iter().map(|entry| (entry.key.clone(), entry.text())).collect();
    let text = |name: &str, value: &str| (key(name), value.to_owned());
    assert_eq!(texts, [text("a", "one"), text("b c/ä", "x"), text("empty", "")]);
    let a = client.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(client.get(&key("b c/ä")).await.unwrap().unwrap().text(), "x");

    let stale = Change::SetIf { key: key("a"), value: b"two".to_vec(), index: a.index - 1 };
    let rolled_back = client.transaction(&[set("b", "never"), stale]).await.unwrap_err();
    let reason = format!("failed to set key \"{}\", index is stale", key("a"));
    let expected = format!("{} rolled the transaction back: {reason}", client.name());
    assert_eq!(rolled_back.to_string(), expected);
    assert_eq!(client.get(&key("b")).await.unwrap(), None);
    let there = Change::SetIf { key: key("a"), value: vec![], index: 0 };
    assert!(matches!(client.transaction(&[there]).await, Err(Error::RolledBack { .. })));
    let check = Change::Check { key: key("missing"), index: 1 };
    assert!(matches!(client.transaction(&[check]).await, Err(Error::RolledBack { .. })));

    let fresh = Change::SetIf { key: key("a"), value: b"two".to_vec(), index: a.index };
    client.transaction(&[Change::Check { key: key("a"), index: a.index }, fresh]).await.unwrap();
    let changed = client.get(&key("a")).await.unwrap().unwrap();
    assert!(changed.text() == "two" && changed.index > a.index);
    let delete = |name: &str| Change::Delete { key: key(name) };
    let stale = Change::DeleteIf { key: key("a"), index: a.index };
    assert!(matches!(client.transaction(&[delete("empty"), stale]).await, Err(Error::RolledBack { .. })));
    let last = Change::DeleteIf { key: key("a"), index: changed.index };
    client.transaction(&[delete("empty"), delete("b c/ä"), delete("never there"), last]).await.unwrap();
    assert_eq!(client.list(&format!("{root}/")).await.unwrap(), vec![]);
    recorder.save("consul/1.8", "keys");
}

#[tokio::test]
async fn sixty_four_changes_are_one_transaction() {
    let root = unique("many");
    let client = Client::new(bed::consul(), None, None);
    let changes: Vec<_> = (0..64).map(|n| Change::Set { key: format!("{root}/{n:02}"), value: vec![] }).collect();
    client.transaction(&changes).await.unwrap();
    assert_eq!(client.list(&format!("{root}/")).await.unwrap().len(), 64);
    let changes: Vec<_> = (0..64).map(|n| Change::Delete { key: format!("{root}/{n:02}") }).collect();
    client.transaction(&changes).await.unwrap();
}
