//! Terraform in JSON: written again as HCL, parsed, and every attribute evaluated.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

mod evaluated;

fuzz_target!(|text: &str| {
    if let Ok(source) = ryo::terraform::json::parse(Path::new("f.tf.json"), text.to_owned()) {
        evaluated::evaluate(&source);
    }
});
