//! The configuration: any text has a meaning, or faults that stand in it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use portcullis::config::Config;

fuzz_target!(|text: &str| {
    if let Err(faults) = Config::parse(text, Path::new("portcullis.toml")) {
        assert!(!faults.to_string().is_empty());
    }
});
