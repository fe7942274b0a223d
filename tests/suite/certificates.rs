//! Keys, requests and certificates, as OpenSSL and OpenSSH see them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use ryo::module::{Blobs, Mode, Outcome, parse};
use serde_json::{Value, json};

use crate::module::{once, run};

fn act(root: &Path, module: &str, arguments: &Value) -> Outcome {
    let task = parse(module, None, arguments.as_object().unwrap()).unwrap();
    once(root, &task, &Blobs::new())
}

fn again(root: &Path, module: &str, arguments: &Value) -> Outcome {
    let task = parse(module, None, arguments.as_object().unwrap()).unwrap();
    run(root, &task, &Blobs::new(), Mode::Apply)
}

/// What a program says, run at the root; it must end well.
fn said(root: &Path, line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).current_dir(root).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{line}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn root() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn private_keys_of_every_kind_are_made_once_and_read_by_openssl() {
    let root = root();
    let table = [
        ("rsa", json!({ "size": 2048 }), "RSA PRIVATE KEY", "2048 bit"),
        ("rsa8", json!({ "size": 2048, "format": "pkcs8" }), "PRIVATE KEY", "2048 bit"),
        ("p256", json!({ "type": "ECC", "curve": "secp256r1" }), "EC PRIVATE KEY", "NIST CURVE: P-256"),
        ("p384", json!({ "type": "ECC", "curve": "secp384r1" }), "EC PRIVATE KEY", "NIST CURVE: P-384"),
        ("p521", json!({ "type": "ECC", "curve": "secp521r1", "format": "pkcs8" }), "PRIVATE KEY", "P-521"),
        ("k256", json!({ "type": "ECC", "curve": "secp256k1" }), "EC PRIVATE KEY", "secp256k1"),
        ("ed", json!({ "type": "Ed25519" }), "PRIVATE KEY", "ED25519 Private-Key"),
    ];
    for (name, mut arguments, label, about) in table {
        arguments["path"] = json!(format!("/{name}"));
        act(root.path(), "openssl_privatekey", &arguments);
        let written = fs::read_to_string(root.path().join(name)).unwrap();
        assert!(written.starts_with(&format!("-----BEGIN {label}-----\n")), "{name}: {label}");
        let text = said(root.path(), &format!("openssl pkey -check -noout -text -in {name}"));
        assert!(text.contains(about), "{name}: {text}");
        let mode = fs::metadata(root.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn keys_behind_a_passphrase_are_those_of_openssl() {
    let root = root();
    let at = root.path();
    for (name, format) in [("old", "auto_ignore"), ("new", "pkcs8")] {
        let arguments = json!({ "path": format!("/{name}"), "size": 2048, "passphrase": "secret", "cipher": "auto",
            "format": format });
        act(at, "openssl_privatekey", &arguments);
        said(at, &format!("openssl pkey -in {name} -passin pass:secret -noout"));
    }
    said(at, "openssl genrsa -aes128 -traditional -passout pass:secret -out a 2048");
    said(at, "openssl genpkey -algorithm ED25519 -aes256 -pass pass:secret -out b");
    let with = |path: &str, extra: Value| {
        let mut arguments = json!({ "path": path, "size": 2048, "passphrase": "secret", "cipher": "auto" });
        arguments.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        arguments
    };
    assert!(!again(at, "openssl_privatekey", &with("/a", json!({}))).changed);
    assert!(!again(at, "openssl_privatekey", &with("/b", json!({ "type": "Ed25519" }))).changed);
    let wrong = again(at, "openssl_privatekey", &with("/a", json!({ "passphrase": "other", "regenerate": "fail" })));
    let why = "Unable to read the key. The key is protected with a another passphrase / no passphrase or broken. Will \
               not proceed. To force regeneration, call the module with `generate` set to `full_idempotence` or \
               `always`, or with `force=true`.";
    assert_eq!(wrong.failed.as_deref(), Some(why));
}

#[test]
fn a_key_is_made_anew_only_when_it_may_be() {
    let root = root();
    let at = root.path();
    said(at, "openssl genrsa -out key 2048");
    let with = |extra: Value| {
        let mut arguments = json!({ "path": "/key", "size": 2048 });
        arguments.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        arguments
    };
    let before = fs::read(at.join("key")).unwrap();
    assert!(!again(at, "openssl_privatekey", &with(json!({}))).changed, "OpenSSL's own is as good");
    let refused = again(at, "openssl_privatekey", &with(json!({ "size": 3072, "regenerate": "fail" })));
    let why = "Key has wrong type and/or size. Will not proceed. To force regeneration, call the module with \
               `generate` set to `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.";
    assert_eq!(refused.failed.as_deref(), Some(why));
    assert!(!again(at, "openssl_privatekey", &with(json!({ "size": 3072, "regenerate": "never" }))).changed);
    assert_eq!(fs::read(at.join("key")).unwrap(), before);
    let convert = with(json!({ "format": "pkcs1", "format_mismatch": "convert" }));
    assert!(again(at, "openssl_privatekey", &convert).changed);
    let moduli = "openssl rsa -in key -noout -modulus";
    let modulus = said(at, moduli);
    assert!(!again(at, "openssl_privatekey", &convert).changed);
    fs::write(at.join("before"), &before).unwrap();
    assert_eq!(said(at, "openssl rsa -in before -noout -modulus"), modulus, "the same key, written otherwise");
    let forced = again(at, "openssl_privatekey", &with(json!({ "force": true, "backup": true })));
    assert_ne!(said(at, moduli), modulus);
    let kept = forced.values["backup_file"].as_str().unwrap().trim_start_matches('/').to_owned();
    assert!(at.join(kept).exists());
    let absent = again(at, "openssl_privatekey", &json!({ "path": "/key", "state": "absent" }));
    assert!(absent.changed && !at.join("key").exists());
    let nowhere = again(at, "openssl_privatekey", &json!({ "path": "/none/key" }));
    assert_eq!(nowhere.failed.as_deref(), Some("The directory /none does not exist or the file is not a directory"));
}

/// A key, a request and a certificate of an authority, as the control node makes them.
fn authority(at: &Path) -> Value {
    act(at, "openssl_privatekey", &json!({ "path": "/ca.key", "size": 2048 }));
    let request = json!({
        "path": "/ca.csr", "privatekey_path": "/ca.key", "common_name": "Control Node Root CA",
        "organization_name": "A", "organizational_unit_name": "B", "use_common_name_for_san": false,
        "basic_constraints": ["CA:TRUE", "pathlen:0"], "basic_constraints_critical": true,
        "key_usage": ["keyCertSign", "cRLSign", "digitalSignature"], "key_usage_critical": true,
    });
    act(at, "openssl_csr", &request);
    act(
        at,
        "openssl_certificate",
        &json!({ "path": "/ca.pem", "csr_path": "/ca.csr", "privatekey_path": "/ca.key", "provider": "selfsigned",
            "selfsigned_create_subject_key_identifier": "always_create", "selfsigned_not_after": "+36500d" }),
    );
    request
}

#[test]
fn an_authority_of_ones_own_signs_what_openssl_verifies() {
    let root = root();
    let at = root.path();
    authority(at);
    let text = said(at, "openssl x509 -in ca.pem -noout -text");
    for line in [
        "X509v3 Basic Constraints: critical",
        "CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical",
        "Digital Signature, Certificate Sign, CRL Sign",
        "X509v3 Subject Key Identifier:",
        "Version: 3 (0x2)",
        "Subject: O = A, OU = B, CN = Control Node Root CA",
        "sha256WithRSAEncryption",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("Alternative Name"), "{text}");
    let leaf = |name: &str, key: Value, names: Value| {
        let mut key = key;
        key["path"] = json!(format!("/{name}.key"));
        act(at, "openssl_privatekey", &key);
        let mut request = json!({ "path": format!("/{name}.csr"), "privatekey_path": format!("/{name}.key"),
            "common_name": name, "subject_alt_name": names });
        request.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        act(at, "openssl_csr", &request);
        let certificate = json!({ "path": format!("/{name}.pem"), "csr_path": format!("/{name}.csr"),
            "provider": "ownca", "ownca_path": "/ca.pem", "ownca_privatekey_path": "/ca.key",
            "ownca_create_subject_key_identifier": "always_create" });
        act(at, "x509_certificate", &certificate);
        said(at, &format!("openssl req -in {name}.csr -verify -noout"));
        said(at, &format!("openssl verify -x509_strict -CAfile ca.pem {name}.pem"));
        said(at, &format!("openssl x509 -in {name}.pem -noout -text"))
    };
    let text = leaf("a.example", json!({ "size": 2048 }), Value::Null);
    assert!(text.contains("DNS:a.example") && text.contains("X509v3 Authority Key Identifier"), "{text}");
    let text = leaf("b.example", json!({ "type": "ECC", "curve": "secp384r1" }), json!("IP:fd00::2,DNS:b"));
    assert!(text.contains("IP Address:FD00:0:0:0:0:0:0:2, DNS:b"), "{text}");
    leaf("c.example", json!({ "type": "Ed25519" }), Value::Null);
}

#[test]
fn a_request_is_made_anew_when_it_says_something_else() {
    let root = root();
    let at = root.path();
    let request = authority(at);
    assert!(!again(at, "openssl_csr", &request).changed);
    let changes = [
        ("common_name", json!("Other")),
        ("organization_name", json!("C")),
        ("key_usage", json!("keyCertSign")),
        ("key_usage_critical", json!(false)),
        ("basic_constraints", json!(["CA:TRUE", "pathlen:1"])),
        ("basic_constraints_critical", json!(false)),
        ("subject_alt_name", json!(["DNS:a", "IP:192.0.2.1", "email:a@b.example", "URI:https://a"])),
        ("extended_key_usage", json!(["serverAuth", "clientAuth"])),
        ("extended_key_usage_critical", json!(true)),
        ("create_subject_key_identifier", json!(true)),
        ("authority_key_identifier", json!("00:11:22")),
        ("ocsp_must_staple", json!(true)),
        ("name_constraints_permitted", json!(["DNS:example", "IP:192.0.2.0/24"])),
        ("name_constraints_critical", json!(true)),
        ("subject", json!({ "GN": "a", "DC": ["b", "c"] })),
    ];
    let mut request = request;
    for (name, value) in changes {
        request[name] = value;
        act(at, "openssl_csr", &request);
    }
    // What has no order may be written in any.
    request["subject_alt_name"] = json!(["URI:https://a", "DNS:a", "email:a@b.example", "IP:192.0.2.1"]);
    request["extended_key_usage"] = json!(["clientAuth", "1.3.6.1.5.5.7.3.1"]);
    assert!(!again(at, "openssl_csr", &request).changed);
    let text = said(at, "openssl req -in ca.csr -verify -noout -text");
    for line in [
        "Permitted:",
        "DNS:example",
        "IP:192.0.2.0/255.255.255.0",
        "status_request",
        "GN = a, DC = b, DC = c",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "00:11:22",
        "email:a@b.example",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // Another key makes another request, another request another certificate.
    act(at, "openssl_privatekey", &json!({ "path": "/ca.key", "type": "Ed25519" }));
    act(at, "openssl_csr", &request);
    let certificate = json!({ "path": "/ca.pem", "csr_path": "/ca.csr", "privatekey_path": "/ca.key",
        "provider": "selfsigned" });
    act(at, "x509_certificate", &certificate);
}

#[test]
fn what_openssl_made_is_taken_as_it_is() {
    let root = root();
    let at = root.path();
    said(
        at,
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Old -days 10 2>&1 &&
         openssl req -new -newkey rsa:2048 -nodes -keyout a.key -out a.csr -subj /O=A/CN=a.example \
            -addext subjectAltName=DNS:a.example 2>&1 &&
         openssl x509 -req -in a.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copyall -out a.pem -days 5",
    );
    let request = json!({ "path": "/a.csr", "privatekey_path": "/a.key", "organization_name": "A",
        "common_name": "a.example" });
    assert!(!again(at, "openssl_csr", &request).changed, "the request says what is wanted");
    let mut certificate = json!({ "path": "/a.pem", "csr_path": "/a.csr", "provider": "ownca", "ownca_path": "/ca.pem",
        "ownca_privatekey_path": "/ca.key" });
    assert!(!again(at, "x509_certificate", &certificate).changed, "so does the certificate");
    certificate["ownca_not_after"] = json!("+20d");
    let early = again(at, "x509_certificate", &certificate);
    assert!(!early.changed, "times do not count unless they are asked for");
    certificate["ignore_timestamps"] = json!(false);
    assert!(again(at, "x509_certificate", &certificate).changed);
    said(at, "openssl verify -CAfile ca.pem a.pem");
}

#[test]
fn public_keys_are_those_of_openssl_and_openssh() {
    let root = root();
    let at = root.path();
    said(at, "openssl genrsa -out key 2048");
    act(at, "openssl_publickey", &json!({ "path": "/pub", "privatekey_path": "/key" }));
    assert_eq!(fs::read_to_string(at.join("pub")).unwrap(), said(at, "openssl pkey -in key -pubout"));
    act(at, "openssl_publickey", &json!({ "path": "/ssh", "privatekey_path": "/key", "format": "OpenSSH" }));
    assert_eq!(fs::read_to_string(at.join("ssh")).unwrap(), said(at, "ssh-keygen -y -f key").trim_end());
}

#[test]
fn keys_for_logging_in_are_made_once_and_read_by_openssh() {
    let root = root();
    let at = root.path();
    let table = [
        ("rsa", json!({ "size": 2048 }), "2048"),
        ("ed25519", json!({ "comment": "a b" }), "256"),
        ("ecdsa", json!({ "size": 384 }), "384"),
    ];
    for (kind, mut arguments, bits) in table {
        arguments["path"] = json!(format!("/{kind}"));
        arguments["type"] = json!(kind);
        let outcome = act(at, "openssh_keypair", &arguments);
        let about = said(at, &format!("ssh-keygen -l -f {kind}"));
        assert!(about.starts_with(&format!("{bits} {} ", outcome.values["fingerprint"].as_str().unwrap())), "{about}");
        let public = fs::read_to_string(at.join(format!("{kind}.pub"))).unwrap();
        let own = said(at, &format!("ssh-keygen -y -f {kind}"));
        assert_eq!(public.trim(), own.trim());
        assert!(public.starts_with(outcome.values["public_key"].as_str().unwrap()));
        let mode = |path: &str| fs::metadata(at.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(kind), mode(&format!("{kind}.pub"))), (0o600, 0o644));
    }
    let arguments = json!({ "path": "/ed25519", "type": "ed25519", "comment": "other" });
    act(at, "openssh_keypair", &arguments);
    assert!(fs::read_to_string(at.join("ed25519.pub")).unwrap().ends_with(" other\n"));
    fs::remove_file(at.join("rsa.pub")).unwrap();
    act(at, "openssh_keypair", &json!({ "path": "/rsa", "size": 2048 }));
    said(at, "ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -f own -C me");
    assert!(!again(at, "openssh_keypair", &json!({ "path": "/own", "size": 2048 })).changed);
    let refused = again(at, "openssh_keypair", &json!({ "path": "/own", "size": 3072, "regenerate": "fail" }));
    assert!(refused.failed.unwrap().starts_with("Key has wrong type and/or size."));
    act(at, "openssh_keypair", &json!({ "path": "/own", "state": "absent" }));
    assert!(!at.join("own").exists() && !at.join("own.pub").exists());
    act(at, "openssh_keypair", &json!({ "path": "/locked", "type": "ed25519", "passphrase": "secret" }));
    said(at, "ssh-keygen -y -P secret -f locked");
}

#[test]
fn what_cannot_be_made_is_refused_before() {
    let table = [
        (
            "openssl_privatekey",
            json!({ "path": "/a", "size": 1000 }),
            "`openssl_privatekey`: `size` is `1000`, must be one of 2048, 3072, 4096, 8192",
        ),
        (
            "openssl_privatekey",
            json!({ "path": "/a", "type": "ECC" }),
            "`openssl_privatekey` needs `curve (for `type: ECC`)`",
        ),
        ("openssl_csr", json!({ "path": "/a" }), "`openssl_csr` needs `privatekey_path or privatekey_content`"),
        (
            "openssl_certificate",
            json!({ "path": "/a", "provider": "acme" }),
            "`openssl_certificate`: `provider` is `acme`, must be one of `selfsigned`, `ownca`",
        ),
        (
            "x509_certificate",
            json!({ "path": "/a", "provider": "ownca", "csr_path": "/b", "ownca_path": "/c" }),
            "`x509_certificate` needs `ownca_privatekey_path or ownca_privatekey_content`",
        ),
        (
            "openssh_keypair",
            json!({ "path": "/a", "type": "ecdsa", "size": 100 }),
            "`openssh_keypair`: `size` is `100`, must be one of 256, 384, 521",
        ),
    ];
    for (module, arguments, wanted) in table {
        let error = parse(module, None, arguments.as_object().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}
