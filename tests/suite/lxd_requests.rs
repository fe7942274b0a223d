//! Requests as they go out.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::{any, proptest};
use ryo::http::{Body, Request};
use ryo::lxd::file::Owner;
use ryo::lxd::image::{Compression, Publish};
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::model::{Instance, State};
use ryo::lxd::request;
use serde_json::{Value, json};

use super::tiny;
use crate::support::exchange::decoded;

/// Method, path and body.
fn parts(request: &Request) -> (String, Value) {
    let body = match &request.body {
        Body::Empty => Value::Null,
        Body::Json(value) => value.clone(),
        other => json!(format!("{other:?}")),
    };
    (format!("{} {}", request.method, request.path), body)
}

#[test]
fn an_instance_is_made_of_what_was_said() {
    let mut new = NewInstance {
        config: [("user.a".to_owned(), "b".to_owned())].into(),
        devices: [("d".to_owned(), [("type".to_owned(), "disk".to_owned())].into())].into(),
        description: "text".to_owned(),
        ..tiny("web")
    };
    let mut expected = json!({
        "name": "web", "type": "container", "source": { "type": "image", "alias": "tiny" }, "profiles": ["default"],
        "config": { "user.a": "b" }, "devices": { "d": { "type": "disk" } }, "ephemeral": false, "description": "text",
    });
    assert_eq!(parts(&request::create_instance(&new)), ("POST /1.0/instances".to_owned(), expected.clone()));

    new.source = ImageSource::Remote {
        server: "https://images.example".to_owned(),
        protocol: "simplestreams".to_owned(),
        alias: "debian/12".to_owned(),
    };
    new.virtual_machine = true;
    expected["type"] = json!("virtual-machine");
    expected["source"] = json!({
        "type": "image", "mode": "pull", "server": "https://images.example", "protocol": "simplestreams",
        "alias": "debian/12",
    });
    assert_eq!(parts(&request::create_instance(&new)).1, expected);
    new.source = ImageSource::Fingerprint("aa".to_owned());
    assert_eq!(parts(&request::create_instance(&new)).1["source"], json!({ "type": "image", "fingerprint": "aa" }));
}

#[test]
fn requests_are_what_the_documentation_says() {
    let stop = |timeout: i64, force: bool| json!({ "action": "stop", "timeout": timeout, "force": force });
    let state = |action: &str| json!({ "action": action, "timeout": -1, "force": false });
    let publish = Publish { instance: "web".to_owned(), properties: [("os".to_owned(), "x".to_owned())].into() };
    let cases = [
        (request::server(), "GET /1.0", Value::Null),
        (
            request::trust("ryo anna@desk", b"DER"),
            "POST /1.0/certificates",
            json!({ "type": "client", "name": "ryo anna@desk", "certificate": "REVS" }),
        ),
        (request::instances(), "GET /1.0/instances?recursion=2", Value::Null),
        (request::stop_instance("web", 20), "PUT /1.0/instances/web/state", stop(20, false)),
        (request::kill_instance("web"), "PUT /1.0/instances/web/state", stop(-1, true)),
        (request::freeze_instance("web"), "PUT /1.0/instances/web/state", state("freeze")),
        (request::unfreeze_instance("web"), "PUT /1.0/instances/web/state", state("unfreeze")),
        (request::rename_instance("web", "old"), "POST /1.0/instances/web", json!({ "name": "old" })),
        (request::delete_instance("web"), "DELETE /1.0/instances/web", Value::Null),
        (request::wait_operation("id", 30), "GET /1.0/operations/id/wait?timeout=30", Value::Null),
        (
            request::exec("web", &["a b".to_owned()], &[("K".to_owned(), "v".to_owned())].into()),
            "POST /1.0/instances/web/exec",
            json!({
                "command": ["a b"], "environment": { "K": "v" }, "wait-for-websocket": true, "interactive": false,
            }),
        ),
        (
            request::publish(&publish, Compression::Zstd),
            "POST /1.0/images",
            json!({
                "public": false, "properties": { "os": "x" }, "compression_algorithm": "zstd -1 -T0",
                "source": { "type": "instance", "name": "web" },
            }),
        ),
        (
            request::update_alias("debian/12", "aa", "text"),
            "PUT /1.0/images/aliases/debian%2F12",
            json!({ "target": "aa", "description": "text" }),
        ),
        (
            request::pull_file("web", "/etc/a b&c?"),
            "GET /1.0/instances/web/files?path=%2Fetc%2Fa%20b%26c%3F",
            Value::Null,
        ),
    ];
    for (request, line, body) in cases {
        assert_eq!(parts(&request), (line.to_owned(), body));
    }
}

#[test]
fn a_file_has_its_owner_in_the_headers_of_both_servers() {
    let owner = Owner { uid: 1, gid: 2, mode: 0o4755 };
    let request = request::push_file("web", "/x", owner, Body::Bytes(Bytes::from_static(b"abc")));
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = [
        "Content-Type: application/octet-stream",
        "X-LXD-type: file",
        "X-Incus-type: file",
        "X-LXD-write: overwrite",
        "X-Incus-write: overwrite",
        "X-LXD-uid: 1",
        "X-Incus-uid: 1",
        "X-LXD-gid: 2",
        "X-Incus-gid: 2",
        "X-LXD-mode: 4755",
        "X-Incus-mode: 4755",
    ];
    assert_eq!(headers, expected);
}

#[test]
fn an_update_carries_its_tag() {
    let request = request::update_instance("web", &Instance::default().settings(), "\"tag\"");
    assert_eq!(request.headers, [("If-Match".to_owned(), "\"tag\"".to_owned())]);
    let body = json!({
        "architecture": "", "config": {}, "description": "", "devices": {}, "ephemeral": false, "profiles": [],
        "stateful": false,
    });
    assert_eq!(parts(&request), ("PUT /1.0/instances/web".to_owned(), body));
}

#[test]
fn addresses_are_those_that_others_can_reach() {
    let address =
        |family: &str, address: &str, scope: &str| json!({ "family": family, "address": address, "scope": scope });
    let state: State = serde_json::from_value(json!({
        "status": "Running",
        "network": {
            "lo": { "type": "loopback", "addresses": [address("inet", "127.0.0.1", "global")] },
            "eth1": { "type": "broadcast", "addresses": null },
            "eth0": { "type": "broadcast", "addresses": [
                address("inet6", "fd10::15", "global"), address("inet6", "fe80::1", "link"),
                address("inet", "10.0.0.15", "global"), address("inet", "nonsense", "global"),
            ] },
        },
    }))
    .unwrap();
    let texts: Vec<_> = state.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.15", "fd10::15"]);
}

#[test]
fn a_slow_shutdown_is_asked_for_in_whole_seconds() {
    let request = request::stop_instance("web", Duration::from_millis(1500).as_secs());
    assert_eq!(parts(&request).1["timeout"], 1);
}

proptest! {
    #[test]
    fn a_segment_is_one_segment_and_says_the_same(text in any::<String>()) {
        let segment = request::segment(&text);
        assert!(segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#&=".contains(&byte)));
        assert_eq!(decoded(&segment), text);
    }
}
