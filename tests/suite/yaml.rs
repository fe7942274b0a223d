//! YAML, held to what `PyYAML` and go-cty-yaml make of the same text.

use proptest::prelude::*;
use ryo::yaml::{Dialect, Kind, Node, load};
use serde_json::{Value as Json, json};

/// As the tables write values: floats apart from whole numbers.
fn shown(node: &Node) -> Json {
    match &node.kind {
        Kind::Null => Json::Null,
        Kind::Bool(truth) => json!(truth),
        Kind::Int(whole) => json!(whole),
        Kind::Float(float) => json!({ "float": float }),
        Kind::Str(text) => json!(text),
        Kind::Seq(items) => items.iter().map(shown).collect(),
        Kind::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.text().unwrap().to_owned(), shown(value))).collect())
        }
    }
}

fn scalars(table: &str, dialect: Dialect) -> Vec<String> {
    let table: Vec<(String, Json)> = serde_json::from_str(table).unwrap();
    let wrong = |(text, expected): (String, Json)| {
        let documents = load(&format!("k: {text}\n"), dialect).unwrap();
        let value = shown(documents[0].get("k").unwrap());
        (value != expected).then(|| format!("{text}: {value} instead of {expected}"))
    };
    table.into_iter().filter_map(wrong).collect()
}

#[test]
fn plain_scalars_mean_what_they_mean_to_pyyaml() {
    let table = include_str!("../../proto-fixtures/yaml/ansible-scalars.json");
    assert_eq!(scalars(table, Dialect::Ansible), Vec::<String>::new());
}

#[test]
fn plain_scalars_mean_what_they_mean_to_terraform() {
    let table = include_str!("../../proto-fixtures/yaml/terraform-scalars.json");
    assert_eq!(scalars(table, Dialect::Terraform), Vec::<String>::new());
}

#[test]
fn documents_mean_what_they_mean_to_pyyaml() {
    let table: Vec<(String, Json)> =
        serde_json::from_str(include_str!("../../proto-fixtures/yaml/ansible-documents.json")).unwrap();
    let wrong = |(text, expected): (String, Json)| match load(&text, Dialect::Ansible) {
        Ok(documents) => {
            let value = documents.first().map_or(Json::Null, shown);
            (value != expected).then(|| format!("{text:?}: {value} instead of {expected}"))
        }
        Err(error) => Some(format!("{text:?}: {error}")),
    };
    assert_eq!(table.into_iter().filter_map(wrong).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn every_node_knows_where_it_stands() {
    let text = "# head\nfirst: 0644\nlist:\n  - name: \u{e4}x\n    on: 'y'\n";
    let document = load(text, Dialect::Ansible).unwrap().remove(0);
    let first = document.get("first").unwrap();
    assert_eq!((first.line, first.column, first.raw.as_deref()), (2, 8, Some("0644")));
    let item = &document.get("list").unwrap().items()[0];
    assert_eq!((item.line, item.column), (4, 5));
    let (key, value) = &item.entries()[1];
    assert_eq!((key.line, key.column, key.raw.as_deref()), (5, 5, Some("on")));
    assert_eq!((value.line, value.column, value.raw.as_deref()), (5, 9, None));
}

#[test]
fn tags_are_kept() {
    let document = load("a: !vault |\n  1234\nb: !unsafe '{{ x }}'\n", Dialect::Ansible).unwrap().remove(0);
    let tag = |key: &str| document.get(key).unwrap().tag.clone();
    assert_eq!((tag("a"), tag("b")), (Some("!vault".to_owned()), Some("!unsafe".to_owned())));
}

#[test]
fn broken_text_says_what_is_wrong_and_where() {
    let told = |text: &str| {
        let error = load(text, Dialect::Ansible).unwrap_err();
        format!("{}:{}: {error}", error.line, error.column)
    };
    assert_eq!(told("a: {{ b }}\n"), "1:5: a key must be a scalar: quote values that start with `{{`");
    assert_eq!(told("a: *x\n"), "1:4: while parsing node, found unknown anchor");
    assert_eq!(told("a: [1, 2\nb: 3\n"), "2:2: illegal placement of ':' indicator");
}

#[test]
fn a_text_that_grows_without_bounds_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let last = level - 1;
        let items = vec![format!("*a{last}"); 10].join(", ");
        text.extend([format!("a{level}: &a{level} [{items}]\n")]);
    }
    assert_eq!(load(&text, Dialect::Ansible).unwrap_err().message, "more than a million values");
    let deep = "[".repeat(5000);
    assert!(load(&deep, Dialect::Ansible).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in r#"[-a-z0-9"'{}\[\]:,.&*!|>%@`?#~<= \n\t_+]{0,80}"#) {
        let _ = load(&text, Dialect::Ansible);
        let _ = load(&text, Dialect::Terraform);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in any::<String>()) {
        let _ = load(&text, Dialect::Ansible);
    }
}
