//! What panels answer: however it is cut, it is read to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proxy::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::answer(bytes));
