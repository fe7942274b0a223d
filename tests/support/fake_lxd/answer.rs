//! The frame of every answer.

use ryo::http::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::exec::Operations;
use crate::support::exchange::response;

/// The time at which everything happens.
pub(super) const TIME: &str = "2026-01-01T00:00:00Z";

/// An answer without its frame.
pub(super) enum Answer {
    /// A value.
    Sync(Value),
    /// A value with its tag.
    Tagged(Value, String),
    /// Something was made.
    Created,
    /// An operation that has ended already: what it was, and how it ended.
    Ended(&'static str, Result<Value, String>),
    /// An operation that was started: its id.
    Started(String),
    /// A refusal.
    Error(u16, String),
    /// A refusal after the answer had begun.
    Late(u16, String),
    /// Something that is not JSON.
    Raw(Vec<(String, String)>, Vec<u8>),
}

impl Answer {
    /// A value whose tag is made from all of it.
    pub(super) fn tagged(value: Value) -> Self {
        let tag = format!("\"{}\"", hex::encode(Sha256::digest(value.to_string())));
        Self::Tagged(value, tag)
    }

    /// Tells a bad or late end of an operation as Incus does: by an error whose status is that of success.
    pub(super) fn or_late(self) -> Self {
        let Self::Sync(operation) = &self else { return self };
        match operation["status_code"].as_u64() {
            Some(400) => Self::Late(400, operation["err"].as_str().unwrap_or_default().to_owned()),
            Some(103) => Self::Late(500, "context deadline exceeded".to_owned()),
            _ => self,
        }
    }

    /// The tag of a tagged value.
    pub(super) fn tag(&self) -> Option<&str> {
        match self {
            Self::Tagged(_, tag) => Some(tag),
            _ => None,
        }
    }

    pub(super) fn missing(text: &str) -> Self {
        Self::Error(404, text.to_owned())
    }

    pub(super) fn bad(text: &str) -> Self {
        Self::Error(400, text.to_owned())
    }

    pub(super) fn response(self, operations: &Operations) -> Response {
        match self {
            Self::Sync(value) => framed(200, vec![], &sync(&value)),
            Self::Tagged(value, etag) => framed(200, vec![("etag".to_owned(), etag)], &sync(&value)),
            Self::Created => framed(201, vec![], &sync(&Value::Null)),
            Self::Ended(what, result) => started(&operations.ended(what, result)),
            Self::Started(id) => started(&operations.describe(&id)),
            Self::Error(status, error) => framed(status, vec![], &refusal(status, &error)),
            Self::Late(status, error) => framed(200, vec![], &refusal(status, &error)),
            Self::Raw(headers, body) => response(200, headers, body),
        }
    }
}

fn refusal(status: u16, error: &str) -> Value {
    json!({
        "type": "error", "status": "", "status_code": 0, "operation": "", "error_code": status, "error": error,
        "metadata": null,
    })
}

fn sync(metadata: &Value) -> Value {
    json!({
        "type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": "",
        "metadata": metadata,
    })
}

fn started(operation: &Value) -> Response {
    let path = format!("/1.0/operations/{}", operation["id"].as_str().unwrap_or_default());
    let body = json!({
        "type": "async", "status": "Operation created", "status_code": 100, "operation": path, "error_code": 0,
        "error": "", "metadata": operation,
    });
    framed(202, vec![("location".to_owned(), path)], &body)
}

fn framed(status: u16, mut headers: Vec<(String, String)>, body: &Value) -> Response {
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    response(status, headers, format!("{body}\n").into_bytes())
}

/// A machine with memory enough.
pub(super) fn resources(processors: usize) -> Value {
    json!({ "cpu": { "total": processors }, "memory": { "used": 1_u64 << 30, "total": 4_u64 << 30 } })
}

pub(super) fn server() -> Value {
    json!({
        "config": {},
        "api_extensions": ["etag", "image_compression_algorithm", "instances", "container_disk_shift"],
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "trusted",
        "public": false,
        "auth_methods": ["tls"],
        "environment": {
            "addresses": [], "architectures": ["x86_64"], "certificate": "", "certificate_fingerprint": "",
            "driver": "lxc", "driver_version": "5.0.2", "firewall": "nftables", "kernel": "Linux",
            "kernel_architecture": "x86_64", "kernel_features": {}, "kernel_version": "6.1", "lxc_features": {},
            "os_name": "Debian GNU/Linux", "os_version": "12", "project": "default", "server": "fake",
            "server_clustered": false, "server_event_mode": "full-mesh", "server_name": "fake", "server_pid": 1,
            "server_version": "5.0.2", "storage": "btrfs", "storage_version": "6.2", "storage_supported_drivers": [],
        },
    })
}

pub(super) fn network() -> Value {
    json!({
        "config": { "ipv4.address": "10.99.0.1/24", "ipv4.nat": "true", "ipv6.address": "none" }, "description": "",
        "name": "lxdbr0", "type": "bridge", "used_by": [], "managed": true, "status": "Created", "locations": ["none"],
    })
}

pub(super) fn pool() -> Value {
    json!({
        "config": { "source": "default" }, "description": "", "name": "default", "driver": "btrfs", "used_by": [],
        "status": "Created", "locations": ["none"],
    })
}
