//! The client of Consul against the fake.

use std::error::Error as _;
use std::sync::Arc;

use ryo::consul::{Change, Client, Error, MOST};
use ryo::secret::Secret;

use crate::support::fake_consul::FakeConsul;
use crate::support::faulty::{FAULTS, Fault, Faulty};

fn set(key: &str, value: &str) -> Change {
    Change::Set { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

fn fake() -> (Arc<FakeConsul>, Client) {
    let fake = Arc::new(FakeConsul::default());
    (fake.clone(), Client::new(fake, Some("host-1".to_owned()), Some(Secret::new("token"))))
}

#[tokio::test]
async fn an_empty_value_is_not_a_missing_key() {
    let (fake, client) = fake();
    fake.put("a/empty", "");
    assert_eq!(client.get("a/empty").await.unwrap().unwrap().text(), "");
    assert_eq!(client.get("a").await.unwrap(), None);
    assert_eq!(client.list("a/").await.unwrap().len(), 1);
    assert_eq!(client.list("b/").await.unwrap(), vec![]);
    let asked = ["GET /v1/kv/a/empty?dc=host-1", "GET /v1/kv/a?dc=host-1", "GET /v1/kv/a/?recurse&dc=host-1"];
    assert_eq!(fake.log.all()[..3], asked);
}

#[tokio::test]
async fn nothing_to_change_sends_nothing_and_too_much_neither() {
    let (fake, client) = fake();
    client.transaction(&[]).await.unwrap();
    let error = client.transaction(&vec![set("a", "b"); MOST + 1]).await.unwrap_err();
    assert_eq!(error.to_string(), "65 operations are more than one transaction takes (64)");
    assert_eq!(fake.log.all(), Vec::<String>::new());
}

#[tokio::test]
async fn a_transaction_is_rolled_back_as_a_whole_and_says_why() {
    let (fake, client) = fake();
    fake.put("a", "1");
    let stale = Change::SetIf { key: "a".to_owned(), value: vec![], index: 99 };
    let missing = Change::Check { key: "b".to_owned(), index: 1 };
    let error = client.transaction(&[set("new", "x"), stale, missing]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "fake Consul rolled the transaction back: failed to set key \"a\", index is stale; \
         failed to check index, key \"b\" doesn't exist"
    );
    assert_eq!(fake.world(), [("a".to_owned(), "1".to_owned())].into());
}

#[tokio::test]
async fn refusals_are_told_in_the_words_of_the_server() {
    let cases = [
        ((500, "No cluster leader"), "fake Consul has no leader"),
        ((500, "rpc error: No cluster leader\n"), "fake Consul has no leader"),
        ((500, "disk full\n"), "fake Consul refused `PUT /v1/txn?dc=host-1` (500): disk full"),
        ((403, "Permission denied"), "fake Consul refused `PUT /v1/txn?dc=host-1` (403): Permission denied"),
        ((409, "no JSON"), "cannot understand the answer of fake Consul to `PUT /v1/txn?dc=host-1`"),
    ];
    for (answer, text) in cases {
        let (fake, client) = fake();
        fake.broken(Some(answer));
        assert_eq!(client.transaction(&[set("a", "b")]).await.unwrap_err().to_string(), text);
        assert_eq!(fake.world(), [].into());
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_says_where() {
    let cases = [
        (r#"[{"Key":"a","ModifyIndex":"x"}]"#, "[0].ModifyIndex: invalid type: string \"x\", expected u64 at line 1"),
        (r#"[{"Key":"a","ModifyIndex":1,"Value":"%"}]"#, "[0].Value: Invalid symbol 37, offset 0."),
        (r#"{"Key":"a"}"#, "invalid type: map, expected a sequence at line 1"),
        ("<html>", "expected value at line 1"),
    ];
    for (body, reason) in cases {
        let (fake, client) = fake();
        fake.broken(Some((200, body)));
        let error = client.get("a").await.unwrap_err();
        assert_eq!(error.to_string(), "cannot understand the answer of fake Consul to `GET /v1/kv/a?dc=host-1`");
        let source = error.source().unwrap().to_string();
        assert!(source.starts_with(reason), "{source}");
    }
}

#[tokio::test]
async fn any_single_fault_is_told() {
    for fault in FAULTS {
        let fake = Arc::new(FakeConsul::default());
        let client = Client::new(Arc::new(Faulty::new(fake.clone(), fault, 0)), None, None);
        let error = client.transaction(&[set("a", "b")]).await.unwrap_err();
        let done = matches!(fault, Fault::AfterSend | Fault::HalfAnswer);
        assert_eq!(fake.world().len(), usize::from(done), "{fault:?}: {error}");
        client.transaction(&[set("a", "b")]).await.unwrap();
        assert_eq!(fake.world(), [("a".to_owned(), "b".to_owned())].into());
    }
}

#[tokio::test]
async fn a_token_goes_into_a_header_and_nowhere_else() {
    let (fake, client) = fake();
    fake.broken(Some((500, "x")));
    let error = client.get("a").await.unwrap_err();
    assert!(!format!("{error:?} {:?}", fake.log.all()).contains("token"));
    assert!(matches!(error, Error::Refused { .. }));
}
