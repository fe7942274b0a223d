//! HCL: parsed, and every attribute evaluated.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

mod evaluated;

fuzz_target!(|text: &str| {
    if let Ok(source) = ryo::hcl::Source::parse(Path::new("f.tf"), text.to_owned()) {
        evaluated::evaluate(&source);
    }
});
