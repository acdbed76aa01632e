//! The check of heads below the HTTP library: what it lets pass, the library reads to the same end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::accept::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let Some(length) = fuzzing::head(bytes) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(read)) => assert_eq!(read, length),
        Ok(httparse::Status::Partial) => panic!("the library waits for more of it"),
        // It is stricter in places, and answers 400 by itself.
        Err(_) => {}
    }
});
