//! The PROXY protocol: read in pieces as in one, and never more than it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::accept::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::introduction(bytes));
