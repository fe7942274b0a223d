//! YAML of both dialects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ryo::yaml::{Dialect, load};

fuzz_target!(|text: &str| {
    for dialect in [Dialect::Ansible, Dialect::Terraform] {
        if let Ok(documents) = load(text, dialect) {
            documents.iter().for_each(|document| drop(document.value()));
        }
    }
});
